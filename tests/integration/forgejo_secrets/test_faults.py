"""What each fault of a forge or a ledger gets: one sentence, nothing lost, no secret shown, the rest done.

docs/faults.md lists these; a test compares the two.
"""

from __future__ import annotations

import json
import pathlib
import re
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import LARGEST, Key, matches
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LEDGER_VARIABLE, Scope
from lab.running import ROOT
from tests.integration.forgejo_secret.conftest import TOKEN
from tests.integration.forgejo_secrets.conftest import LEDGER_KEY, Forge, states

NAMES = ("cv", "blumeops", "new")
KEPT = "/repos/eblume/cv/actions"


def declared(version: int = 1) -> list[dict[str, Any]]:
    """Three repositories with three secrets each."""
    return [
        {
            "repository": f"eblume/{name}",
            "secrets": [{"name": f"S{number}", "value": f"value-{name}-{number}-{version}"} for number in range(3)],
        }
        for name in NAMES
    ]


def stored(forge: Forge, name: str) -> dict[str, str]:
    return forge.stored(f"repos/eblume/{name}")


def wanted(name: str, version: int = 1) -> dict[str, str]:
    return {f"S{number}": f"value-{name}-{number}-{version}" for number in range(3)}


def assert_the_ledgers_are_true(forge: Forge) -> None:
    """Every settled entry is of the value that is stored."""
    for name in NAMES:
        scope = Scope("repository", f"eblume/{name}")
        if LEDGER_VARIABLE not in forge.variables(f"repos/eblume/{name}"):
            continue
        for secret, entry in forge.ledger(scope, f"repos/eblume/{name}").entries.items():
            if entry.settled:
                value = stored(forge, name)[secret]
                assert matches(entry, Key(LEDGER_KEY).fingerprint(scope, secret, value))


@dataclass(frozen=True)
class Fault:
    """A disturbance during a second run, with changed values, of three repositories that hold nine secrets.

    ``written`` is how many of the nine are written all the same (None: it depends on what it met first).
    """

    switch: str
    says: str
    written: int | None
    timeout: float = 5.0


