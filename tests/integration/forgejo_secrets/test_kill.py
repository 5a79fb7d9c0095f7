"""Killed with SIGKILL before and after every request; with FORGEJO_URL and FORGEJO_TOKENS on a real Forgejo too.

The module runs as a process of its own, as Ansible runs it. What is asserted is what the server stores.
"""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import plan as plans
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import matches
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.plan import Policy
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import (
    LEDGER_VARIABLE,
    LOCK_VARIABLE,
)
from lab.running import standin
from tests.integration.forgejo_secrets.conftest import secrets_of
from tests.integration.forgejo_secrets.watched import KEY, PLACES, Watched, scope_in
from tests.replay.forgejo import RECORDINGS
from tests.run_module import run_module

CV, ACME = "repos/eblume/cv", "orgs/acme"
HOUR = 3600
Declared = dict[str, dict[str, str | None]]


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("kill"))
    yield watched
    watched.empty()
    watched.stop()


def scopes(declared: Declared) -> list[dict[str, Any]]:
    return [{**PLACES[place], "secrets": secrets_of(values)} for place, values in declared.items()]


def nothing(forge: Watched) -> None:
    forge.empty()


def written_before(forge: Watched) -> None:
    """A run of before, and one secret of somebody else's."""
    forge.empty()
    forge.sync(scopes({CV: {"A": "old-a", "KEPT": "kept", "D": "old-d", "P": "old-p"}}), clock=time.time)
    forge.ask("PUT", f"{CV}/actions/secrets/FOREIGN", data="foreign")


def locked_by_a_dead_run(forge: Watched) -> None:
    """As ``written_before``, and a run that died an hour ago has left its lock and a pending entry."""
    written_before(forge)
    long_ago = time.time() - HOUR
    lock = {"run": "DEAD", "holder": "a run that died", "since": int(long_ago), "end": int(long_ago + 60)}
    forge.ask("POST", f"{CV}/actions/variables/{LOCK_VARIABLE}", value=json.dumps(lock))


SCENARIOS: dict[str, tuple[Callable[[Watched], None], Declared]] = {
    "first": (nothing, {CV: {"A": "new-a", "B": "new-b"}, ACME: {"O": "new-o"}}),
    "rotation": (written_before, {CV: {"A": "new-a", "KEPT": "kept", "B": "new-b", "D": None}}),
    "taking over": (locked_by_a_dead_run, {CV: {"A": "new-a", "KEPT": "kept", "D": "old-d", "P": "old-p"}}),
}
PURGING = {"purge": True, "purge_limit": 2}


def assert_the_ledger_is_true(forge: Watched, declared: Declared) -> None:
    """Every settled entry of a secret that is the same still is of the value that is stored."""
    for place in PLACES:
        values, created = forge.values(place), forge.created(place)
        for name, entry in forge.ledger(place).entries.items():
            if entry.settled and created.get(name) == entry.created_at:
                assert matches(entry, KEY.fingerprint(scope_in(place), name, values[name]))
    for work in forge.sync(scopes(declared), clock=time.time, write=False):
        place = next(place for place in PLACES if scope_in(place) == work.scope)
        assert work.plan is not None
        for item in work.plan.items:
            if item.state == plans.AS_RECORDED:
                assert forge.values(place)[item.name] == declared[place][item.name]
            if item.state == plans.MISSING:
                assert item.name not in forge.values(place)


