"""The comparison tells exactly who gains and who loses what, with requests that show it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.compare import (
    METRICS,
    Change,
    Comparison,
    broken_gates,
    compare,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import (
    ANONYMOUS,
    Identity,
    decide,
    decide_action,
    decide_metrics,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.inherit import flatten
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import (
    REPOSITORY_NAME,
    compile_pattern,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import (
    ACTIONS,
    Block,
    Condition,
    Group,
    Policy,
    Rule,
    parse_policy,
)

ROOT = {
    "anonymousPolicy": ["read"],
    "defaultPolicy": ["read"],
    "policies": [
        {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
        {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
    ],
}
ESTATE = {"repositories": {"**": ROOT}, "metrics": {"anonymousPolicy": ["read"]}}


BOTH = "group admins, group artifact-workloads"


def policy(**changes: Any) -> Policy:
    return parse_policy({**ESTATE, **changes}).policy


def blocks(**patterns: Any) -> Policy:
    return policy(repositories={"**": ROOT, **patterns})


def told(before: Policy, after: Policy, **options: Any) -> list[str]:
    return list(compare(before, after, **options).lines())


@pytest.mark.parametrize(
    ("why", "after", "lines"),
    [
        ("the same policy changes nothing", blocks(), []),
        (
            "a per-path block takes everything away that it does not say again",
            blocks(**{"blumeops/**": {"policies": [{"users": ["zot-ci"], "actions": ["read", "create", "update"]}]}}),
            [
                "anonymous loses read on blumeops:v1.0.0",
                "anybody logged in loses read on blumeops:v1.0.0, except zot-ci",
                "group admins loses create, update, delete on blumeops:v1.0.0",
                "group artifact-workloads loses create on blumeops:v1.0.0",
                "zot-ci gains create, update on blumeops:v1.0.0",
            ],
        ),
        (
            "a block that says the same in other words changes nothing",
            blocks(**{"blumeops/**": {**ROOT, "policies": ROOT["policies"][::-1]}}),
            [],
        ),
        (
            "an inheriting block only adds",
            blocks(a={"inherit": True, "policies": [{"users": ["zot-ci"], "actions": ["update"]}]}),
            [],
        ),
        (
            "an inheriting block only adds, also where it can win",
            blocks(abc={"inherit": True, "policies": [{"users": ["zot-ci"], "actions": ["update"]}]}),
            ["zot-ci gains update on abc:v1.0.0"],
        ),
        (
            "metrics closed",
            policy(metrics={"users": ["prom"]}),
            ["anonymous loses read on /metrics", "prom gains read on /metrics"],
        ),
        (
            "equal lengths: nobody can know",
            blocks(**{"a/*b": {"defaultPolicy": ["create"]}, "a/b*": ROOT}),
            [
                "anonymous loses read on a/b:v1.0.0 (at random still)",
                "anonymous loses read on a/xb:v1.0.0",
                "anybody logged in loses read on a/b:v1.0.0 (at random still)",
                f"anybody logged in gains create on a/b:v1.0.0 (at random), except {BOTH}",
                "anybody logged in loses read on a/xb:v1.0.0",
                f"anybody logged in gains create on a/xb:v1.0.0, except {BOTH}",
                "group admins loses update, delete on a/b:v1.0.0 (at random still)",
                "group admins loses update, delete on a/xb:v1.0.0",
            ],
        ),
        (
            "a condition is put in the way",
            policy(
                repositories={
                    "**": {
                        **ROOT,
                        "policies": [
                            {**ROOT["policies"][0], "conditions": [{"expression": "req.tls.enabled"}]},
                            ROOT["policies"][1],
                        ],
                    }
                }
            ),
            ["group artifact-workloads loses create on x:v1.0.0 (under a condition still)"],
        ),
        (
            "switched off by an accessControl without a value",
            parse_policy({"repositories": {"**": {}}}).policy,
            [
                "anonymous loses read on x:v1.0.0, /metrics",
                f"anybody logged in gains create on x:v1.0.0, except {BOTH}",
                "anybody logged in gains update, delete on x:v1.0.0, except group admins",
                "anybody logged in gains read on /metrics",
            ],
        ),
        (
            "the last anonymousPolicy is gone: users: [''] alone admits nobody",
            policy(
                repositories={
                    "**": {
                        "defaultPolicy": ["read"],
                        "policies": [*ROOT["policies"], {"users": [""], "actions": ["read"]}],
                    }
                }
            ),
            ["anonymous loses read on x:v1.0.0"],
        ),
    ],
)
def test_what_is_told(why: str, after: Policy, lines: list[str]) -> None:
    assert told(policy(), after) == lines, why


def test_members_are_told_of_by_name() -> None:
    after = blocks(**{"blumeops/*": {**ROOT, "policies": [{"groups": ["ci"], "actions": ["read", "update"]}]}})
    lines = told(policy(), after, members={"zot-ci": ["ci"], "erich": ["other"]}, names=["blumeops/navidrome"])
    assert "zot-ci gains update on blumeops/navidrome:v1.0.0" in lines
    assert not any("erich" in line for line in lines)


def test_config_groups_count_for_passwords_only() -> None:
    before = policy(groups={"admins": {"users": ["bob"]}})
    assert told(before, policy()) == ["bob (by password) loses create, update, delete on x:v1.0.0"]


def test_two_rules_together_where_one_alone_is_chance() -> None:
    one = {"policies": [{"groups": ["a"], "actions": ["read"]}]}
    other = {"policies": [{"groups": ["b"], "actions": ["read"]}]}
    before = policy(repositories={"x/*": one, "*/y": other})
    after = policy(repositories={"x/*": {"policies": [*one["policies"], *other["policies"]]}, "*/y": {"policies": []}})
    lines = told(before, after, names=["x/y"])
    assert "group a with what group b has loses read on x/y:v1.0.0 (at random still)" in lines


def conditional(*expressions: str) -> dict[str, Any]:
    return {"users": ["u"], "actions": ["read"], "conditions": [{"expression": one} for one in expressions]}


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        ([conditional("a")], [conditional("a")], None),
        ([conditional("a")], [conditional("b")], "unclear"),
        ([conditional("a")], [conditional("a"), conditional("b")], "gains"),
        ([conditional("a"), conditional("b")], [conditional("b")], "loses"),
        ([conditional("a", "b")], [conditional("a")], "gains"),
        ([conditional("a")], [conditional("b", "a")], "loses"),
        ([conditional("a", "b")], [conditional("b", "a")], None),
        ([conditional("a", "b")], [conditional("a"), conditional("b")], "gains"),
        ([], [conditional("a")], "gains"),
        ([conditional("a")], [{"users": ["u"], "actions": ["read"]}], "gains"),
    ],
)
def test_conditions_are_compared_by_what_they_imply(before: list[Any], after: list[Any], direction: str | None) -> None:
    old, new = (policy(repositories={"**": {"policies": rules}}) for rules in (before, after))
    assert [change.direction for change in compare(old, new).changes] == ([direction] if direction else [])


@pytest.mark.parametrize(
    ("after", "gates", "broken"),
    [
        (blocks(), {"no_new_access": True, "no_public_write": True, "no_lost_access_for": ["admins", "anonymous"]}, []),
        (
            blocks(**{"blumeops/**": {**ROOT, "defaultPolicy": ["read", "create"]}}),
            {"no_new_access": True},
            [f"no_new_access: anybody logged in gains create on blumeops:v1.0.0, except {BOTH}."],
        ),
        (
            blocks(**{"blumeops/**": {**ROOT, "anonymousPolicy": ["read", "create"]}}),
            {"no_public_write": True},
            ["no_public_write: anonymous may create blumeops:v1.0.0."],
        ),
        (
            blocks(**{"blumeops/**": {**ROOT, "policies": []}}),
            {"no_lost_access_for": ["admins"]},
            [f"no_lost_access_for admins: group admins loses {action} on blumeops" for action in ACTIONS[1:]],
        ),
        # Nobody names the group there, but what anybody loses its members lose.
        (
            blocks(**{"blumeops/**": {"anonymousPolicy": ["read"], "defaultPolicy": []}}),
            {"no_lost_access_for": ["group:artifact-workloads"]},
            [
                "no_lost_access_for group:artifact-workloads: anybody logged in loses read on blumeops",
                "no_lost_access_for group:artifact-workloads: group artifact-workloads loses create on blumeops",
            ],
        ),
        (
            blocks(**{"blumeops/**": {**ROOT, "anonymousPolicy": []}}),
            {"no_lost_access_for": ["authenticated", "admins", "anonymous"]},
            ["no_lost_access_for anonymous: anonymous loses read on blumeops"],
        ),
        (
            blocks(),
            {"no_lost_access_for": ["admin"]},
            ["no_lost_access_for: admin is no user or group of either policy"],
        ),
    ],
)
def test_gates(after: Policy, gates: dict[str, Any], broken: list[str]) -> None:
    found = broken_gates(compare(policy(), after), **gates)
    assert len(found) == len(broken)
    assert all(sentence.startswith(start) for sentence, start in zip(found, broken, strict=True))


# Random policies on a small alphabet, so that every name up to length 6 can be asked.

PATTERNS = st.sampled_from(
    ["**", "*", "a/**", "a/b", "a/*", "*/b", "**/b", "a*", "[!a]*", "a/[ab]*", "{a,b}/**", "b/**/a", "ab", "**/*b", "?"]
)
USERS = st.lists(st.sampled_from(["u", "v", ""]), max_size=2).map(tuple)
GROUPS = st.lists(st.sampled_from(["g", "h"]), max_size=2).map(tuple)
GRANTED = st.lists(st.sampled_from(ACTIONS), max_size=3).map(tuple)
CONDITIONS = st.sampled_from([(), (), (), (Condition("c"),), (Condition("d"),), (Condition("c"), Condition("d"))])
RULES = st.builds(Rule, USERS, GROUPS, GRANTED, CONDITIONS)
BLOCKS = st.builds(
    Block, PATTERNS, st.lists(RULES, max_size=3).map(tuple), GRANTED, GRANTED, st.sampled_from([False, False, True])
)
POLICIES = st.builds(
    Policy,
    st.lists(BLOCKS, max_size=4, unique_by=lambda block: block.pattern).map(tuple),
    st.sampled_from([Rule(), Rule()]) | RULES,
    st.lists(st.builds(Group, st.sampled_from(["g", "h"]), USERS), max_size=1).map(tuple),
    USERS,
    GRANTED,
)
NAMES = [
    name
    for length in range(1, 7)
    for name in map("".join, itertools.product("ab/", repeat=length))
    if REPOSITORY_NAME.fullmatch(name)
]
CALLERS = [
    Identity(user, groups, via)
    for user in ("u", "v", "w")
    for groups in ((), ("g",), ("h",), ("g", "h"))
    for via in ("apikey", "password")
]


def answered(change: Change, before: Policy, after: Policy) -> tuple[str, str]:
    if change.repository == METRICS:
        return tuple(decide_metrics(side, change.caller.identity).outcome for side in (before, after))  # type: ignore[return-value]
    assert change.request is not None
    return decide(before, change.request).outcome, decide(after, change.request).outcome


@given(POLICIES, POLICIES)
@settings(max_examples=80)
def test_every_witness_is_confirmed(before: Policy, after: Policy) -> None:
    for change in compare(before, after).changes:
        assert answered(change, before, after) == (change.before, change.after)
        assert change.repository == METRICS or REPOSITORY_NAME.fullmatch(change.repository)
    for grant in compare(before, after).public_writes:
        assert decide_action(after, ANONYMOUS, grant.action, grant.repository).outcome == grant.outcome != "deny"


@given(POLICIES)
def test_a_policy_compared_with_itself_changes_nothing(one: Policy) -> None:
    assert not compare(one, one)
    shuffled = Policy(
        tuple(reversed(one.blocks)), one.admin, one.groups, one.metrics_users, one.metrics_anonymous_actions
    )
    assert not compare(one, shuffled)


def mirrored(comparison: Comparison) -> set[tuple[Any, ...]]:
    opposite = {"gains": "loses", "loses": "gains", "unclear": "unclear"}
    return {
        (change.caller, change.action, change.repository, opposite[change.direction], change.after, change.before)
        for change in comparison.changes
    }


@given(POLICIES, POLICIES)
@settings(max_examples=80)
def test_both_ways_round_mirror(before: Policy, after: Policy) -> None:
    straight = {
        (change.caller, change.action, change.repository, change.direction, change.before, change.after)
        for change in compare(before, after).changes
    }
    assert mirrored(compare(after, before)) == straight


@given(POLICIES, POLICIES, st.sampled_from(CALLERS))
@settings(max_examples=80)
def test_brute_force_finds_nothing_that_the_comparison_did_not(before: Policy, after: Policy, caller: Identity) -> None:
    """Whoever gains or loses an action on whichever short name: the comparison tells it of somebody it is made of."""
    comparison = compare(before, after)
    gained = {change.action for change in comparison.changes if change.direction != "loses"}
    lost = {change.action for change in comparison.changes if change.direction != "gains"}
    anonymous = {
        (change.action, change.direction)
        for change in comparison.changes
        if change.caller.identity.anonymous and change.repository != METRICS
    }
    for name, action in itertools.product(NAMES, ACTIONS):
        old, new = (decide_action(side, caller, action, name).outcome for side in (before, after))
        if new == "allow" != old:
            assert action in gained
        if old == "allow" != new:
            assert action in lost
        old, new = (decide_action(side, ANONYMOUS, action, name).outcome for side in (before, after))
        if new == "allow" != old:
            assert (action, "gains") in anonymous
        if old == "allow" != new:
            assert (action, "loses") in anonymous


@given(POLICIES, st.sampled_from(CALLERS), st.data())
def test_removing_an_action_or_a_subject_never_grants(one: Policy, caller: Identity, data: st.DataObject) -> None:
    blocks = list(flatten(one).blocks)
    if not any(block.rules for block in blocks):
        return
    at = data.draw(st.sampled_from([index for index, block in enumerate(blocks) if block.rules]))
    block = blocks[at]
    which = data.draw(st.integers(0, len(block.rules) - 1))
    rule = block.rules[which]
    part = data.draw(st.sampled_from(["users", "groups", "actions"]))
    kept = {name: getattr(rule, name) for name in ("users", "groups", "actions")}
    kept[part] = kept[part][1:]
    rules = (*block.rules[:which], Rule(**kept, conditions=rule.conditions), *block.rules[which + 1 :])
    blocks[at] = Block(block.pattern, rules, block.default_actions, block.anonymous_actions)
    less = Policy(tuple(blocks), one.admin, one.groups, one.metrics_users, one.metrics_anonymous_actions)
    assert compare(one, less).gains == ()
    worth = {"deny": 0, "random": 1, "conditional": 1, "allow": 2}
    for name, action in itertools.product(("a", "a/b", "b/a", "ab"), ACTIONS):
        old, new = (decide_action(side, caller, action, name).outcome for side in (one, less))
        assert worth[new] <= worth[old]


@given(POLICIES, BLOCKS, st.sampled_from([ANONYMOUS, *CALLERS]))
def test_adding_a_block_changes_nothing_for_names_that_it_does_not_match(
    one: Policy, block: Block, caller: Identity
) -> None:
    if one.block(block.pattern) is not None or block.pattern == "**":
        return
    more = Policy((*one.blocks, block), one.admin, one.groups, one.metrics_users, one.metrics_anonymous_actions)
    pattern = compile_pattern(block.pattern)
    for name in NAMES[:120]:
        if not pattern.matches(name):
            for action in ACTIONS:
                # Not at the door: a first anonymousPolicy anywhere lets callers without credentials in everywhere.
                old, new = (decide_action(side, caller, action, name, at_door=False) for side in (one, more))
                assert (old.outcome, old.blocks, old.rule) == (new.outcome, new.blocks, new.rule)


@given(POLICIES, st.sampled_from([ANONYMOUS, *CALLERS]))
def test_compiling_inheritance_changes_no_decision(one: Policy, caller: Identity) -> None:
    flat = flatten(one)
    for name, action in itertools.product(NAMES[:60], ACTIONS):
        assert decide_action(one, caller, action, name) == decide_action(flat, caller, action, name)
    if not any(block.inherit for block in one.blocks):
        assert flat is one


def test_ten_thousand_blocks_are_compared() -> None:
    repositories = {f"team-{number % 97}/app-{number}/**": ROOT for number in range(10_000)}
    before = policy(repositories={"**": ROOT, **repositories})
    changed = {**repositories, "team-1/app-1/**": {**ROOT, "anonymousPolicy": []}}
    assert told(before, policy(repositories={"**": ROOT, **changed})) == ["anonymous loses read on team-1/app-1:v1.0.0"]
