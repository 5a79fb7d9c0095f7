"""A Forgejo behind the lab's own kill switch: the stand-in, or a real one that requests are passed on to."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import requests
from aiohttp import web

from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import plan as plans
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import Key, Ledger, load
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger_store import VariableStore
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.plan import Policy
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LEDGER_VARIABLE, Scope, scope_of
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.sync import Ledgers, Settings, Sync, Work
from ansible_collections.blumeops.registry.plugins.module_utils._transport import Transport
from lab.standins.forgejo_api import Forgejo
from lab.standins.forgejo_store import Store
from lab.standins.forgejo_world import World
from tests.integration.forgejo_secret.conftest import forms
from tests.integration.forgejo_secrets.server import InThread
from tests.replay.forgejo import RECORDINGS, read_tokens
from tests.run_module import Outcome, run_module

LEDGER_KEY = "the-operators-own-ledger-key"
KEY = Key(LEDGER_KEY)
PLACES = {"repos/eblume/cv": {"repository": "eblume/cv"}, "orgs/acme": {"organization": "acme"}}


def scope_in(place: str) -> Scope:
    """The scope of a place as the API's path names it."""
    return scope_of(PLACES[place].get("repository"), PLACES[place].get("organization"))


class Watched(InThread):
    """The server, its kill switch, and the values that it has taken."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.real = os.environ.get("FORGEJO_URL", "").rstrip("/")
        self.token = read_tokens(os.environ.get("FORGEJO_TOKENS")).get("T_ALL", "T_ALL")
        self.store = Store(tick=60)
        self.seen: dict[tuple[str, str], str] = {}
        self.group = folder / "group"
        world = World.load(RECORDINGS / "world.json")
        app = self._forwarder() if self.real else Forgejo(world, self.store).application()
        app.middlewares.append(self._observe)
        super().__init__(app, str(self.group))
        self._session = requests.Session()
        self._session.trust_env = False

    def _forwarder(self) -> web.Application:
        async def forward(request: web.Request) -> web.Response:
            async with aiohttp.ClientSession(auto_decompress=False) as session:
                kept = {k: v for k, v in request.headers.items() if k.lower() not in {"host", "content-length"}}
                url = f"{self.real}{request.rel_url.raw_path_qs}"
                body = await request.read()
                answer = session.request(request.method, url, headers=kept, data=body, allow_redirects=False)
                async with answer as got:
                    names = ("Content-Type", "X-Total-Count", "Location")
                    headers = {name: got.headers[name] for name in names if name in got.headers}
                    return web.Response(status=got.status, body=await got.read(), headers=headers)

        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", forward)
        return app

    @web.middleware
    async def _observe(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        place, _, name = request.path.removeprefix("/api/v1/").partition("/actions/secrets/")
        if name and request.method == "PUT" and response.status in {201, 204}:
            self.seen[place, name.upper()] = json.loads(await request.read())["data"]
        elif name and request.method == "DELETE" and response.status == 204:
            self.seen.pop((place, name.upper()), None)
        return response

    # -- looks ----------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, **body: Any) -> requests.Response:
        headers = {"Authorization": f"token {self.token}"}
        url = f"{self.url}/api/v1/{path}"
        return self._session.request(method, url, headers=headers, timeout=10, json=body or None)

    def created(self, place: str) -> dict[str, str]:
        """Names and times of creation of the secrets that are there."""
        return {item["name"]: item["created_at"] for item in self.ask("GET", f"{place}/actions/secrets").json()}

    def variables(self, place: str) -> dict[str, str]:
        return {item["name"]: item["data"] for item in self.ask("GET", f"{place}/actions/variables").json()}

    def values(self, place: str) -> dict[str, str]:
        """What is stored: looked up in the stand-in; on a real server, the last value that it confirmed."""
        if not self.real:
            key = "users/eblume" if place == "user" else place
            return {name: secret.value for name, secret in self.store.place(key).secrets.items()}
        return {name: value for (where, name), value in self.seen.items() if where == place}

    def ledger(self, place: str) -> Ledger:
        text = self.variables(place).get(LEDGER_VARIABLE)
        return load(text, scope_in(place), KEY) if text else Ledger()

    def empty(self) -> None:
        """Delete every secret and variable of the places that are used, and of the user the secrets seen here."""
        self.kill_no_more()
        for place in PLACES:
            for kind in ("secrets", "variables"):
                for item in self.ask("GET", f"{place}/actions/{kind}").json():
                    self.ask("DELETE", f"{place}/actions/{kind}/{item['name']}")
        for name in self.values("user"):
            self.ask("DELETE", f"user/actions/secrets/{name}")
        for name in self.variables("user"):
            self.ask("DELETE", f"user/actions/variables/{name}")

    # -- runs -----------------------------------------------------------------------------------------------------

    def arguments(self, scopes: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Arguments of the module."""
        given = {"forgejo_url": self.url, "forgejo_token": self.token, "ledger_key": LEDGER_KEY, "retries": 0}
        return {**given, "scopes": list(scopes), **more}

    def run(self, module: str, *, check: bool = False, **arguments: Any) -> Outcome:
        """Run a module; neither a value nor the token is in anything that it prints."""
        given = {"forgejo_url": self.url, "forgejo_token": self.token, "retries": 0, **arguments}
        outcome = run_module(module, given, check=check)
        scopes = arguments.get("scopes", ())
        values = [secret.get("value") for scope in scopes for secret in scope["secrets"]]
        hidden = [] if module == "forgejo_actions_variable" else [arguments.get("value"), *values]
        for secret in (self.token, LEDGER_KEY, *hidden):
            for form in forms(str(secret)) if secret and len(str(secret)) > 8 else []:
                assert form not in outcome.output
        return outcome

    def sync(
        self,
        scopes: Sequence[dict[str, Any]],
        *,
        clock: Callable[[], float],
        policy: Policy | None = None,
        write: bool = True,
        run: str = "FEED",
    ) -> list[Work]:
        """A run in this process, at another time."""
        declared = [
            plans.declare(scope_of(scope.get("repository"), scope.get("organization")), scope["secrets"])
            for scope in scopes
        ]
        with Transport(self.url, name="Forgejo", auth=f"token {self.token}", pool_size=4, retries=0) as transport:
            client = Client(transport)
            settings = Settings(4, run, "a test", 300)
            kept = Ledgers(KEY, VariableStore(client))
            return Sync(client, kept, policy or Policy(), settings, clock).run(declared, write=write)
