"""Replay recorded exchanges with zot, and recorded verdicts of ``zot verify``: on the stand-in or on the real one.

    python -m tests.replay.zot                                    both, on lab/zot or on the program at ZOT_BIN
    python -m tests.replay.zot --serve "PROGRAM serve" --verify "PROGRAM verify"

``exchanges.jsonl`` has one configuration a line. For each, an OpenID provider and the program are started, three
users log in (zot-ci of artifact-workloads, erich of admins, nogroup of none), each makes a key "main", zot-ci also
one that ends after two seconds and one that is revoked; zot-ci pushes app:v1, erich private/app:v1 and
private/shared:v1. Then the recorded requests are sent in their order, each on what the earlier ones left, and their
answers compared: status, error code, some headers, the keys and lists of the JSON.

``verify.jsonl`` has one configuration a line, ``DIR/`` in it stands for a folder with the files that it may name.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from lab.first_key import log_in
from lab.running import ROOT, environment, free_port, standin, wait_until_answers

RECORDINGS = ROOT / "tests" / "contracts" / "zot"
USERS = {"ci": ("zot-ci", ["artifact-workloads"]), "admin": ("erich", ["admins"]), "nogroup": ("nogroup", [])}
SEEDS = {"app": "ci", "private/app": "admin", "private/shared": "admin"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
BLOB = b"{}"
HEADERS = (
    "WWW-Authenticate",
    "Docker-Content-Digest",
    "Content-Type",
    "OCI-Subject",
    "Docker-Distribution-Api-Version",
)
Auth = tuple[str, str] | None


def program(verb: str) -> list[str]:
    """The command of the zot that is tested: the one at ZOT_BIN, or the stand-in."""
    real = os.environ.get("ZOT_BIN")
    return [real, verb] if real else [sys.executable, "-m", "lab.standins.zot", verb]


@dataclass(frozen=True, slots=True)
class Difference:
    """What was recorded under ``name`` and what came now."""

    name: str
    recorded: object
    got: object

    def __str__(self) -> str:
        return f"{self.name}: recorded {json.dumps(self.recorded)}, got {json.dumps(self.got)}"


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def descriptor(content: bytes) -> dict[str, Any]:
    return {"mediaType": EMPTY, "digest": digest(content), "size": len(content)}


def manifest(mark: str, config: bytes = BLOB) -> bytes:
    """An image of two empty blobs that differs by ``mark``; the recorded digests are of these very bytes."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config),
        "layers": [descriptor(BLOB)],
        "annotations": {"v": mark},
    }
    return json.dumps(document).encode()


def body_of(kind: str, who: str) -> dict[str, Any]:
    """What the request ``kind`` sends, as arguments of ``requests``; the rest of it is in the recording."""
    manifests = {
        "put-same": manifest("v1"),
        "put-over": manifest("v1-other"),
        "put-digest": manifest(f"d-{who}"),
        "put-digest-known": manifest("v1"),
        "put-digest-move": manifest("mv"),
        "put-new": manifest(f"n-{who}"),
        "put-nonjson": b"not json",
        "put-unknown-blob": manifest("x", config=b"unknown"),
    }
    keys: dict[str, dict[str, Any]] = {
        "key-new": {"label": f"n-{who}", "scopes": []},
        "key-new-expiring": {"label": "e", "scopes": ["s"], "expirationDate": "2100-01-02T03:04:05Z"},
        "key-new-past": {"label": "p", "expirationDate": "2020-01-02T03:04:05Z"},
        "key-new-baddate": {"label": "b", "expirationDate": "2100-01-02"},
        "key-put": {},
    }
    raw = {"key-new-badjson": b"{", "key-new-array": b"[]"}
    if kind in manifests:
        return {"data": manifests[kind], "headers": {"Content-Type": MANIFEST}}
    if kind in raw:
        return {"data": raw[kind], "headers": {"Content-Type": "application/json"}}
    return {"json": keys[kind]} if kind in keys else {}


