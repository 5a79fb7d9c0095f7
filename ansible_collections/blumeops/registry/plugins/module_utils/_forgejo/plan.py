# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What is true of each secret, and what follows. Pure: no network, no clock; values in, values out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import ledger as ledgers
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import Entry, Key, Ledger
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import (
    Scope,
    check_name,
    check_value,
    is_own,
)

#: Our last confirmed write equals the declaration. An overwrite elsewhere cannot be seen.
AS_RECORDED = "as recorded"
#: What is declared differs from what we wrote last.
DIFFERS = "differs"
#: It is there, but nothing that we can read says what it is.
UNKNOWN = "unknown"
MISSING = "missing"
UNDECLARED = "undeclared"
STATES = (AS_RECORDED, DIFFERS, UNKNOWN, MISSING, UNDECLARED)

WRITE, DELETE, NOTHING = "write", "delete", "none"
AS_NEEDED, ALWAYS, ON_CREATE = "as_needed", "always", "on_create"

#: Purging more than this at once looks like a mistake in the list.
MOST_PURGED = 5
#: Seconds that a clock elsewhere may be ahead of ours.
CLOCK_SKEW = 300
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A declared secret; ``name`` in upper case, ``value`` None where it shall be absent."""

    name: str
    value: str | None = field(repr=False)
    source_version: str = ""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one scope shall hold."""

    scope: Scope
    secrets: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one scope holds: names with times of creation (None: Forgejo does not list them), and our ledger of it.

    ``ledger`` is None where there is none to be had; ``no_ledger`` says why.
    """

    created: Mapping[str, str] | None
    ledger: Ledger | None
    no_ledger: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to write and to delete; ``rewrite_after`` in seconds."""

    update_value: str = AS_NEEDED
    rewrite_after: int | None = None
    purge: bool = False
    purge_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One secret: its state, what is to be done, and why; ``value`` is what a write writes."""

    name: str
    state: str
    do: str
    reason: str
    value: str = field(default="", repr=False)
    source_version: str = ""
    declared: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done in one scope. ``recorded`` is how many of its secrets the ledger knows."""

    scope: Scope
    items: tuple[Item, ...]
    recorded: int = 0

    @property
    def writes(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.do == WRITE)

    @property
    def deletions(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.do == DELETE)

    @property
    def idle(self) -> bool:
        return not self.writes and not self.deletions


def declare(scope: Scope, secrets: Iterable[Mapping[str, object]] | None) -> Declaration:
    """Check what is declared for one scope; each secret has ``name``, ``value``, ``state`` and ``source_version``.

    Raises:
        InvalidInput: No list, a name or value that Forgejo does not take, or one name twice.
    """
    if secrets is None:
        raise InvalidInput(f"the secrets of {scope} are not a list: was the variable resolved?")
    wanted: dict[str, Wanted] = {}
    for secret in secrets:
        given = str(secret["name"])
        name = check_name(given)
        if name in wanted:
            raise InvalidInput(f"{scope} declares {name} twice (names of secrets have no case): remove one")
        value = secret.get("value")
        absent = secret.get("state") == "absent"
        checked = None if absent else check_value(_text(value), f"the secret {name} of {scope}")
        wanted[name] = Wanted(name, checked, str(secret.get("source_version") or ""))
    return Declaration(scope, tuple(wanted.values()))


def check_declarations(declarations: Sequence[Declaration], policy: Policy, *, has_key: bool) -> None:
    """Check what only shows over all scopes.

    Raises:
        InvalidInput: A scope twice, or an option that cannot work for what is declared.
    """
    seen: set[str] = set()
    for declaration in declarations:
        if declaration.scope.key in seen:
            raise InvalidInput(f"{declaration.scope} is declared twice (names have no case): merge the two")
        seen.add(declaration.scope.key)
        if declaration.scope.has_list:
            continue
        if policy.update_value == ON_CREATE:
            raise InvalidInput(
                "update_value: on_create needs to know what exists, and Forgejo does not list a user's own secrets: "
                "declare these in a task of their own with update_value: always"
            )
    if policy.purge and not has_key:
        raise InvalidInput("purge deletes only what the ledger knows, so it needs ledger_key")
    if policy.rewrite_after is not None and not has_key:
        raise InvalidInput("rewrite_after counts from the time in the ledger, so it needs ledger_key")


def seconds(duration: str | None, option: str) -> int | None:
    """Seconds of a duration such as ``90s``, ``15m``, ``12h``, ``7d``, ``2w``; None stays None.

    Raises:
        InvalidInput: Another form, or nothing.
    """
    if duration is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", duration.strip())
    if not found or not int(found[1]):
        raise InvalidInput(f"{option} must be a duration such as 15m, 12h or 7d, which {duration!r} is not")
    return int(found[1]) * UNITS[found[2]]


def state_of(wanted: Wanted, scope: Scope, seen: Seen, key: Key | None) -> tuple[str, str]:
    """The state of a declared secret, and why."""
    if seen.created is None:
        return UNKNOWN, "Forgejo does not list a user's own secrets"
    if wanted.name not in seen.created:
        return MISSING, "not there"
    if wanted.value is None:
        return UNDECLARED, "declared absent"
    if seen.ledger is None or key is None:
        return UNKNOWN, seen.no_ledger
    entry = seen.ledger.entries.get(wanted.name)
    if entry is None:
        return UNKNOWN, "not in the ledger"
    if not entry.settled:
        return UNKNOWN, "a write of it was interrupted"
    if entry.created_at != seen.created[wanted.name]:
        return UNKNOWN, "deleted and created again elsewhere"
    if not ledgers.matches(entry, key.fingerprint(scope, wanted.name, wanted.value)):
        return DIFFERS, "another value than the one written last"
    return AS_RECORDED, "the value written last"


