"""Every state on a running stand-in, and what a run does about it; docs/ledger.md."""

from __future__ import annotations

import json
import pathlib
import stat
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LEDGER_VARIABLE
from tests.integration.forgejo_secret.conftest import PEM
from tests.integration.forgejo_secrets.conftest import Forge, cv, states

WRITES = {"PUT", "POST", "DELETE"}


def test_a_second_run_writes_nothing_and_asks_three_times(forge: Forge) -> None:
    scopes = [cv(A="value-of-a", B=PEM), {"repository": "eblume/blumeops", "secrets": []}]
    first = forge.run(*scopes)
    assert first.changed
    assert first.result["written"] == 2
    assert states(first) == {"A": "missing", "B": "missing"}
    assert forge.stored() == {"A": "value-of-a", "B": PEM}
    forge.requests()
    second = forge.run(*scopes)
    assert not second.changed
    assert states(second) == {"A": "as recorded", "B": "as recorded"}
    assert second.result["diff"] == {"after": "", "before": ""}
    asked = forge.requests()
    assert not [method for method, _ in asked if method in WRITES]
    assert len([path for _, path in asked if path.startswith("/repos/eblume/cv")]) == 3


def test_no_lock_is_left_and_every_entry_is_settled(forge: Forge) -> None:
    forge.run(cv(A="value-of-a"))
    assert set(forge.variables()) == {LEDGER_VARIABLE}
    assert all(entry.settled and entry.created_at for entry in forge.ledger().entries.values())


@pytest.mark.parametrize(
    ("change", "state", "written"),
    [
        ("declared", "differs", True),
        ("deleted", "missing", True),
        ("recreated", "unknown", True),
        ("overwritten", "as recorded", False),  # cannot be seen, and nothing claims that it can
        ("ledger edited", "unknown", True),
        ("ledger deleted", "unknown", True),
        ("another key", "unknown", True),
        ("no key", "unknown", True),
    ],
)
def test_states_of_a_written_secret(forge: Forge, change: str, state: str, written: bool) -> None:
    forge.run(cv(A="value-of-a", KEPT="value-kept"))
    declared, before = "value-of-a", forge.ledger()
    arguments: dict[str, Any] = {}
    if change == "declared":
        declared = "value-of-a2"
    elif change == "deleted":
        forge.drop("A")
    elif change == "recreated":
        forge.drop("A")
        forge.put("A", "value-of-a")
    elif change == "overwritten":
        forge.put("A", "somebody else's")
    elif change == "ledger edited":
        path = f"/repos/eblume/cv/actions/variables/{LEDGER_VARIABLE}"
        text = forge.variables()[LEDGER_VARIABLE].replace('"written_at":', '"written_at":1')
        forge.ask("tok-eblume-0123456789", "PUT", path, json={"value": text})
    elif change == "ledger deleted":
        forge.ask("tok-eblume-0123456789", "DELETE", f"/repos/eblume/cv/actions/variables/{LEDGER_VARIABLE}")
    elif change == "another key":
        arguments = {"ledger_key": "another-key-than-before"}
    elif change == "no key":
        arguments = {"ledger_key": None}
    predicted = forge.run(cv(A=declared, KEPT="value-kept"), check=True, **arguments)
    outcome = forge.run(cv(A=declared, KEPT="value-kept"), **arguments)
    assert not outcome.failed, outcome.msg
    assert states(outcome)["A"] == state
    assert outcome.changed is written
    for key in ("changed", "written", "diff", "states"):
        assert predicted.result[key] == outcome.result[key]
    assert forge.stored()["A"] == (declared if written else "somebody else's")
    if change == "no key":
        assert forge.ledger() == before
        assert outcome.result["secrets"][0]["after"] == "unknown"
    else:
        assert not forge.run(cv(A=declared, KEPT="value-kept"), **arguments).changed
    warned = " ".join(str(warning) for warning in outcome.result.get("warnings", ()))
    assert ("cannot be used" in warned) is (change in {"ledger edited", "another key"})


