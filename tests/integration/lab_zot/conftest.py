"""A registry to test: the stand-in, or the zot at ZOT_BIN."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import bcrypt
import pytest
import requests

from lab.running import ROOT, environment, free_port, wait_until_answers
from tests.replay.zot import MANIFEST, digest, program

PASSWORDS = {"bob": "pw", "ann": "secret", "eve": "x"}
EVERYTHING = ["read", "create", "update", "delete"]
OPEN = {"repositories": {"**": {"anonymousPolicy": ["read"], "defaultPolicy": EVERYTHING}}}


class Registry:
    """A zot that a test starts, stops and asks; its configuration is ``document`` until it is written again."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.config = folder, folder / "config.json"
        self.log = folder / "zot.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        hashes = {name: bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode() for name, word in PASSWORDS.items()}
        (folder / "htpasswd").write_text("".join(f"{name}:{word}\n" for name, word in hashes.items()))
        self.document: dict[str, Any] = {
            "storage": {"rootDirectory": str(folder / "data"), "gc": False},
            "http": {
                "address": "127.0.0.1",
                "port": self.url.rpartition(":")[2],
                "realm": "zot",
                "auth": {"htpasswd": {"path": str(folder / "htpasswd")}, "apikey": True},
                "accessControl": OPEN,
            },
            "log": {"level": "info", "output": str(self.log)},
            "extensions": {"search": {"enable": True}, "metrics": {"enable": True}},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, access: dict[str, Any] | None = None) -> None:
        """Write the configuration in place, with another policy where one is given."""
        if access is not None:
            self.document["http"]["accessControl"] = access
        self.config.write_text(json.dumps(self.document))

    def start(self, *switches: str) -> Registry:
        """Start it; ``switches`` are the stand-in's own, so that it is the stand-in which is started."""
        command = [sys.executable, "-m", "lab.standins.zot", "serve"] if switches else program("serve")
        if not self.config.exists():
            self.write()
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*command, str(self.config), *switches], stdout=output, stderr=output, env=environment(), cwd=ROOT
            )
        wait_until_answers(f"{self.url}/livez")
        return self

    def stop(self, number: int = 15) -> int:
        """Send the signal and return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(10)
        self.process = None
        return status

    def ask(self, method: str, path: str, who: str = "", **request: Any) -> requests.Response:
        """One request, by a user of the htpasswd file or without credentials."""
        auth = (who, PASSWORDS[who]) if who else None
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method, self.url + path, auth=request.pop("auth", auth), allow_redirects=False, timeout=20, **request
            )

    def push_blob(self, repository: str, content: bytes, who: str = "bob") -> None:
        path = f"/v2/{repository}/blobs/uploads/?digest={digest(content)}"
        answer = self.ask("POST", path, who, data=content, headers={"Content-Type": "application/octet-stream"})
        assert answer.status_code == 201

    def push(
        self, repository: str, reference: str, body: bytes, who: str = "bob", media_type: str = MANIFEST
    ) -> requests.Response:
        path = f"/v2/{repository}/manifests/{reference}"
        return self.ask("PUT", path, who, data=body, headers={"Content-Type": media_type})

    def reloads(self) -> int:
        """How often it noticed a write to its configuration."""
        texts = (file.read_text(errors="replace") for file in (self.log, self.folder / "output") if file.exists())
        return sum(text.count("config file changed, trying to reload config") for text in texts)

    def wait_for_reloads(self, number: int) -> None:
        """Return when it noticed that many writes and is done with them."""
        end = time.monotonic() + 10
        while self.reloads() < number and time.monotonic() < end:
            time.sleep(0.02)
        assert self.reloads() == number
        time.sleep(0.2)


@pytest.fixture
def zot(tmp_path: pathlib.Path) -> Iterator[Registry]:
    """A registry that is not started yet."""
    registry = Registry(tmp_path)
    yield registry
    if registry.process is not None:
        registry.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A started registry where users may do everything; tests use repositories of their own."""
    registry = Registry(tmp_path_factory.mktemp("zot"))
    yield registry.start()
    registry.stop()


def on_the_real_one() -> bool:
    return bool(os.environ.get("ZOT_BIN"))