def make(declaration: Declaration, seen: Seen, policy: Policy, key: Key | None, now: int) -> Plan:
    """The plan for one scope at a time (Unix seconds)."""
    scope = declaration.scope
    items = [_item(wanted, scope, seen, policy, key, now) for wanted in declaration.secrets]
    declared = {wanted.name for wanted in declaration.secrets}
    for name in sorted(set(seen.created or ()) - declared):
        ours = _is_ours(name, seen)
        if ours and policy.purge:
            reason = "written by this collection and declared no more"
            items.append(Item(name, UNDECLARED, DELETE, reason, declared=False))
        else:
            reason = "written by this collection, and purge is off" if ours else "not written by this collection"
            items.append(Item(name, UNDECLARED, NOTHING, reason, declared=False))
    return Plan(scope, tuple(items), len(seen.ledger.entries) if seen.ledger else 0)


def check_purge(plans: Iterable[Plan], policy: Policy) -> None:
    """Refuse to delete more undeclared secrets than looks meant.

    Raises:
        InvalidInput: More than the smaller of 5 and 25 % of what the ledgers know, or than ``purge_limit``.
    """
    plans = list(plans)
    doomed = [f"{item.name} of {plan.scope}" for plan in plans for item in plan.deletions if not item.declared]
    recorded = sum(plan.recorded for plan in plans)
    limit = min(MOST_PURGED, recorded // 4) if policy.purge_limit is None else policy.purge_limit
    if len(doomed) > limit:
        shown = ", ".join(doomed[:5]) + (" and more" if len(doomed) > 5 else "")
        raise InvalidInput(
            f"purge would delete {len(doomed)} of {recorded} recorded secrets and may delete {limit}: {shown}; "
            "check the lists, and set purge_limit if it is meant (nothing was written)"
        )


def pending(ledger: Ledger, plan: Plan, key: Key, now: int) -> Ledger:
    """The ledger to store before the plan's writes: each of them is open until its answer was seen."""
    entries = dict(ledger.entries)
    for item in plan.writes:
        entries[item.name] = _entry(item, plan.scope, key, now, settled=False)
    return Ledger(entries)


def largest(ledger: Ledger, plan: Plan, seen: Seen, key: Key, now: int) -> Ledger:
    """The ledger as it will be where every write of the plan goes well, for its size."""
    created = dict(seen.created or {})
    after = created | {item.name: "0000-00-00T00:00:00Z" for item in plan.writes}
    return settled(ledger, plan, {item.name: "created" for item in plan.writes}, created, after, key, now)


def settled(
    before: Ledger,
    plan: Plan,
    outcomes: Mapping[str, str],
    created_before: Mapping[str, str],
    created_after: Mapping[str, str],
    key: Key,
    now: int,
) -> Ledger:
    """The ledger to store after the plan's writes.

    Args:
        before: The ledger before them.
        outcomes: By name: ``created``, ``updated``, ``deleted``, ``refused`` (not carried out) or ``unsure``.
        created_before: Names and times of creation before the writes, and ``created_after`` after them.
    """
    entries = {name: entry for name, entry in before.entries.items() if name in created_after}
    for item in plan.writes:
        outcome = outcomes.get(item.name, "refused")
        time = created_after.get(item.name, "")
        # Overwritten means that it is the one of before: another time of creation is somebody else's write.
        ours = outcome == "created" or (outcome == "updated" and created_before.get(item.name, time) == time)
        if ours and time:
            entries[item.name] = _entry(item, plan.scope, key, now, settled=True, created_at=time)
        elif outcome != "refused":
            entries[item.name] = _entry(item, plan.scope, key, now, settled=False)
    for item in plan.deletions:
        if outcomes.get(item.name) == "deleted":
            entries.pop(item.name, None)
    return Ledger(entries)


def _entry(item: Item, scope: Scope, key: Key, now: int, *, settled: bool, created_at: str = "") -> Entry:
    return Entry(key.fingerprint(scope, item.name, item.value), settled, created_at, now, item.source_version)


def _item(wanted: Wanted, scope: Scope, seen: Seen, policy: Policy, key: Key | None, now: int) -> Item:
    state, reason = state_of(wanted, scope, seen, key)
    do = WRITE
    if wanted.value is None:
        do, reason = (NOTHING, "already absent") if state == MISSING else (DELETE, "declared absent")
    elif state == AS_RECORDED:
        due = _due(seen, wanted.name, policy, now)
        do, reason = (WRITE, due) if due else (NOTHING, reason)
    elif policy.update_value == ON_CREATE and state != MISSING:
        do, reason = NOTHING, f"update_value is on_create ({reason})"
    return Item(wanted.name, state, do, reason, wanted.value or "", wanted.source_version)


def _due(seen: Seen, name: str, policy: Policy, now: int) -> str:
    """Why one that is as recorded is written all the same; nothing where it is not."""
    if policy.update_value == ALWAYS:
        return "update_value is always"
    if seen.ledger is None or policy.rewrite_after is None or policy.update_value == ON_CREATE:
        return ""
    written = seen.ledger.entries[name].written_at
    if written > now + CLOCK_SKEW:
        return "written in the future, by the ledger"
    return "written longer ago than rewrite_after" if now - written >= policy.rewrite_after else ""


def _is_ours(name: str, seen: Seen) -> bool:
    """Whether the ledger says that this very secret was written by us."""
    entry = seen.ledger.entries.get(name) if seen.ledger else None
    if entry is None or seen.created is None or is_own(name):
        return False
    return entry.settled and entry.created_at == seen.created.get(name)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
