# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Tests that stand beside a policy (``zot_policy_tests``): what must be allowed, and what must be denied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import Outcome
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import listed, shown
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import Policy
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.questions import (
    Answer,
    Question,
    ask,
    parse_question,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.subjects import People

EXPECTATIONS: Final[tuple[Outcome, ...]] = ("allow", "deny", "conditional", "random")


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """A question, and the answer that it must have. ``number`` counts from 1."""

    number: int
    question: Question
    expect: Outcome


@dataclass(frozen=True, slots=True)
class TestResult:
    """How a test came out."""

    __test__ = False  # this is no test of pytest's

    test: PolicyTest
    answer: Answer

    @property
    def passed(self) -> bool:
        """Only the very answer that is expected passes: ``random`` is neither ``allow`` nor ``deny``."""
        return self.answer.outcome == self.test.expect

    @property
    def sentence(self) -> str:
        """One line: ``Test 2 expects deny: zot-ci may update blumeops/navidrome:v1.0.0.``"""
        verdict = "holds" if self.passed else f"expects {self.test.expect}"
        return f"Test {self.test.number} {verdict}: {self.answer.sentence}"

    def as_dict(self) -> dict[str, Any]:
        """For a module's result."""
        return {"expect": self.test.expect, "passed": self.passed, **self.answer.as_dict()}


def parse_tests(entries: object, people: People) -> tuple[PolicyTest, ...]:
    """The entries of ``zot_policy_tests``. Raises InvalidInput that names the first entry that is not right."""
    if not isinstance(entries, (list, tuple)):
        raise InvalidInput("zot_policy_tests must be a list of tests, each with subject, action, image and expect.")
    tests = []
    for number, entry in enumerate(entries, 1):
        where = f"Policy test {number}"
        question = parse_question(entry, people, where, ("expect",))
        assert isinstance(entry, Mapping)
        expect = entry.get("expect")
        if expect not in EXPECTATIONS:
            raise InvalidInput(f"{where} expects {shown(str(expect))!r}: use {listed(EXPECTATIONS[:2])}.")
        tests.append(PolicyTest(number, question, expect))
    return tuple(tests)


def run_tests(policy: Policy, tests: Iterable[PolicyTest]) -> tuple[TestResult, ...]:
    """Ask them all. Raises InvalidInput for a policy with a pattern that is made to be slow."""
    return tuple(TestResult(test, ask(policy, test.question)) for test in tests)
