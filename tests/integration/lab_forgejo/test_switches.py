"""The switches of lab/forgejo: state in a file, colliding writes, latency, and the shared ones."""

from __future__ import annotations

import json
import pathlib
import stat
import subprocess

import pytest

from lab.running import ROOT, standin
from lab.standins.forgejo_store import RIVAL
from tests.integration.lab_forgejo.conftest import asking

PATH = "/repos/owen/own/actions"


def test_a_restart_keeps_what_was_stored(world_file: str, tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state.json"
    with standin("forgejo", "--world", world_file, "--state", str(state)) as part:
        ask = asking(part.url)
        ask("OWEN", "PUT", f"{PATH}/secrets/kept", json={"data": "wert\r\n"})
        ask("OWEN", "POST", f"{PATH}/variables/V", json={"value": "v"})
        before = ask("OWEN", "GET", f"{PATH}/secrets").json()
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    stored = json.loads(state.read_text())["repos/owen/own"]
    assert stored["secrets"]["KEPT"]["value"] == "wert\r\n"
    with standin("forgejo", "--world", world_file, "--state", str(state)) as part:
        ask = asking(part.url)
        assert ask("OWEN", "GET", f"{PATH}/secrets").json() == before
        assert ask("OWEN", "GET", f"{PATH}/variables/V").json()["data"] == "v"
        assert ask("OWEN", "PUT", f"{PATH}/secrets/kept", json={"data": "x"}).status_code == 204


def test_first_writes_that_collide(world_file: str, tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state.json"
    with standin("forgejo", "--world", world_file, "--state", str(state), "--collide", "1") as part:
        ask = asking(part.url)
        first = ask("OWEN", "PUT", f"{PATH}/secrets/NEW", json={"data": "ours"})
        assert (first.status_code, first.json()["message"]) == (500, "")
        assert json.loads(state.read_text())["repos/owen/own"]["secrets"]["NEW"]["value"] == RIVAL
        assert ask("OWEN", "PUT", f"{PATH}/secrets/NEW", json={"data": "ours"}).status_code == 204
        assert json.loads(state.read_text())["repos/owen/own"]["secrets"]["NEW"]["value"] == "ours"
        told = ask("ROOT", "PUT", "/repos/eblume/cv/actions/secrets/NEW", json={"data": "ours"})
        assert told.json()["message"] == "UNIQUE constraint failed: secret.owner_id, secret.repo_id, secret.name"


def test_the_log_holds_no_credential_and_no_value(world_file: str, tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    arguments = ("--world", world_file, "--log", str(log), "--latency", "1", "--fault", "500:first=2,times=1")
    with standin("forgejo", *arguments) as part:
        ask = asking(part.url)
        ask("OWEN", "PUT", f"{PATH}/secrets/S?token=OWEN", json={"data": "the-value"})
        assert ask("OWEN", "GET", f"{PATH}/secrets").status_code == 500
        assert ask("OWEN", "GET", f"{PATH}/secrets").status_code == 200
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["status"] for line in lines] == [201, 500, 200]
    assert lines[0]["ms"] >= 1
    assert "the-value" not in log.read_text()
    assert "OWEN" not in log.read_text()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("forgejo --world lab/worlds/none.json", "'lab/worlds/none.json' does not exist"),
        ("forgejo --world lab/_launch", "lab/_launch is no JSON"),
        ("forgejo --world lab/worlds/users.json", "does not hold accounts, repositories and tokens"),
        ("forgejo --world lab/worlds/forgejo.json --fault delay:first=x", "must be a number, which 'x' is not"),
        ("connect --vaults lab/_launch", "lab/_launch is no JSON"),
        ("connect --vaults lab/worlds/users.json", "does not hold vaults and their items"),
    ],
)
def test_bad_arguments_get_a_sentence(command: str, said: str) -> None:
    name, *arguments = command.split()
    done = subprocess.run([ROOT / "lab" / name, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode in {1, 2}
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
