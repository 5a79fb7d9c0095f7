"""States and what follows from them, as tables; the ledger never claims more than was confirmed, by property."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import plan as plans
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import Entry, Key, Ledger, matches
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.plan import (
    Declaration,
    Plan,
    Policy,
    Seen,
    Wanted,
)
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import Scope

KEY = Key("k" * 16)
REPO, USER = Scope("repository", "eblume/cv"), Scope("user")
NOW, DAY = 1_795_000_000, 86_400
THEN, LATER = "2026-11-22T01:34:47Z", "2026-11-23T00:00:00Z"
EMPTY = Ledger()


def entry(value: str, *, settled: bool = True, created_at: str = THEN, written_at: int = NOW - DAY) -> Entry:
    return Entry(KEY.fingerprint(REPO, "A", value), settled, created_at, written_at)


def one(seen: Seen, policy: Policy | None = None, value: str | None = "v", scope: Scope = REPO) -> plans.Item:
    """The plan for one declared secret A."""
    made = plans.make(Declaration(scope, (Wanted("A", value),)), seen, policy or Policy(), KEY, NOW)
    return made.items[0]


THERE: dict[str, str] = {"A": THEN}
ALWAYS, ON_CREATE = Policy("always"), Policy("on_create")


@pytest.mark.parametrize(
    ("seen", "policy", "state", "do", "reason"),
    [
        (Seen({}, EMPTY), Policy(), "missing", "write", "not there"),
        (Seen({}, Ledger({"A": entry("v")})), Policy(), "missing", "write", "not there"),
        (Seen({}, EMPTY), ON_CREATE, "missing", "write", "not there"),
        (Seen(THERE, Ledger({"A": entry("v")})), Policy(), "as recorded", "none", "the value written last"),
        (Seen(THERE, Ledger({"A": entry("v")})), ALWAYS, "as recorded", "write", "update_value is always"),
        (Seen(THERE, Ledger({"A": entry("v")})), ON_CREATE, "as recorded", "none", "the value written last"),
        (Seen(THERE, Ledger({"A": entry("w")})), Policy(), "differs", "write", "another value than the one"),
        (Seen(THERE, Ledger({"A": entry("w")})), ON_CREATE, "differs", "none", "update_value is on_create"),
        (Seen(THERE, EMPTY), Policy(), "unknown", "write", "not in the ledger"),
        (Seen(THERE, EMPTY), ON_CREATE, "unknown", "none", "update_value is on_create"),
        (Seen(THERE, None, "no ledger_key"), Policy(), "unknown", "write", "no ledger_key"),
        (Seen(THERE, Ledger({"A": entry("v", settled=False)})), Policy(), "unknown", "write", "interrupted"),
        (Seen({"A": LATER}, Ledger({"A": entry("v")})), Policy(), "unknown", "write", "created again elsewhere"),
        (Seen({"A": LATER}, Ledger({"A": entry("w")})), Policy(), "unknown", "write", "created again elsewhere"),
        (Seen(None, None), Policy(), "unknown", "write", "does not list a user's own"),
    ],
)  # fmt: skip
def test_states(seen: Seen, policy: Policy, state: str, do: str, reason: str) -> None:
    item = one(seen, policy)
    assert (item.state, item.do) == (state, do)
    assert reason in item.reason


@pytest.mark.parametrize(
    ("seen", "state", "do"),
    [
        (Seen({}, EMPTY), "missing", "none"),
        (Seen(THERE, EMPTY), "undeclared", "delete"),
        (Seen(THERE, Ledger({"A": entry("v")})), "undeclared", "delete"),
        (Seen(None, None), "unknown", "delete"),
    ],
)
def test_declared_absent(seen: Seen, state: str, do: str) -> None:
    item = one(seen, value=None)
    assert (item.state, item.do) == (state, do)


@pytest.mark.parametrize(
    ("rewrite_after", "written_at", "do", "reason"),
    [
        (7 * DAY, NOW - 7 * DAY + 1, "none", "the value written last"),
        (7 * DAY, NOW - 7 * DAY, "write", "longer ago than rewrite_after"),
        (7 * DAY, NOW + 60, "none", "the value written last"),
        (7 * DAY, NOW + DAY, "write", "written in the future"),
        (None, 0, "none", "the value written last"),
    ],
)
def test_rewrite_after(rewrite_after: int | None, written_at: int, do: str, reason: str) -> None:
    item = one(Seen(THERE, Ledger({"A": entry("v", written_at=written_at)})), Policy(rewrite_after=rewrite_after))
    assert (item.state, item.do) == ("as recorded", do)
    assert reason in item.reason


def _undeclared(name: str, seen: Seen, *, purge: bool) -> plans.Item:
    made = plans.make(Declaration(REPO, ()), seen, Policy(purge=purge), KEY, NOW)
    return next(item for item in made.items if item.name == name)


@pytest.mark.parametrize(
    ("ledger", "do"),
    [
        (Ledger({"A": entry("v")}), "delete"),
        (Ledger({"A": entry("v", settled=False)}), "none"),
        (Ledger({"A": entry("v", created_at=LATER)}), "none"),
        (EMPTY, "none"),
        (None, "none"),
    ],
)
def test_purge_deletes_only_what_was_written_by_us_and_is_the_same_still(ledger: Ledger | None, do: str) -> None:
    item = _undeclared("A", Seen(THERE, ledger), purge=True)
    assert (item.state, item.do) == ("undeclared", do)
    assert _undeclared("A", Seen(THERE, ledger), purge=False).do == "none"


@pytest.mark.parametrize("name", ["BLUMEOPS_REGISTRY_LEDGER", "BLUMEOPS_REGISTRY_LOCK", "BLUMEOPS_REGISTRY_LOCK_AB12"])
def test_purge_never_takes_ledger_or_lock(name: str) -> None:
    assert _undeclared(name, Seen({name: THEN}, Ledger({name: entry("v")})), purge=True).do == "none"


def _purging(recorded: int, doomed: int) -> Plan:
    created = {f"S{number}": THEN for number in range(recorded)}
    ledger = Ledger({name: entry("v") for name in created})
    kept = tuple(Wanted(f"S{number}", "v") for number in range(recorded - doomed))
    return plans.make(Declaration(REPO, kept), Seen(created, ledger), Policy(purge=True), KEY, NOW)


@pytest.mark.parametrize(
    ("recorded", "doomed", "limit", "allowed"),
    [
        (100, 5, None, True),
        (100, 6, None, False),
        (100, 6, 6, True),
        (100, 7, 6, False),
        (4, 1, None, True),
        (4, 2, None, False),
        (3, 1, None, False),
        (3, 1, 1, True),
        (16, 4, None, True),
        (16, 5, None, False),
        (3, 0, 0, True),
        (3, 1, 0, False),
    ],
)
def test_purge_limit(recorded: int, doomed: int, limit: int | None, allowed: bool) -> None:
    made, policy = _purging(recorded, doomed), Policy(purge=True, purge_limit=limit)
    assert len(made.deletions) == doomed
    if allowed:
        plans.check_purge([made], policy)
    else:
        with pytest.raises(InvalidInput, match=f"would delete {doomed} of {recorded} recorded secrets"):
            plans.check_purge([made], policy)


def test_the_purge_limit_counts_over_all_scopes_and_not_what_is_declared_absent() -> None:
    with pytest.raises(InvalidInput, match="would delete 6 of 40"):
        plans.check_purge([_purging(20, 3), _purging(20, 3)], Policy(purge=True))
    absent = tuple(Wanted(f"S{number}", None) for number in range(9))
    ledger = Ledger({f"S{number}": entry("v") for number in range(9)})
    seen = Seen({f"S{number}": THEN for number in range(9)}, ledger)
    plans.check_purge([plans.make(Declaration(REPO, absent), seen, Policy(purge=True), KEY, NOW)], Policy(purge=True))


# -- declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secrets", "says"),
    [
        ([{"name": "A", "value": "v"}, {"name": "a", "value": "w"}], "declares A twice"),
        ([{"name": "A", "value": ""}], "is empty"),
        ([{"name": "A", "value": None}], "is empty"),
        ([{"name": "A"}], "is empty"),
        ([{"name": "A", "value": "op://v/i/f"}], "secret reference"),
        ([{"name": "A-B", "value": "v"}], "cannot be the name"),
        ([{"name": "blumeops_registry_lock", "value": "v"}], "keeps it for itself"),
        (None, "are not a list"),
    ],
)
def test_declarations_that_are_refused(secrets: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        plans.declare(REPO, secrets)


def test_a_declaration() -> None:
    secrets: list[dict[str, Any]] = [
        {"name": "a", "value": "v\n", "source_version": 7},
        {"name": "b", "state": "absent"},
    ]
    assert plans.declare(REPO, secrets).secrets == (Wanted("A", "v\n", "7"), Wanted("B", None, ""))
    assert "v\\n" not in repr(plans.declare(REPO, secrets))


@pytest.mark.parametrize(
    ("scopes", "policy", "has_key", "says"),
    [
        ([REPO, Scope("repository", "EBLUME/cv")], Policy(), True, "is declared twice"),
        ([USER, USER], Policy(), True, "is declared twice"),
        ([USER], ON_CREATE, True, "does not list a user's own"),
        ([REPO], Policy(purge=True), False, "needs ledger_key"),
        ([REPO], Policy(rewrite_after=1), False, "needs ledger_key"),
    ],
)
def test_what_only_shows_over_all_scopes(scopes: list[Scope], policy: Policy, has_key: bool, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        plans.check_declarations([Declaration(scope, ()) for scope in scopes], policy, has_key=has_key)


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600), (None, None)]
)
def test_durations(text: str | None, value: int | None) -> None:
    assert plans.seconds(text, "rewrite_after") == value


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-7d", "7 d", "1.5h", "7days", "7d\n7d"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="rewrite_after must be a duration"):
        plans.seconds(text, "rewrite_after")


# -- the ledger around writes -------------------------------------------------------------------------------------


def _plan_for(values: dict[str, str], seen: Seen) -> Plan:
    wanted = tuple(Wanted(name, value) for name, value in values.items())
    return plans.make(Declaration(REPO, wanted), seen, Policy(), KEY, NOW)


def test_pending_entries_keep_the_others() -> None:
    seen = Seen({"A": THEN, "B": THEN}, Ledger({"A": entry("old")}))
    made = plans.pending(seen.ledger or EMPTY, _plan_for({"A": "old", "B": "new"}, seen), KEY, NOW)
    assert made.entries["A"].settled
    assert not made.entries["B"].settled


@pytest.mark.parametrize(
    ("outcome", "before", "after", "settled"),
    [
        ("created", {}, {"A": THEN}, True),
        ("updated", {"A": THEN}, {"A": THEN}, True),
        ("updated", {}, {"A": THEN}, True),  # a first write that collided and was repeated
        ("created", {"A": THEN}, {"A": LATER}, True),  # deleted elsewhere before our write
        ("updated", {"A": THEN}, {"A": LATER}, False),  # created again elsewhere after our write
        ("created", {}, {}, None),  # deleted elsewhere after our write
        ("unsure", {"A": THEN}, {"A": THEN}, False),
        ("unsure", {}, {}, False),
    ],
)
def test_what_is_settled(outcome: str, before: dict[str, str], after: dict[str, str], settled: bool | None) -> None:
    made = _plan_for({"A": "v"}, Seen(before, EMPTY))
    ledger = plans.settled(EMPTY, made, {"A": outcome}, before, after, KEY, NOW)
    if settled is None:
        assert not (ledger.entries.get("A") and ledger.entries["A"].settled)
    else:
        assert ledger.entries["A"].settled is settled


def test_a_refused_write_leaves_the_entry_as_it_was() -> None:
    before = Ledger({"A": entry("old")})
    made = _plan_for({"A": "new"}, Seen(THERE, before))
    assert plans.settled(before, made, {"A": "refused"}, THERE, THERE, KEY, NOW) == before
    assert plans.settled(before, made, {}, THERE, THERE, KEY, NOW) == before


def test_entries_of_secrets_that_are_gone_are_dropped() -> None:
    before = Ledger({"A": entry("old"), "GONE": entry("old")})
    made = _plan_for({"A": "new"}, Seen(THERE, before))
    assert set(plans.settled(before, made, {"A": "updated"}, THERE, THERE, KEY, NOW).entries) == {"A"}


VALUES = st.sampled_from(["v1", "v2", "v3"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), VALUES, st.sampled_from(["done", "before", "after", "refused", "unsure"])),
        st.tuples(st.just("recreated"), VALUES),
        st.tuples(st.just("deleted")),
    ),
    max_size=8,
)


@given(EVENTS, VALUES)
def test_as_recorded_means_that_our_last_confirmed_write_was_of_this_value(events: list[Any], declared: str) -> None:
    """Whatever a run met or was killed at, and whatever was deleted and created again elsewhere."""
    stored: str | None = None
    created, ledger, clock = "", EMPTY, 0
    for event in events:
        clock += 1
        if event[0] == "deleted":
            stored, created = None, ""
        elif event[0] == "recreated":
            stored, created = event[1], f"time {clock}"
        else:
            _, value, end = event
            seen = Seen({"A": created} if stored is not None else {}, ledger)
            made = _plan_for({"A": value}, seen)
            if not made.writes:
                continue
            confirmed, ledger = ledger, plans.pending(ledger, made, KEY, NOW)
            if end == "before":  # killed before the write
                continue
            outcome = end
            if end not in {"refused"}:
                outcome = "created" if stored is None else "updated"
                created = created if stored is not None else f"time {clock}"
                stored = value
            if end == "after":  # killed after the write
                continue
            after = {"A": created} if stored is not None else {}
            outcome = "unsure" if end == "unsure" else outcome
            ledger = plans.settled(confirmed, made, {"A": outcome}, dict(seen.created or {}), after, KEY, NOW)
    item = one(Seen({"A": created} if stored is not None else {}, ledger), value=declared)
    if item.state == "as recorded":
        assert stored == declared
    if item.state == "differs":
        assert stored != declared
        assert not matches(ledger.entries["A"], KEY.fingerprint(REPO, "A", declared))
    if item.state == "missing":
        assert stored is None