def test_what_was_there_before_is_unknown_and_what_is_not_declared_is_undeclared(forge: Forge) -> None:
    forge.put("OLD", "x")
    forge.put("OTHER", "y")
    outcome = forge.run(cv(OLD="value-of-old"))
    assert states(outcome) == {"OLD": "unknown", "OTHER": "undeclared"}
    assert forge.stored() == {"OLD": "value-of-old", "OTHER": "y"}


def test_a_users_own_are_unknown_and_written_each_time(forge: Forge) -> None:
    own = {"user": True, "secrets": [{"name": "MINE", "value": "value-of-mine"}]}
    for _ in range(2):
        outcome = forge.run(own)
        assert (outcome.changed, states(outcome)) == (True, {"MINE": "unknown"})
        assert outcome.result["secrets"][0]["after"] == "unknown"
    assert forge.stored("users/eblume") == {"MINE": "value-of-mine"}
    assert forge.variables("users/eblume") == {}


def test_always_and_on_create(forge: Forge) -> None:
    forge.run(cv(A="value-of-a"))
    assert forge.run(cv(A="value-of-a"), update_value="always").result["written"] == 1
    left = forge.run(cv(A="value-of-b", NEW="value-new"), update_value="on_create")
    assert (left.result["written"], states(left)["A"]) == (1, "differs")
    assert forge.stored() == {"A": "value-of-a", "NEW": "value-new"}


def test_rewrite_after_bounds_how_long_an_overwrite_can_stand(forge: Forge) -> None:
    forge.run(cv(A="value-of-a"))
    forge.put("A", "somebody else's")
    assert not forge.run(cv(A="value-of-a"), rewrite_after="1h").changed
    while True:
        due = forge.run(cv(A="value-of-a"), rewrite_after="1s")
        if due.changed:
            break
    assert due.result["secrets"][0]["state"] == "as recorded"
    assert "longer ago than rewrite_after" in due.result["secrets"][0]["reason"]
    assert "A: as recorded (written)" in due.result["diff"]["after"]
    assert forge.stored() == {"A": "value-of-a"}


def _six(count: int) -> dict[str, str | None]:
    return {f"S{number}": f"value-{number}-of-six" for number in range(count)}


def test_purge_deletes_what_we_wrote_and_nothing_else(forge: Forge) -> None:
    forge.put("FOREIGN", "x")
    forge.run(cv(**_six(8)))
    forge.drop("S7")
    forge.put("S7", "created again by somebody")
    assert forge.run(cv(**_six(6))).result["deleted"] == 0
    predicted = forge.run(cv(**_six(6)), purge=True, check=True)
    purged = forge.run(cv(**_six(6)), purge=True)
    assert predicted.result["diff"] == purged.result["diff"]
    assert purged.result["deleted"] == 1
    assert set(forge.stored()) == {*_six(6), "FOREIGN", "S7"}
    assert set(forge.ledger().entries) >= set(_six(6))
    assert "S6" not in forge.ledger().entries
    assert not forge.run(cv(**_six(6)), purge=True).changed


def test_purge_has_a_limit_that_is_checked_before_anything_is_written(forge: Forge) -> None:
    forge.run(cv(**_six(8)))
    before = forge.content()
    refused = forge.run(cv(**{**_six(4), "NEW": "value-new"}), purge=True)
    assert refused.failed
    assert "would delete 4 of 8 recorded secrets and may delete 2" in refused.msg
    assert forge.content() == before
    assert forge.run(cv(**_six(4)), purge=True, purge_limit=4).result["deleted"] == 4


