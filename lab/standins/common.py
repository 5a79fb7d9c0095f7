"""What every stand-in shares: its options, the log without credentials, faults on request, a clean end.

A stand-in builds an ``aiohttp.web.Application`` and hands it to :func:`serve`. Everything that is not about
one service is here, so that a fault means the same at each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
import os
import pathlib
import signal
import socket
import ssl
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click
from aiohttp import web
from aiohttp.typedefs import Handler

#: A service puts a function here that makes its own error body for a status: ``(status) -> JSON value``.
ERROR_BODY = web.AppKey[Callable[[int], object]]("error_body")

KINDS = ["refuse", "reset", "reset-body", "delay", "slow-body", "html", "empty", "cut", "tls", "tls-host"]
#: Headers and query parameters that carry a credential; their values never reach the log.
SECRET_HEADERS = {"authorization", "cookie", "set-cookie", "proxy-authorization", "x-csrf-token"}
SECRET_PARAMETERS = ("token", "access_token", "code", "state", "client_secret")

HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>This is not the API.</body></html>"


@dataclass(frozen=True, slots=True)
class Fault:
    """One disturbance: ``KIND[:key=value,...]``.

    ``kind`` is a status (``401``, ``429`` …) or one of KINDS. ``first`` is the first matching request that it
    strikes (from 1), ``times`` how many it strikes (0: all that follow), ``after`` whether the request is
    carried out before its answer is lost or replaced.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    first: int = 1
    times: int = 0
    seconds: float = 1.0
    retry_after: str = ""
    location: str = "/elsewhere"
    after: bool = False
    explicit_first: bool = False

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read the command line's form; raises ``click.BadParameter`` that names what is wrong."""
        kind, _, rest = text.partition(":")
        if not (kind in KINDS or (kind.isdigit() and 300 <= int(kind) <= 599)):
            raise click.BadParameter(f"{kind!r} is no fault: use a status or one of {', '.join(KINDS)}")
        values: dict[str, Any] = {}
        for pair in filter(None, rest.split(",")):
            key, _, value = pair.partition("=")
            if key in {"method", "path", "retry_after", "location"}:
                values[key] = value
            elif key in {"first", "times", "seconds"}:
                try:
                    values[key] = float(value) if key == "seconds" else int(value)
                except ValueError:
                    raise click.BadParameter(f"{key} in {text!r} must be a number, which {value!r} is not") from None
            elif key == "after":
                values[key] = value in {"", "true", "yes", "1"}
            else:
                raise click.BadParameter(
                    f"{key!r} in {text!r} is unknown: method, path, first, times, seconds, retry_after, location, after"
                )
        return cls(kind=kind, explicit_first="first" in values, **values)

    @property
    def listens(self) -> bool:
        """False for ``refuse`` without ``first``: the port is held and nobody ever answers."""
        return self.kind != "refuse" or self.explicit_first


@dataclass(frozen=True, slots=True)
class Kill:
    """``N[:before|after]``: SIGKILL to a process group around the N-th request."""

    at: int
    after: bool

    @classmethod
    def parse(cls, text: str) -> Kill:
        number, _, when = text.partition(":")
        if not number.isdigit() or int(number) < 1 or when not in {"", "before", "after"}:
            raise click.BadParameter(f"{text!r}: use N, N:before or N:after with N from 1")
        return cls(int(number), when == "after")


