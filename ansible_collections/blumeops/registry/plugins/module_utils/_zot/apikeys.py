# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""API keys as zot lists them: which entry is the key in hand, when it ends, and what to say about it.

No clock and no network here. What cannot be known is said: the list never holds a key (contracts of zot,
"Authentication and API keys"), and 401 is the same answer for a wrong, an ended and a revoked key, and for the right
key with another identity.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, UnexpectedAnswer

Status = Literal["ok", "expiring", "refused", "unreachable"]
IdentifiedBy = Literal["label", "last_used", "unknown"]

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One entry of an owner's list; times are aware. ``ends`` None: never; ``last_used`` None: not used yet."""

    uuid: str
    label: str
    created: datetime | None
    ends: datetime | None
    last_used: datetime | None
    scopes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, raw: Any) -> ApiKey:
        """Read one element of ``apiKeys``.

        Raises:
            UnexpectedAnswer: Another shape than zot's.
        """
        if not isinstance(raw, Mapping) or not isinstance(raw.get("uuid"), str):
            raise UnexpectedAnswer("the registry's list of API keys holds an entry without uuid: is it a zot?")
        return cls(
            uuid=raw["uuid"],
            label=str(raw.get("label") or ""),
            created=parse_time(raw.get("createdAt")),
            ends=parse_time(raw.get("expirationDate")),
            last_used=parse_time(raw.get("lastUsed")),
            scopes=tuple(map(str, raw.get("scopes") or ())),
        )


def parse_time(value: Any) -> datetime | None:
    """A time of zot (RFC 3339, up to nine decimals); None for Go's zero time, which stands for "never".

    Raises:
        UnexpectedAnswer: Not such a time.
    """
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.year == 1:
            return None
        return parsed.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise UnexpectedAnswer("the registry's list of API keys holds a time that is none: is it a zot?") from None


def check_api_key(value: str, option: str) -> str:
    """Return ``value`` where it has a key's shape; the value is never shown.

    Raises:
        InvalidInput: Blanks or line breaks around it (they would be sent, and refused), or another shape.
    """
    if value != value.strip():
        raise InvalidInput(
            f"{option} has a blank or a line break at its beginning or end, with which the registry refuses it: "
            "store the key without it"
        )
    if not re.fullmatch(r"zak_[0-9a-f]{32}", value):
        raise InvalidInput(
            f"{option} is no API key of zot, which is zak_ and 32 hexadecimal digits: copy it again from its source"
        )
    return value


@dataclass(frozen=True, slots=True)
class Identification:
    """Which entry is the key in hand. ``entry`` is None where that is not known; then ``candidates`` holds it."""

    entry: ApiKey | None
    by: IdentifiedBy
    candidates: tuple[ApiKey, ...]
    reason: str = ""


def identify(before: Iterable[ApiKey], after: Iterable[ApiKey], label: str | None = None) -> Identification:
    """Find the key in hand by two lists that were both asked for with it, one after the other.

    Asking for the second list moves ``lastUsed`` of the key in hand, and of those that others use at that moment: it is
    among those that moved, and certain only where one moved. A label narrows them down; a label whose entry did not
    move while another did is not the key in hand.
    """
    earlier = {key.uuid: key.last_used for key in before}
    after = tuple(after)
    moved = tuple(key for key in after if key.last_used is not None and key.last_used != earlier.get(key.uuid))
    if label is None:
        if len(moved) == 1:
            return Identification(moved[0], "last_used", moved)
        if moved:
            return Identification(
                None, "unknown", moved, f"{len(moved)} keys of this owner are in use at the same time: give the label"
            )
        return Identification(None, "unknown", after, "no entry's time of last use moved: give the label")
    labelled = tuple(key for key in after if key.label == label)
    if not labelled:
        return Identification(None, "unknown", moved or after, f"no key of this owner has the label {label!r}")
    named = tuple(key for key in labelled if key in moved) if moved else labelled
    if len(named) == 1:
        return Identification(named[0], "label", named)
    if named:
        return Identification(
            None, "unknown", named, f"{len(named)} keys of this owner have the label {label!r}: give each its own"
        )
    return Identification(
        None, "unknown", moved, f"the key in hand is not the one with the label {label!r}, which was not used just now"
    )


@dataclass(frozen=True, slots=True)
class Assessment:
    """``status`` and whether it is a failure; ``days_left`` whole days, None for never or not known."""

    status: Status
    failing: bool
    days_left: int | None
    message: str


def assess(found: Identification, identity: str, now: datetime, *, warn_days: float, fail_days: float) -> Assessment:
    """Judge a key that authenticates.

    Where the entry is not known, the answer holds for every entry that it may be: ``ok`` when none of them ends within
    ``warn_days``, a failure only when all of them end within ``fail_days``.
    """
    if found.entry is not None:
        left = _left(found.entry, now)
        name = f"the API key {found.entry.label!r} of {identity}" if found.entry.label else f"the API key of {identity}"
        if left is None:
            return Assessment("ok", False, None, f"{name} authenticates and never ends")
        when = f"{found.entry.ends:%Y-%m-%d %H:%M} UTC"
        days = math.floor(left / DAY)
        if left < timedelta(days=warn_days):
            message = f"{name} authenticates and ends in {_span(left)}, at {when}: make its successor"
            return Assessment("expiring", left < timedelta(days=fail_days), days, message)
        return Assessment("ok", False, days, f"{name} authenticates and ends in {_span(left)}, at {when}")
    ends = [left for key in found.candidates if (left := _left(key, now)) is not None]
    soon = any(left < timedelta(days=warn_days) for left in ends)
    all_end = len(ends) == len(found.candidates) > 0 and all(left < timedelta(days=fail_days) for left in ends)
    message = f"the API key of {identity} authenticates, and when it ends is unknown: {found.reason}"
    return Assessment("expiring" if soon else "ok", all_end, None, message)


def refused(identity: str, url: str) -> str:
    """The sentence for 401, which does not tell its four causes apart."""
    return (
        f"the registry at {url} refuses the API key of {identity}: it is wrong, ended, revoked or another identity's, "
        "which zot's answer does not tell apart; make a new key and store it"
    )


def _left(key: ApiKey, now: datetime) -> timedelta | None:
    return None if key.ends is None else key.ends - now


def _span(left: timedelta) -> str:
    """A time left in words: days, under two days hours; a negative one is a difference of clocks."""
    if left < timedelta(0):
        return "less than nothing by the clock here"
    if left < 2 * DAY:
        return f"{math.floor(left / timedelta(hours=1))} hours"
    return f"{math.floor(left / DAY)} days"
