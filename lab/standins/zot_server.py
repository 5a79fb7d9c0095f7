"""zot as an application: who asks, what they may, and everything beside the distribution API.

The order of the checks is zot's: an unknown path or method first, then the credential (a bad one is refused even
where nobody needs one), then the policy.
"""

from __future__ import annotations

import asyncio
import base64
import html
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import hdrs, web

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import (
    ANONYMOUS,
    Identity,
    Request,
    effective_groups,
)
from lab.standins.common import ERROR_BODY
from lab.standins.zot_access import Access
from lab.standins.zot_config import METRICS_ANONYMOUS_POLICY, OPENID, Settings
from lab.standins.zot_http import (
    Handler,
    Router,
    answer,
    challenged,
    cors,
    error,
    failure,
    from_ui,
    log_request,
    route,
    set_cookie,
)
from lab.standins.zot_log import BUILD, SPEC, Log
from lab.standins.zot_login import LoginFailed, Provider, challenge, identity, new_verifier, safe_return
from lab.standins.zot_metrics import CONTENT_TYPE, Metrics
from lab.standins.zot_registry import Registry
from lab.standins.zot_storage import RepositoryMissing, Stores, Trouble
from lab.standins.zot_users import NEVER, Htpasswd, Users

MGMT, SEARCH, APIKEY = "/v2/_zot/ext/mgmt", "/v2/_zot/ext/search", "/zot/auth/apikey"
HIDDEN, SEALED = ("HttpOnly",), ("Secure", "SameSite=Lax")
SESSION_SECONDS, STATE_SECONDS, KEY_REQUEST_LIMIT = 7200, 120, 8 * 1024
#: Before these versions, creating was enough to move the tag "latest", or a tag named by ``?tag=``.
IMMUTABLE_LATEST, IMMUTABLE_BY_DIGEST = (2, 1, 15), (2, 1, 19)


@dataclass(slots=True)
class Session:
    """What a browser's cookie stands for."""

    values: dict[str, str]
    ends: float = field(default_factory=lambda: time.monotonic() + SESSION_SECONDS)