@dataclass(slots=True)
class Options:
    """The options that every stand-in takes (see :func:`options`)."""

    port: int = 0
    host: str = "127.0.0.1"
    faults: list[Fault] = field(default_factory=list)
    kill: Kill | None = None
    kill_group: str = ""
    log: pathlib.Path | None = None
    tls: pathlib.Path | None = None
    with_parent: bool = False


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: add the shared options to a click command, which gets them as one ``options`` argument."""

    def call(*args: Any, fault: tuple[str, ...], kill_at: str | None, **kwargs: Any) -> Any:
        shared = Options(
            faults=[Fault.parse(text) for text in fault],
            kill=Kill.parse(kill_at) if kill_at else None,
            **{name: kwargs.pop(name) for name in ("port", "kill_group", "log", "tls", "with_parent")},
        )
        if shared.kill and not shared.kill_group:
            raise click.UsageError("--kill-at needs --kill-group")
        return command(*args, options=shared, **kwargs)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    path = click.Path(path_type=pathlib.Path, dir_okay=False)
    for option in (
        click.option("--port", default=0, help="Port on 127.0.0.1; a free one by default."),
        click.option("--fault", multiple=True, metavar="KIND[:K=V,...]", help="A disturbance; may be repeated."),
        click.option("--kill-at", metavar="N[:before|after]", help="SIGKILL --kill-group at the N-th request."),
        click.option("--kill-group", default="", metavar="PGID|FILE", help="Process group, or a file with it."),
        click.option("--log", type=path, help="Append a JSON line for each request, without credentials."),
        click.option("--tls", type=path, metavar="CA", help="Serve TLS; the CA certificate is written to this file."),
        click.option("--with-parent", is_flag=True, help="End when the process that started this one has ended."),
    ):
        option(call)
    return call


@contextlib.contextmanager
def reading(path: pathlib.Path | None, expected: str) -> Iterator[None]:
    """Turn what a file of another kind raises into one sentence; ``expected`` says what should be in it."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:  # not JSON, or not UTF-8
        raise click.ClickException(f"{path} is no JSON: give a file with {expected}.") from None
    except (AttributeError, KeyError, TypeError):
        raise click.ClickException(f"{path} does not hold {expected}: see lab/worlds for examples.") from None


