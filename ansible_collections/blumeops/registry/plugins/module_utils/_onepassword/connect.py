# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Reading from a 1Password Connect server, over the part of its SDK that is safe.

That part is ``new_client`` and ``build_request`` (contracts of 1Password, 2.7): the SDK's own calls send titles
unencoded, take HTML for an item, follow addresses that the server names, and show the token in the text of
exceptions. So status, JSON and matching are done here, and no exception text of httpx is ever shown.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    Conflict,
    InvalidInput,
    NotFound,
    RateLimited,
    Refused,
    RegistryError,
    ServerError,
    ServiceError,
    TlsError,
    UnexpectedAnswer,
    Unreachable,
    scrub,
)
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.resolve import Json
from ansible_collections.blumeops.registry.plugins.module_utils._transport import check_header_value, split_url

try:
    import httpx
    from onepasswordconnectsdk.client import new_client
    from onepasswordconnectsdk.config import ClientConfig

    HAS_SDK = True
except ImportError:
    HAS_SDK = False

#: Pauses before an answer of 5xx is asked for again, in seconds (contracts of 1Password, 6).
PAUSES = (0.2, 0.5, 1.0)
#: Pauses for the content of a file, which is 500 until the server has fetched it [S onepassword-operator].
FILE_PAUSES = (1.0, 1.0, 1.0, 1.0, 1.0)
#: The longest Retry-After, in seconds, that is waited for.
LONGEST_WAIT = 10.0
#: The largest file that is fetched, in bytes; a secret of more is a mistake.
LARGEST_FILE = 16 * 1024 * 1024


