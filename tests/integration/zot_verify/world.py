"""A registry with the estate's users and their keys; it can be started again with another policy, or a bad disk."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import requests

from lab.first_key import make_key
from lab.running import ROOT, Part, free_port, standin, wait_until_answers

WORLDS = ROOT / "lab" / "worlds"
#: The programs that the questions are proven on: the stand-in, and the real zot where there is one.
PROGRAMS = [str(ROOT / "lab" / "zot"), *filter(None, [os.environ.get("ZOT_BIN")])]
THREE_TIERS: dict[str, Any] = {
    "repositories": {
        "**": {
            "anonymousPolicy": ["read"],
            "defaultPolicy": ["read"],
            "policies": [
                {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
                {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
            ],
        }
    },
    "metrics": {"users": [], "anonymousPolicy": ["read"]},
}


class World:
    """An identity provider and a zot with its storage; keys of zot-ci, erich (an admin) and visitor (in no group)."""

    def __init__(self, folder: pathlib.Path, issuer: str, program: str) -> None:
        self.folder, self.issuer, self.program = folder, issuer, program
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.keys: dict[str, str] = {}
        self._running: Part | None = None

    def config(self, control: dict[str, Any] | None = None, apikey: bool = True, **http: Any) -> pathlib.Path:
        """Write a configuration; ``http`` is merged into its http.

        Without ``apikey`` there is no login by OpenID either: zot turns API keys on where there is one.
        """
        credentials = self.folder / "credentials.json"
        credentials.write_text(json.dumps({"clientid": "zot", "clientsecret": "secret-of-the-client"}))
        provider = {
            "name": "Authentik",
            "issuer": self.issuer,
            "credentialsFile": str(credentials),
            "scopes": ["openid", "email", "profile"],
            "claimMapping": {"username": "preferred_username"},
        }
        login: dict[str, Any] = {"openid": {"providers": {"oidc": provider}}}
        if not apikey:
            (self.folder / "htpasswd").write_text("")
            login = {"htpasswd": {"path": str(self.folder / "htpasswd")}}
        config = {
            "distSpecVersion": "1.1.1",
            "storage": {"rootDirectory": str(self.folder / "data"), "gc": False, "dedupe": False},
            "http": {
                "address": "127.0.0.1",
                "port": str(self.port),
                "externalUrl": self.url,
                "realm": "zot",
                "auth": {"failDelay": 0, "apikey": apikey, **login},
                "accessControl": copy.deepcopy(control or THREE_TIERS),
                **http,
            },
            "log": {"level": "error"},
            "extensions": {
                "metrics": {"enable": True, "prometheus": {"path": "/metrics"}},
                "search": {"enable": True},
            },
        }
        path = self.folder / "config.json"
        path.write_text(json.dumps(config, indent=1))
        return path

    def start(self, *options: str, **changes: Any) -> None:
        """Run zot where it does not run, with options that only the stand-in has where any are given."""
        if self._running:
            return
        path = self.config(**changes)
        if options or self.program == PROGRAMS[0]:
            self._running = standin("zot", "serve", *options, str(path))
            return
        log = self.folder / "zot.log"
        with log.open("ab") as output:
            process = subprocess.Popen([self.program, "serve", str(path)], stdout=output, stderr=output)
        self._running = Part("zot", self.url, process, log)
        wait_until_answers(f"{self.url}/v2/")

    def stop(self) -> None:
        if self._running:
            self._running.stop()
            self._running = None

    @contextlib.contextmanager
    def otherwise(self, *options: str, **changes: Any) -> Iterator[World]:
        """Run with other options or another configuration; ``start`` runs it as before."""
        self.stop()
        try:
            self.start(*options, **changes)
            yield self
        finally:
            self.stop()

    @contextlib.contextmanager
    def over_tls(self, authority: pathlib.Path, *options: str) -> Iterator[World]:
        """Run the stand-in with TLS; the certificate of its authority is written to ``authority``."""
        with self.otherwise("--tls", str(authority), *options):
            yield self

    def key(self, user: str, label: str, days: float | None = 90) -> str:
        """One more key of the user's."""
        return str(make_key(self.url, user, label, days)["apiKey"])

    def stored(self) -> set[tuple[str, int]]:
        """Everything below the storage but zot's own files there (its databases) and folders with _ (its sessions)."""
        root = self.folder / "data"
        below = ((path.relative_to(root), path) for path in root.rglob("*"))
        return {
            (str(place), path.stat().st_size if path.is_file() else 0)
            for place, path in below
            if not place.parts[0].startswith("_") and not (len(place.parts) == 1 and path.is_file())
        }

    def catalog(self) -> list[str]:
        found: list[str] = requests.get(f"{self.url}/v2/_catalog", timeout=10).json()["repositories"]
        return found


@contextlib.contextmanager
def world(folder: pathlib.Path, program: str = PROGRAMS[0]) -> Iterator[World]:
    """A world whose zot runs, with a key of each user and no image."""
    part: Part
    with standin("oidc", "--users", str(WORLDS / "users.json")) as part:
        this = World(folder, part.url, program)
        this.start()
        try:
            for user in ("zot-ci", "erich", "visitor"):
                this.keys[user] = this.key(user, f"{user}-key")
            yield this
        finally:
            this.stop()