class Disturbance:
    """The middleware that counts, logs, disturbs and kills."""

    def __init__(self, shared: Options) -> None:
        self.options = shared
        self.requests = 0
        self.seen = [0] * len(shared.faults)
        self.stop_listening: Callable[[], Awaitable[None]] | None = None
        self._log = shared.log.open("a", encoding="utf-8", buffering=1) if shared.log else None

    def struck(self, request: web.Request) -> Fault | None:
        """The first fault that strikes this request; counts a match for each fault."""
        hit = None
        for number, fault in enumerate(self.options.faults):
            if fault.kind in {"tls", "tls-host"} or not fnmatch.fnmatchcase(request.method, fault.method):
                continue
            if not fnmatch.fnmatchcase(request.path, fault.path):
                continue
            self.seen[number] += 1
            over = fault.times and self.seen[number] >= fault.first + fault.times
            if hit is None and self.seen[number] >= fault.first and not over:
                hit = fault
        return hit

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests += 1
        number, begun = self.requests, time.monotonic()
        kill = self.options.kill if self.options.kill and self.options.kill.at == number else None
        if kill and not kill.after:
            self._kill()
        fault = self.struck(request)
        response: web.StreamResponse | None = None
        try:
            if fault is None or fault.after or fault.kind in {"cut", "reset-body", "slow-body", "delay"}:
                if fault and fault.kind == "delay" and not fault.after:
                    await asyncio.sleep(fault.seconds)
                try:
                    response = await handler(request)
                except web.HTTPException as error:
                    response = error
            if kill and kill.after:
                self._kill()
            if fault is not None:
                response = await self._disturb(request, fault, response)
            assert response is not None
            return response
        finally:
            self._write_log(number, request, response, fault, time.monotonic() - begun)

    async def _disturb(
        self, request: web.Request, fault: Fault, response: web.StreamResponse | None
    ) -> web.StreamResponse:
        body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
        if fault.kind in {"reset", "refuse"}:
            if fault.kind == "refuse" and self.stop_listening:
                await self.stop_listening()
            return _reset(request)
        if fault.kind == "delay":
            if fault.after:
                await asyncio.sleep(fault.seconds)
            assert response is not None
            return response
        if fault.kind == "html":
            return web.Response(body=HTML, content_type="text/html")
        if fault.kind == "empty":
            return web.Response()
        if fault.kind == "cut":
            return web.Response(body=body[: len(body) // 2] or b'{"', content_type="application/json")
        if fault.kind in {"reset-body", "slow-body"}:
            stream = web.StreamResponse(headers={"Content-Type": "application/json"})
            stream.content_length = len(body) or 2
            await stream.prepare(request)
            await stream.write(body[: len(body) // 2])
            if fault.kind == "reset-body":
                _reset(request)
                return stream
            await asyncio.sleep(fault.seconds)
            await stream.write(body[len(body) // 2 :] or b"{}")
            return stream
        status = int(fault.kind)
        headers = {"Location": fault.location} if 300 <= status < 400 else {}
        if fault.retry_after or status == 429:
            headers["Retry-After"] = fault.retry_after or "1"
        make = request.app.get(ERROR_BODY, lambda status: {"message": f"fault {status}"})
        return web.json_response(make(status), status=status, headers=headers)

    def _kill(self) -> None:
        group = self.options.kill_group
        if not group.lstrip("-").isdigit():
            group = pathlib.Path(group).read_text().strip()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(group), signal.SIGKILL)

    def _write_log(
        self,
        number: int,
        request: web.Request,
        response: web.StreamResponse | None,
        fault: Fault | None,
        took: float,
    ) -> None:
        if not self._log:
            return
        query = {k: "***" if k.lower() in SECRET_PARAMETERS else v for k, v in request.query.items()}
        entry = {
            "n": number,
            "method": request.method,
            "path": request.path,
            "query": query,
            "headers": {k: v for k, v in request.headers.items() if k.lower() not in SECRET_HEADERS},
            "authenticated": "Authorization" in request.headers or "Cookie" in request.headers,
            "status": response.status if response is not None else None,
            "ms": round(took * 1000, 2),
        }
        if fault:
            entry["fault"] = fault.kind
        self._log.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _reset(request: web.Request) -> web.Response:
    """End the connection with RST, as a crashed server or a cutting middlebox does."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


def tls_context(shared: Options) -> ssl.SSLContext | None:
    """TLS as asked for by ``--tls``, ``--fault tls`` (unknown CA) and ``--fault tls-host`` (another name)."""
    kinds = {fault.kind for fault in shared.faults}
    if not shared.tls and not kinds & {"tls", "tls-host"}:
        return None
    import trustme  # here, for it takes a tenth of a stand-in's start

    ca = trustme.CA()
    names = ["elsewhere.example"] if "tls-host" in kinds else ["localhost", "127.0.0.1", "::1"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    if shared.tls:
        (trustme.CA() if "tls" in kinds else ca).cert_pem.write_to_path(str(shared.tls))
    return context


def serve(
    app: web.Application,
    name: str,
    shared: Options,
    *,
    context: ssl.SSLContext | None = None,
    announce: Callable[[int], None] | None = None,
) -> None:
    """Serve ``app`` on loopback until SIGINT or SIGTERM; print one line with the address when ready.

    ``context`` is the service's own TLS (zot reads it from its configuration). ``announce`` is called with the
    port once the server listens. Raises ``click.ClickException`` where the port is taken.
    """
    disturbance = Disturbance(shared)
    app.middlewares.insert(0, disturbance.middleware)
    tls = tls_context(shared) or context
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((shared.host, shared.port))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {shared.host}:{shared.port}: {error.strerror}") from None
    port: int = listener.getsockname()[1]

    async def run() -> None:
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        if all(fault.listens for fault in shared.faults):
            site = web.SockSite(runner, listener, ssl_context=tls, shutdown_timeout=0.5)
            await site.start()
            disturbance.stop_listening = site.stop
        print(f"{name} listening on {'https' if tls else 'http'}://{shared.host}:{port}", flush=True)
        if announce:
            announce(port)
        parent = os.getppid()
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 0.5)
            if shared.with_parent and os.getppid() != parent:
                break
        await runner.cleanup()

    try:
        asyncio.run(run())
    finally:
        listener.close()
        sys.stdout.flush()
