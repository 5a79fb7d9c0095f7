"""Every witness of a comparison, replayed on a running zot before and after the change."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bcrypt
import pytest
import requests

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.compare import Change, compare
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import parse_policy
from lab.running import ROOT, free_port, wait_until_answers

ZOT = os.environ.get("ZOT_BIN") or str(ROOT / "lab" / "zot")
MEMBERS = {"artifact-workloads": ["zot-ci"], "admins": ["erich"]}
KIND = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "sha256:" + hashlib.sha256(b"{}").hexdigest()
CI = {"groups": ["artifact-workloads"], "actions": ["read", "create"]}
ADMINS = {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]}
TIERS = {"anonymousPolicy": ["read"], "defaultPolicy": ["read"], "policies": [CI, ADMINS]}

PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a block for admins alone": ({"**": TIERS}, {"**": TIERS, "docker.io/**": {**TIERS, "policies": [ADMINS]}}),
    "CI may overwrite": (
        {"**": TIERS},
        {"**": {**TIERS, "policies": [{**CI, "actions": ["read", "create", "update"]}, ADMINS]}},
    ),
    "a block shadows everything": ({"**": TIERS}, {"**": TIERS, "private/*": {"policies": [ADMINS]}}),
    "nobody without a login": ({"**": TIERS}, {"**": {"defaultPolicy": ["read"], "policies": [CI, ADMINS]}}),
    "the public may push": ({"**": TIERS}, {"**": {**TIERS, "anonymousPolicy": ["read", "create"]}}),
    "a user by name": (
        {"a/{b,c}/**": {"policies": [{"users": ["zot-ci"], "actions": ["read", "delete"]}]}, "**": TIERS},
        {"a/{b,c}/**": {"policies": [{"users": ["erich"], "actions": ["read", "delete"]}]}, "**": TIERS},
    ),
}


def manifest(word: str) -> bytes:
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY, "size": 2}
    body = {"schemaVersion": 2, "mediaType": KIND, "config": empty, "layers": [empty], "annotations": {"word": word}}
    return json.dumps(body).encode()


@contextmanager
def zot(folder: pathlib.Path, repositories: dict[str, Any], users: dict[str, list[str]]) -> Iterator[str]:
    """A zot with password logins; ``users`` are names with their groups, and ``root`` may do everything."""
    url = f"http://127.0.0.1:{free_port()}"
    secret = bcrypt.hashpw(b"pw", bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text("".join(f"{name}:{secret}\n" for name in [*users, "root"]))
    groups: dict[str, list[str]] = {}
    for name, own in users.items():
        for group in own:
            groups.setdefault(group, []).append(name)
    control = {
        "repositories": repositories,
        "groups": {group: {"users": names} for group, names in groups.items()},
        "adminPolicy": {"users": ["root"], "actions": ["read", "create", "update", "delete"]},
    }
    config = {
        "storage": {"rootDirectory": str(folder / "data"), "gc": False},
        "http": {
            "address": "127.0.0.1",
            "port": url.rpartition(":")[2],
            "auth": {"failDelay": 0, "htpasswd": {"path": str(folder / "htpasswd")}},
            "accessControl": control,
        },
        "log": {"level": "error"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([ZOT, "serve", str(folder / "config.json")], stdout=quiet, stderr=quiet)
    try:
        wait_until_answers(url + "/v2/")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def push(url: str, repository: str, tag: str) -> None:
    begun = requests.post(f"{url}/v2/{repository}/blobs/uploads/", auth=("root", "pw"), timeout=10)
    place = begun.headers["Location"]
    place = place if place.startswith("http") else url + place
    binary = {"Content-Type": "application/octet-stream"}
    requests.put(place, params={"digest": EMPTY}, data=b"{}", auth=("root", "pw"), headers=binary, timeout=10)
    done = requests.put(
        f"{url}/v2/{repository}/manifests/{tag}",
        data=manifest(tag),
        auth=("root", "pw"),
        headers={"Content-Type": KIND},
        timeout=10,
    )
    assert done.status_code == 201, done.text


def answer(url: str, change: Change, user: str) -> str:
    """What zot says to the change's witness, by the questions that leave no trace."""
    method, path = {
        "read": ("GET", f"blobs/sha256:{'0' * 64}"),
        "create": ("PUT", "manifests/not-there"),
        "update": ("PUT", "manifests/there"),
        "delete": ("DELETE", f"manifests/sha256:{'0' * 64}"),
    }[change.action]
    told = requests.request(
        method,
        f"{url}/v2/{change.repository}/{path}",
        data=b"x" if method == "PUT" else None,
        auth=(user, "pw") if user else None,
        timeout=10,
    )
    assert told.status_code in {400, 401, 403, 404, 415}, told.text
    return "deny" if told.status_code in {401, 403} else "allow"


@pytest.mark.parametrize("pair", PAIRS)
def test_zot_confirms_every_witness(pair: str, tmp_path: pathlib.Path) -> None:
    old, new = PAIRS[pair]
    before, after = (parse_policy({"repositories": side}).policy for side in (old, new))
    changes = compare(before, after, members=MEMBERS).changes
    assert changes
    # A caller without a name of its own, such as a member of a group, gets one.
    names = {change.caller: change.caller.identity.name or "" for change in changes}
    users = {name: list(caller.identity.groups) for caller, name in names.items() if name}
    with zot(tmp_path, {"**": {}}, users) as url:
        for repository in {change.repository for change in changes}:
            push(url, repository, "there")
    for side, told in ((old, "before"), (new, "after")):
        with zot(tmp_path, side, users) as url:
            for change in changes:
                assert answer(url, change, names[change.caller]) == getattr(change, told), f"{change} ({told})"
