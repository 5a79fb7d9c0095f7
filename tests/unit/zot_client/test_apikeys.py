from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, UnexpectedAnswer
from ansible_collections.blumeops.registry.plugins.module_utils._zot import apikeys
from ansible_collections.blumeops.registry.plugins.module_utils._zot.apikeys import ApiKey, Identification

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEY = "zak_" + "ab" * 16


def key(uuid: str, label: str = "", *, used: int | None = None, days: float | None = 90) -> ApiKey:
    """``used``: minutes after NOW at which it was last used; ``days``: until it ends, None never."""
    return ApiKey(
        uuid=uuid,
        label=label,
        created=NOW - timedelta(days=1),
        ends=None if days is None else NOW + timedelta(days=days),
        last_used=None if used is None else NOW + used * MINUTE,
    )


def found(entry: ApiKey | None, *candidates: ApiKey) -> Identification:
    return Identification(entry, "label" if entry else "unknown", candidates or ((entry,) if entry else ()), "give it")


@pytest.mark.parametrize(
    ("before", "after", "label", "uuid", "by"),
    [
        pytest.param([key("a", used=0)], [key("a", used=1)], None, "a", "last_used", id="the only one"),
        pytest.param(
            [key("a", used=0), key("b", used=0)],
            [key("a", used=0), key("b", used=1)],
            None,
            "b",
            "last_used",
            id="the one that moved",
        ),
        pytest.param(
            [key("a"), key("b", used=0)], [key("a"), key("b", used=1)], None, "b", "last_used", id="never used"
        ),
        pytest.param(
            [key("a", used=0), key("b", used=0)],
            [key("a", used=1), key("b", used=1)],
            None,
            None,
            "unknown",
            id="two moved",
        ),
        pytest.param(
            [key("a", used=0)], [key("a", used=1), key("b", used=1)], None, None, "unknown", id="new and used"
        ),
        pytest.param([key("a", used=0)], [key("a", used=0)], None, None, "unknown", id="none moved"),
        pytest.param(
            [key("a", "x", used=0), key("b", "y", used=0)],
            [key("a", "x", used=1), key("b", "y", used=1)],
            "y",
            "b",
            "label",
            id="two moved, one has the label",
        ),
        pytest.param(
            [key("a", "x", used=0), key("b", "x")],
            [key("a", "x", used=1), key("b", "x")],
            "x",
            "a",
            "label",
            id="a repeated label, one of them moved",
        ),
        pytest.param(
            [key("a", "x", used=0), key("b", "x", used=0)],
            [key("a", "x", used=1), key("b", "x", used=1)],
            "x",
            None,
            "unknown",
            id="a repeated label, both moved",
        ),
        pytest.param(
            [key("a", "x", used=0), key("b", "y", used=0)],
            [key("a", "x", used=0), key("b", "y", used=1)],
            "x",
            None,
            "unknown",
            id="the label of another key than the one in hand",
        ),
        pytest.param([key("a", "x", used=0)], [key("a", "x", used=1)], "z", None, "unknown", id="no such label"),
        pytest.param(
            [key("a", "x", used=0), key("b", "y")],
            [key("a", "x", used=0), key("b", "y")],
            "x",
            "a",
            "label",
            id="none moved, the label is unique",
        ),
        pytest.param([key("a", used=0)], [key("a", used=1)], "", "a", "label", id="the empty label is a label"),
        pytest.param([], [], None, None, "unknown", id="an empty list"),
    ],
)
def test_which_entry_is_the_key_in_hand(
    before: list[ApiKey], after: list[ApiKey], label: str | None, uuid: str | None, by: str
) -> None:
    answer = apikeys.identify(before, after, label)
    assert (answer.entry.uuid if answer.entry else None, answer.by) == (uuid, by)
    assert bool(answer.reason) is (uuid is None)


def test_what_is_asked_for_where_the_entry_is_not_known() -> None:
    both = [key("a", used=1), key("b", used=1)]
    assert "give the label" in apikeys.identify([key("a"), key("b")], both).reason
    assert "'x', which was not used just now" in (
        apikeys.identify([key("a", "x"), key("b")], [key("a", "x"), key("b", used=1)], "x").reason
    )


@given(
    labels=st.lists(st.sampled_from(["", "x", "y"]), min_size=1, max_size=6),
    others=st.sets(st.integers(0, 5)),
    mine=st.integers(0, 5),
    label=st.sampled_from([None, "", "x", "y", "z"]),
)
def test_a_wrong_entry_is_never_named(labels: list[str], others: set[int], mine: int, label: str | None) -> None:
    """Whatever else is in use at that moment: the answer is the key in hand, or that it is not known."""
    mine %= len(labels)
    before = [key(str(number), text, used=0) for number, text in enumerate(labels)]
    after = [
        key(str(number), text, used=1 if number == mine or number in others else 0)
        for number, text in enumerate(labels)
    ]
    answer = apikeys.identify(before, after, label)
    if label is None or labels[mine] == label:
        assert answer.entry is None or answer.entry.uuid == str(mine)
        assert any(candidate.uuid == str(mine) for candidate in answer.candidates)
    elif answer.entry is not None:  # the label is another key's that is in use too: named as the caller said
        assert int(answer.entry.uuid) in others


