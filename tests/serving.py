"""An aiohttp application on loopback, in a thread of its own, for as long as a ``with`` block."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def serving(app: web.Application, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve ``app`` and yield its port; what it still answers at the end is cancelled."""
    ready, over = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    ports: list[int] = []

    async def work() -> None:
        loops.append(asyncio.get_running_loop())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        ports.append(runner.addresses[0][1])
        ready.set()
        await over.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    assert ready.wait(10), "the server did not start"
    try:
        yield ports[0]
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join(10)
