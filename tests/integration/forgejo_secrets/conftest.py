"""A stand-in of Forgejo whose stored values, ledgers and requests can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import Key, Ledger, load
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LEDGER_VARIABLE, Scope
from lab.standins.forgejo_api import Forgejo
from lab.standins.forgejo_store import Store
from lab.standins.forgejo_world import World
from tests.integration.forgejo_secret.conftest import TOKEN, WORLD, forms
from tests.integration.forgejo_secrets.server import InThread
from tests.integration.lab_forgejo.conftest import Ask, asking
from tests.run_module import Outcome, run_module

LEDGER_KEY = "the-operators-own-ledger-key"
CV, BLUMEOPS = Scope("repository", "eblume/cv"), Scope("repository", "eblume/blumeops")


def secrets_of(values: dict[str, str | None]) -> list[dict[str, Any]]:
    """Declared secrets; None declares one absent."""
    return [
        {"name": name, "value": value} if value is not None else {"name": name, "state": "absent"}
        for name, value in values.items()
    ]


def cv(**values: str | None) -> dict[str, Any]:
    """The declaration of repository eblume/cv."""
    return {"repository": "eblume/cv", "secrets": secrets_of(values)}


class Forge(InThread):
    """A stand-in, what it stores, and what it was asked."""

    def __init__(self) -> None:
        self.store = Store(tick=60)
        super().__init__(Forgejo(World(WORLD), self.store).application())
        self.ask: Ask = asking(self.url)

    def stored(self, place: str = "repos/eblume/cv") -> dict[str, str]:
        """Secrets with their values."""
        return {name: secret.value for name, secret in self.store.place(place).secrets.items()}

    def variables(self, place: str = "repos/eblume/cv") -> dict[str, str]:
        return dict(self.store.place(place).variables)

    def content(self) -> str:
        """Everything that is stored, to compare."""
        return repr(self.store.places)

    def ledger(self, scope: Scope = CV, place: str = "repos/eblume/cv", key: str = LEDGER_KEY) -> Ledger:
        """The stored ledger of a place."""
        return load(self.variables(place)[LEDGER_VARIABLE], scope, Key(key))

    def put(self, name: str, value: str, repo: str = "eblume/cv") -> None:
        """Write a secret as somebody else does."""
        answer = self.ask(TOKEN, "PUT", f"/repos/{repo}/actions/secrets/{name}", json={"data": value})
        assert answer.status_code in {201, 204}

    def drop(self, name: str, repo: str = "eblume/cv") -> None:
        assert self.ask(TOKEN, "DELETE", f"/repos/{repo}/actions/secrets/{name}").status_code == 204

    def empty(self) -> None:
        """Store nothing, disturb nothing."""
        self.disturb()
        self.store.places.clear()
        self.store.collided.clear()
        self.store.collide = 0
        self.requests()

    def run(self, *scopes: dict[str, Any], check: bool = False, module: str = "", **arguments: Any) -> Outcome:
        """Run the module; no value, token or key is in anything that it prints."""
        given = {
            "forgejo_url": self.url,
            "forgejo_token": TOKEN,
            "ledger_key": LEDGER_KEY,
            "retries": 0,
            "timeout": 5.0,
            "scopes": list(scopes),
            **arguments,
        }
        outcome = run_module(module or "forgejo_actions_secrets", given, check=check)
        values = [secret.get("value") for scope in scopes for secret in scope.get("secrets") or ()]
        for secret in (given["forgejo_token"], given["ledger_key"], *values):
            for form in forms(str(secret)) if secret and len(str(secret)) > 8 else []:
                assert form not in outcome.output
        return outcome

    def info(self, *scopes: dict[str, Any], **arguments: Any) -> Outcome:
        return self.run(*scopes, module="forgejo_actions_secrets_info", **arguments)


def states(outcome: Outcome) -> dict[str, str]:
    """States by name."""
    return {row["name"]: row["state"] for row in outcome.result["secrets"]}


@pytest.fixture(scope="session")
def shared() -> Iterator[Forge]:
    """One stand-in for all tests of a process."""
    forge = Forge()
    yield forge
    forge.stop()


@pytest.fixture
def forge(shared: Forge) -> Forge:
    """The shared stand-in, emptied."""
    shared.empty()
    return shared
