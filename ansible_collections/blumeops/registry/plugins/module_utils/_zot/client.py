# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""zot's HTTP API as the collection uses it: typed answers, our errors; every caller is given with each request.

Facts are those measured on zot 2.1.20 (contracts of zot). ``None`` as caller is the anonymous one.
"""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    NotFound,
    RateLimited,
    Refused,
    RegistryError,
    ServerError,
    ServiceError,
    UnexpectedAnswer,
)
from ansible_collections.blumeops.registry.plugins.module_utils._transport import Answer, Transport
from ansible_collections.blumeops.registry.plugins.module_utils._zot.apikeys import ApiKey
from ansible_collections.blumeops.registry.plugins.module_utils._zot.questions import Action, question, verdict

#: Identity and API key of a caller; None is anonymous.
Caller = tuple[str, str] | None

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ACCEPT_MANIFESTS = ", ".join(
    (
        MANIFEST_TYPE,
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
API_KEYS = "/zot/auth/apikey"
MGMT = "/v2/_zot/ext/mgmt"


@dataclass(frozen=True, slots=True)
class Said:
    """What was answered to a question: ``may`` None where the answer is none that zot gives to it."""

    may: bool | None
    status: int
    code: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """Where a login is sent to, and with what."""

    endpoint: str
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    response_type: str


@dataclass(frozen=True, slots=True)
class Mgmt:
    """What the mgmt route shows to anybody; a binary built from source shows no version."""

    version: str
    apikey: bool
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; ``key`` is shown this once and by nothing here."""

    key: str
    entry: ApiKey

    def __repr__(self) -> str:
        return f"NewKey(key=***, entry={self.entry!r})"