class Zot:
    """A running registry. ``trouble`` is what its disk suffers from; ``behind_stripping_proxy``: something in
    front of it takes every Authorization header away."""

    def __init__(
        self, settings: Settings, log: Log, *, trouble: Trouble = "", behind_stripping_proxy: bool = False
    ) -> None:
        self.settings, self.log = settings, log
        self._started_with = settings
        self._stripped = behind_stripping_proxy
        self._access = Access(settings.access)
        stores = Stores(settings.storage, trouble)
        self._stores, self._htpasswd = stores, Htpasswd()
        self._users = Users(stores.main.root, stores.main.check_writable)
        self._sessions: dict[str, Session] = {}
        self._metrics = Metrics({**BUILD, "distSpecVersion": SPEC})
        #: Asked once, at the start: where the issuer does not answer, zot does not start.
        self.providers = {
            name: Provider.discover(name, provider, settings.origin)
            for name, provider in settings.providers.items()
            if name in OPENID
        }
        self._registry = Registry(
            stores,
            docker="docker2s2" in (settings.http.get("compat") or []),
            may_list=lambda request, repo: self._may_list(request, repo),
            may_mount=self._may_mount,
            refuses_ambiguous=lambda request, repo: self._may_list(request, repo, "detectManifestCollision"),
            count=self._metrics.count,
        )

    def reload(self, new: Settings) -> None:
        """Take over what can change while it runs."""
        self.settings = self.settings.reloaded(new)
        self._access = Access(self.settings.access)

    def application(self) -> web.Application:
        router = Router(self._routes())

        async def handle(request: web.Request) -> web.StreamResponse:
            if self._stripped and hdrs.AUTHORIZATION in request.headers:
                headers = request.headers.copy()
                headers.popall(hdrs.AUTHORIZATION)
                request = request.clone(headers=headers)
            begun, response = time.monotonic(), None
            try:
                response = await router(request)
                return response
            finally:
                log_request(self.log, request, response, _caller(request).name, begun)
                if request.path != "/metrics" and response is not None:
                    self._metrics.answered(request.method, request.path, response.status, time.monotonic() - begun)

        async def bare(_: web.Request, response: web.StreamResponse) -> None:
            """Like zot, call nothing what is empty, and leave the server's name out."""
            response.headers.pop("Server", None)
            if isinstance(response, web.Response) and not response.body and response.status != 200:
                response.headers.pop("Content-Type", None)

        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", handle)
        app.on_response_prepare.append(bare)
        app[ERROR_BODY] = lambda status: error("UNAUTHORIZED") if status == 401 else {"errors": [error("DENIED")]}
        return app

    def _routes(self) -> list[Any]:
        settings, registry = self._started_with, self._registry
        manifests, blobs = "/v2/{name}/manifests/{reference}", "/v2/{name}/blobs/{digest}"
        upload = "/v2/{name}/blobs/uploads/{session}"
        routes = [route(f"/{name}", "", self._health) for name in ("livez", "readyz", "startupz")]
        if self.providers:
            routes.append(route("/zot/auth/login", "", self._login))
            routes += [route(f"/zot/auth/callback/{name}", "", self._callback) for name in self.providers]
        if settings.apikey:
            routes += [
                route(f"{APIKEY}.*", method, self._authenticated(handler, "GET,POST,DELETE,OPTIONS"))
                for method, handler in (
                    ("POST OPTIONS", self._new_key),
                    ("GET", self._list_keys),
                    ("DELETE", self._revoke_key),
                )
            ]
        if settings.basic:
            routes.append(route("/zot/auth/logout", "POST OPTIONS", self._with_cors(self._logout, "POST,OPTIONS")))
        listing = "GET,OPTIONS"
        reading = "HEAD,GET,DELETE,OPTIONS"
        for path, methods, handler, allowed in (
            ("/v2/{name}/tags/list", "GET OPTIONS", registry.tags, listing),
            (manifests, "HEAD OPTIONS", registry.get_manifest, reading),
            (manifests, "GET", registry.get_manifest, ""),
            (manifests, "PUT", registry.put_manifest, None),
            (manifests, "DELETE", registry.delete_manifest, ""),
            (blobs, "HEAD", registry.head_blob, None),
            (blobs, "GET", registry.get_blob, None),
            (blobs, "DELETE", registry.delete_blob, None),
            ("/v2/{name}/blobs/uploads/", "POST", registry.begin_upload, None),
            (upload, "GET", registry.upload_status, None),
            (upload, "PATCH", registry.append_upload, None),
            (upload, "PUT", registry.finish_upload, None),
            (upload, "DELETE", registry.cancel_upload, None),
            ("/v2/{name}/referrers/{digest}", "GET OPTIONS", registry.referrers, listing),
        ):
            inner = handler if allowed is None else self._with_cors(handler, allowed)
            routes.append(route(path, methods, self._authorized(inner)))
        for path, handler in (
            ("/v2/_catalog", registry.catalog),
            ("/v2/_oci/ext/discover", self._extensions),
            ("/v2/", self._version),
        ):
            routes.append(route(path, "GET OPTIONS", self._authenticated(self._with_cors(handler, listing))))
        if settings.metrics_path:
            routes.append(route(f"{settings.metrics_path}.*", "GET", self._authenticated(self._show_metrics)))
        if settings.search:
            searching = "GET,POST,OPTIONS"
            routes.append(route(f"{SEARCH}.*", "GET POST OPTIONS", self._authenticated(self._search, searching)))
            routes.append(route(f"{MGMT}.*", "GET OPTIONS", self._authenticated(self._mgmt, listing)))
        return routes

    # -- who asks ----------------------------------------------------------------------------------------

    def _authenticated(self, handler: Handler, methods: str | None = None) -> Handler:
        """``handler`` for callers that zot knows, or that need not be known; ``methods`` adds the UI's headers."""
        inner = handler if methods is None else self._with_cors(handler, methods)

        async def check(request: web.Request) -> web.StreamResponse:
            if request.method == "OPTIONS":
                response = await inner(request)
                response.set_status(204)
                return response
            try:
                caller = await self._identify(request)
            except OSError:
                return answer(500)
            if caller is None:
                if self.settings.fail_delay and (hdrs.AUTHORIZATION in request.headers or from_ui(request)):
                    await asyncio.sleep(self.settings.fail_delay)
                refused = challenged(request, self.settings.realm, answer(401, error("UNAUTHORIZED")))
                return self._with_session(request, refused)
            request["caller"] = caller
            return self._with_session(request, await inner(request))

        return check

    def _authorized(self, handler: Handler) -> Handler:
        """``handler`` for requests to a repository that the policy allows."""

        async def check(request: web.Request) -> web.StreamResponse:
            # Without accessControl at the start there is no check, whatever a reload brings; with it there is one,
            # and a reload without it leaves nothing that could allow.
            if self._started_with.access is None or request.method == "OPTIONS":
                return await handler(request)
            allowed = self._access.answer(self._asked(request), _facts(request))
            return await handler(request) if allowed.allowed else await self._denied(request, allowed.reason)

        return self._authenticated(check)

    def _asked(self, request: web.Request) -> Request:
        repo, reference = request.match_info["name"], request.match_info.get("reference", "")
        tags: list[str] = []
        if reference and request.method == "PUT":
            try:
                tags = self._stores.of(repo).tags(repo)
            except RepositoryMissing:
                tags = []
        moved = request.query.getall("tag", [])
        version = self.settings.version or IMMUTABLE_BY_DIGEST
        if version < IMMUTABLE_BY_DIGEST:
            moved = []
        if version < IMMUTABLE_LATEST:
            tags = [tag for tag in tags if tag != "latest"]
        return Request(_caller(request), request.method, repo, reference, tuple(tags), tuple(moved))

    async def _denied(self, request: web.Request, reason: str = "") -> web.Response:
        await asyncio.sleep(self.settings.fail_delay)
        if _caller(request).anonymous:
            refused = failure(401, "UNAUTHORIZED")
        else:
            refused = failure(403, "DENIED", **({"reason": reason} if reason else {}))
        return challenged(request, self.settings.realm, refused)

    async def _identify(self, request: web.Request) -> Identity | None:
        """Who asks; None where that is refused. Raises ``OSError`` where it cannot be stored that a key was used."""
        settings = self.settings
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        named = bool(given and given[0]) and given[0].lower() != "basic og=="
        metrics = settings.metrics_path
        open_metrics = (
            not named
            and metrics is not None
            and request.path.startswith(metrics)
            and "read" in (((settings.access or {}).get("metrics") or {}).get("anonymousPolicy") or [])
        )
        may_be_anonymous = settings.anonymous or request.raw_path == MGMT or open_metrics
        if len(given) > 1:
            return None
        if named and settings.basic:
            return await self._by_password(request, given[0])
        if from_ui(request):
            return self._by_session(request) or (ANONYMOUS if may_be_anonymous else None)
        if not settings.basic:
            return ANONYMOUS
        if may_be_anonymous and not self._makes_docker_log_in(request):
            return ANONYMOUS
        return None

    def _makes_docker_log_in(self, request: web.Request) -> bool:
        """Docker sends its credentials only where ``/v2/`` refused it: zot does, where they could be of use."""
        agent = request.headers.get("User-Agent", "")
        is_docker = "Docker-Client" in agent or agent.startswith("docker/")
        can_use_password = bool(self.settings.htpasswd or self.settings.apikey)
        return is_docker and request.path.rstrip("/") == "/v2" and can_use_password and self.settings.has_named_grants

    async def _by_password(self, request: web.Request, header: str) -> Identity | None:
        scheme, _, encoded = header.partition(" ")
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return None
        if scheme.lower() != "basic" or not colon:
            return None
        if await asyncio.to_thread(self._htpasswd.accepts, self.settings.htpasswd, name, password):
            caller = Identity(name, (), "password")
            own = effective_groups(self._access.policy, caller) if self.settings.access is not None else ()
            self._users.remember_groups(name, list(own))
            if from_ui(request):
                request["session"] = name
            return caller
        if self.settings.apikey and self._users.authenticate(name, password):
            return Identity(name, tuple(self._users.groups(name) or ()), "apikey")
        return None

    def _by_session(self, request: web.Request) -> Identity | None:
        session = self._session(request, "session")
        name = session.values["user"] if session else ""
        if not name:
            request["session"] = ""
        groups = self._users.groups(name)
        return None if not name or groups is None else Identity(name, tuple(groups), "login")

    def _session(self, request: web.Request, cookie: str) -> Session | None:
        session = self._sessions.get(request.cookies.get(cookie, ""))
        return session if session and session.ends > time.monotonic() else None

    def _with_session(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Tell a browser of the session that its password opened, or that the one it named is over."""
        if not response.prepared and "session" in request:
            if request["session"]:
                self._remember(response, {"user": request["session"]})
            else:
                response.headers.add("Set-Cookie", "session=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly")
        return response

    def _open_session(self, response: web.StreamResponse, cookie: str, path: str, values: dict[str, str]) -> None:
        key = secrets.token_urlsafe(48)
        self._sessions[key] = Session(values)
        set_cookie(response, cookie, key, path, SESSION_SECONDS, *HIDDEN, *self._secure)

    @property
    def _secure(self) -> tuple[str, ...]:
        secure = self.settings.http.get("tls") is not None or self.settings.auth.get("secureSession")
        return ("Secure",) if secure else ()

    # -- what they may -----------------------------------------------------------------------------------

    def _may_list(self, request: web.Request, repository: str, action: str = "read") -> bool:
        if self._started_with.access is None:
            return action != "detectManifestCollision"
        return self._access.may_list(_caller(request), repository, action)

    def _may_mount(self, request: web.Request, owners: list[str]) -> bool:
        """A blob may be linked by who may read a repository that has it; without a policy, by anybody."""
        return self.settings.access is None or any(self._may_list(request, owner) for owner in owners)

    def _with_cors(self, handler: Handler, methods: str) -> Handler:
        async def add(request: web.Request) -> web.StreamResponse:
            response = answer(200) if request.method == "OPTIONS" else await handler(request)
            if not response.prepared:
                origin = str(self._started_with.http.get("allowOrigin", "")).strip()
                credentials = self.settings.basic and bool(methods or request.method == "GET")
                response.headers.update(cors(methods, origin=origin, credentials=credentials))
            return response

        return add

    # -- logging in --------------------------------------------------------------------------------------

    async def _login(self, request: web.Request) -> web.Response:
        provider = self.providers.get(request.query.get("provider", ""))
        if provider is None:
            return answer(400)
        allowed = [*(self.settings.auth.get("openid") or {}).get("callbackAllowOrigins", []), self.settings.origin]
        state, verifier = str(uuid.uuid4()), new_verifier() if provider.uses_pkce else ""
        location = provider.authorization_url(state, challenge(verifier) if verifier else "")
        response = _redirect(location)
        values = {"state": state, "callback": safe_return(request.query.get("callback_ui", ""), allowed)}
        self._open_session(response, "statecookie", "/zot/auth/callback", values)
        for cookie, value in (("state", state), ("pkce", verifier)):
            if value:
                self._sessions[sealed := secrets.token_urlsafe(48)] = Session({"value": value})
                set_cookie(response, cookie, sealed, "/", STATE_SECONDS, *HIDDEN, *SEALED)
        return response

    async def _callback(self, request: web.Request) -> web.Response:
        provider = self.providers[request.path.rpartition("/")[2]]
        state, sealed = request.query.get("state", ""), self._session(request, "state")
        if sealed is None:
            return _refused_login("failed to get state: http: named cookie not present")
        if sealed.values["value"] != state:
            return _refused_login("failed to get state: failed to compare")
        if problem := request.query.get("error"):
            return web.Response(status=500, text=f"{problem}: {request.query.get('error_description', '')}\n")
        verifier = self._session(request, "pkce")
        try:
            code = request.query.get("code", "")
            info, claims = await provider.exchange(code, verifier.values["value"] if verifier else "")
        except LoginFailed as failed:
            return _refused_login(str(failed))
        settings = self.settings.providers.get(provider.name) or {}
        found = identity(settings.get("claimMapping"), info, claims)
        begun = self._session(request, "statecookie")
        if found is None or begun is None or begun.values["state"] != state:
            return answer(401)
        name, groups = found
        try:
            self._users.remember_groups(name, groups)
        except OSError:
            return answer(500)
        target = begun.values["callback"]
        response = _redirect(target) if target else answer(201)
        set_cookie(response, "state", "", "/", 0, *HIDDEN, *SEALED)
        self._remember(response, {"user": name, "provider": provider.name})
        self.log("info", "user profile set successfully", identity=name)
        return response

    def _remember(self, response: web.StreamResponse, values: dict[str, str]) -> None:
        """Log a browser in."""
        self._open_session(response, "session", "/", values)
        set_cookie(response, "user", values["user"], "/", SESSION_SECONDS, *self._secure)

    async def _logout(self, request: web.Request) -> web.Response:
        session = self._session(request, "session")
        provider = self.providers.get(session.values.get("provider", "")) if session else None
        self._sessions.pop(request.cookies.get("session", ""), None)
        url = provider.end_session_url(self.settings.origin) if provider else ""
        response = answer(200, {"endSessionUrl": url} if url else {})
        set_cookie(response, "session", "", "/", 0)
        return response

    # -- API keys ----------------------------------------------------------------------------------------

    async def _list_keys(self, request: web.Request) -> web.Response:
        if _caller(request).anonymous:
            return answer(500)
        try:
            return answer(200, {"apiKeys": [asdict(key) for key in self._users.keys(_caller(request).name)]})
        except OSError:
            return answer(500)

    async def _new_key(self, request: web.Request) -> web.Response:
        body = await request.content.read(KEY_REQUEST_LIMIT + 1)
        if len(body) > KEY_REQUEST_LIMIT:
            return answer(413)
        wanted = _key_request(body)
        if wanted is None or (wanted["end"] != NEVER and wanted["end"] < datetime.now(UTC)):
            return answer(400)
        caller, agent = _caller(request), request.headers.get("User-Agent", "")
        if caller.anonymous:
            return answer(500)
        try:
            key, entry = self._users.add_key(caller.name, wanted["label"], wanted["scopes"], wanted["end"], agent)
        except OSError:
            return answer(500)
        return answer(201, {**asdict(entry), "apiKey": key})

    async def _revoke_key(self, request: web.Request) -> web.Response:
        wanted = request.query.getall("id", [])
        if len(wanted) != 1:
            return answer(400)
        try:
            self._users.remove_key(_caller(request).name, wanted[0])
        except (KeyError, OSError):
            return answer(500)
        return answer(200)

    # -- the rest ----------------------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _version(self, request: web.Request) -> web.Response:
        headers = {"Docker-Distribution-Api-Version": "registry/2.0"}
        if self.settings.basic and not from_ui(request):
            headers["WWW-Authenticate"] = f"basic realm={self.settings.realm}"
        return answer(200, b"", headers)

    async def _extensions(self, request: web.Request) -> web.Response:
        if not self.settings.search:
            return answer(200, {"extensions": []})
        url = "https://github.com/project-zot/zot/blob//pkg/extensions/_zot.md"
        entry = {"name": "_zot", "url": url, "description": "zot registry extensions", "endpoints": [SEARCH, MGMT]}
        return answer(200, {"extensions": [entry]})

    async def _search(self, request: web.Request) -> web.Response:
        problem = {"message": "no operation provided", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
        if request.query.get("query") or request.can_read_body:
            problem = {"message": "the lab's zot answers no queries"}
        return answer(422, {"errors": [problem], "data": None}, {"X-Content-Type-Options": "nosniff"})

    async def _mgmt(self, request: web.Request) -> web.Response:
        """What the web pages need to know of the configuration, nothing else of it."""
        settings = self.settings
        providers = {name: {"name": one["name"]} if one.get("name") else {} for name, one in settings.providers.items()}
        auth: dict[str, Any] = {"htpasswd": {}} if settings.htpasswd else {}
        auth |= {"openid": {"providers": providers}} if providers else {}
        auth |= {"apikey": True} if settings.apikey else {}
        body = {"distSpecVersion": SPEC, **BUILD, "http": {"auth": auth}}
        return answer(200, body, {"X-Content-Type-Options": "nosniff"}, "text/plain; charset=utf-8")

    async def _show_metrics(self, request: web.Request) -> web.Response:
        if self.settings.access is not None and not self._may_scrape(_caller(request)):
            return await self._denied(request)
        sizes = {repo: self._stores.of(repo).size(repo) for repo in self._stores.repositories()}
        return answer(200, self._metrics.text(sizes), kind=CONTENT_TYPE)

    def _may_scrape(self, caller: Identity) -> bool:
        metrics: Mapping[str, Any] = (self.settings.access or {}).get("metrics") or {}
        users = metrics.get("users") or []
        if self.settings.version is not None and self.settings.version < METRICS_ANONYMOUS_POLICY:
            return caller.name in users
        return "read" in (metrics.get("anonymousPolicy") or []) if caller.anonymous else caller.name in users


def _caller(request: web.Request) -> Identity:
    caller: Identity = request.get("caller", ANONYMOUS)
    return caller


def _redirect(location: str) -> web.Response:
    page = f'<a href="{html.escape(location)}">Found</a>.\n\n'
    return web.Response(status=302, text=page, content_type="text/html", headers={"Location": location})


def _refused_login(reason: str) -> web.Response:
    return web.Response(status=401, text=reason + "\n", headers={"X-Content-Type-Options": "nosniff"})


def _facts(request: web.Request) -> dict[str, Any]:
    """What a policy's condition may know of a request, besides what the policy says of its caller."""
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    return {
        "time": datetime.now(UTC),
        "method": request.method,
        "userAgent": request.headers.get("User-Agent", ""),
        "client": {"ip": request.remote, "forwardedFor": [ip.strip() for ip in forwarded.split(",") if ip.strip()]},
        "tls": {"enabled": tls is not None, "version": (tls.version() or "").removeprefix("TLSv") if tls else ""},
    }


def _key_request(body: bytes) -> dict[str, Any] | None:
    """What a POST for a new key asks for, or None where it is not understood."""
    try:
        wanted = json.loads(body)
    except ValueError:
        return None
    if wanted is None:
        wanted = {}
    if not isinstance(wanted, dict):
        return None
    fields = {name.lower(): value for name, value in wanted.items()}
    label, scopes, end = fields.get("label") or "", fields.get("scopes"), fields.get("expirationdate") or ""
    if not isinstance(label, str) or not isinstance(end, str) or not isinstance(scopes, list | None):
        return None
    if scopes is not None and not all(isinstance(scope, str | None) for scope in scopes):
        return None
    moment = parse_time(end) if end else NEVER
    return (
        None
        if moment is None
        else {"label": label, "scopes": scopes and [scope or "" for scope in scopes], "end": moment}
    )


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time with its zone, or None."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or text[10:11] != "T" or len(text) < 20:
        return None
    return moment
