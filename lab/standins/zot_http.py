"""zot's answers as HTTP: its router, its error bodies, its log."""

from __future__ import annotations

import json
import posixpath
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from lab.standins.zot_log import Log
from lab.standins.zot_storage import NAME

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: Headers whose values are not logged.
SECRET = frozenset({"authorization", "cookie"})
JSON, CLIENT, UI = "application/json", "X-ZOT-API-CLIENT", "zot-ui"
#: The codes of the distribution specification with their messages, and what each is about.
ERRORS = {
    "BLOB_UNKNOWN": ("blob unknown to registry", "There is no such blob in the repository."),
    "BLOB_UPLOAD_INVALID": ("blob upload invalid", "The upload cannot go on."),
    "BLOB_UPLOAD_UNKNOWN": ("blob upload unknown to registry", "The upload ended or never began."),
    "DENIED": ("requested access to the resource is denied", "The policy does not allow it."),
    "DIGEST_INVALID": ("provided digest did not match uploaded content", "The digest is not that of the content."),
    "MANIFEST_INVALID": ("manifest invalid", "The manifest did not pass a check."),
    "MANIFEST_UNKNOWN": ("manifest unknown", "There is no such manifest in the repository."),
    "NAME_UNKNOWN": ("repository name not known to registry", "There is no such repository."),
    "TOOMANYREQUESTS": ("too many requests", "A limit of the registry is reached."),
    "UNAUTHORIZED": ("authentication required", "The caller is not known, or not to this policy."),
    "UNSUPPORTED": ("the operation is unsupported", "The registry does not do that."),
}


def error(code: str, **detail: str) -> dict[str, Any]:
    message, description = ERRORS[code]
    return {"code": code, "message": message, "detail": {"description": description, **detail}}


def failure(status: int, code: str, **detail: str) -> web.Response:
    """An error as the distribution specification wants it."""
    return answer(status, {"errors": [error(code, **detail)]})


def answer(status: int, body: Any = None, headers: dict[str, str] | None = None, kind: str = JSON) -> web.Response:
    """A JSON answer (``kind`` names another type), or an empty one without a content type."""
    if body is None:
        return web.Response(status=status, headers=headers)
    content = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    return web.Response(status=status, body=content, headers={"Content-Type": kind, **(headers or {})})


def not_found() -> web.Response:
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return web.Response(status=404, body=b"404 page not found\n", headers=headers)


def from_ui(request: web.Request) -> bool:
    """Whether zot's own web pages ask: those log in with a session and want no challenge."""
    return request.headers.get(CLIENT) == UI


def challenged(request: web.Request, realm: str, response: web.Response) -> web.Response:
    if not from_ui(request):
        response.headers["WWW-Authenticate"] = f"Basic realm={json.dumps(realm or 'Authorization Required')}"
    return response


def set_cookie(response: web.StreamResponse, name: str, value: str, path: str, seconds: int, *marks: str) -> None:
    """Add a cookie as zot writes it: the value as it is, without quotes around an address with an at sign."""
    response.headers.add("Set-Cookie", "; ".join((f"{name}={value}", f"Path={path}", f"Max-Age={seconds}", *marks)))


def cors(methods: str, *, origin: str, credentials: bool) -> dict[str, str]:
    """The headers of the routes that zot's web pages use; no ``methods``: only the origin."""
    headers = {"Access-Control-Allow-Origin": origin or "*"}
    if methods:
        headers["Access-Control-Allow-Methods"] = methods
        headers["Access-Control-Allow-Headers"] = f"Authorization,content-type,{CLIENT}"
    if credentials and origin not in ("", "*"):
        headers["Access-Control-Allow-Credentials"] = "true"
    return headers


@dataclass(frozen=True, slots=True)
class Route:
    """Requests whose path matches; ``methods`` empty: all methods."""

    path: re.Pattern[str]
    methods: frozenset[str]
    handler: Handler


def route(path: str, methods: str, handler: Handler) -> Route:
    """A route; ``{name}`` in the path is a repository's name, any other word in braces one segment."""
    pattern = re.sub(
        r"\{(\w+)\}", lambda match: f"(?P<{match[1]}>{NAME.pattern if match[1] == 'name' else '[^/]+'})", path
    )
    return Route(re.compile(pattern), frozenset(methods.split()), handler)


class Router:
    """Finds the handler in order. A known path with another method is 405; credentials are not looked at before."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes = routes

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if (clean := _clean(path)) != path:
            _, mark, query = request.raw_path.partition("?")
            return web.Response(status=301, headers={"Location": clean + mark + query})
        known = False
        for candidate in self._routes:
            match = candidate.path.fullmatch(path)
            if match is None:
                continue
            known = True
            if not candidate.methods or request.method in candidate.methods:
                request.match_info.update(match.groupdict())
                return await candidate.handler(request)
        return answer(405) if known else not_found()


def _clean(path: str) -> str:
    cleaned = "/" + posixpath.normpath("/" + path).lstrip("/")
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def log_request(log: Log, request: web.Request, response: web.StreamResponse | None, name: str, begun: float) -> None:
    """One request, with its headers but without what they would give away."""
    headers: dict[str, list[str]] = {}
    for key, value in request.headers.items():
        headers.setdefault(key, []).append("******" if key.lower() in SECRET else value)
    path = request.path if request.path.startswith("/zot/auth/callback") else request.raw_path
    log(
        "info",
        "HTTP API",
        module="http",
        **({"username": name} if name else {}),
        component="session",
        clientIP=request.remote,
        method=request.method,
        path=path,
        statusCode=response.status if response else 0,
        latency=f"{int(time.monotonic() - begun)}s",
        bodySize=(response.content_length or 0) if isinstance(response, web.Response) else 0,
        headers=headers,
    )
