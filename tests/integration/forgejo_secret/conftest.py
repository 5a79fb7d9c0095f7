"""A stand-in of Forgejo whose stored values can be looked at, and secrets that must not be found anywhere else."""

from __future__ import annotations

import base64
import json
import pathlib
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.running import Part, standin
from tests.run_module import Outcome, run_module

WORLD: dict[str, Any] = {
    "users": {"eblume": {"admin": True}, "carol": {}, "barred": {"prohibited": True}, "owen": {}},
    "orgs": {
        "acme": {"owners": ["eblume"], "members": ["carol"]},
        "owens": {"owners": ["owen"]},
        "owens2": {"owners": ["owen"]},
    },
    "repos": {
        "eblume/blumeops": {"admin": ["carol"]},
        "eblume/cv": {"private": True},
        "eblume/new": {},
        "eblume/archived": {"archived": True},
        "eblume/noactions": {"has_actions": False},
        "acme/app": {},
    },
    "renamed": {"eblume/old": "eblume/new", "oldcorp": "acme"},
    "tokens": {
        "tok-eblume-0123456789": ["eblume", ["all"]],
        "tok-carol-0123456789": ["carol", ["all"]],
        "tok-barred-0123456789": ["barred", ["all"]],
        "tok-owen-0123456789": ["owen", ["all"]],
        "tok-read-0123456789": ["eblume", ["read:repository", "read:organization", "read:user"]],
        "tok-repo-0123456789": ["eblume", ["write:repository"]],
        "tok-public-0123456789": ["eblume", ["public-only", "write:repository"]],
    },
}
TOKEN = "tok-eblume-0123456789"
VALUE = "s3cr3t+value/with=signs"
PEM = "-----BEGIN KEY-----\nMIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Q\n-----END KEY-----\n"


def forms(secret: str) -> list[str]:
    """A secret as it might leak: as it is, its lines, URL-encoded, escaped, in base64 (also of ``user:secret``)."""
    raw = secret.encode()
    return [
        secret,
        *(line for line in secret.splitlines() if len(line) > 30),
        urllib.parse.quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        base64.b64encode(raw).decode(),
        base64.b64encode(b"user:" + raw).decode(),
    ]


class Forge:
    """A running stand-in and what it stores."""

    def __init__(self, part: Part, state: pathlib.Path) -> None:
        self.part = part
        self.state = state

    def stored(self, place: str) -> dict[str, str]:
        """The secrets of a place (``repos/eblume/cv``) with their values."""
        content = json.loads(self.state.read_text()) if self.state.exists() else {}
        secrets = content.get(place, {}).get("secrets", {})
        return {name: secret["value"] for name, secret in secrets.items()}

    def run(self, module: str = "forgejo_actions_secret", check: bool = False, **arguments: Any) -> Outcome:
        """Run a module; checks that neither the token nor the value is in anything that it printed."""
        given = {"forgejo_url": self.part.url, "forgejo_token": TOKEN, "retries": 0, "timeout": 5.0, **arguments}
        outcome = run_module(module, given, check=check)
        for secret in (given["forgejo_token"], arguments.get("value") or ""):
            for form in forms(secret) if len(secret) > 8 else []:
                assert form not in outcome.output
        return outcome


Start = Callable[..., Forge]


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Start]:
    """Start a stand-in with more switches."""
    parts: list[Part] = []
    world = tmp_path / "world.json"
    world.write_text(json.dumps(WORLD))

    def begin(*switches: str) -> Forge:
        state = tmp_path / f"state-{len(parts)}.json"
        part = standin("forgejo", "--world", str(world), "--state", str(state), *switches)
        parts.append(part)
        return Forge(part, state)

    yield begin
    for part in parts:
        part.stop()


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """One stand-in for the tests of a module that do not disturb each other."""
    folder = tmp_path_factory.mktemp("forge")
    (folder / "world.json").write_text(json.dumps(WORLD))
    arguments = ("--world", str(folder / "world.json"), "--state", str(folder / "state.json"))
    with standin("forgejo", *arguments) as part:
        yield Forge(part, folder / "state.json")