CV = "path=/api/v1/repos/eblume/cv"
ONE = f"method=PUT,{CV}/actions/secrets/S1"
LEDGER = f"method=PUT,{CV}/actions/variables/*"
BROKEN = "broke the connection before its answer was complete"
NO_LEDGER = "writing the variable BLUMEOPS_REGISTRY_LEDGER of repository eblume/cv failed"
FAULTS = {
    "500 for one secret": Fault(
        f"500:{ONE}", "writing the secret S1 of repository eblume/cv failed: Forgejo answered 500", 8
    ),
    "500 for one secret, carried out": Fault(f"500:{ONE},after", "Forgejo answered 500", 8),
    "500 in the middle of everything": Fault("500:method=PUT,path=*/secrets/*,first=3", "Forgejo answered 500", None),
    "500 for one repository": Fault(f"500:{CV}/actions/*", "of repository eblume/cv failed: Forgejo answered 500", 6),
    "503 for one secret": Fault(f"503:{ONE}", "Forgejo answered 503", 8),
    "connection reset": Fault(f"reset:{ONE}", BROKEN, 8),
    "connection reset, carried out": Fault(f"reset:{ONE},after", BROKEN, 8),
    "slow answer": Fault(f"delay:{ONE},seconds=8", "gave no answer within 2 s", 8, timeout=2.0),
    "429 with a long Retry-After": Fault(f"429:{ONE},retry_after=60", "asked too often: wait, or lower concurrency", 8),
    "HTML instead of an answer": Fault(f"html:{ONE}", "with HTML instead of JSON", 8),
    "HTML everywhere": Fault("html", "with HTML instead of JSON", 0),
    "list that is cut": Fault(f"cut:method=GET,{CV}/actions/secrets", "JSON that is cut or broken", 6),
    "token refused": Fault("401", "Forgejo does not accept forgejo_token", 0),
    "ledger cannot be stored": Fault(f"500:{LEDGER}", NO_LEDGER, 6),
    "ledger cannot be settled": Fault(f"500:{LEDGER},first=2", NO_LEDGER, 9),
    "lock cannot be taken": Fault(
        f"403:method=POST,{CV}/actions/variables/*",
        "creating the variable BLUMEOPS_REGISTRY_LOCK of repository eblume/cv failed",
        6,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(forge: Forge, name: str) -> None:
    fault = FAULTS[name]
    assert not forge.run(*declared(1)).failed
    forge.disturb(fault.switch)
    outcome = forge.run(*declared(2), timeout=fault.timeout)
    assert outcome.failed
    assert fault.says in outcome.msg
    assert "\n" not in outcome.msg
    assert outcome.result["errors"]
    if fault.written is not None:
        assert outcome.result["written"] == fault.written
        assert outcome.msg.startswith(f"{fault.written} of " if fault.written else "nothing written")
    assert_the_ledgers_are_true(forge)
    for repository in NAMES:
        assert set(stored(forge, repository)) == {"S0", "S1", "S2"}  # nothing lost
    done = {(row["scope"], row["name"]) for row in outcome.result["secrets"] if row["done"]}
    for repository in NAMES:
        for secret, value in wanted(repository, 2).items():
            if (f"repository eblume/{repository}", secret) in done:
                assert stored(forge, repository)[secret] == value
    forge.disturb()
    waited = forge.run(*declared(2))
    locked = waited.failed and "is being written by" in waited.msg  # where not even the lock could be given back
    assert locked or not waited.failed
    if not locked:
        assert {repository: stored(forge, repository) for repository in NAMES} == {
            repository: wanted(repository, 2) for repository in NAMES
        }
        assert set(states(forge.run(*declared(2))).values()) == {"as recorded"}


@pytest.mark.parametrize(
    "fault", ["429:first=4,times=2,retry_after=1", "503:first=12,times=1", "reset:method=PUT,first=2,times=1"]
)
def test_passing_faults_are_passed_over(forge: Forge, fault: str) -> None:
    forge.disturb(fault)
    outcome = forge.run(*declared(), retries=3)
    assert not outcome.failed, outcome.msg
    assert_the_ledgers_are_true(forge)
    assert {repository: stored(forge, repository) for repository in NAMES} == {
        repository: wanted(repository) for repository in NAMES
    }


def test_first_writes_that_collide_everywhere(forge: Forge) -> None:
    forge.store.collide = 1
    assert forge.run(*declared()).result["written"] == 9
    assert stored(forge, "cv") == wanted("cv")
    assert set(states(forge.run(*declared())).values()) == {"as recorded"}


def _org(name: str) -> dict[str, Any]:
    return {"organization": name, "secrets": [{"name": "O", "value": f"value-of-{name}"}]}


def test_a_token_without_rights_in_one_organization_of_three(forge: Forge) -> None:
    """``tok-owen`` owns two of them and is a stranger to the third."""
    outcome = forge.run(_org("acme"), _org("owens"), _org("owens2"), forgejo_token="tok-owen-0123456789")
    assert outcome.failed
    assert outcome.msg.startswith("2 of 2 secrets written")
    assert "1 of 3 scopes not read or not finished" in outcome.msg
    assert "not in the organisation's Owners team" in outcome.msg
    assert forge.stored("orgs/owens") == {"O": "value-of-owens"}
    assert forge.stored("orgs/owens2") == {"O": "value-of-owens2"}
    assert forge.stored("orgs/acme") == {}


def test_a_token_that_lacks_a_scope(forge: Forge) -> None:
    outcome = forge.run(_org("acme"), declared()[0], forgejo_token="tok-repo-0123456789")
    assert "the token lacks the scope read:organization: make one that has it" in outcome.msg
    assert stored(forge, "cv") == wanted("cv")


def test_a_repository_that_was_renamed(forge: Forge) -> None:
    renamed = {"repository": "eblume/old", "secrets": [{"name": "A", "value": "value-of-a"}]}
    outcome = forge.run(renamed, declared()[0])
    assert "repository eblume/old has been renamed to eblume/new: use that name" in outcome.msg
    assert forge.stored("repos/eblume/new") == {}
    assert stored(forge, "cv") == wanted("cv")


def test_a_forge_that_is_away(forge: Forge) -> None:
    outcome = forge.run(*declared(), forgejo_url="http://127.0.0.1:9")
    assert outcome.msg.count("refuses connections") == 1
    assert outcome.result["written"] == 0
    assert {row["state"] for row in outcome.result["secrets"]} == {"unknown"}


def _set_ledger(forge: Forge, text: str) -> None:
    path = f"{KEPT}/variables/{LEDGER_VARIABLE}"
    assert forge.ask(TOKEN, "PUT", path, json={"value": text}).status_code == 204


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("edited", "it was edited, or made with another ledger_key; what it covers counts as unknown"),
        ("cut", "it was edited or cut; what it covers counts as unknown"),
        ("too large", "it is larger than any that this collection writes; what it covers counts as unknown"),
    ],
)
def test_a_ledger_that_cannot_be_read(forge: Forge, change: str, says: str) -> None:
    forge.run(*declared())
    forge.put("FOREIGN", "x")
    text = forge.variables()[LEDGER_VARIABLE]
    changed = {
        "edited": text.replace("S1", "FOREIGN"),
        "cut": text[: len(text) // 2],
        "too large": text + " " * LARGEST,
    }[change]
    _set_ledger(forge, changed)
    outcome = forge.run(*declared(), purge=True)
    assert not outcome.failed, outcome.msg
    assert any(says in str(warning) for warning in outcome.result["warnings"])
    assert outcome.result["states"] == {"as recorded": 6, "differs": 0, "unknown": 3, "missing": 0, "undeclared": 1}
    assert (outcome.result["written"], outcome.result["deleted"]) == (3, 0)
    assert stored(forge, "cv") == {**wanted("cv"), "FOREIGN": "x"}
    assert set(states(forge.run(*declared())).values()) == {"as recorded", "undeclared"}


def test_a_ledger_of_a_later_version(forge: Forge) -> None:
    forge.run(*declared(1))
    later = json.dumps({**json.loads(forge.variables()[LEDGER_VARIABLE]), "format": 2})
    _set_ledger(forge, later)
    outcome = forge.run(*declared(2))
    assert "the ledger of repository eblume/cv has format 2, this version of the collection knows 1" in outcome.msg
    assert forge.variables()[LEDGER_VARIABLE] == later
    assert stored(forge, "cv") == wanted("cv", 1)
    assert stored(forge, "blumeops") == wanted("blumeops", 2)


def test_a_set_whose_ledger_would_be_too_large(forge: Forge, tmp_path: pathlib.Path) -> None:
    many = {"repository": "eblume/cv", "secrets": [{"name": f"S{n}", "value": "v"} for n in range(500)]}
    outcome = forge.run(many, declared()[1])
    assert re.search(r"the ledger of repository eblume/cv would be \d+ bytes", outcome.msg)
    assert "ledger_dir" in outcome.msg
    assert forge.stored() == {}
    assert stored(forge, "blumeops") == wanted("blumeops")
    assert forge.run(many, ledger_dir=str(tmp_path)).result["written"] == 500


def test_the_table_of_the_docs_names_every_fault() -> None:
    """Each row of docs/faults.md starts with the name of a fault here, and each fault has its row."""
    rows = re.findall(r"^\| ([^|]+?) \|", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)
    assert set(FAULTS) <= set(rows)
    tests = set(re.findall(r"`(test_[a-z0-9_]+)`", (ROOT / "docs" / "faults.md").read_text()))
    assert tests <= set(globals())
    here = {name for name in globals() if name.startswith("test_")}
    assert here - tests == {"test_the_table_of_the_docs_names_every_fault"}
