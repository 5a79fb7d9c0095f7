"""The accessControl mapping is read as zot reads it. Each row was checked by letting zot load such a file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import (
    Identity,
    Request,
    decide,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import (
    Block,
    Condition,
    Group,
    Policy,
    Rule,
    parse_policy,
)


def test_a_whole_policy_is_read() -> None:
    parsed = parse_policy(
        {
            "repositories": {
                "**": {
                    "policies": [
                        {
                            "users": ["zot-ci"],
                            "groups": ["artifact-workloads"],
                            "actions": ["read", "create"],
                            "conditions": [{"expression": "req.tls.enabled", "message": "use TLS"}],
                        }
                    ],
                    "defaultPolicy": ["read"],
                    "anonymousPolicy": ["read"],
                },
                "private/**": {"inherit": True, "defaultPolicy": []},
            },
            "adminPolicy": {"groups": ["admins"], "actions": ["delete"]},
            "groups": {"devs": {"users": ["erich"]}},
            "metrics": {"users": ["prom"], "anonymousPolicy": ["read"]},
        }
    )
    assert parsed.problems == ()
    assert parsed.policy == Policy(
        blocks=(
            Block(
                "**",
                (
                    Rule(
                        ("zot-ci",),
                        ("artifact-workloads",),
                        ("read", "create"),
                        (Condition("req.tls.enabled", "use TLS"),),
                    ),
                ),
                ("read",),
                ("read",),
            ),
            Block("private/**", inherit=True),
        ),
        admin=Rule(groups=("admins",), actions=("delete",)),
        groups=(Group("devs", ("erich",)),),
        metrics_users=("prom",),
        metrics_anonymous_actions=("read",),
    )


ANY = {"anonymousPolicy": ["read"]}


@pytest.mark.parametrize(
    ("source", "policy", "codes"),
    [
        # Keys of any case.
        ({"Repositories": {"a": {"AnonymousPolicy": ["read"]}}}, Policy((Block("a", (), (), ("read",)),)), []),
        # Patterns and group names in lower case; of two that meet, the one that was in lower case is lost.
        ({"repositories": {"A/**": ANY}}, Policy((Block("a/**", (), (), ("read",)),)), ["changed_key"]),
        (
            {"repositories": {"a": ANY, "A": {"defaultPolicy": ["read"]}}},
            Policy((Block("a", (), ("read",)),)),
            ["changed_key", "changed_key"],
        ),
        (
            {"repositories": {"A": {"defaultPolicy": ["read"]}, "a": ANY}},
            Policy((Block("a", (), ("read",)),)),
            ["changed_key", "changed_key"],
        ),
        (
            {"repositories": {"a": ANY}, "groups": {"Admins": {"users": ["Bob"]}}},
            Policy((Block("a", (), (), ("read",)),), groups=(Group("admins", ("Bob",)),)),
            ["changed_key"],
        ),
        # What is empty is not there: neither the block, nor the whole of it.
        (
            {"repositories": {"a": ANY, "b": {}, "c": None}},
            Policy((Block("a", (), (), ("read",)),)),
            ["no_value"] * 2,
        ),
        ({"repositories": {"a": {"policies": []}}}, Policy((Block("a"),)), []),
        ({}, Policy(enabled=False), ["no_value"]),
        ({"repositories": {"**": {}}}, Policy(enabled=False), ["no_value", "no_value"]),
        # Where a list belongs, a single value is one; where a string belongs, a number is.
        (
            {"repositories": {"a": {"policies": {"users": "x", "actions": ["read", 5, None]}}}},
            Policy((Block("a", (Rule(("x",), (), ("read", "5", "")),)),)),
            ["wrong_type"] * 4,
        ),
        ({"repositories": {"a": {"defaultPolicy": True}}}, Policy((Block("a", (), ("1",)),)), ["wrong_type"] * 2),
        # What zot refuses is told, and left out.
        ({"repositories": {"a": ANY}, "extra": 1}, Policy((Block("a", (), (), ("read",)),)), ["unknown_key"]),
        ({"repositories": {"a": {"policies": ["x"]}}}, Policy((Block("a", (Rule(),)),)), ["wrong_type"]),
        ({"repositories": {"a": {"policies": "x"}}}, Policy((Block("a", (Rule(),)),)), ["wrong_type"] * 2),
        ({"repositories": {"a": []}}, Policy((Block("a"),)), ["wrong_type"]),
        ({"repositories": {5: ANY}}, Policy(), ["wrong_type"]),
        ({"groups": ["x"], "repositories": {"a": ANY}}, Policy((Block("a", (), (), ("read",)),)), ["wrong_type"]),
        (
            {"repositories": {"a": {"policies": [{"conditions": "x"}]}}},
            Policy((Block("a", (Rule(conditions=(Condition(""),)),)),)),
            ["wrong_type"] * 2,
        ),
    ],
)
def test_a_file_is_read_as_zot_reads_it(source: dict[Any, Any], policy: Policy, codes: list[str]) -> None:
    parsed = parse_policy(source)
    assert (parsed.policy, [problem.code for problem in parsed.problems]) == (policy, codes)


def test_a_mapping_can_be_read_as_it_is() -> None:
    parsed = parse_policy({"repositories": {"A": ANY, "b": {}}, "groups": {"G": {"users": ["u"]}}}, as_file=False)
    assert parsed.policy.blocks == (Block("A", (), (), ("read",)), Block("b"))
    assert parsed.policy.groups == (Group("G", ("u",)),)
    assert parse_policy({}, as_file=False).policy.enabled


@pytest.mark.parametrize("source", [None, [], "x", 5, {"repositories": []}, {"repositories": "x"}])
def test_what_is_no_mapping_is_an_error(source: object) -> None:
    with pytest.raises(InvalidInput, match="must be a mapping"):
        parse_policy(source)


_KEYS = st.one_of(
    st.sampled_from(["repositories", "adminPolicy", "groups", "metrics", "policies", "users", "actions", "conditions"]),
    st.sampled_from(
        ["defaultPolicy", "anonymousPolicy", "inherit", "expression", "**", "a/[", "A/**", "{a,{b", "read"]
    ),
)
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | _KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.integers(), inner, max_size=4),
    max_leaves=25,
)


@given(_ANYTHING | st.dictionaries(_KEYS, _ANYTHING), st.booleans())
def test_whatever_is_given_is_read_or_refused(source: object, as_file: bool) -> None:
    try:
        parsed = parse_policy(source, as_file=as_file)
    except InvalidInput:
        return
    request = Request(Identity("zot-ci", ("read",), "password"), "PUT", "a/b", "v1.0.0")
    decision = decide(parsed.policy, request)
    assert decision.outcome in ("allow", "deny", "conditional", "random")
    assert decision.explanation()