@pytest.mark.parametrize(
    ("scopes", "arguments", "says"),
    [
        ([cv(A="v1"), cv(B="v2")], {}, "is declared twice"),
        ([cv(A="v1", a="v2")], {}, "declares A twice"),
        ([cv(A="v1"), {"repository": "eblume/blumeops", "secrets": [{"name": "B", "value": ""}]}], {}, "is empty"),
        ([cv(A="v1", B="op://blumeops/item/field")], {}, "is a secret reference"),
        ([cv(A="v1", B="a\udcff")], {}, "not valid UTF-8"),
        ([{"repository": "eblume/cv", "secrets": None}], {}, "argument 'secrets' is of type NoneType"),
        ([{"secrets": []}], {}, "exactly one of repository, organization and user"),
        ([cv(A="v1")], {"ledger_key": "tiny"}, "shorter than 16"),
        ([cv(A="v1")], {"ledger_key": None, "purge": True}, "needs ledger_key"),
        ([cv(A="v1")], {"ledger_key": None, "ledger_dir": "/tmp"}, "ledger_dir is set without ledger_key"),
        ([cv(A="v1")], {"rewrite_after": "often"}, "rewrite_after must be a duration"),
        ([cv(A="v1")], {"concurrency": 0}, "concurrency must be between 1 and 64"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    forge: Forge, scopes: list[dict[str, Any]], arguments: dict[str, Any], says: str
) -> None:
    outcome = forge.run(*scopes, **arguments)
    assert outcome.failed
    assert says in outcome.msg
    assert "\n" not in outcome.msg
    assert forge.requests() == []


def test_ledgers_in_files(forge: Forge, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "ledgers"
    scopes = [cv(A="value-of-a"), {"organization": "acme", "secrets": [{"name": "O", "value": "value-of-o"}]}]
    assert forge.run(*scopes, ledger_dir=str(folder)).result["written"] == 2
    assert forge.variables() == {}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = sorted(folder.iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert "value-of" not in "".join(file.read_text() for file in files)
    again = forge.run(*scopes, ledger_dir=str(folder))
    assert (again.changed, set(states(again).values())) == (False, {"as recorded"})
    files[0].write_text("{")
    assert set(states(forge.run(*scopes, ledger_dir=str(folder))).values()) == {"as recorded", "unknown"}
    assert "cannot be made" in forge.run(*scopes, ledger_dir=f"{files[0]}/below").msg


def test_archived_and_actions_off_are_warnings(forge: Forge) -> None:
    scopes = [
        {"repository": f"eblume/{name}", "secrets": [{"name": "A", "value": "value-of-a"}]}
        for name in ("archived", "noactions")
    ]
    outcome = forge.run(*scopes)
    warned = " ".join(str(warning) for warning in outcome.result["warnings"])
    assert "repository eblume/archived is archived" in warned
    assert "repository eblume/noactions has Actions turned off" in warned
    assert warned.count("no job will see it") == 2


def test_what_the_source_was_is_kept(forge: Forge) -> None:
    secret = {"name": "A", "value": "value-of-a", "source_version": "7"}
    forge.run({"repository": "eblume/cv", "secrets": [secret]})
    row = forge.info({"repository": "eblume/cv"}).result["secrets"][0]
    assert (row["name"], row["state"], row["source_version"]) == ("A", "undeclared", "7")
    assert row["written_at"] >= "2026"
    assert row["interrupted"] is False


def test_info_compares_and_writes_nothing(forge: Forge) -> None:
    forge.run(cv(A="value-of-a", B="value-of-b"))
    forge.put("X", "x")
    forge.requests()
    found = forge.info(cv(A="value-of-a", B="value-of-b2", C="value-of-c"))
    assert states(found) == {"A": "as recorded", "B": "differs", "C": "missing", "X": "undeclared"}
    assert found.result["states"] == {"as recorded": 1, "differs": 1, "unknown": 0, "missing": 1, "undeclared": 1}
    assert {method for method, _ in forge.requests()} == {"GET"}
    assert set(states(forge.info({"repository": "eblume/cv"}, ledger_key=None)).values()) == {"undeclared"}


def test_hundreds_of_values_leave_the_result_clean(forge: Forge) -> None:
    values: dict[str, str | None] = {f"S{number}": f"value-number-{number}-of-many" for number in range(200)}
    scopes = [
        {**cv(**values), "repository": f"eblume/{name}"} for name in ("cv", "blumeops", "new")
    ]  # above the number from which the values leave Ansible's own search
    outcome = forge.run(*scopes)
    assert outcome.result["written"] == 600
    assert "of-many" not in outcome.output
    if "invocation" in outcome.result:  # ansible-core 2.21 returns it only where it is asked for
        given = outcome.result["invocation"]["module_args"]["scopes"][0]["secrets"][0]
        assert given["value"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    assert len(forge.stored()) == 200
    assert json.loads(forge.variables()[LEDGER_VARIABLE])["format"] == 1
