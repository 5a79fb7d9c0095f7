# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""The one seam to the wire: requests to a service, its answers, and our own words for what went wrong.

Exception texts of requests and urllib3 are never shown: they can hold URLs with credentials and header
values (measured for httpx: ``Illegal header value b'Bearer <token>``, contracts of 1Password, 2.7a).
"""

from __future__ import annotations

import base64
import json as jsonlib
import re
import socket
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    InvalidInput,
    TlsError,
    UnexpectedAnswer,
    Unreachable,
)

try:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.auth import AuthBase

    HAS_REQUESTS = True
except ImportError:  # said by _run, in Ansible's own words
    HAS_REQUESTS = False
    AuthBase = object  # type: ignore[assignment,misc]

#: Requests that may be sent again: carrying them out twice leaves what once leaves.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
#: Answers of an overloaded server or a proxy whose server is away; sent again with a pause.
RETRY_STATUS = frozenset({429, 502, 503, 504})
#: The longest Retry-After, in seconds, that is waited for.
LONGEST_WAIT = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered. ``where`` names service and request for messages; ``body`` is never shown."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    where: str = ""

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 become U+FFFD."""
        return self.body.decode("utf-8", "replace")

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty where none was sent."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """Whether the body is complete JSON, whatever the content type says."""
        try:
            jsonlib.loads(self.body)
        except ValueError:
            return False
        return True

    def json(self) -> Any:
        """The JSON value of the body.

        Raises:
            UnexpectedAnswer: HTML (a proxy or a login page), or JSON that is cut or broken.
        """
        try:
            return jsonlib.loads(self.body)
        except ValueError:
            kind = "HTML" if "html" in self.content_type else self.content_type or "an empty answer"
            if "json" in self.content_type:
                kind = "JSON that is cut or broken"
            raise UnexpectedAnswer(
                f"{self.where} answered {self.status} with {kind} instead of JSON: "
                "check that the URL is the service itself and not a proxy or a login page in front of it"
            ) from None


class _Basic(AuthBase):
    """Basic credentials in UTF-8 (requests' own are latin-1), set explicitly so that ~/.netrc is never read."""

    def __init__(self, user: str, password: str) -> None:
        self._value = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


class _Header(AuthBase):
    """An Authorization header as it is; None sends none (and still keeps requests from reading ~/.netrc)."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


Auth = tuple[str, str] | str | None
_KEEP: Any = object()


def check_header_value(value: str, option: str) -> str:
    """Strip a credential of surrounding white space and refuse what no header can carry, without showing it.

    Raises:
        InvalidInput: A control character or one beyond ASCII inside.
    """
    value = value.strip()
    if not value:
        raise InvalidInput(f"{option} is empty: give the token itself")
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise InvalidInput(
            f"{option} contains a blank, a control character or one beyond ASCII, which no HTTP header can carry: "
            "copy the token again, without line breaks"
        )
    return value


def split_url(url: str, option: str) -> str:
    """Check a base URL and return it without a trailing slash.

    Raises:
        InvalidInput: No http(s) scheme, no host, a user name or password inside, a query or a fragment.
    """
    parts = urllib.parse.urlsplit(url.strip())
    try:
        bad_port = parts.port is not None and not 0 < parts.port < 65536
    except ValueError:
        bad_port = True
    if parts.scheme not in {"http", "https"} or not parts.hostname or bad_port:
        raise InvalidInput(f"{option} must be an address such as https://host[:port], which {_safe(url)!r} is not")
    if parts.username or parts.password:
        raise InvalidInput(f"{option} must not hold a user name or password: use the options for credentials")
    if parts.query or parts.fragment:
        raise InvalidInput(f"{option} must end with its path: {_safe(url)!r} has a query or a fragment")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _safe(url: str) -> str:
    """A URL for messages: without user, password, query."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Transport:
    """Requests to one service; safe to use from several threads.

    Args:
        base_url: Address of the service; paths are appended to it.
        name: What the service is called in messages, such as ``Forgejo``.
        auth: ``(user, password)`` for Basic, a whole Authorization value, or None.
        timeout: Seconds to wait for a connection and for each read.
        ca_path: PEM file with the CA certificates to trust instead of the system's.
        retries: How often a request is sent again after a failure that allows it.
        pool_size: Connections kept open; as many threads as this can send at once.
        sleep: Waits between tries; for tests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        auth: Auth = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        ca_path: str | None = None,
        validate_certs: bool = True,
        retries: int = 2,
        pool_size: int = 1,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = split_url(base_url, f"the address of {name}")
        self.name = name
        self.timeout = timeout
        self.retries = retries
        self._auth = _as_auth(auth)
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers.update(
            {"User-Agent": "blumeops.registry", "Accept": "application/json", **(headers or {})}
        )
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=pool_size, pool_block=True)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        # Read once: requests would look into the environment for every single request.
        environment = self._session.merge_environment_settings(self.base_url, {}, False, None, None)
        self._session.trust_env = False
        self._session.proxies = dict(environment["proxies"])
        self._session.verify = validate_certs and (ca_path or environment["verify"] or True)
        if ca_path:
            try:
                with open(ca_path, "rb"):
                    pass
            except OSError as error:
                raise InvalidInput(f"the CA file {ca_path} cannot be read ({error.strerror}): check ca_path") from None

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Auth = _KEEP,
        again: bool | None = None,
    ) -> Answer:
        """Send one request and return its answer, whatever the status; redirects are not followed.

        Args:
            path: Appended to ``base_url``; already percent-encoded.
            json: Sent as JSON (in UTF-8) where not None.
            auth: Other credentials than the transport's, for this request only.
            again: Whether the request may be sent again after it may have been carried out; by default only
                for methods that are idempotent.

        Raises:
            TlsError: The certificate is not trusted, is for another host, or the port speaks no TLS.
            Unreachable: No connection, no answer in time, or a connection that broke; ``maybe_done`` says
                whether the request may have been carried out.
        """
        repeatable = method in IDEMPOTENT if again is None else again
        extra = dict(headers or {})
        if json is not None:
            data = jsonlib.dumps(json, ensure_ascii=False).encode("utf-8")
            extra.setdefault("Content-Type", "application/json")
        where = f"{self.name} at {_safe(self.base_url)} ({method} {path.partition('?')[0]})"
        for attempt in range(self.retries + 1):
            last = attempt == self.retries
            try:
                response = self._session.request(
                    method,
                    self.base_url + path,
                    data=data,
                    params=params,
                    headers=extra,
                    auth=self._auth if auth is _KEEP else _as_auth(auth),
                    timeout=self.timeout,
                    allow_redirects=False,
                )
                answer = Answer(response.status_code, response.headers, response.content, where)
            except requests.RequestException as error:
                failure = self._failure(error, where)
                if last or isinstance(failure, TlsError) or (failure.maybe_done and not repeatable):
                    raise failure from None
                self._sleep(0.2 * 2**attempt)
                continue
            if answer.status not in RETRY_STATUS or last or not (repeatable or answer.status == 429):
                return answer
            wait = _retry_after(answer, default=0.2 * 2**attempt)
            if wait > LONGEST_WAIT:
                return answer
            self._sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    def _failure(self, error: requests.RequestException, where: str) -> Unreachable:
        """Our words for an exception of requests; its own text is not used (it may hold credentials)."""
        chain = list(_causes(error))
        names = " ".join(type(cause).__name__ for cause in chain)
        if isinstance(error, requests.exceptions.SSLError) or "SSL" in names:
            return TlsError(f"TLS to {where} failed: {_tls_reason(chain)}")
        if isinstance(error, requests.exceptions.ProxyError):
            return Unreachable(
                f"{where} cannot be reached through the proxy of the environment: check HTTPS_PROXY, NO_PROXY"
            )
        if isinstance(error, requests.exceptions.ConnectTimeout):
            return Unreachable(f"{where} accepted no connection within {self.timeout:g} s: check address and firewall")
        if "ConnectionRefusedError" in names:
            return Unreachable(f"{where} refuses connections: is it running, and is the port right?")
        if any(isinstance(cause, socket.gaierror) for cause in chain) or "NameResolution" in names:
            return Unreachable(f"{where} has a host name that does not resolve: check the address")
        if "NewConnectionError" in names:
            return Unreachable(f"{where} cannot be connected to: check address and network")
        if isinstance(error, requests.exceptions.InvalidHeader | UnicodeError):
            return Unreachable(f"{where} was not asked: a header value cannot be sent")
        if isinstance(error, requests.exceptions.Timeout):
            failure = Unreachable(f"{where} gave no answer within {self.timeout:g} s: try again, or raise the timeout")
        else:
            failure = Unreachable(f"{where} broke the connection before its answer was complete: look into its log")
        failure.maybe_done = True
        return failure


def _as_auth(auth: Auth) -> AuthBase:
    return _Basic(*auth) if isinstance(auth, tuple) else _Header(auth)


def _causes(error: BaseException) -> Any:
    """The exception, what it was raised from, and what it wraps (urllib3 keeps that in args and ``reason``)."""
    seen: set[int] = set()
    todo: list[Any] = [error]
    while todo:
        current = todo.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        todo += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]


def _tls_reason(chain: list[BaseException]) -> str:
    text = " ".join(str(cause) for cause in chain if type(cause).__name__ in {"SSLCertVerificationError", "SSLError"})
    if "self-signed" in text or "self signed" in text or "unable to get" in text:
        return "its certificate is signed by nobody that is trusted here; set ca_path to the CA's certificate"
    if "Hostname mismatch" in text or "doesn't match" in text or "IP address mismatch" in text:
        return "its certificate is for another host; check the address"
    if "expired" in text:
        return "its certificate has expired; renew it"
    if "WRONG_VERSION_NUMBER" in text or "record layer" in text:
        return "the port does not speak TLS; use http:// or another port"
    return "the certificate or the protocol was not accepted; set ca_path or check the server's TLS"


def _retry_after(answer: Answer, *, default: float) -> float:
    """Seconds of the Retry-After header; only its number form (the date form counts as the default)."""
    value = answer.headers.get("Retry-After", "")
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else default
