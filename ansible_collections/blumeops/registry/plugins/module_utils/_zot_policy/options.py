# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""The options of zot_policy_check that have a form of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import CODES, Finding, shown


@dataclass(frozen=True, slots=True)
class Options:
    """What the module was given. ``config`` and ``live_config`` are whole configurations of zot."""

    config: Mapping[str, Any]
    live_config: Mapping[str, Any] | None = None
    zot_version: str | None = None
    declared_groups: object = None
    immutable_writers: Sequence[str] = ()
    break_glass: Sequence[str] | None = None
    repositories: Sequence[str] = ()
    tests: Sequence[object] = ()
    questions: Sequence[object] = ()
    gates: Sequence[object] = ()
    accepted: Sequence[str] = ()
    fail_on: str = "error"
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Gates:
    """What a change must not do."""

    no_public_write: bool = False
    no_new_access: bool = False
    no_lost_access_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """Findings of ``code`` whose place holds ``where`` are known, and accepted."""

    code: str
    where: str

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is one of them."""
        return finding.code == self.code and self.where in finding.place


def parse_groups(value: object) -> dict[str, tuple[str, ...]] | None:
    """Declared groups with their known members, from names or from a mapping; None where there is nothing declared."""
    if value is None:
        return None
    wrong = InvalidInput(
        "declared_groups must be a list of group names, or a mapping of group names to lists of members, "
        "as {admins: [erich]}."
    )
    if isinstance(value, (list, tuple)):
        value = {name if isinstance(name, str) else index: () for index, name in enumerate(value)}
    if not isinstance(value, Mapping):
        raise wrong
    groups = {}
    for name, members in value.items():
        members = () if members is None else members
        if not (isinstance(name, str) and isinstance(members, (list, tuple))):
            raise wrong
        if not all(isinstance(member, str) for member in members):
            raise wrong
        groups[name] = tuple(members)
    return groups


def parse_gates(entries: Sequence[object]) -> Gates:
    """Gates from their names; ``no_lost_access_for`` is a mapping with the names of those who must lose nothing."""
    gates = Gates()
    for entry in entries:
        if entry == "no_public_write":
            gates = replace(gates, no_public_write=True)
            continue
        if entry == "no_new_access":
            gates = replace(gates, no_new_access=True)
            continue
        names = entry.get("no_lost_access_for") if isinstance(entry, Mapping) and len(entry) == 1 else None
        if not (isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names)):
            raise InvalidInput(
                f"The gate {shown(str(entry))!r} is not known: use no_public_write, no_new_access or "
                "{no_lost_access_for: [admins, anonymous]}."
            )
        gates = replace(gates, no_lost_access_for=tuple(dict.fromkeys((*gates.no_lost_access_for, *names))))
    return gates


def parse_accepted(entries: Sequence[str]) -> tuple[Accepted, ...]:
    """Accepted findings from ``CODE`` or ``CODE part of the place``."""
    accepted = []
    for entry in entries:
        code, _, where = entry.strip().partition(" ")
        if code not in CODES:
            raise InvalidInput(f"{shown(code)!r} in accepted is no code of a finding: docs/policy.md has them all.")
        accepted.append(Accepted(code, where.strip()))
    return tuple(accepted)
