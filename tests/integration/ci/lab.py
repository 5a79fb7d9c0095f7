"""A registry on loopback as the estate has it, with keys."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import requests
from aiohttp import ClientSession, web

from tests.serving import serving

ROOT = Path(__file__).parents[3]
USERS = {"zot-ci": ["artifact-workloads"], "erich": ["admins"], "nogroup": []}
ACCESS = {
    "repositories": {
        "**": {
            "anonymousPolicy": ["read"],
            "defaultPolicy": ["read"],
            "policies": [
                {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
                {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
            ],
        }
    }
}


@dataclass(slots=True)
class Registry:
    """A zot that is running, and the cookies of those who logged in."""

    url: str
    folder: Path
    cookies: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    def login(self, subject: str) -> None:
        """Log in by OIDC, as a browser would."""
        begun = requests.get(f"{self.url}/zot/auth/login?provider=oidc", allow_redirects=False, timeout=20)
        state = "; ".join(f"{cookie.name}={cookie.value}" for cookie in begun.cookies)
        agreed = requests.post(begun.headers["Location"], data={"sub": subject}, allow_redirects=False, timeout=20)
        done = requests.get(agreed.headers["Location"], headers={"Cookie": state}, allow_redirects=False, timeout=20)
        assert done.status_code == 201, done.text
        self.cookies[subject] = "; ".join(f"{cookie.name}={cookie.value}" for cookie in done.cookies)

    def key(self, subject: str, label: str = "main", seconds: float | None = None) -> str:
        """Make an API key; one that ends after ``seconds`` where given."""
        payload: dict[str, object] = {"label": label, "scopes": []}
        if seconds is not None:
            payload["expirationDate"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        headers = {"Cookie": self.cookies[subject], "X-ZOT-API-CLIENT": "zot-ui"}
        made = requests.post(f"{self.url}/zot/auth/apikey", json=payload, headers=headers, timeout=20)
        assert made.status_code == 201, made.text
        return str(made.json()["apiKey"])

    def digest(self, repository: str, tag: str) -> str | None:
        """What a tag holds, asked without credentials."""
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        answer = requests.get(f"{self.url}/v2/{repository}/manifests/{tag}", headers=accept, timeout=20)
        return None if answer.status_code == 404 else "sha256:" + hashlib.sha256(answer.content).hexdigest()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def registry(folder: Path, *options: str, keys: dict[str, str] | None = None) -> Iterator[Registry]:
    """Start an OIDC provider and a zot, log everybody in and give everybody a key.

    ``options`` are those of lab/zot; ``keys`` those of an earlier start in the same folder, instead of logins.
    """
    users = folder / "users.json"
    claims = [
        {"sub": name, "preferred_username": name, "email": f"{name}@localhost", "groups": groups}
        for name, groups in USERS.items()
    ]
    users.write_text(json.dumps(claims))
    with program([sys.executable, "-m", "lab.standins.oidc", "--users", str(users)], folder / "oidc.log") as line:
        issuer = line.split()[-1]
        port = free_port()
        started = Registry(f"http://127.0.0.1:{port}", folder)
        (folder / "credentials.json").write_text(json.dumps({"clientid": "zot", "clientsecret": "s"}))
        provider = {
            "name": "Authentik",
            "issuer": issuer,
            "credentialsFile": str(folder / "credentials.json"),
            "scopes": ["openid", "email", "profile", "groups"],
            "claimMapping": {"username": "preferred_username"},
        }
        config = {
            "distSpecVersion": "1.1.1",
            "storage": {"rootDirectory": str(folder / "data"), "gc": False},
            "http": {
                "address": "127.0.0.1",
                "port": str(port),
                "externalUrl": started.url,
                "realm": "zot",
                "auth": {"failDelay": 0, "apikey": True, "openid": {"providers": {"oidc": provider}}},
                "accessControl": ACCESS,
            },
            "log": {"level": "error"},
        }
        (folder / "config.json").write_text(json.dumps(config))
        serve = shlex.split("" if options else os.environ.get("ZOT_BIN", "")) or [str(ROOT / "lab" / "zot")]
        with program([*serve, "serve", str(folder / "config.json"), *options], folder / "zot.log", port=port):
            started.keys = keys or {}
            for name in () if keys else USERS:
                started.login(name)
                started.keys[name] = started.key(name)
            yield started


@contextmanager
def program(command: list[str], log: Path, *, port: int | None = None) -> Iterator[str]:
    """Run a program until the end; yields its first line, or waits for its port."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout
        try:
            line = process.stdout.readline() if port is None else ""
            while port is not None:
                assert process.poll() is None, log.read_text()
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield line
        finally:
            process.terminate()
            process.wait(20)
            process.stdout.close()


Rule = Callable[[web.Request, int], web.Response | None]


@contextmanager
def front(zot: Registry, rule: Rule, tls: ssl.SSLContext | None = None) -> Iterator[Registry]:
    """A proxy in front of ``zot`` that answers itself where ``rule(request, how many before it)`` does."""
    seen = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal seen
        own, seen = rule(request, seen), seen + 1
        body = await request.read()
        if own is not None:
            return own
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, zot.url + request.raw_path, headers=headers, data=body, allow_redirects=False
            ) as answer,
        ):
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handle)
    with serving(app, tls) as port:
        yield replace(zot, url=f"{'https' if tls else 'http'}://127.0.0.1:{port}")


#: Headers that are of one connection, or that the proxy's own library writes.
HOP = {"host", "content-length", "connection", "transfer-encoding"}
