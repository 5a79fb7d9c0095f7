"""Whatever lint is given, it says something sensible and ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.facts import Facts
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import CODES
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.lint import lint
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.lint_blocks import _needed, _start
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import compile_pattern
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.versions import ZotVersion

FACTS = Facts(version=ZotVersion.parse("2.1.20"), groups={"admins": ()})
ROOT = {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=12,
)
patterns = st.text("ab/*?[]{},!^-\\A\u00e9\n", max_size=9)
words = st.sampled_from(["read", "create", "update", "delete", "admins", "Admins", "", "pull", "erich"])
rules = st.fixed_dictionaries(
    {},
    optional={"users": st.lists(words, max_size=2), "groups": st.lists(words, max_size=2), "actions": st.lists(words)},
)
blocks = st.fixed_dictionaries(
    {},
    optional={
        "policies": st.lists(rules | anything, max_size=2),
        "defaultPolicy": st.lists(words, max_size=2) | anything,
        "anonymousPolicy": st.lists(words, max_size=2) | anything,
        "inherit": anything,
    },
)


def configured(access: Any) -> dict[str, Any]:
    return {"http": {"auth": {"apikey": True, "htpasswd": {"path": "x"}}, "accessControl": access}}


@settings(max_examples=150, deadline=None)
@given(anything)
def test_any_value_is_answered(value: Any) -> None:
    for config in (value, {"http": value}, configured(value), {"extensions": value, "storage": value}):
        for finding in lint(config, FACTS):
            assert finding.code in CODES


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(patterns, blocks | anything, max_size=5), anything)
def test_any_policy_is_answered(repositories: dict[str, Any], rest: Any) -> None:
    findings = lint(configured({"repositories": repositories, "adminPolicy": rest, "groups": rest}), FACTS)
    assert findings == lint(configured({"repositories": repositories, "adminPolicy": rest, "groups": rest}), FACTS)
    for finding in findings:
        assert finding.reason
        assert finding.fix
        assert finding.place
        assert "\n" not in str(finding)


@settings(max_examples=400, deadline=None)
@given(patterns, st.text("ab/", max_size=8))
def test_what_a_pattern_needs_is_in_every_name_that_it_matches(text: str, name: str) -> None:
    pattern = compile_pattern(text)
    if pattern.valid and pattern.matches(name):
        assert _needed(text) in name
        assert name.startswith(_start(text))


def codes(repositories: dict[str, Any]) -> set[tuple[str, str]]:
    return {(finding.code, finding.severity) for finding in lint(configured({"repositories": repositories}), FACTS)}


@pytest.mark.parametrize(
    "pattern",
    [
        "{a," * 2000,
        "{a," * 300 + "b" + "}" * 300,
        "[a-" * 500,
        "\\",
        "a" * 100_000,
        "{a,b}" * 12,
        "[" * 1000,
        "}" * 1000,
    ],
    ids=lambda pattern: f"{pattern[:6]}… ({len(pattern)})",
)
def test_pattern_that_cannot_be_used_is_told(pattern: str) -> None:
    assert codes({"**": ROOT, pattern: ROOT}) & {("ZP003", "error"), ("ZP004", "error")}


@pytest.mark.parametrize(
    "slow", ["*" * 300, "*a" * 100, "**/" * 80 + "x", "[a-z]*" * 50, "{*,**/*}" * 4, "?" * 400, "[!a]" * 80 + "/**"]
)
def test_stars_in_a_row_are_answered(slow: str) -> None:
    assert {code for code, _ in codes({"**": ROOT, slow: ROOT})} <= set(CODES)


def test_very_many_blocks_are_a_finding() -> None:
    assert ("ZP004", "warning") in codes({f"blumeops/app{i}/**": ROOT for i in range(10_000)})


def test_very_many_patterns_that_overlap_are_a_finding_or_an_answer() -> None:
    assert ("ZP004", "error") in codes({f"**/a{i}/**/b{i}*": ROOT for i in range(800)})


def test_very_deep_values_are_answered() -> None:
    deep: Any = "end"
    for _ in range(5_000):
        deep = {"storageDriver": deep}
    assert lint({"storage": deep, "http": {"port": "5000"}}, FACTS)


def test_very_many_unknown_keys_are_summed_up() -> None:
    findings = lint({f"unknown{i}": 1 for i in range(3_000)}, FACTS)
    unknown = [finding for finding in findings if finding.code == "ZP002"]
    assert len(unknown) == 26
    assert "2975 more" in unknown[-1].place


def test_keys_are_found_whatever_their_case(changed: Callable[..., Any]) -> None:
    def upper(value: Any) -> Any:
        if isinstance(value, dict):
            return {key.upper() if key not in ("**",) else key: upper(item) for key, item in value.items()}
        return [upper(item) for item in value] if isinstance(value, list) else value

    assert (
        lint(upper(changed(None)), Facts(version=FACTS.version, groups={"admins": (), "artifact-workloads": ()})) == ()
    )


def test_findings_are_plain_data(changed: Callable[..., Any]) -> None:
    findings = lint(changed(lambda config: config.update(foo=1)), FACTS)
    assert json.loads(json.dumps([finding.as_dict() for finding in findings]))[0]["code"] == "ZP002"
