"""A stand-in of Forgejo whose stored values, ledgers and requests can be looked at."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import Key, Ledger, load
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LEDGER_VARIABLE, Scope
from lab.running import Part, standin
from tests.integration.forgejo_secret.conftest import TOKEN, WORLD, forms
from tests.integration.lab_forgejo.conftest import Ask, asking
from tests.run_module import Outcome, run_module

FILES = {"world": "world.json", "state": "state.json", "log": "log"}
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


class Forge:
    """A running stand-in, what it stores, and what it was asked."""

    def __init__(self, part: Part, folder: pathlib.Path) -> None:
        self.part = part
        self.state_file = folder / "state.json"
        self.log_file = folder / "log"
        self.ask: Ask = asking(part.url)

    def _place(self, place: str) -> dict[str, Any]:
        content = json.loads(self.state_file.read_text()) if self.state_file.exists() else {}
        found: dict[str, Any] = content.get(place, {"secrets": {}, "variables": {}})
        return found

    def stored(self, place: str = "repos/eblume/cv") -> dict[str, str]:
        """Secrets with their values."""
        return {name: secret["value"] for name, secret in self._place(place)["secrets"].items()}

    def variables(self, place: str = "repos/eblume/cv") -> dict[str, str]:
        found: dict[str, str] = self._place(place)["variables"]
        return found

    def ledger(self, scope: Scope = CV, place: str = "repos/eblume/cv", key: str = LEDGER_KEY) -> Ledger:
        """The stored ledger of a place."""
        return load(self.variables(place)[LEDGER_VARIABLE], scope, Key(key))

    def requests(self) -> list[tuple[str, str]]:
        """Methods and paths that were asked for since the last call."""
        lines = [json.loads(line) for line in self.log_file.read_text().splitlines()]
        self.log_file.write_text("")
        return [(line["method"], line["path"].removeprefix("/api/v1")) for line in lines]

    def put(self, name: str, value: str, repo: str = "eblume/cv") -> None:
        """Write a secret as somebody else does."""
        answer = self.ask(TOKEN, "PUT", f"/repos/{repo}/actions/secrets/{name}", json={"data": value})
        assert answer.status_code in {201, 204}

    def drop(self, name: str, repo: str = "eblume/cv") -> None:
        assert self.ask(TOKEN, "DELETE", f"/repos/{repo}/actions/secrets/{name}").status_code == 204

    def empty(self) -> None:
        """Delete every secret and variable."""
        content = json.loads(self.state_file.read_text()) if self.state_file.exists() else {}
        for place, kept in content.items():
            base = "/user" if place.startswith("users/") else f"/{place}"
            for kind in ("secrets", "variables"):
                for name in kept[kind]:
                    self.ask(TOKEN, "DELETE", f"{base}/actions/{kind}/{name}")
        self.requests()

    def run(self, *scopes: dict[str, Any], check: bool = False, module: str = "", **arguments: Any) -> Outcome:
        """Run the module; no value, token or key is in anything that it prints."""
        given = {
            "forgejo_url": self.part.url,
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


Start = Callable[..., Forge]


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Start]:
    """Start a stand-in, with more switches; a second one continues with what the first one stored."""
    parts: list[Part] = []
    (tmp_path / "world.json").write_text(json.dumps(WORLD))

    def begin(*switches: str) -> Forge:
        (tmp_path / "log").write_text("")
        files = [f"--{name}={tmp_path / file}" for name, file in FILES.items()]
        parts.append(standin("forgejo", *files, *switches))
        return Forge(parts[-1], tmp_path)

    yield begin
    for part in parts:
        part.stop()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """One stand-in for all tests that do not disturb it."""
    folder = tmp_path_factory.mktemp("forge")
    (folder / "world.json").write_text(json.dumps(WORLD))
    (folder / "log").write_text("")
    files = [f"--{name}={folder / file}" for name, file in FILES.items()]
    with standin("forgejo", *files, "--tick", "60") as part:
        yield Forge(part, folder)


@pytest.fixture
def forge(shared: Forge) -> Forge:
    """The shared stand-in, emptied."""
    shared.empty()
    return shared