@pytest.mark.parametrize(
    ("days", "status", "failing", "left"),
    [
        (None, "ok", False, None),
        (90, "ok", False, 90),
        (21, "ok", False, 21),
        (20.99, "expiring", False, 20),
        (7, "expiring", False, 7),
        (6.99, "expiring", True, 6),
        (1.5, "expiring", True, 1),
        (0.01, "expiring", True, 0),
        (-0.5, "expiring", True, -1),
    ],
)
def test_days_left(days: float | None, status: str, failing: bool, left: int | None) -> None:
    answer = apikeys.assess(found(key("a", "ci", days=days)), "zot-ci", NOW, warn_days=21, fail_days=7)
    assert (answer.status, answer.failing, answer.days_left) == (status, failing, left)
    assert "expired" not in answer.message
    assert "zot-ci" in answer.message


@pytest.mark.parametrize(
    ("candidates", "status", "failing"),
    [
        pytest.param([90, None], "ok", False, id="none ends soon"),
        pytest.param([90, 10], "expiring", False, id="one may end soon"),
        pytest.param([90, 3], "expiring", False, id="one would fail, the other not: not known"),
        pytest.param([2, 3], "expiring", True, id="whichever it is, it ends soon"),
        pytest.param([None, 3], "expiring", False, id="one never ends"),
        pytest.param([], "ok", False, id="nothing to say"),
    ],
)
def test_an_unknown_entry_is_judged_by_all_that_it_may_be(
    candidates: list[float | None], status: str, failing: bool
) -> None:
    keys = [key(str(number), days=days) for number, days in enumerate(candidates)]
    answer = apikeys.assess(
        Identification(None, "unknown", tuple(keys), "give the label"), "zot-ci", NOW, warn_days=21, fail_days=7
    )
    assert (answer.status, answer.failing, answer.days_left) == (status, failing, None)
    assert "when it ends is unknown: give the label" in answer.message


def test_a_refusal_names_all_four_causes_and_none_of_them_as_the_one() -> None:
    text = apikeys.refused("zot-ci", "https://registry.ops.eblu.me")
    assert all(cause in text for cause in ("wrong", "ended", "revoked", "another identity's"))
    assert "does not tell apart" in text
    assert "expired" not in text


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("0001-01-01T00:00:00Z", None),
        ("2026-11-22T03:11:52.677529029Z", datetime(2026, 11, 22, 3, 11, 52, 677529, tzinfo=UTC)),
        ("2026-11-22T04:11:52+01:00", datetime(2026, 11, 22, 3, 11, 52, tzinfo=UTC)),
        ("2100-01-02T03:04:05Z", datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_times_of_zot(text: str, parsed: datetime | None) -> None:
    assert apikeys.parse_time(text) == parsed


@pytest.mark.parametrize("value", ["", "yesterday", "2100-13-01T00:00:00Z", None, 7])
def test_a_time_that_is_none(value: Any) -> None:
    with pytest.raises(UnexpectedAnswer, match="is it a zot"):
        apikeys.parse_time(value)


@pytest.mark.parametrize("raw", [None, [], {}, {"uuid": 1}, "x"])
def test_an_entry_of_another_shape(raw: Any) -> None:
    with pytest.raises(UnexpectedAnswer, match="without uuid"):
        ApiKey.parse(raw)


def test_an_entry_as_zot_lists_it() -> None:
    entry = ApiKey.parse(
        {
            "createdAt": "2026-11-22T03:11:52.677529029Z",
            "expirationDate": "0001-01-01T00:00:00Z",
            "isExpired": False,
            "creatorUa": "curl",
            "generatedBy": "manual",
            "lastUsed": "0001-01-01T00:00:00Z",
            "label": "main",
            "scopes": None,
            "uuid": "c94ea73d-7af2-4402-afd5-afafc9274c71",
        }
    )
    assert (entry.label, entry.ends, entry.last_used, entry.scopes) == ("main", None, None, ())


def test_a_key_of_the_right_shape() -> None:
    assert apikeys.check_api_key(KEY, "api_key") == KEY


@pytest.mark.parametrize("value", [KEY + "\n", " " + KEY, KEY[:-1], KEY + "0", KEY.upper(), "nope", "", "zak_"])
def test_a_key_of_another_shape_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        apikeys.check_api_key(value, "api_key")
    assert str(raised.value).startswith("api_key ")
    assert KEY[:20] not in str(raised.value)
    if value != value.strip():
        assert "line break" in str(raised.value)
