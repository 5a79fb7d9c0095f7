"""Starting the 1Password stand-ins for one test."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from lab.running import ROOT, Part, standin

WORLD = ROOT / "lab/worlds/vaults.json"
TOKEN = "LAB-connect-token"


class Client:
    """Plain requests to a running ``lab/connect``."""

    def __init__(self, part: Part, token: str | None = TOKEN, verify: str | bool = True) -> None:
        self.part, self.url = part, part.url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = verify
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, **how: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=10, allow_redirects=False, **how)

    def get(self, path: str, **how: Any) -> requests.Response:
        return self("GET", path, **how)


Connect = Callable[..., Client]


@pytest.fixture
def world() -> dict[str, Any]:
    return dict(json.loads(WORLD.read_text()))


@pytest.fixture
def ids(world: dict[str, Any]) -> dict[str, str]:
    """Ids by name: ``blumeops`` is a vault, everything else an item (of two with one title the last)."""
    found = {vault["name"]: vault["id"] for vault in world["vaults"]}
    return found | {item["title"]: item["id"] for vault in world["vaults"] for item in vault["items"]}


@pytest.fixture
def connect(tmp_path: pathlib.Path) -> Iterator[Connect]:
    """``connect(*arguments, token=…)`` starts a stand-in and gives a client of it."""
    parts: list[Part] = []

    def start(*arguments: str, token: str | None = TOKEN, vaults: pathlib.Path = WORLD, **how: Any) -> Client:
        part = standin("connect", "--vaults", str(vaults), "--log", str(tmp_path / "connect.jsonl"), *arguments)
        parts.append(part)
        return Client(part, token, **how)

    yield start
    for part in parts:
        part.stop()


Op = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def op(tmp_path: pathlib.Path) -> Op:
    """``op(*arguments, input=…, **environment)`` runs ``lab/op``; its log is ``op.jsonl``."""

    def run(*arguments: str, input: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OP_")}
        fixed = {"LAB_OP_VAULTS": str(WORLD), "LAB_OP_LOG": str(tmp_path / "op.jsonl"), "NO_PROXY": "127.0.0.1"}
        stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run(
            [ROOT / "lab/op", *arguments],
            capture_output=True,
            env=kept | fixed | environment,
            timeout=30,
            **stdin,  # type: ignore[call-overload]
        )

    return run
