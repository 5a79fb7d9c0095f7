"""The whole job at -vvv, with a fault at each server in turn: where does a secret appear?

Searched: all output, the processes' argv and temporary files sampled throughout, and every file that was left below
the lab, HOME, TMPDIR and Ansible's own folders. Secrets belong into 1Password's vault file, Forgejo's store
and zot's own files, and nowhere else.
"""

from __future__ import annotations

import base64
import collections
import json
import os
import pathlib
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator

import pytest

from lab.up import CONNECT_TOKEN, Lab, lab

#: The places meant for secrets, below the lab's folder.
MEANT = ("vaults.json", "forgejo.json", "zot/oidc-credentials.json", "zot-data/")

FAULTS = {
    "none": {},
    "connect refuses": {"connect": ["--fault", "refuse"]},
    "connect answers HTML": {"connect": ["--fault", "html"]},
    "connect says 401": {"connect": ["--fault", "401"]},
    "connect cuts its answers": {"connect": ["--fault", "cut"]},
    "forgejo resets writes": {"forgejo": ["--fault", "reset:method=PUT"]},
    "forgejo says 500": {"forgejo": ["--fault", "500:method=PUT"]},
    "forgejo answers HTML": {"forgejo": ["--fault", "html"]},
    "forgejo says 403": {"forgejo": ["--fault", "403:method=PUT"]},
    "zot says 500": {"zot": ["--fault", "500:path=/zot/auth/apikey"]},
    "zot answers HTML": {"zot": ["--fault", "html:path=/zot/*"]},
    "the issuer is away": {},
}


#: Where the whole job at one fault shows the rest already, what is run at its likes.
ONLY = {
    "forgejo resets writes": "forgejo_actions_secrets",
    "forgejo says 500": "forgejo_actions_secrets",
    "forgejo says 403": "forgejo_actions_secrets",
}


class Watch(threading.Thread):
    """Samples the argv of all processes, and the files that come and go below ``home``, until it is stopped."""

    def __init__(self, home: pathlib.Path) -> None:
        super().__init__(daemon=True)
        self.home = home
        self.seen: set[bytes] = set()
        self.over = threading.Event()
        self._rounds: collections.Counter[str] = collections.Counter()

    def run(self) -> None:
        while not self.over.wait(0.02):
            for path in [*self._processes(), *self._temporary()]:
                try:
                    self.seen.add(path.read_bytes())
                except OSError:  # it has ended
                    continue

    def _processes(self) -> Iterator[pathlib.Path]:
        """Each process for its first half second, in which it becomes another program, and now and then later."""
        for name in filter(str.isdigit, os.listdir("/proc")):
            self._rounds[name] += 1
            if self._rounds[name] < 25 or self._rounds[name] % 25 == 0:
                yield pathlib.Path("/proc", name, "cmdline")

    def _temporary(self) -> Iterator[pathlib.Path]:
        for start in ("tmp", "tmp-remote", "ansible/tmp"):
            for folder, _, names in os.walk(self.home / start):  # says nothing where a folder goes while it walks
                yield from (pathlib.Path(folder, name) for name in names)


def secrets_of(folder: pathlib.Path) -> dict[str, str]:
    """Every concealed value of the vaults, by its name."""
    found = {}
    for vault in json.loads((folder / "vaults.json").read_text())["vaults"]:
        for item in vault["items"]:
            for field in item["fields"]:
                if field.get("type") in {"CONCEALED", "OTP", "SSHKEY"} and len(field.get("value", "")) > 5:
                    found[f"{item['title']}/{field.get('label')}"] = field["value"]
    return found


def forms(value: str) -> Iterator[bytes]:
    """A secret as it is, URL-encoded, JSON-escaped, in base64, and in base64 behind a user's name."""
    yield value.encode()
    yield urllib.parse.quote(value, safe="").encode()
    yield json.dumps(value)[1:-1].encode()
    yield base64.b64encode(value.encode())
    for user in ("zot-ci", "erich", "zot", "eblume"):
        yield base64.b64encode(f"{user}:{value}".encode())


def leaks(text: bytes, secrets: dict[str, str]) -> list[str]:
    return [name for name, value in secrets.items() if any(form in text for form in forms(value))]


def play(running: Lab, home: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    env = {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_LOG_PATH": str(home / "ansible.log"),
        "ANSIBLE_REMOTE_TMP": str(home / "tmp-remote"),
    }
    return running.run("ansible-playbook", "playbooks/indri.yml", "-vvv", *arguments, env=env)


def test_the_search_finds_what_it_looks_for(tmp_path: pathlib.Path) -> None:
    secrets = {"one": "LAB-some secret/1"}
    for form in forms(secrets["one"]):
        assert leaks(b"x" + form + b"y", secrets) == ["one"]
    watch = Watch(tmp_path)
    watch.start()
    subprocess.run(["sh", "-c", "sleep 0.2", "LAB-some secret/1"], check=True)
    watch.over.set()
    watch.join()
    assert any(leaks(sample, secrets) for sample in watch.seen)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_secret_leaks(fault: str, tmp_path: pathlib.Path) -> None:
    folder, home = tmp_path / "lab", tmp_path / "home"
    watch = Watch(home)
    with lab(folder, arguments=FAULTS[fault]) as running:
        secrets = {**secrets_of(folder), "connect token": CONNECT_TOKEN}
        assert len(secrets) > 5
        if fault == "the issuer is away":
            running.parts["oidc"].stop()
        watch.start()
        runs: list[list[str]] = [[]]
        if fault == "none":
            runs = [[], ["--check"], []]
        elif fault == "the issuer is away":
            runs = [["-e", "zot_start_timeout=2"]]  # zot does not start without it
        elif fault in ONLY:
            runs = [["--tags", ONLY[fault]]]
        done = [play(running, home, "--diff", *arguments) for arguments in runs]
        watch.over.set()
        watch.join()
        statuses = [one.returncode for one in done]
        assert all(status == 0 for status in statuses) if fault == "none" else any(statuses), statuses
        for one in done:
            # The lab's own inventory names the lab's Connect token; -vvv shows no inventory.
            assert not leaks((one.stdout + one.stderr).encode(), secrets)
        for sample in watch.seen:
            assert not leaks(sample, secrets), sample.replace(b"\0", b" ")[:200]
        for path in [*folder.rglob("*"), *home.rglob("*")]:
            name = str(path.relative_to(folder)) if path.is_relative_to(folder) else ""
            if path.is_file() and not name.startswith(MEANT):
                assert not leaks(path.read_bytes(), secrets), path
        assert (home / "ansible.log").stat().st_size > 1000
        for name in ("vaults.json", "forgejo.json", "zot/oidc-credentials.json"):
            if (folder / name).exists():
                assert (folder / name).stat().st_mode & 0o077 == 0, name
