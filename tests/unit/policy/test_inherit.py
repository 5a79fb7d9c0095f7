"""``inherit: true`` is compiled away, and nothing is lost by it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.compare import lost_by_inheritance
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.inherit import flatten, flatten_mapping
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import parse_policy

ROOT = {
    "policies": [
        {"groups": ["admins"], "actions": ["read", "delete"]},
        {"users": ["x"], "actions": ["read"], "conditions": [{"expression": "req.tls.enabled"}]},
    ],
    "defaultPolicy": ["read"],
    "anonymousPolicy": ["read"],
}


@pytest.mark.parametrize(
    ("block", "flat"),
    [
        ({"inherit": True}, ROOT),
        ({"inherit": False, "defaultPolicy": ["create"]}, {"defaultPolicy": ["create"]}),
        ({"defaultPolicy": ["create"]}, {"defaultPolicy": ["create"]}),
        (
            {"inherit": True, "policies": [{"users": ["ci"], "actions": ["create"]}], "defaultPolicy": ["create"]},
            {
                "policies": [{"users": ["ci"], "actions": ["create"]}, *ROOT["policies"]],
                "defaultPolicy": ["create", "read"],
                "anonymousPolicy": ["read"],
            },
        ),
        # What is said already is not said twice, and keys keep their place and spelling.
        (
            {"AnonymousPolicy": ["read"], "policies": [ROOT["policies"][0]], "inherit": True},
            {"AnonymousPolicy": ["read"], "policies": ROOT["policies"], "defaultPolicy": ["read"]},
        ),
    ],
)
def test_a_block_is_compiled(block: dict[str, Any], flat: dict[str, Any]) -> None:
    source = {"repositories": {"**": ROOT, "private/**": block}, "metrics": {"users": ["p"]}}
    kept = json.dumps(source)
    written = flatten_mapping(source)
    assert written == {"repositories": {"**": ROOT, "private/**": flat}, "metrics": {"users": ["p"]}}
    assert json.dumps(source) == kept
    assert json.dumps(written) == json.dumps(flatten_mapping(json.loads(kept)))
    assert json.dumps(flatten_mapping(written)) == json.dumps(written)


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"repositories": {"a": None, "b": [], "c": {"policies": "x", "inherit": "yes"}}},
        {"repositories": {"a": {"policies": "x", "inherit": True}, "**": {"policies": [1]}}},
        {"repositories": {"**": None, "a": {"inherit": True}}},
    ],
)
def test_what_is_wrong_is_left_for_others_to_tell(source: dict[str, Any]) -> None:
    written = flatten_mapping(source)
    assert [problem.code for problem in parse_policy(written).problems if problem.code == "unknown_key"] == []


def test_without_a_root_there_is_nothing_to_inherit() -> None:
    source = {"repositories": {"a/**": {"inherit": True, "defaultPolicy": ["read"]}}}
    assert flatten_mapping(source) == {"repositories": {"a/**": {"defaultPolicy": ["read"]}}}


def test_the_root_itself_inherits_nothing() -> None:
    source = {"repositories": {"**": {"inherit": True, "defaultPolicy": ["read"]}}}
    assert flatten_mapping(source) == {"repositories": {"**": {"defaultPolicy": ["read"]}}}


_ACTIONS = st.lists(st.sampled_from(["read", "create", "update", "delete"]), max_size=3)
_RULES = st.fixed_dictionaries(
    {
        "users": st.lists(st.sampled_from(["u", "v"]), max_size=2),
        "groups": st.lists(st.just("g"), max_size=1),
        "actions": _ACTIONS,
        "conditions": st.lists(st.just({"expression": "c"}), max_size=1),
    }
)
_BLOCKS = st.fixed_dictionaries(
    {"policies": st.lists(_RULES, max_size=3)},
    optional={"defaultPolicy": _ACTIONS, "anonymousPolicy": _ACTIONS, "inherit": st.booleans()},
)
SOURCES = st.dictionaries(st.sampled_from(["**", "a/**", "a/b", "*", "b/*"]), _BLOCKS, max_size=4)


@given(SOURCES)
@settings(max_examples=60)
def test_both_forms_compile_alike_and_nothing_is_lost(repositories: dict[str, Any]) -> None:
    source = {"repositories": repositories}
    inheriting = parse_policy(source, as_file=False).policy
    written = parse_policy(flatten_mapping(source), as_file=False)
    assert written.problems == ()
    assert written.policy == flatten(inheriting)
    assert flatten(written.policy) is written.policy
    assert lost_by_inheritance(inheriting) == ()


def test_the_proof_sees_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"repositories": {"**": ROOT, "a/**": {"inherit": True, "defaultPolicy": ["create"]}}}
    module = "ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.inherit._with"
    monkeypatch.setattr(module, lambda own, inherited: own)
    losses = lost_by_inheritance(parse_policy(source).policy)
    assert {"anybody logged in loses read on a:v1.0.0", "anonymous loses read on a:v1.0.0"} <= set(map(str, losses))