class World:
    """A running zot with its issuer and the three users."""

    def __init__(self, url: str, issuer: str) -> None:
        self.url, self.issuer = url, issuer
        self.auth: dict[str, Auth] = {
            "anonymous": None,
            "wrong": ("zot-ci", "zak_" + "0" * 32),
            "garbage": ("zot-ci", "nope"),
            "nouser": ("ghost", "zak_" + "1" * 32),
        }
        self.ids: dict[str, str] = {}
        self._sessions = {who: {"Cookie": log_in(url, name)} for who, (name, _) in USERS.items()}

    def make_keys(self) -> None:
        """A key for each user; one that has ended, one that is revoked, one under another's name."""
        for who, (name, _) in USERS.items():
            key = self._new_key(who, label="main")
            self.auth[who], self.ids[who] = (name, key["apiKey"]), key["uuid"]
        end = datetime.now(UTC) + timedelta(seconds=2)
        ending = self._new_key("ci", label="short", expirationDate=end.strftime("%Y-%m-%dT%H:%M:%SZ"))
        gone = self._new_key("ci", label="gone")
        self.send("DELETE", f"/zot/auth/apikey?id={gone['uuid']}", session="ci")
        self.auth |= {"expired": ("zot-ci", ending["apiKey"]), "revoked": ("zot-ci", gone["apiKey"])}
        own = self.auth["ci"]
        assert own is not None
        self.auth["crossed"] = ("erich", own[1])
        while datetime.now(UTC) <= end:
            time.sleep(0.1)

    def _new_key(self, who: str, **wanted: str) -> dict[str, Any]:
        answer = self.send("POST", "/zot/auth/apikey", session=who, json=wanted)
        answer.raise_for_status()
        key: dict[str, Any] = answer.json()
        return key

    def send(
        self, method: str, path: str, who: str = "anonymous", session: str | None = None, **request: Any
    ) -> requests.Response:
        headers = dict(request.pop("headers", {}))
        if session:
            headers |= {**self._sessions[session], "X-ZOT-API-CLIENT": "zot-ui"}
        auth = None if session else self.auth[who]
        return requests.request(
            method, self.url + path, auth=auth, headers=headers, allow_redirects=False, timeout=20, **request
        )

    def push(self, repository: str, who: str) -> bool:
        """Push the image v1; whether that is allowed."""
        begun = self.send("POST", f"/v2/{repository}/blobs/uploads/", who)
        if begun.status_code != 202:
            return False
        place = f"{begun.headers['Location'].removeprefix(self.url)}?digest={digest(BLOB)}"
        self.send("PUT", place, who, data=BLOB, headers={"Content-Type": "application/octet-stream"})
        put = self.send("PUT", f"/v2/{repository}/manifests/v1", who, **body_of("put-same", who))
        return put.status_code == 201

    def observed(self, response: requests.Response) -> dict[str, Any]:
        """What is compared of an answer."""
        seen: dict[str, Any] = {"status": response.status_code}
        seen |= {name: response.headers[name] for name in HEADERS if name in response.headers}
        if "Location" in response.headers:
            path = response.headers["Location"].partition("?")[0].replace(self.url, "")
            seen["location_path"] = path.replace(self.issuer, "<issuer>").rpartition("/")[0]
        try:
            body = response.json()
        except ValueError:
            return seen
        if not isinstance(body, dict):
            return seen
        if body.get("errors"):
            return seen | {"error_code": body["errors"][0].get("code")}
        seen["json_keys"] = sorted(body)
        if "apiKeys" in body:
            keys = body["apiKeys"] or []
            seen |= {"api_keys": len(keys), "labels": sorted(key["label"] for key in keys)}
            seen |= {"api_key_keys": sorted(keys[0]) if keys else [], "expired": sum(key["isExpired"] for key in keys)}
        seen |= {name: sorted(body[name] or []) for name in ("repositories", "tags") if name in body}
        if "expirationDate" in body:
            seen["expirationDate"] = body["expirationDate"]
        if "apiKey" in body:
            seen |= {"api_key_prefix": body["apiKey"][:4], "api_key_len": len(body["apiKey"])}
        return seen

    def of_keys(self) -> Iterator[dict[str, Any]]:
        """What the keys tell at the end: which was used, and whom a revocation hits."""
        keys = self.send("GET", "/zot/auth/apikey", "ci").json()["apiKeys"]
        own = next(key for key in keys if key["uuid"] == self.ids["ci"])
        unused = all(key["lastUsed"].startswith("0001") for key in keys if key["label"].startswith("n-"))
        yield {"id": "last-used-moves", "moved": own["lastUsed"] > own["createdAt"], "others_unused": unused}
        for name, revoker, owner in (("revoke-own", "ci", "ci"), ("revoke-others", "admin", "nogroup")):
            done = self.send("DELETE", f"/zot/auth/apikey?id={self.ids[owner]}", revoker)
            after = self.send("GET", "/zot/auth/apikey", owner)
            yield {"id": name, "status": done.status_code, "then": after.status_code}


