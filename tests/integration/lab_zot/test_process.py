"""The process: what it notices of its configuration, what it keeps over a restart, how it ends."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import requests
import trustme

from lab.running import ROOT, environment
from tests.integration.lab_zot.conftest import EVERYTHING, Registry
from tests.replay.zot import BLOB, digest, manifest, program

ADMINS = {"repositories": {"**": {"policies": [{"users": ["ann"], "actions": EVERYTHING}]}}}


NOBODY = {"issuer": "http://127.0.0.1:1", "clientid": "z", "scopes": ["openid"]}


def may_read(zot: Registry) -> bool:
    """The witness: whether an anonymous caller may read."""
    return zot.ask("GET", "/v2/app/tags/list").status_code == 404


def replaced(zot: Registry, access: dict[str, Any]) -> None:
    """Put another configuration in place by rename."""
    new = zot.folder / "new.json"
    zot.document["http"]["accessControl"] = access
    new.write_text(json.dumps(zot.document))
    new.replace(zot.config)


def append(path: pathlib.Path) -> None:
    with path.open("a") as file:
        file.write("\n")


def test_a_write_in_place_is_taken(zot: Registry) -> None:
    zot.start()
    assert may_read(zot)
    zot.write(ADMINS)
    end = time.monotonic() + 10
    while may_read(zot) and time.monotonic() < end:
        time.sleep(0.02)
    assert not may_read(zot)
    assert zot.ask("GET", "/v2/app/tags/list", "ann").status_code == 404


def test_a_replaced_file_is_noticed_by_a_write_to_the_old_inode(zot: Registry) -> None:
    zot.start()
    link = zot.folder / "watched"
    link.hardlink_to(zot.config)
    os.utime(link)
    link.chmod(0o600)
    replaced(zot, ADMINS)
    assert may_read(zot)
    append(link)
    zot.wait_for_reloads(1)
    assert not may_read(zot)
    replaced(zot, {"repositories": {"**": {"anonymousPolicy": ["read"]}}})
    append(zot.config)
    append(link)
    zot.wait_for_reloads(2)
    assert may_read(zot)


def test_renaming_a_name_of_the_inode_ends_the_watch(zot: Registry) -> None:
    """So that the second link must be made under its own name, not moved to it."""
    zot.start()
    link = zot.folder / "watched"
    link.hardlink_to(zot.config)
    append(link)
    zot.wait_for_reloads(1)
    link.rename(zot.folder / "moved")
    replaced(zot, ADMINS)
    append(zot.folder / "moved")
    append(zot.folder / "moved")
    assert may_read(zot)
    assert zot.reloads() == 1


@pytest.mark.parametrize("text", ["", '{"http": {', '{"http": {"port": "x"}}', "[]"])
def test_a_file_that_cannot_be_used(zot: Registry, text: str) -> None:
    """Running, it keeps its policy; starting, it ends with 1."""
    zot.write(ADMINS)
    zot.start()
    zot.config.write_text(text)
    append(zot.config)
    assert zot.ask("GET", "/v2/app/tags/list").status_code == 401
    assert zot.ask("GET", "/v2/app/tags/list", "ann").status_code == 404
    zot.stop()
    done = subprocess.run([*program("serve"), str(zot.config)], capture_output=True, env=environment(), cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it(zot: Registry, number: int) -> None:
    assert zot.start().stop(number) == 0


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"storage": {"rootDirectory": ""}}, 1),
        ({"http": {"auth": {"htpasswd": {"path": "/nowhere"}}}}, 1),
        ({"http": {"auth": {"openid": {"providers": {"oidc": NOBODY}}}}}, 2),
        ({"http": {"tls": {"cert": "/nowhere", "key": "/nowhere"}}}, 0),
    ],
)
def test_how_it_ends_where_it_cannot_start(zot: Registry, change: dict[str, Any], status: int) -> None:
    for section, values in change.items():
        zot.document[section] |= values
    zot.write()
    done = subprocess.run([*program("serve"), str(zot.config)], capture_output=True, env=environment(), cwd=ROOT)
    assert done.returncode == status


def test_a_port_that_is_taken_is_in_its_log_only(zot: Registry) -> None:
    zot.start()
    zot.document["storage"]["rootDirectory"] = str(zot.folder / "other")
    zot.write()
    done = subprocess.run([*program("serve"), str(zot.config)], capture_output=True, env=environment(), cwd=ROOT)
    assert done.returncode == 0
    assert b"failed to start controller, exiting" in done.stdout


def test_a_restart_forgets_no_key_and_no_image(zot: Registry) -> None:
    zot.start()
    made = zot.ask("POST", "/zot/auth/apikey", "bob", json={"label": "ci", "scopes": ["a"]}).json()
    key = ("bob", made["apiKey"])
    assert zot.ask("GET", "/zot/auth/apikey", auth=key).status_code == 200
    zot.push_blob("app", BLOB)
    zot.push("app", "v1", manifest("kept"))
    zot.stop()
    zot.start()
    listed = zot.ask("GET", "/zot/auth/apikey", auth=key).json()["apiKeys"]
    assert [(entry["uuid"], entry["label"], entry["isExpired"]) for entry in listed] == [(made["uuid"], "ci", False)]
    assert listed[0]["lastUsed"] > made["createdAt"]
    assert zot.ask("GET", "/v2/app/manifests/v1", auth=key).headers["Docker-Content-Digest"] == digest(manifest("kept"))
    assert made["apiKey"] not in "".join(
        path.read_text(errors="replace") for path in zot.folder.rglob("*") if path.is_file()
    )


def test_without_apikey_its_routes_are_gone(zot: Registry) -> None:
    zot.start()
    key = ("bob", zot.ask("POST", "/zot/auth/apikey", "bob", json={}).json()["apiKey"])
    zot.stop()
    zot.document["http"]["auth"]["apikey"] = False
    zot.write()
    zot.start()
    assert zot.ask("GET", "/zot/auth/apikey", "bob").status_code == 404
    assert zot.ask("GET", "/v2/", auth=key).status_code == 401


def test_a_read_only_disk(zot: Registry) -> None:
    """As the real one on a file system that became read-only: it cannot note that a key was used, and refuses it."""
    zot.start()
    zot.push_blob("app", BLOB)
    zot.push("app", "v1", manifest("one"))
    zot.stop()
    zot.start("--disk", "read-only")
    assert zot.ask("GET", "/v2/_catalog").json() == {"repositories": ["app"]}
    assert zot.ask("GET", f"/v2/app/blobs/{digest(BLOB)}").status_code == 200
    assert zot.ask("GET", "/v2/app/manifests/v1").status_code == 500
    assert zot.ask("GET", "/v2/app/tags/list", "bob").status_code == 500
    assert zot.ask("POST", "/v2/app/blobs/uploads/", "bob").status_code == 500


def test_a_full_disk(zot: Registry) -> None:
    """A small upload is lost without a word and fails at its end; a manifest that fails takes its old tag along."""
    zot.start()
    zot.push_blob("app", BLOB)
    zot.push("app", "v1", manifest("one"))
    zot.stop()
    zot.start("--disk", "full")
    assert zot.ask("GET", "/v2/app/manifests/v1", "bob").status_code == 200
    place = zot.ask("POST", "/v2/app/blobs/uploads/", "bob").headers["Location"]
    assert zot.ask("PATCH", place, "bob", data=b"small").status_code == 202
    assert zot.ask("PUT", f"{place}?digest={digest(b'small')}", "bob").status_code == 400
    place = zot.ask("POST", "/v2/app/blobs/uploads/", "bob").headers["Location"]
    assert zot.ask("PATCH", place, "bob", data=b"x" * 9000).status_code == 500
    assert zot.push("new", "v1", manifest("two")).status_code == 500
    assert zot.push("app", "v1", manifest("two")).status_code == 500
    assert zot.ask("GET", "/v2/app/manifests/v1", "bob").status_code == 404


def test_a_proxy_that_takes_credentials_away(zot: Registry) -> None:
    zot.start("--strip-authorization")
    assert zot.ask("GET", "/v2/app/tags/list", "bob").status_code == 404
    assert zot.ask("POST", "/v2/app/blobs/uploads/", "bob").status_code == 401
    assert zot.ask("GET", "/v2/", auth=("bob", "wrong")).status_code == 200


def test_no_credential_in_the_log(zot: Registry) -> None:
    zot.start("--log", str(zot.folder / "requests.jsonl"))
    made = zot.ask("POST", "/zot/auth/apikey", "ann", json={"label": "l"}).json()
    zot.ask("GET", "/v2/", auth=("ann", made["apiKey"]), headers={"Cookie": "session=treasure"})
    said = zot.log.read_text() + (zot.folder / "requests.jsonl").read_text() + (zot.folder / "output").read_text()
    entries = [json.loads(line) for line in zot.log.read_text().splitlines()]
    entry = next(entry for entry in entries if entry.get("path") == "/v2/")
    assert (entry["username"], entry["headers"]["Authorization"], entry["statusCode"]) == ("ann", ["******"], 200)
    assert [secret for secret in ("secret", "treasure", made["apiKey"], "YW5uOnNlY3JldA==") if secret in said] == []


def test_its_own_tls(zot: Registry, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    zot.document["http"]["tls"] = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    zot.url = zot.url.replace("http:", "https:")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    zot.start()
    assert requests.get(f"{zot.url}/v2/", timeout=10).status_code == 200


def test_a_fault_from_the_command_line(zot: Registry) -> None:
    zot.start("--fault", "401:path=/v2/,times=1")
    assert [zot.ask("GET", "/v2/").status_code for _ in range(2)] == [401, 200]


def test_the_version_of_one_built_from_source() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.standins.zot", "--version"], capture_output=True, env=environment(), cwd=ROOT
    )
    said = json.loads(done.stdout)
    assert (done.returncode, said["message"], said["commit"]) == (0, "version", "")