class Zot:
    """One registry behind a transport; raises the errors of ``_errors``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def url(self) -> str:
        """The registry's address, without a trailing slash."""
        return self._transport.base_url

    # API keys ---------------------------------------------------------------------------------------------------

    def keys(self, caller: Caller) -> tuple[ApiKey, ...]:
        """The caller's own API keys; asking with a key moves that key's ``lastUsed`` before the list is made.

        Raises:
            Refused: 401, for any of the four reasons that zot does not tell apart.
            ServerError: 500, which is also the answer to a caller without credentials where anonymous is let in, and
                where the time of last use cannot be written.
        """
        answer = self._ask("GET", API_KEYS, caller)
        if answer.status == 500:
            raise ServerError(
                f"{answer.where} answered 500: its storage may be read-only or full (a key's use is written down), "
                "or it sees no credentials; look into its log",
                status=500,
            )
        raw = self._json(answer, 200)
        listed = raw.get("apiKeys") if isinstance(raw, Mapping) else None
        if listed is None and isinstance(raw, Mapping) and "apiKeys" in raw:
            return ()
        if not isinstance(listed, list):
            raise UnexpectedAnswer(f"{answer.where} answered without apiKeys: is it a zot?")
        return tuple(ApiKey.parse(entry) for entry in listed)

    def create_key(self, caller: Caller, label: str, ends: datetime | None, scopes: Sequence[str] = ()) -> NewKey:
        """Make an API key of the caller's. ``ends`` None makes one that never ends; scopes are stored, not enforced.

        Not sent again after it may have been carried out: each repetition would leave one more key.
        """
        payload: dict[str, Any] = {"label": label, "scopes": list(scopes)}
        if ends is not None:
            payload["expirationDate"] = ends.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = self._transport.request("POST", API_KEYS, json=payload, auth=caller, again=False)
        raw = self._json(answer, 201)
        if not isinstance(raw, Mapping) or not isinstance(raw.get("apiKey"), str):
            raise UnexpectedAnswer(f"{answer.where} answered without apiKey: is it a zot?")
        return NewKey(raw["apiKey"], ApiKey.parse(raw))

    def delete_key(self, caller: Caller, uuid: str) -> None:
        """Ask for a revocation. 200 is also the answer for an unknown id and for somebody else's key: only
        :meth:`keys` proves it."""
        answer = self._transport.request("DELETE", API_KEYS, params={"id": uuid}, auth=caller)
        if answer.status != 200:
            raise self._error(answer)

    # Content ----------------------------------------------------------------------------------------------------

    def catalog(self, caller: Caller) -> tuple[str, ...]:
        """The repositories that the caller may see, sorted."""
        return self._names(self._ask("GET", "/v2/_catalog", caller), "repositories")

    def tags(self, caller: Caller, repository: str) -> tuple[str, ...]:
        """The tags of a repository, sorted; none where there is no such repository."""
        answer = self._ask("GET", f"/v2/{repository}/tags/list", caller)
        if answer.status == 404 and error_code(answer) == "NAME_UNKNOWN":
            return ()
        return self._names(answer, "tags")

    def manifest_digest(self, caller: Caller, repository: str, reference: str) -> str:
        """The digest of a manifest's bytes as they were served.

        Only for a reference that is known to be there or under no on-demand sync prefix: a missing one would be asked
        for upstream. Raises NotFound where it is not there.
        """
        answer = self._ask(
            "GET", f"/v2/{repository}/manifests/{reference}", caller, headers={"Accept": ACCEPT_MANIFESTS}
        )
        self._json(answer, 200)
        return "sha256:" + hashlib.sha256(answer.body).hexdigest()

    def ask(self, caller: Caller, action: Action, repository: str, tag: str = "") -> Said:
        """Whether the caller may do ``action``, without leaving a trace (see :mod:`.questions`).

        Raises:
            UnexpectedAnswer: The answer is not the registry's own (HTML, a redirect), or the request was accepted.
            ServerError, RateLimited: 5xx, 429.
        """
        asked = question(action, repository, tag)
        answer = self._transport.request(asked.method, asked.path, data=asked.body, auth=caller)
        if answer.status in (429, *range(500, 600)):
            raise self._error(answer)
        may = verdict(action, answer.status)
        if may is not None:
            answer.json()  # a proxy's own 403 or 404 is no answer of the registry
        elif answer.status < 300:
            raise UnexpectedAnswer(
                f"{answer.where} accepted with {answer.status} what no zot accepts: check what answers at this address"
            )
        return Said(may, answer.status, error_code(answer))

    # What needs no credentials ------------------------------------------------------------------------------------

    def reach(self) -> int:
        """Whether a registry answers at all: the status of ``/v2/``, 200 or 401.

        Raises:
            Unreachable, TlsError: No answer.
            UnexpectedAnswer: HTML or a redirect: something else answers there.
            ServerError: 5xx, such as a proxy's 502.
        """
        answer = self._ask("GET", "/v2/", None)
        if answer.status not in (200, 401):
            raise self._error(answer)
        if not answer.headers.get("Docker-Distribution-Api-Version", "").startswith("registry/2"):
            answer.json()  # says HTML, or what else it is
        return answer.status

    def status(self, caller: Caller, path: str) -> int:
        """The status of a GET, whatever it is; a redirect is not followed."""
        return self._ask("GET", path, caller).status

    def metrics(self, path: str = "/metrics") -> str:
        """The metrics as a scrape without credentials gets them.

        Raises:
            Refused: 401 or 403: not open to anonymous scrapes.
            NotFound: The extension is off, or the path is another.
            UnexpectedAnswer: Not Prometheus' text format.
        """
        answer = self._ask("GET", path, None, headers={"Accept": "text/plain"})
        if answer.status != 200:
            raise self._error(answer)
        if answer.content_type != "text/plain" or "# " not in answer.text:
            answer.json()  # says HTML, or what else it is
            raise UnexpectedAnswer(f"{answer.where} answered with JSON instead of metrics: check the path")
        return answer.text

    def mgmt(self) -> Mgmt | None:
        """What the mgmt route shows; None where zot has no such route (it comes with the search extension)."""
        answer = self._ask("GET", MGMT, None)
        if answer.status in (401, 403, 404):
            return None
        raw = self._json(answer, 200)
        if not isinstance(raw, Mapping) or "distSpecVersion" not in raw:
            raise UnexpectedAnswer(f"{answer.where} answered without distSpecVersion: is it a zot?")
        auth = (raw.get("http") or {}).get("auth") or {}
        providers = (auth.get("openid") or {}).get("providers") or {}
        return Mgmt(str(raw.get("releaseTag") or ""), bool(auth.get("apikey")), tuple(sorted(providers)))

    def login(self, provider: str) -> Login:
        """Where a login by ``provider`` is redirected to. Follows nothing: no session begins at the issuer.

        Raises:
            NotFound: No OpenID login, or no such provider (400).
            UnexpectedAnswer: Anything but a redirect with an authorization request.
        """
        path = "/zot/auth/login?" + urllib.parse.urlencode({"provider": provider})
        answer = self._ask("GET", path, None)
        if answer.status in (400, 404):
            raise NotFound(
                f"{answer.where} knows no OpenID provider {provider!r}: the running configuration has no such login",
                status=answer.status,
            )
        if answer.status != 302:
            raise self._error(answer)
        parts = urllib.parse.urlsplit(answer.headers.get("Location", ""))
        query = dict(urllib.parse.parse_qsl(parts.query))
        if not parts.netloc or "client_id" not in query:
            raise UnexpectedAnswer(f"{answer.where} redirects elsewhere than to an OpenID provider: what is it?")
        return Login(
            endpoint=urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
            client_id=query["client_id"],
            redirect_uri=query.get("redirect_uri", ""),
            scopes=tuple(query.get("scope", "").split()),
            response_type=query.get("response_type", ""),
        )

    # Pushing ----------------------------------------------------------------------------------------------------

    def push(self, caller: Caller, repository: str, tag: str, manifest: bytes, blobs: Sequence[bytes]) -> None:
        """Push blobs, then the manifest under ``tag``.

        Raises:
            Refused, ServerError, ServiceError: Which step failed, and what that means for whoever runs the registry.
        """
        for blob in blobs:
            digest = "sha256:" + hashlib.sha256(blob).hexdigest()
            begun = self._transport.request("POST", f"/v2/{repository}/blobs/uploads/", auth=caller, again=False)
            if begun.status != 202:
                raise self._push_error(begun)
            place = urllib.parse.urlsplit(begun.headers.get("Location", ""))
            query = urllib.parse.urlencode([*urllib.parse.parse_qsl(place.query), ("digest", digest)])
            stored = self._transport.request(
                "PUT",
                f"{place.path}?{query}",
                data=blob,
                headers={"Content-Type": "application/octet-stream"},
                auth=caller,
            )
            if stored.status != 201:
                raise self._push_error(stored)
        put = self._transport.request(
            "PUT",
            f"/v2/{repository}/manifests/{tag}",
            data=manifest,
            headers={"Content-Type": MANIFEST_TYPE},
            auth=caller,
        )
        if put.status != 201:
            raise self._push_error(put)

    # Answers ----------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, caller: Caller, headers: Mapping[str, str] | None = None) -> Answer:
        return self._transport.request(method, path, auth=caller, headers=headers)

    def _json(self, answer: Answer, expected: int) -> Any:
        if answer.status != expected:
            raise self._error(answer)
        return answer.json()

    def _names(self, answer: Answer, key: str) -> tuple[str, ...]:
        raw = self._json(answer, 200)
        names = raw.get(key) if isinstance(raw, Mapping) else None
        if names is None and isinstance(raw, Mapping) and key in raw:
            return ()
        if not isinstance(names, list):
            raise UnexpectedAnswer(f"{answer.where} answered without {key}: is it a registry?")
        return tuple(sorted(map(str, names)))

    def _push_error(self, answer: Answer) -> RegistryError:
        if answer.status == 405:
            return ServiceError(
                f"{answer.where} takes no pushes (405): the registry, or a proxy in front of it, is read-only",
                status=405,
            )
        if answer.status == 413:
            return ServiceError(
                f"{answer.where} finds the push too large (413): raise the limit of the proxy in front of it",
                status=413,
            )
        if answer.status in (500, 507):
            return ServerError(
                f"{answer.where} could not store the push ({answer.status}): its storage is full or read-only; "
                "look into its log",
                status=answer.status,
            )
        return self._error(answer)

    def _error(self, answer: Answer) -> RegistryError:
        """The error for a status that was not expected; 2xx and 3xx are no answers of zot's here."""
        status, code = answer.status, error_code(answer)
        said = f"{status} {code}" if code else str(status)
        if status in (401, 403):
            why = "the credentials are not accepted" if status == 401 else "the caller may not do this"
            return Refused(f"{answer.where} answered {said}: {why}", status=status, reason=code)
        if status == 404:
            return NotFound(f"{answer.where} answered {said}: there is no such thing here", status=status, reason=code)
        if status == 429:
            return RateLimited(f"{answer.where} answered {said}: asked too often, try again later", status=status)
        if status >= 500:
            return ServerError(f"{answer.where} answered {said}: look into its log", status=status, reason=code)
        if status >= 400:
            return ServiceError(f"{answer.where} answered {said}, which is not understood", status=status, reason=code)
        if status >= 300:
            return UnexpectedAnswer(
                f"{answer.where} answered {said}, a redirect: check that the URL is the registry itself"
            )
        return UnexpectedAnswer(f"{answer.where} answered {said}, which zot does not answer here: what answers there?")


def error_code(answer: Answer) -> str:
    """The code of the first error in the registry's own error body; empty where there is none."""
    try:
        body = json.loads(answer.body)
        return str(body["errors"][0]["code"])
    except (ValueError, LookupError, TypeError):
        return ""


def minimal_image(title: str) -> tuple[bytes, tuple[bytes, ...]]:
    """The smallest image: a manifest whose configuration and only layer are ``{}``. The same bytes for one title."""
    empty = {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(),
        "size": 2,
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": "application/vnd.blumeops.registry.probe",
        "config": empty,
        "layers": [empty],
        "annotations": {"org.opencontainers.image.title": title},
    }
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode(), (b"{}",)