@contextmanager
def world(serve: list[str], recorded: dict[str, Any]) -> Iterator[World]:
    """The program on a recorded policy, with its issuer; everything is stopped and removed at the end."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        claims = [{"sub": user, "preferred_username": user, "groups": groups} for user, groups in USERS.values()]
        users = folder / "users.json"
        users.write_text(json.dumps(claims))
        with standin("oidc", "--users", str(users)) as issuer:
            url = f"http://127.0.0.1:{free_port()}"
            config = folder / "config.json"
            config.write_text(json.dumps(configuration(folder, url, issuer.url, recorded)))
            with (folder / "log").open("wb") as log:
                zot = subprocess.Popen([*serve, str(config)], stdout=log, stderr=log, env=environment(), cwd=ROOT)
            try:
                wait_until_answers(f"{url}/livez")
                yield World(url, issuer.url)
            finally:
                zot.terminate()
                zot.wait(10)


def configuration(folder: pathlib.Path, url: str, issuer: str, recorded: dict[str, Any]) -> dict[str, Any]:
    credentials = folder / "credentials.json"
    credentials.write_text(json.dumps({"clientid": "zot", "clientsecret": "s"}))
    provider = {
        "name": "Authentik",
        "issuer": issuer,
        "credentialsFile": str(credentials),
        "scopes": ["openid", "email", "profile", "groups"],
        "claimMapping": {"username": "preferred_username"},
    }
    auth = {"failDelay": 0, "apikey": recorded["apikey"], "openid": {"providers": {"oidc": provider}}}
    http = {"address": "127.0.0.1", "port": url.rpartition(":")[2], "externalUrl": url, "realm": "zot", "auth": auth}
    return {
        "distSpecVersion": "1.1.1",
        "storage": {"rootDirectory": str(folder / "data"), "gc": False, "dedupe": False},
        "http": {**http, "accessControl": recorded["accessControl"]},
        "log": {"level": "error"},
        "extensions": {
            "metrics": {"enable": True, "prometheus": {"path": "/metrics"}},
            "search": {"enable": True},
        },
    }


def exchanges(serve: list[str], recorded: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each recorded exchange of one configuration, with what the program answers now."""
    with world(serve, recorded) as running:
        if recorded["apikey"]:
            running.make_keys()
        told = running.of_keys()
        for exchange in recorded["exchanges"]:
            now: dict[str, Any]
            if exchange["id"] == "login":
                now = {"id": "login", "status": dict.fromkeys(USERS, 201)}
            elif exchange["id"] == "seed":
                now = {"id": "seed"} | {repository: running.push(repository, who) for repository, who in SEEDS.items()}
            elif "answer" in exchange:
                who, kind = exchange["as"], exchange["id"].partition("/")[0]
                answer = running.send(exchange["method"], exchange["path"], who, **body_of(kind, who))
                now = exchange | {"answer": running.observed(answer)}
            else:
                now = next(told)
            yield exchange, now


def recordings(file: pathlib.Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def replay(serve: list[str], recorded: dict[str, Any]) -> tuple[int, list[Difference]]:
    """Replay one configuration: how many exchanges were the same, and the differences."""
    pairs = list(exchanges(serve, recorded))
    differences = [Difference(f"{recorded['config']} {then['id']}", then, now) for then, now in pairs if then != now]
    return len(pairs) - len(differences), differences


def replay_verify(verify: list[str], file: pathlib.Path) -> tuple[int, list[Difference]]:
    """Ask ``verify`` about each recorded configuration; compares whether it is accepted."""
    same, differences = 0, []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "cred.json").write_text('{"clientid": "zot", "clientsecret": "s"}')
        (folder / "cred-nosecret.json").write_text('{"clientid": "zot"}')
        (folder / "htpasswd").touch()
        config = folder / "config.json"
        for recorded in recordings(file):
            document = recorded["config"]
            text = document if isinstance(document, str) else json.dumps(document)
            config.write_text(text.replace("DIR/", f"{folder}/"))
            done = subprocess.run([*verify, str(config)], capture_output=True, env=environment(), cwd=ROOT, timeout=60)
            if (done.returncode == 0) == recorded["valid"]:
                same += 1
            else:
                then = "accepted" if recorded["valid"] else f"refused: {recorded['message']}"
                differences.append(Difference(recorded["name"], then, f"exit {done.returncode}"))
    return same, differences


def main() -> int:
    """Replay, print each difference and one line that counts for each recording; exit 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", type=shlex.split, default=program("serve"), metavar="COMMAND")
    parser.add_argument("--verify", type=shlex.split, default=program("verify"), metavar="COMMAND")
    parser.add_argument("--folder", type=pathlib.Path, default=RECORDINGS, help="where the recordings are")
    options = parser.parse_args()
    counted = [replay(options.serve, recorded) for recorded in recordings(options.folder / "exchanges.jsonl")]
    served = sum(same for same, _ in counted), [difference for _, found in counted for difference in found]
    verified = replay_verify(options.verify, options.folder / "verify.jsonl")
    for what, (same, differences) in (("serve", served), ("verify", verified)):
        for difference in differences:
            print(difference)
        print(f"zot {what}: {same} same, {len(differences)} differ")
    return bool(served[1] or verified[1])


if __name__ == "__main__":
    sys.exit(main())
