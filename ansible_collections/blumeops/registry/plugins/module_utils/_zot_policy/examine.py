# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Everything that is asked of a configuration before it goes live, in one pass: pure, from options to result."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.compare import (
    Comparison,
    broken_gates,
    compare,
    lost_by_inheritance,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.facts import Facts
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import Finding, in_order, listed
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.inherit import flatten_mapping
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.lint import lint
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.logins import Logins
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import REPOSITORY_NAME
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import Policy, parse_policy
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.options import (
    Accepted,
    Gates,
    Options,
    parse_accepted,
    parse_gates,
    parse_groups,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.policy_tests import (
    PolicyTest,
    TestResult,
    parse_tests,
    run_tests,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.questions import (
    Answer,
    Question,
    Table,
    access_table,
    ask,
    everybody,
    parse_question,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.reading import ACCESS_CONTROL, dig
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.regions import find_regions
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.report import Change, Gate, Report
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.subjects import People
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.versions import ZotVersion

#: Rows and columns of the access table: each cell is four decisions, and a person reads no more.
MAX_ROWS: Final = 500
MAX_SUBJECTS: Final = 40
#: Changes that are returned as data, and lines of them; gates see all of them.
MAX_CHANGES: Final = 500
#: Warnings that Ansible shows one by one.
MAX_WARNINGS: Final = 20


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. ``result`` is for a module to return, ``problems`` stand in the way, ``warnings`` are to show."""

    result: dict[str, Any]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    report: Report


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options, understood, and the policies that they are about."""

    options: Options
    config: Mapping[str, Any]
    policy: Policy | None
    live: Policy | None
    facts: Facts
    people: People
    gates: Gates
    accepted: tuple[Accepted, ...]
    tests: tuple[PolicyTest, ...]
    questions: tuple[Question, ...]

    @property
    def compares(self) -> bool:
        """Whether there are two policies to compare."""
        return self.policy is not None and self.live is not None


NO_TABLE: Final = Table((), ())


@dataclass(frozen=True, slots=True)
class _Told:
    """What the policy itself says to what is asked."""

    results: tuple[TestResult, ...] = ()
    answers: tuple[Answer, ...] = ()
    table: Table = NO_TABLE
    before: Table | None = None
    comparison: Comparison | None = None
    lost: tuple[str, ...] = ()
    too_much: str = ""


def examine(options: Options) -> Examination:
    """Lint, ask, test and compare. Raises InvalidInput where an option cannot be understood, never for the policy."""
    asked = _understand(options)
    told = _decide(asked)
    findings = [_accept(finding, asked.accepted) for finding in lint(asked.config, asked.facts)]
    if told.too_much:
        place, fix = f"{ACCESS_CONTROL}.repositories", "Write fewer and simpler patterns."
        findings.append(Finding("ZP004", "error", place, told.too_much, fix))
    findings = list(in_order(findings))
    gates = _gates(asked, told)
    wrong = _wrong(findings, told.results, gates)
    problems = _problems(asked, told, findings, gates)
    result = _result(asked, told, findings, gates, problems)
    warnings = [] if options.fail_on == "warning" else [str(f) for f in findings if f.severity == "warning"]
    if options.live_config is not None and asked.live is None:
        warnings.append("The live configuration has no policy that can be read, so nothing is compared.")
    return Examination(
        result,
        tuple(problems),
        _shortened(warnings, "warnings"),
        Report(
            title=options.title or _host(asked.config) or "zot registry",
            zot=asked.facts.version.text,
            passed=not wrong,
            verdict=wrong or "No error was found.",
            findings=tuple(findings),
            table=told.table,
            before=told.before,
            changes=_page_changes(told.comparison) if asked.compares and told.comparison is not None else None,
            gates=gates,
            tests=told.results,
            answers=told.answers,
        ),
    )


def _understand(options: Options) -> _Asked:
    declared = parse_groups(options.declared_groups)
    config = with_flat_policy(options.config)
    policy = read_policy(config)
    live = None if options.live_config is None else read_policy(options.live_config)
    logins = Logins.of(config)
    people = People.of(
        [one for one in (policy, live) if one is not None],
        declared,
        "apikey" if logins.providers or logins.apikey else "password",
    )
    # Without a policy nobody is known by name, and every question would be a wrong one.
    tests = parse_tests(options.tests, people) if policy else ()
    entries = enumerate(options.questions, 1) if policy else ()
    questions = [parse_question(entry, people, f"Question {number}") for number, entry in entries]
    named = [question.image.repository for question in (*(test.question for test in tests), *questions)]
    return _Asked(
        options=options,
        config=config,
        policy=policy,
        live=live,
        facts=Facts(
            version=ZotVersion.parse(options.zot_version),
            groups=declared,
            immutable_writers=tuple(options.immutable_writers),
            break_glass=None if options.break_glass is None else tuple(options.break_glass),
            repositories=tuple(dict.fromkeys((*options.repositories, *named))),
        ),
        people=people,
        gates=parse_gates(options.gates),
        accepted=parse_accepted(options.accepted),
        tests=tests,
        questions=tuple(questions),
    )


def with_flat_policy(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration with ``inherit`` compiled away (inherit.py); the same object where there is none."""
    raw = dig(config, "http", "accessControl")
    if not isinstance(raw, Mapping):
        return config
    flat = flatten_mapping(raw)
    if flat == raw:
        return config
    http = next(key for key in config if str(key).lower() == "http")
    key = next(key for key in config[http] if str(key).lower() == "accesscontrol")
    return {**config, http: {**config[http], key: flat}}


def read_policy(config: Mapping[str, Any]) -> Policy | None:
    """The policy as zot reads it from this configuration; None where there is nothing to read."""
    raw = dig(config, "http", "accessControl")
    try:
        return parse_policy({} if raw is None else raw).policy
    except InvalidInput:
        return None


def _decide(asked: _Asked) -> _Told:
    policy, live = asked.policy, asked.live
    if policy is None:
        return _Told()
    told = _Told()
    try:
        told = replace(told, results=run_tests(policy, asked.tests))
        told = replace(told, answers=tuple(ask(policy, question) for question in asked.questions))
        subjects = everybody([one for one in (policy, live) if one], asked.people)[:MAX_SUBJECTS]
        regions = find_regions([[block.pattern for block in policy.blocks]], asked.facts.repositories)
        shown_first = [name for name in asked.facts.repositories if _is_name(name)]
        names = list(dict.fromkeys((*shown_first, *(region.witness for region in regions))))[:MAX_ROWS]
        told = replace(told, table=access_table(policy, subjects, names))
        if live is not None:
            told = replace(told, before=access_table(live, subjects, names))
        members: dict[str, list[str]] = {}
        for group, users in (asked.facts.groups or {}).items():
            for user in users:
                members.setdefault(user, []).append(group)
        told = replace(
            told,
            comparison=compare(live or policy, policy, members=members, names=asked.facts.repositories),
            lost=_lost_by_inheritance(asked.options.config),
        )
    except InvalidInput as error:
        told = replace(told, too_much=str(error))
    return told


def _is_name(text: str) -> bool:
    return REPOSITORY_NAME.fullmatch(text) is not None


def _lost_by_inheritance(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The proof that compiling ``inherit`` away has lost nobody anything."""
    written = read_policy(config)
    if written is None or not any(block.inherit for block in written.blocks):
        return ()
    return tuple(f"Writing inherit out loses access: {change}." for change in lost_by_inheritance(written))


def _accept(finding: Finding, accepted: Iterable[Accepted]) -> Finding:
    if any(one.covers(finding) for one in accepted):
        return replace(finding, severity="info", fix=f"Accepted as it is. {finding.fix}")
    return finding


def _gates(asked: _Asked, told: _Told) -> tuple[Gate, ...]:
    gates, comparison = asked.gates, told.comparison
    wanted: list[tuple[str, dict[str, Any]]] = []
    if gates.no_public_write:
        wanted.append(("no_public_write", {"no_public_write": True}))
    if gates.no_new_access:
        wanted.append(("no_new_access", {"no_new_access": True}))
    for subject in gates.no_lost_access_for:
        wanted.append((f"no_lost_access_for {subject}", {"no_lost_access_for": [subject]}))
    unread = asked.options.live_config is not None and asked.live is None
    held = []
    for name, promise in wanted:
        if comparison is None:
            broken: tuple[str, ...] = ("The policies cannot be compared, so nothing can be promised.",)
        elif unread and name != "no_public_write":
            broken = ("The live configuration has no policy that can be read, so nothing can be promised.",)
        else:
            said = broken_gates(comparison, **promise)
            broken = tuple(line.removeprefix(f"{name}: ").removeprefix("no_lost_access_for: ") for line in said)
        held.append(Gate(name, not broken, _shortened(broken, "changes")))
    return tuple(held)


def _problems(asked: _Asked, told: _Told, findings: Iterable[Finding], gates: Iterable[Gate]) -> list[str]:
    """What stands in the way, a sentence each."""
    fail_on = asked.options.fail_on
    if fail_on == "never":
        return []
    stopping = ("error", "warning") if fail_on == "warning" else ("error",)
    problems = [str(finding) for finding in findings if finding.severity in stopping]
    problems += [f"{one.sentence} {' '.join(one.answer.why)}" for one in told.results if not one.passed]
    if len(told.results) < len(asked.options.tests):
        problems.append("The tests beside the policy could not run, as nothing can be decided.")
    problems += [f"Gate {gate.name} is broken: {line}" for gate in gates for line in gate.broken_by]
    return problems + list(told.lost)


def _result(
    asked: _Asked, told: _Told, findings: list[Finding], gates: tuple[Gate, ...], problems: list[str]
) -> dict[str, Any]:
    lines: list[str] = []
    result: dict[str, Any] = {
        "passed": not problems,
        "problems": problems,
        "findings": [finding.as_dict() for finding in findings],
        "tests": [one.as_dict() for one in told.results],
        "answers": [answer.as_dict() for answer in told.answers],
        "gates": [{"name": gate.name, "held": gate.held, "broken_by": list(gate.broken_by)} for gate in gates],
    }
    if asked.policy is not None:
        result["access"] = told.table.as_dict()
        result["access_control"] = dig(asked.config, "http", "accessControl") or {}
    if asked.compares and told.comparison is not None:
        result["comparison"] = _comparison(told.comparison)
        lines += result["comparison"]["lines"]
    lines += [str(finding) for finding in findings]
    lines += [one.sentence for one in told.results]
    lines += [answer.sentence for answer in told.answers]
    return {**result, "lines": lines}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    lines = [f"{sign} {line}" for sign, part in _by_direction(comparison) for line in part.lines()]
    if not lines:
        lines = ["Nobody gains or loses any access."]
    return {
        "changed": bool(comparison),
        "lines": list(_shortened(lines, "changes", MAX_CHANGES)),
        "changes": [
            {
                "subject": change.caller.label,
                "direction": change.direction,
                "action": change.action,
                "repository": change.repository,
                "before": change.before,
                "after": change.after,
                "sentence": str(change),
            }
            for change in comparison.changes[:MAX_CHANGES]
        ],
    }


def _by_direction(comparison: Comparison) -> list[tuple[str, Comparison]]:
    """What is lost first: it is what breaks somebody's day."""
    parts = (("-", comparison.losses), ("+", comparison.gains), ("?", comparison.unclear))
    return [(sign, replace(comparison, changes=changes)) for sign, changes in parts]


def _page_changes(comparison: Comparison) -> tuple[Change, ...]:
    return tuple(Change(sign, line) for sign, part in _by_direction(comparison) for line in part.lines())


def _wrong(findings: Iterable[Finding], results: Iterable[TestResult], gates: Iterable[Gate]) -> str:
    """How much is wrong, in one sentence; empty where nothing is."""
    errors = sum(finding.severity == "error" for finding in findings)
    failed = sum(not one.passed for one in results)
    broken = sum(not gate.held for gate in gates)
    counted = [
        f"{count} {one if count == 1 else many}"
        for count, one, many in (
            (errors, "error", "errors"),
            (failed, "test that does not hold", "tests that do not hold"),
            (broken, "gate that is broken", "gates that are broken"),
        )
        if count
    ]
    if not counted:
        return ""
    return f"There {'is' if errors + failed + broken == 1 else 'are'} {listed(counted)}."


def _shortened(lines: Iterable[str], what: str, limit: int = MAX_WARNINGS) -> tuple[str, ...]:
    lines = tuple(lines)
    return lines if len(lines) <= limit else (*lines[:limit], f"And {len(lines) - limit} more {what}.")


def _host(config: Mapping[str, Any]) -> str:
    url = dig(config, "http", "externalUrl")
    try:
        return urllib.parse.urlsplit(url).netloc.rpartition("@")[2] if isinstance(url, str) else ""
    except ValueError:
        return ""
