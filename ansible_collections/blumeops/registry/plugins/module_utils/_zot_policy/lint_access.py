# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Lint of who is granted what: subjects, groups, actions and conditions (codes ZP2xx)."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.facts import Facts
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import Finding, listed, shown
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.logins import Logins
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import (
    ACTIONS,
    KNOWN_ACTIONS,
    Policy,
    Rule,
    rule_place,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.reading import ACCESS_CONTROL
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.subjects import Subject

WRITES: Final = ("create", "update", "delete")
#: Names that are searched for one that looks alike. The search compares every two of them.
MAX_ALIKE: Final = 200


def at(place: str) -> str:
    """The place of something inside accessControl."""
    return f"{ACCESS_CONTROL}.{place}"


def lint_access(policy: Policy, logins: Logins, facts: Facts, writers: tuple[Subject, ...]) -> Iterator[Finding]:
    """Every finding about subjects and actions."""
    yield from _groups(policy, logins, facts)
    for place, rule in rules_of(policy):
        yield from _rule(place, rule)
    yield from _admin_without_actions(policy)
    for place, actions in _action_lists(policy):
        yield from _unknown_actions(place, actions)
    yield from _anonymous_writes(policy)
    yield from _writes_without_read(policy, facts)
    yield from _immutable_writers(policy, writers)


def rules_of(policy: Policy) -> Iterator[tuple[str, Rule]]:
    """Every rule with its place; adminPolicy last, where it says anything."""
    for block in policy.blocks:
        for index, rule in enumerate(block.rules):
            yield rule_place(block.pattern, index), rule
    if policy.admin != Rule():
        yield rule_place(None, 0), policy.admin


def _groups(policy: Policy, logins: Logins, facts: Facts) -> Iterator[Finding]:
    own = {group.name for group in policy.groups}
    for group in policy.groups:
        if not group.users:
            yield Finding(
                "ZP202",
                "warning",
                at(f"groups[{group.name!r}]"),
                f"The group {shown(group.name)!r} has no members, so it gives nobody anything.",
                "Name its users, or remove it.",
            )
    used: dict[str, str] = {}
    uses: Counter[str] = Counter()
    for place, rule in rules_of(policy):
        for group_name in rule.groups:
            used.setdefault(group_name, f"{place}.groups")
            uses[group_name] += 1
    declared = None if facts.groups is None else set(facts.groups)
    for name, place in used.items():
        if not name.strip():
            yield Finding(
                "ZP202", "error", at(place), "A group without a name is nobody's group.", "Write the group's name."
            )
        elif name in own:
            continue
        elif declared is not None and name not in declared:
            yield Finding(
                "ZP201",
                "error",
                at(place),
                f"The group {shown(name)!r} is defined nowhere: it is not among the declared groups nor in the "
                "configuration's own, so the rule reaches nobody through it.",
                _did_you_mean(name, declared | own) or "Correct the name, or declare the group.",
            )
        elif declared is None and not logins.may_bring_groups:
            yield Finding(
                "ZP201",
                "error",
                at(place),
                f"The group {shown(name)!r} is defined nowhere: the configuration does not list it, and no login "
                "brings groups with it.",
                _did_you_mean(name, own) or f"List its users under {at('groups')}, or correct the name.",
            )
        elif declared is None and (hint := _slip(name, uses, own)):
            yield Finding(
                "ZP201",
                "warning",
                at(place),
                f"The group {shown(name)!r} looks like a slip, and no groups are declared to tell.",
                f"{hint} If both exist, declare them.",
            )


def _slip(name: str, uses: Counter[str], own: set[str]) -> str:
    """A hint where ``name`` looks like another group; of two that look alike, the one that is used less or later."""
    if len(uses) > MAX_ALIKE:
        return ""
    order = {other: (-count, index) for index, (other, count) in enumerate(uses.items())}
    return _did_you_mean(name, own | {other for other in uses if order[other] < order[name]})


def _did_you_mean(name: str, known: set[str]) -> str:
    if len(known) > MAX_ALIKE:
        return ""
    folded = {other.casefold(): other for other in sorted(known)}
    near = difflib.get_close_matches(name.casefold(), folded, 1, 0.85)
    return f"Did you mean {shown(folded[near[0]])!r}?" if near else ""


def _rule(place: str, rule: Rule) -> Iterator[Finding]:
    is_admin = place == "adminPolicy"
    if not any(rule.users) and not any(rule.groups) and "" not in rule.users:
        yield Finding(
            "ZP203",
            "error",
            at(place),
            "The policy names no user and no group, so it grants nothing to anybody.",
            "Add users or groups; defaultPolicy is for everybody logged in, anonymousPolicy for everybody else.",
        )
    elif not rule.actions and not is_admin:
        yield Finding(
            "ZP209",
            "error",
            at(place),
            "The policy has no actions, so it grants nothing; it does not forbid anything either.",
            "Add the actions, or remove the policy.",
        )
    if "" in rule.users and not set(rule.actions) & set(WRITES):
        yield Finding(
            "ZP210",
            "warning",
            at(f"{place}.users"),
            "A user without a name is the anonymous caller, which nobody sees who reads this.",
            "Write the actions under anonymousPolicy, and take the empty name out.",
        )
    for index, condition in enumerate(rule.conditions):
        yield from _condition(at(f"{place}.conditions[{index}]"), condition.expression)


def _admin_without_actions(policy: Policy) -> Iterator[Finding]:
    admin = policy.admin
    if (admin.users or admin.groups) and not admin.actions:
        yield Finding(
            "ZP207",
            "error",
            at("adminPolicy"),
            f"adminPolicy has no actions: {listed((*admin.groups, *admin.users))} may do nothing through it.",
            "Add actions: [read, create, update, delete].",
        )


def _action_lists(policy: Policy) -> Iterator[tuple[str, tuple[str, ...]]]:
    for place, rule in rules_of(policy):
        yield f"{place}.actions", rule.actions
    for block in policy.blocks:
        place = f"repositories[{block.pattern!r}]"
        yield f"{place}.defaultPolicy", block.default_actions
        yield f"{place}.anonymousPolicy", block.anonymous_actions
    yield "metrics.anonymousPolicy", policy.metrics_anonymous_actions


def _unknown_actions(place: str, actions: tuple[str, ...]) -> Iterator[Finding]:
    known = ("read",) if place == "metrics.anonymousPolicy" else KNOWN_ACTIONS
    for action in dict.fromkeys(actions):
        if action in known:
            continue
        meant = _MEANT.get(action.lower())
        near = [meant] if meant in known else difflib.get_close_matches(action.lower(), known, 1)
        yield Finding(
            "ZP204",
            "error",
            at(place),
            f"zot knows no action {shown(action)!r} here and grants nothing for it.",
            f"Did you mean {near[0]!r}?" if near else f"Use {listed(known)}.",
        )


#: Words of other registries and of daily speech.
_MEANT: Final = {
    "pull": "read",
    "get": "read",
    "list": "read",
    "push": "create",
    "write": "create",
    "overwrite": "update",
    "remove": "delete",
}


def _anonymous_writes(policy: Policy) -> Iterator[Finding]:
    def found(place: str, actions: set[str], who: str) -> Finding:
        return Finding(
            "ZP206",
            "error",
            at(place),
            f"{who} may {listed(action for action in ACTIONS if action in actions)}: everybody who reaches the port "
            "can do it, without a trace of who it was.",
            "Leave only read to anonymous callers, and give the rest to a group.",
        )

    for block in policy.blocks:
        if writes := set(block.anonymous_actions) & set(WRITES):
            yield found(f"repositories[{block.pattern!r}].anonymousPolicy", writes, "Anonymous callers")
    for place, rule in rules_of(policy):
        if "" in rule.users and (writes := set(rule.actions) & set(WRITES)):
            soon = "" if policy.admits_anonymous else ", as soon as any block has an anonymousPolicy,"
            yield found(f"{place}.users", writes, f"A user without a name is the anonymous caller, who{soon}")


def _writes_without_read(policy: Policy, facts: Facts) -> Iterator[Finding]:
    """Inside one block the rules add up, so ``read`` may come from another rule, defaultPolicy or adminPolicy."""

    def found(place: str, who: str, actions: set[str]) -> Finding:
        doing = listed(action for action in ACTIONS if action in actions)
        return Finding(
            "ZP205",
            "warning",
            at(place),
            f"{who} may {doing}, but not read: clients ask whether an image is there before they change it, and break "
            "off half way.",
            "Add read.",
        )

    belongs: dict[str, set[str]] = {}
    for group in policy.groups:
        for user in group.users:
            belongs.setdefault(user, set()).add(group.name)
    for name, members in (facts.groups or {}).items():
        for user in members:
            belongs.setdefault(user, set()).add(name)
    admin_reads = "read" in policy.admin.actions

    def admin_lets(user: str | None, groups: set[str]) -> bool:
        return admin_reads and (user in policy.admin.users or bool(groups & set(policy.admin.groups)))

    for block in policy.blocks:
        readers = [rule for rule in block.rules if "read" in rule.actions]
        reading_users = {user for rule in readers for user in rule.users}
        reading_groups = {group for rule in readers for group in rule.groups}
        place = f"repositories[{block.pattern!r}]"
        default_reads = "read" in block.default_actions
        for name, actions in (("defaultPolicy", block.default_actions), ("anonymousPolicy", block.anonymous_actions)):
            if (writes := set(actions) & set(WRITES)) and "read" not in actions:
                if name == "anonymousPolicy" and ("" in reading_users or admin_lets("", set())):
                    continue
                yield found(
                    f"{place}.{name}", "Everybody logged in" if name == "defaultPolicy" else "Anonymous callers", writes
                )
        for index, rule in enumerate(block.rules):
            writes = set(rule.actions) & set(WRITES)
            if not writes or "read" in rule.actions:
                continue
            blind: list[str] = []
            for user in rule.users:
                held = belongs.get(user, set())
                lets = ("read" in block.anonymous_actions) if user == "" else default_reads
                if not (lets or user in reading_users or held & reading_groups or admin_lets(user, held)):
                    blind.append(user or "the anonymous caller")
            blind += [
                f"group {group}"
                for group in rule.groups
                if not (default_reads or group in reading_groups or admin_lets(None, {group}))
            ]
            if blind:
                yield found(rule_place(block.pattern, index), listed(map(shown, blind)), writes)
    if (writes := set(policy.admin.actions) & set(WRITES)) and not admin_reads and not _all_read(policy):
        yield found("adminPolicy", listed(map(shown, (*policy.admin.groups, *policy.admin.users))), writes)


def _all_read(policy: Policy) -> bool:
    return bool(policy.blocks) and all("read" in block.default_actions for block in policy.blocks)


def _immutable_writers(policy: Policy, writers: tuple[Subject, ...]) -> Iterator[Finding]:
    def granted(rule: Rule, writer: Subject) -> bool:
        names = {writer.identity.name} if writer.kind in ("user", "anonymous") else set()
        return "update" in rule.actions and (
            bool(names & set(rule.users)) or bool(set(writer.identity.groups) & set(rule.groups))
        )

    for writer in writers:
        places = [place for place, rule in rules_of(policy) if granted(rule, writer)]
        for block in policy.blocks:
            lists = block.anonymous_actions if writer.kind == "anonymous" else block.default_actions
            if "update" in lists:
                name = "anonymousPolicy" if writer.kind == "anonymous" else "defaultPolicy"
                places.append(f"repositories[{block.pattern!r}].{name}")
        for place in places:
            yield Finding(
                "ZP208",
                "error",
                at(place),
                f"{shown(writer.label)} may update here, and is declared to be an immutable writer: it could put "
                "another image under a tag that is in use.",
                "Take update out, or take the subject out of the immutable writers.",
            )


#: What a condition can ask for: the fields of ``req`` in zot 2.1.20. ``claims`` holds what the login brought.
REQUEST_FIELDS: Final = frozenset(
    {
        "time",
        "method",
        "userAgent",
        "action",
        "repository",
        "reference",
        "referenceType",
        "tag",
        "digest",
        "claims",
        "user",
        "user.username",
        "user.groups",
        "auth",
        "auth.anonymous",
        "auth.admin",
        "client",
        "client.ip",
        "client.forwardedFor",
        "tls",
        "tls.enabled",
        "tls.version",
    }
)
_STRINGS: Final = re.compile(r"""[rRbB]{0,2}(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""", re.DOTALL)
_FIELD: Final = re.compile(r"(?<![\w.])req\b((?:\s*\.\s*[A-Za-z_]\w*\b(?!\s*\())*)")


def _condition(place: str, expression: str) -> Iterator[Finding]:
    if not expression.strip():
        yield Finding(
            "ZP211", "error", place, "The condition has no expression; zot refuses it.", "Write one, or remove it."
        )
        return
    known_tops = {name for name in REQUEST_FIELDS if "." not in name}
    for found in _FIELD.finditer(_STRINGS.sub("''", expression[:MAX_EXPRESSION])):
        parts = tuple(part.strip() for part in found[1].split(".")[1:])
        if not parts:
            continue
        asked = parts[0] if parts[0] not in ("user", "auth", "client", "tls") else ".".join(parts[:2])
        if asked in REQUEST_FIELDS:
            continue
        pool = REQUEST_FIELDS if "." in asked else known_tops
        near = difflib.get_close_matches(asked, sorted(pool), 1)
        yield Finding(
            "ZP211",
            "error",
            place,
            f"The condition asks for req.{shown(asked)}, which does not exist: zot accepts it, fails on it at each "
            "request, and the rule grants nothing.",
            f"Did you mean req.{near[0]}?" if near else f"Use one of {listed(('req.' + f for f in sorted(pool)), 40)}.",
        )


#: Characters of a condition that are looked at.
MAX_EXPRESSION: Final = 20_000