def assert_a_rerun_converges(forge: Watched, declared: Declared) -> None:
    """After the dead run's lock has ended; a third run then has nothing to do.

    Where it was killed with nothing left to do but to give its lock back, the lock stays until somebody writes.
    """
    policy = Policy(purge=True, purge_limit=2)
    later = time.time() + HOUR
    works = forge.sync(scopes(declared), clock=lambda: later, policy=policy)
    assert [str(work.error) for work in works if work.error] == []
    assert [str(error) for work in works for error in work.errors.values()] == []
    for place, values in declared.items():
        wanted = {name: value for name, value in values.items() if value is not None}
        left = forge.values(place)
        assert left.pop("FOREIGN", "foreign") == "foreign"
        assert left == wanted
        unlocked = any(work.outcomes for work in works if work.scope == scope_in(place))
        assert set(forge.variables(place)) - (set() if unlocked else {LOCK_VARIABLE}) == {LEDGER_VARIABLE}
        assert {name for name, entry in forge.ledger(place).entries.items() if entry.settled} == set(wanted)
    again = forge.sync(scopes(declared), clock=lambda: later, policy=policy)
    assert [item.name for work in again for item in work.steps] == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_every_request(forge: Watched, scenario: str, after: bool) -> None:
    prepare, declared = SCENARIOS[scenario]
    number, finished = 0, False
    while not finished:
        number += 1
        prepare(forge)
        forge.kill_at(number, after=after)
        outcome = run_module(
            "forgejo_actions_secrets", forge.arguments(scopes(declared), **PURGING), group=str(forge.group)
        )
        finished = not outcome.result.get("died")
        assert forge.asked >= number or finished
        forge.kill_no_more()
        assert_the_ledger_is_true(forge, declared)
        if "FOREIGN" in forge.created(CV):
            assert forge.values(CV)["FOREIGN"] == "foreign"
        if scenario != "first":
            assert forge.ledger(CV).entries["KEPT"].settled
        assert_a_rerun_converges(forge, declared)
    assert not outcome.failed, outcome.msg
    assert number > 12  # every request was the last one once, the run before the last killed none


def test_a_held_lock_names_holder_and_age_and_is_left(forge: Watched) -> None:
    written_before(forge)
    begun = int(time.time()) - 90
    lock = json.dumps({"run": "BEEF", "holder": "ci@indri pid 7", "since": begun, "end": begun + 300})
    forge.ask("POST", f"{CV}/actions/variables/{LOCK_VARIABLE}", value=lock)
    declared: Declared = {CV: {"A": "new-a", "KEPT": "kept"}, ACME: {"O": "new-o"}}
    outcome = run_module("forgejo_actions_secrets", forge.arguments(scopes(declared)))
    assert outcome.failed
    assert "repository eblume/cv is being written by ci@indri pid 7 (run BEEF) since 9" in outcome.msg
    assert forge.variables(CV)[LOCK_VARIABLE] == lock
    assert forge.values(CV)["A"] == "old-a"
    assert forge.values(ACME) == {"O": "new-o"}  # the rest was done
    nothing_to_do = forge.arguments(scopes({CV: {"A": "old-a", "KEPT": "kept"}}))
    assert not run_module("forgejo_actions_secrets", nothing_to_do).failed


def test_a_lock_that_is_none_is_left_alone(forge: Watched) -> None:
    written_before(forge)
    forge.ask("POST", f"{CV}/actions/variables/{LOCK_VARIABLE}", value="hands off")
    outcome = run_module("forgejo_actions_secrets", forge.arguments(scopes({CV: {"A": "new-a"}})))
    assert f"(variable {LOCK_VARIABLE}) is not readable: delete it if no run is under way" in outcome.msg
    assert forge.values(CV)["A"] == "old-a"


def test_the_labs_own_switch_kills(tmp_path: pathlib.Path) -> None:
    """``lab/forgejo --kill-at``, from the command line."""
    group, state = tmp_path / "group", tmp_path / "state.json"
    switches = ("--kill-at", "7:after", "--kill-group", str(group), "--state", str(state))
    with standin("forgejo", "--world", str(RECORDINGS / "world.json"), *switches) as part:
        given = {"forgejo_url": part.url, "forgejo_token": "T_ALL", "ledger_key": "k" * 16}
        arguments = {**given, "scopes": scopes({CV: {"A": "new-a"}})}
        assert run_module("forgejo_actions_secrets", arguments, group=str(group)).result["died"]
        stored = json.loads(state.read_text())[CV]
        assert stored["secrets"] == {}  # the seventh request stores the pending entry
        assert '"pending":true' in stored["variables"][LEDGER_VARIABLE]
