"""The lookup's own code in this process, and ansible-playbook beside it, against ``lab/connect`` and ``lab/op``."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.reference import Reference, parse
from ansible_collections.blumeops.registry.plugins.plugin_utils.onepassword import Settings, read
from lab.running import ROOT, Part, standin

WORLD: dict[str, Any] = json.loads((ROOT / "lab/worlds/vaults.json").read_text())
TOKEN = "LAB-connect-token"
SERVICE = "ops_LAB-service-account"
OP = str(ROOT / "lab/op")
IDS = {vault["name"]: vault["id"] for vault in WORLD["vaults"]} | {
    item["title"]: item["id"] for vault in WORLD["vaults"] for item in vault["items"]
}
#: Every secret of the vault file: nothing that is shown may hold one of these.
SECRETS = {TOKEN, SERVICE} | {
    field["value"]
    for vault in WORLD["vaults"]
    for item in vault["items"]
    for field in item["fields"]
    if field["type"] in {"CONCEALED", "SSHKEY", "OTP"} and "value" in field
}


class World:
    """A vault file of one test, and what its stand-ins wrote into their logs."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.log, self.skipped = folder / "connect.jsonl", 0
        self.content = copy.deepcopy(WORLD)
        self.vaults = folder / "vaults.json"
        self.write()

    @property
    def changed(self) -> bool:
        """Whether this world is another than the example, so that a stand-in of its own is needed."""
        return self.content != WORLD

    def write(self) -> None:
        self.vaults.write_text(json.dumps(self.content))

    def add(self, title: str, **values: str) -> dict[str, Any]:
        """Add an item with these fields to the vault blumeops."""
        fields = [{"id": name, "type": "CONCEALED", "label": name, "value": value} for name, value in values.items()]
        letters = "".join(letter for letter in title.lower() if letter.isalnum() and letter.isascii())
        item = {"id": f"{letters:z<26}"[:26], "title": title, "category": "PASSWORD", "fields": fields}
        self.content["vaults"][0]["items"].append(item)
        self.write()
        return item

    def requests(self) -> list[str]:
        """``GET /path`` of every request that Connect got."""
        lines = self.log.read_text().splitlines()[self.skipped :] if self.log.exists() else []
        entries = [json.loads(line) for line in lines]
        return [f"{entry['method']} {entry['path']}" for entry in entries]

    def processes(self) -> list[dict[str, Any]]:
        """Every process of ``op``: argv, stdin, names in its environment."""
        log = self.folder / "op.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    return World(tmp_path)


@pytest.fixture
def temporary() -> Iterator[pathlib.Path]:
    """A folder for temporary files whose path is short enough for a socket, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp") as folder:
        yield pathlib.Path(folder)


Ask = Callable[..., list[str]]


def references(terms: tuple[str | Reference, ...]) -> list[Reference]:
    return [parse(term) if isinstance(term, str) else term for term in terms]


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Part, pathlib.Path]]:
    """One Connect on the example world without faults, and its log, for all tests that need no other."""
    log = tmp_path_factory.mktemp("connect") / "connect.jsonl"
    with standin("connect", "--vaults", str(ROOT / "lab/worlds/vaults.json"), "--log", str(log)) as part:
        yield part, log


@pytest.fixture
def connect(world: World, common: tuple[Part, pathlib.Path]) -> Iterator[Callable[..., Part]]:
    """``connect(*arguments)`` starts ``lab/connect``, or gives the common one where that does."""
    parts: list[Part] = []

    def start(*arguments: str) -> Part:
        if not arguments and not world.changed:
            world.log = common[1]
            world.skipped = len(world.log.read_text().splitlines())
            return common[0]
        log = ["--log", str(world.log)]
        parts.append(standin("connect", "--vaults", str(world.vaults), *log, *arguments))
        return parts[-1]

    yield start
    for part in parts:
        part.stop()


@pytest.fixture
def ask_connect(connect: Callable[..., Part], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """``ask(*terms, start=[…], **settings)`` reads by a Connect started with these arguments."""
    from ansible_collections.blumeops.registry.plugins.module_utils._onepassword import connect as client

    # Pauses are those of the contract; the tests do not wait for them.
    monkeypatch.setattr(client, "PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setattr(client, "FILE_PAUSES", (0.01,) * 5)
    started: list[Part] = []

    def ask(*terms: str | Reference, start: tuple[str, ...] = (), **settings: Any) -> list[str]:
        if not started:
            started.append(connect(*start))
        chosen = {"connect_host": started[0].url, "connect_token": TOKEN, **settings}
        return read(references(terms), Settings(**chosen))

    return ask


@pytest.fixture
def ask_op(world: World, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """``ask(*terms, env={…}, **settings)`` reads by ``lab/op``."""
    for name in [name for name in os.environ if name.startswith("OP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAB_OP_VAULTS", str(world.vaults))
    monkeypatch.setenv("LAB_OP_LOG", str(world.folder / "op.jsonl"))

    def ask(*terms: str | Reference, env: dict[str, str] | None = None, **settings: Any) -> list[str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            return read(references(terms), Settings(**{"op_path": OP, **settings}))

    return ask


Play = Callable[..., Any]


@pytest.fixture
def play(world: World) -> Play:
    """``play(tasks, *arguments, env={…}, hosts=N, …)`` runs a play with these tasks in its own HOME.

    It gives the completed process, or with ``start=True`` the one that was started.
    """

    def run(
        tasks: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        hosts: int = 0,
        pattern: str = "all",
        variables: dict[str, Any] | None = None,
        start: bool = False,
    ) -> Any:
        folder = world.folder / "play"
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        names = [f"host{number}" for number in range(hosts)] or ["localhost"]
        how = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {"all": {"hosts": dict.fromkeys(names, how)}}
        (folder / "inventory.json").write_text(json.dumps(inventory))
        indented = textwrap.indent(textwrap.dedent(tasks).strip("\n"), "    ")
        head = (
            f"- hosts: {json.dumps(pattern)}\n  gather_facts: false\n  vars: {json.dumps(variables or {})}\n  tasks:\n"
        )
        (folder / "play.yml").write_text(f"{head}{indented}\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OP_", "ANSIBLE_"))}
        fixed = {
            "HOME": str(home),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "BLUMEOPS_ONEPASSWORD_OP_PATH": OP,
            "LAB_OP_VAULTS": str(world.vaults),
            "LAB_OP_LOG": str(world.folder / "op.jsonl"),
            "NO_PROXY": "127.0.0.1",
        }
        command = [ROOT / ".venv/bin/ansible-playbook", "-i", "inventory.json", "play.yml", *arguments]
        environment = kept | fixed | (env or {})
        if start:
            nothing = subprocess.DEVNULL
            return subprocess.Popen(command, cwd=folder, env=environment, stdin=nothing, stdout=nothing, stderr=nothing)
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)

    return run
