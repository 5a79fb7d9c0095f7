"""An aiohttp application behind the lab's own switches, in a thread, so that they can be set between requests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from aiohttp import web

from lab.standins.common import Disturbance, Fault, Kill, Options
from tests.serving import serving


class InThread:
    """Serves until ``stop``; ``kill_group`` is the file that ``--kill-group`` names."""

    def __init__(self, app: web.Application, kill_group: str = "") -> None:
        self._switch = Disturbance(Options(kill_group=kill_group))
        self._requests: list[tuple[str, str]] = []
        app.middlewares.insert(0, self._listed)
        app.middlewares.insert(1, self._switch.middleware)
        self._running = contextlib.ExitStack()
        self.url = f"http://127.0.0.1:{self._running.enter_context(serving(app))}"

    def stop(self) -> None:
        self._running.close()

    def disturb(self, *faults: str) -> None:
        """The faults from now on, as ``--fault`` takes them."""
        self._switch.options.faults = [Fault.parse(text) for text in faults]
        self._switch.seen = [0] * len(faults)

    def kill_at(self, number: int, *, after: bool) -> None:
        """Kill the group at this request, counted from now."""
        self._switch.requests = 0
        self._switch.options.kill = Kill(number, after)

    def kill_no_more(self) -> None:
        self._switch.options.kill = None

    @property
    def asked(self) -> int:
        """Requests since ``kill_at``."""
        return self._switch.requests

    def requests(self) -> list[tuple[str, str]]:
        """Methods and paths that were asked for since the last call."""
        found = [(method, path.removeprefix("/api/v1")) for method, path in self._requests]
        self._requests.clear()
        return found

    @web.middleware
    async def _listed(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        self._requests.append((request.method, request.path))
        response: web.StreamResponse = await handler(request)
        return response