class Connect:
    """One Connect server with one token.

    Args:
        host: Its address; with or without ``/v1``.
        token: Its access token; white space around it is taken off.
        timeout: Seconds to wait for a connection and for each read.
        retries: How often an answer of 5xx is asked for again.
        ca_path: PEM file with the CA certificates to trust.
        sleep: Waits between tries; for tests.

    Raises:
        InvalidInput: An address, token or CA file that cannot be right, or the SDK is not installed.
    """

    def __init__(
        self,
        host: str,
        token: str,
        *,
        timeout: float = 15.0,
        retries: int = 3,
        ca_path: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not HAS_SDK:
            raise InvalidInput(
                "1Password Connect needs the Python package onepasswordconnectsdk (>=2.0.0,<3) where the lookup runs: "
                "install it there, or leave connect_host out to use op"
            )
        self.host = split_url(host, "connect_host").removesuffix("/v1")
        self._token = check_header_value(token, "connect_token")
        self._timeout, self._retries, self._sleep = timeout, retries, sleep
        options: dict[str, Any] = {"timeout": timeout}
        if ca_path:
            options["verify"] = _trust(ca_path)
        # httpx writes every address it asks to this logger, at INFO, and Ansible may log to a file.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._client = new_client(self.host, self._token, config=ClientConfig(**options))
        self._client.session.headers["User-Agent"] = "blumeops.registry"

    def close(self) -> None:
        """Close the connections."""
        self._client.session.close()

    def vaults(self) -> list[Json]:
        """The vaults that the token may read."""
        return self._list("/v1/vaults", "the list of vaults")

    def items(self, vault: Json) -> list[Json]:
        """Summaries of all items of a vault.

        The list is asked for whole and matched here: whether Connect's filter tells upper and lower case apart is
        not known, and no client of it can quote a title (contracts of 1Password, 1.3).
        """
        return self._list(f"/v1/vaults/{_segment(vault)}/items", f"the items of vault {_name(vault)!r}", vault)

    def item(self, vault: Json, item_id: str) -> Json:
        """A whole item.

        Raises:
            NotFound: Nothing has this id.
        """
        what = f"item {item_id} of vault {_name(vault)!r}"
        answer = self._json(f"/v1/vaults/{_segment(vault)}/items/{item_id}", what, vault)
        if not isinstance(answer, dict) or not isinstance(answer.get("fields", []), list) or "id" not in answer:
            raise UnexpectedAnswer(f"{self.host} did not answer like a Connect server for {what}: check connect_host")
        return answer

    def content(self, vault: Json, item_id: str, file: Json) -> bytes:
        """The content of a file of an item, whole.

        The address is made here: following the ``content_path`` of the answer could carry the token elsewhere.

        Raises:
            InvalidInput: The file is larger than LARGEST_FILE.
        """
        size = file.get("size")
        if isinstance(size, int) and size > LARGEST_FILE:
            raise InvalidInput(f"file {file.get('name')!r} has {size} bytes, more than the {LARGEST_FILE} of a secret")
        path = f"/v1/vaults/{_segment(vault)}/items/{item_id}/files/{_segment(file)}/content"
        answer = self._get(path, f"file {file.get('name')!r}", vault, FILE_PAUSES)
        if "html" in answer.headers.get("Content-Type", ""):
            raise self._not_connect(answer)
        return bytes(answer.content)

    # -- requests ---------------------------------------------------------------------------------------------------

    def _list(self, path: str, what: str, vault: Json | None = None) -> list[Json]:
        answer = self._json(path, what, vault)
        if not isinstance(answer, list) or not all(isinstance(entry, dict) and "id" in entry for entry in answer):
            raise UnexpectedAnswer(f"{self.host} did not answer like a Connect server for {what}: check connect_host")
        return answer

    def _json(self, path: str, what: str, vault: Json | None) -> Any:
        answer = self._get(path, what, vault, PAUSES[: self._retries])
        try:
            return answer.json()
        except (ValueError, UnicodeDecodeError):
            raise self._not_connect(answer) from None

    def _get(self, path: str, what: str, vault: Json | None, pauses: tuple[float, ...]) -> Any:
        """GET until an answer is final: 200, or an error that no retry mends."""
        waits = iter(pauses)
        once: set[str] = set()
        while True:
            answer = self._send(path, once)
            if answer is None:  # out of time or broken, for the first time
                continue
            if answer.status_code == 200:
                return answer
            wait = self._wait(answer, vault, waits, once)
            if wait is None:
                raise self._error(answer, what, vault)
            self._sleep(wait)

    @staticmethod
    def _wait(answer: Any, vault: Json | None, waits: Iterator[float], once: set[str]) -> float | None:
        """Seconds after which the same request may succeed; None where it will not."""
        status = answer.status_code
        if status == 403 and vault is not None and "403" not in once:
            once.add("403")
            return 0.2  # sporadic and false up to Connect 1.7 [I connect#82, external-secrets#4205]
        if status == 429 and "429" not in once:
            once.add("429")
            value = answer.headers.get("Retry-After", "")
            wait = float(value) if re.fullmatch(r"\d{1,6}", value) else 1.0
            return wait if wait <= LONGEST_WAIT else None
        return next(waits, None) if status >= 500 else None

    def _send(self, path: str, once: set[str]) -> Any:
        """One request; None where it broke for the first time and may be sent again."""
        try:
            return self._client.build_request("GET", path)
        except httpx.HTTPError as error:
            failure = self._failure(error)
            again = getattr(failure, "maybe_done", False) and "broken" not in once and self._retries > 0
            once.add("broken")
            if not again:
                raise failure from None
            return None

    # -- our words --------------------------------------------------------------------------------------------------

    def _failure(self, error: Exception) -> Unreachable:
        """Our words for an exception of httpx; its text is not used, because it can hold the token [T]."""
        chain = list(_causes(error))
        tls = next((cause for cause in chain if isinstance(cause, ssl.SSLError)), None)
        if tls is not None or "[SSL" in str(error):
            return TlsError(f"TLS to {self.host} failed: {_tls_reason(f'{error} {tls}')}")
        if isinstance(error, httpx.ConnectTimeout):
            return Unreachable(
                f"Connect at {self.host} accepted no connection within {self._timeout:g} s: check address"
            )
        if isinstance(error, httpx.ProxyError):
            return Unreachable(
                f"Connect at {self.host} cannot be reached through the environment's proxy: set NO_PROXY"
            )
        if isinstance(error, httpx.ConnectError):
            if any(isinstance(cause, socket.gaierror) for cause in chain):
                return Unreachable(
                    f"cannot reach Connect at {self.host}: its name does not resolve; check connect_host"
                )
            return Unreachable(f"cannot reach Connect at {self.host}: connection refused; is it running?")
        if isinstance(error, httpx.TimeoutException):
            failure = Unreachable(f"no answer from Connect at {self.host} within {self._timeout:g} s: raise timeout")
        else:
            failure = Unreachable(f"Connect at {self.host} broke the connection before its answer was complete")
        failure.maybe_done = True
        return failure

    def _not_connect(self, answer: Any) -> UnexpectedAnswer:
        kind = answer.headers.get("Content-Type", "").partition(";")[0] or "none"
        return UnexpectedAnswer(
            f"{self.host} did not answer like a Connect server ({answer.status_code}, content type {kind}, "
            "no whole JSON): check that connect_host is not a proxy or a login page"
        )

    def _error(self, answer: Any, what: str, vault: Json | None) -> RegistryError:
        """The error for a final answer; carries the server's message where it is one of Connect's."""
        status = int(answer.status_code)
        try:
            body = json.loads(answer.content)
            message = body.get("message") if isinstance(body, dict) else None
        except ValueError:
            message = None
        if 300 <= status < 400:
            return UnexpectedAnswer(
                f"{self.host} redirects ({status}), which is not followed: set connect_host to the end"
            )
        if not isinstance(message, str):
            if status >= 500:
                return ServerError(
                    f"Connect at {self.host} answered {status} without a message of its own for {what}: "
                    "look at the proxy in front of it",
                    status=status,
                )
            return self._not_connect(answer)
        reason = scrub(" ".join(message.split())[:300], [self._token])
        kind, text = _SENTENCES.get(status, _SENTENCES[500 if status >= 500 else 400])
        name = "" if vault is None else _name(vault)
        return kind(
            text.format(host=self.host, what=what, status=status, reason=reason, vault=name),
            status=status,
            reason=reason,
        )


_SENTENCES: dict[int, tuple[type[ServiceError], str]] = {
    400: (ServiceError, "Connect answered {status} ({reason}) for {what}: is the id right?"),
    401: (Refused, "Connect refused the token (401: {reason}): expired, revoked or from another Connect server"),
    403: (Refused, "Connect denied access to vault {vault!r} (403: {reason}): grant the token this vault"),
    404: (NotFound, "Connect does not have {what} (404: {reason})"),
    409: (Conflict, "Connect reported a conflict (409: {reason}) for {what}: try again"),
    429: (RateLimited, "Connect at {host} answered 429 ({reason}): too many requests; try again later"),
    500: (ServerError, "Connect answered {status} ({reason}) for {what}: GET {host}/health tells its state"),
}


def _segment(entry: Json) -> str:
    """The id of a vault or file as part of a path; it came from the server, and must not lead elsewhere.

    Raises:
        UnexpectedAnswer: The id has another form than 1Password's.
    """
    entry_id = str(entry.get("id"))
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", entry_id):
        raise UnexpectedAnswer("the server named an id that is none of 1Password's: check connect_host")
    return entry_id


def _name(vault: Json) -> str:
    return str(vault.get("name") or vault.get("id"))


def _trust(ca_path: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_path)
    except ssl.SSLError:
        raise InvalidInput(f"the CA file {ca_path} holds no PEM certificate: check ca_path") from None
    except OSError as error:
        raise InvalidInput(f"the CA file {ca_path} cannot be read ({error.strerror}): check ca_path") from None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _tls_reason(text: str) -> str:
    if "self-signed" in text or "self signed" in text:
        return "certificate verify failed (self-signed certificate); set ca_path"
    if "Hostname mismatch" in text or "IP address mismatch" in text:
        return "its certificate is for another host; check connect_host"
    if "unable to get" in text:
        return "certificate verify failed (signed by nobody that is trusted here); set ca_path"
    if "expired" in text:
        return "its certificate has expired; renew it"
    if "WRONG_VERSION_NUMBER" in text or "record layer" in text:
        return "the port does not speak TLS; use http:// or another port"
    return "the certificate or the protocol was not accepted; set ca_path or check the server's TLS"
