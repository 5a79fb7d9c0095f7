"""A stand-in of Forgejo on a world that holds every case of contracts/forgejo.md."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from lab.running import Part, standin

WORLD: dict[str, Any] = {
    "users": {
        "eblume": {"admin": True},
        "owen": {"password": "correct horse"},
        "ada": {},
        "walt": {},
        "stranger": {},
        "barred": {"prohibited": True, "password": "pw"},
        "fresh": {"must_change_password": True},
    },
    "orgs": {
        "acme": {
            "owners": ["owen"],
            "members": ["ada", "walt"],
            "teams": {"deploy": {"permission": "admin", "members": ["ada"], "repos": ["app"]}},
        },
        "hidden": {"owners": ["owen"], "visibility": "private"},
    },
    "repos": {
        "eblume/blumeops": {
            "write": ["walt"],
            "workflows": {
                "build.yaml": {
                    "inputs": {"container": {"required": True}, "arch": {"default": "arm64"}},
                    "jobs": ["build"],
                    "result": "success",
                }
            },
        },
        "eblume/cv": {"private": True, "read": ["ada"]},
        "eblume/newname": {},
        "eblume/secretly-renamed": {"private": True},
        "eblume/archived": {"archived": True},
        "eblume/noactions": {"has_actions": False},
        "owen/own": {"admin": ["walt"]},
        "acme/app": {},
        "acme/vault": {"private": True},
        "hidden/thing": {},
    },
    "renamed": {
        "eblume/oldname": "eblume/newname",
        "eblume/gone": "eblume/secretly-renamed",
        "oldorg": "acme",
    },
    "tokens": {
        "ROOT": ["eblume", ["all"]],
        "OWEN": ["owen", ["all"]],
        "ADA": ["ada", ["all"]],
        "WALT": ["walt", ["all"]],
        "STRANGER": ["stranger", ["all"]],
        "BARRED": ["barred", ["all"]],
        "FRESH": ["fresh", ["all"]],
        "READ": ["eblume", ["read:repository", "read:organization", "read:user"]],
        "REPO": ["eblume", ["write:repository"]],
        "PUBLIC": ["eblume", ["public-only", "write:repository", "write:organization"]],
        "PUBLIC_OWEN": ["owen", ["public-only", "all"]],
    },
}

Ask = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def forgejo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    world = tmp_path_factory.mktemp("world") / "world.json"
    world.write_text(json.dumps(WORLD))
    with standin("forgejo", "--world", str(world)) as part:
        yield part


@pytest.fixture
def world_file(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "world.json"
    path.write_text(json.dumps(WORLD))
    return str(path)


def asking(url: str) -> Ask:
    """A function that sends one request: ``ask(token or None, method, path, **arguments of requests)``."""
    session = requests.Session()
    session.trust_env = False

    def ask(token: str | None, method: str, path: str, **arguments: Any) -> requests.Response:
        headers = {**({"Authorization": f"token {token}"} if token else {}), **arguments.pop("headers", {})}
        return session.request(
            method, f"{url}/api/v1{path}", headers=headers, allow_redirects=False, timeout=10, **arguments
        )

    return ask


@pytest.fixture
def ask(forgejo: Part) -> Ask:
    return asking(forgejo.url)
