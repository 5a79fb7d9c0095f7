"""playbooks/services_check.yml on the lab: a line for each service, and an exit status for a script."""

from __future__ import annotations

import pathlib
import re
import subprocess
from collections.abc import Iterator

import pytest

from lab.running import free_port, standin
from lab.up import Lab, lab

SERVICES = ["registry", "issuer", "key", "forge", "secrets", "connect"]


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with the registry and the secrets provisioned."""
    with lab(tmp_path_factory.mktemp("estate") / "lab") as this:
        done = play(this, "indri.yml")
        assert done.returncode == 0, done.stdout + done.stderr
        yield this


def play(this: Lab, playbook: str, **variables: object) -> subprocess.CompletedProcess[str]:
    extra = [option for name, value in variables.items() for option in ("-e", f'{{"{name}": "{value}"}}')]
    return this.run("ansible-playbook", "-i", "inventory/lab", f"playbooks/{playbook}", "-vv", *extra)


def look(this: Lab, **variables: object) -> tuple[int, dict[str, tuple[str, str]]]:
    """Exit status, and service → (result, message); no secret of the lab is in the output."""
    done = play(this, "services_check.yml", **variables)
    shown = done.stdout + done.stderr
    assert "LAB-" not in shown.replace(str(this.folder), "")
    assert not re.search(r"zak_[0-9a-f]{32}", shown)
    lines = re.findall(r'^ +"(\w+) +(passed|failed|unknown)  (.*?)",?$', done.stdout, re.MULTILINE)
    return done.returncode, {service: (result, message) for service, result, message in lines}


def test_everything_is_as_it_should_be(estate: Lab) -> None:
    status, rows = look(estate)
    assert status == 0, rows
    assert list(rows) == SERVICES
    assert {result for result, _ in rows.values()} == {"passed"}
    assert "all 4 names are there" in rows["secrets"][1]


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_a_registry_that_is_away_fails_alone_with_its_key(estate: Lab) -> None:
    status, rows = look(estate, zot_verify_url=nowhere())
    assert status != 0
    assert {service for service, (result, _) in rows.items() if result == "failed"} == {"registry", "key"}
    assert "refuses connections" in rows["registry"][1]


def test_an_issuer_that_is_away(estate: Lab) -> None:
    status, rows = look(estate, zot_verify_issuer=nowhere() + "/application/o/zot/")
    assert status != 0
    assert {service for service, (result, _) in rows.items() if result == "failed"} == {"issuer"}


def test_without_1password_what_needs_it_is_named(estate: Lab) -> None:
    status, rows = look(estate, onepassword_connect_host=nowhere())
    assert status != 0
    assert {service for service, (result, _) in rows.items() if result == "failed"} == {"key", "forge", "connect"}
    assert "is 1Password Connect running?" in rows["connect"][1]


def test_something_else_where_connect_should_be(estate: Lab) -> None:
    with standin("connect", "--vaults", str(estate.folder / "vaults.json"), "--fault", "html") as other:
        status, rows = look(estate, onepassword_connect_host=other.url)
    assert status != 0
    assert "and not as 1Password Connect does" in rows["connect"][1]


def test_a_forge_that_hangs_does_not_hold_up_the_rest(estate: Lab, tmp_path: pathlib.Path) -> None:
    world = str(pathlib.Path(__file__).parents[3] / "lab" / "worlds" / "forgejo.json")
    with standin("forgejo", "--world", world, "--fault", "delay:seconds=60") as slow:
        status, rows = look(estate, forgejo_actions_secrets_url=slow.url)
    assert status != 0
    assert rows["forge"] == ("failed", rows["forge"][1])
    assert "gave no answer within 2 s" in rows["forge"][1]
    assert {service for service, (result, _) in rows.items() if result == "failed"} == {"forge"}
    assert list(rows) == SERVICES
    assert rows["secrets"] == ("unknown", "not asked")


def test_a_registry_that_cannot_be_asked(estate: Lab) -> None:
    status, rows = look(estate, zot_verify_url="no address")
    assert status != 0
    assert list(rows) == SERVICES
    assert rows["registry"][0] == "failed"
    assert rows["issuer"] == ("unknown", "not asked")


def test_a_secret_that_is_missing(estate: Lab) -> None:
    world = str(pathlib.Path(__file__).parents[3] / "lab" / "worlds" / "forgejo.json")
    with standin("forgejo", "--world", world) as empty:
        status, rows = look(estate, forgejo_actions_secrets_url=empty.url)
    assert status != 0
    assert rows["forge"][0] == "passed"
    assert rows["secrets"][0] == "failed"
    assert "REPOSITORY EBLUME/BLUMEOPS ZOT_CI_API_KEY" in rows["secrets"][1]


def test_a_key_that_ends_soon(estate: Lab) -> None:
    status, rows = look(estate, zot_verify_fail_days=100, zot_verify_warn_days=100)
    assert status != 0
    assert rows["key"][0] == "failed"
    assert "make its successor" in rows["key"][1]
