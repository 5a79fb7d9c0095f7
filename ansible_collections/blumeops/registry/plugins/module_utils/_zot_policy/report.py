# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""One HTML page that shows what a policy grants, what is wrong with it, and what would change.

The page needs nothing but itself: no scripts, no fonts, no addresses. Everything that comes from a configuration is
escaped by Jinja2 (a dependency of ansible-core). The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from jinja2 import Environment

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import CODES, Finding
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.policy_tests import TestResult
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.questions import Answer, Row, Table
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.report_page import PAGE, STYLE

#: Rows of the access table and entries of a list beyond which the page only counts.
MAX_ROWS: Final = 400
#: Names that are shown for one row.
MAX_NAMES: Final = 6

State = Literal["allow", "deny", "random", "conditional", "gained", "lost"]


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the comparison. ``sign``: ``+`` is gained, ``-`` is lost, ``?`` is answered otherwise."""

    sign: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate, and what it was broken by."""

    name: str
    held: bool
    broken_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page shows. ``before`` is the table of the live policy for the same subjects and names."""

    title: str
    zot: str
    passed: bool
    verdict: str
    findings: tuple[Finding, ...]
    table: Table
    before: Table | None = None
    changes: tuple[Change, ...] | None = None
    gates: tuple[Gate, ...] = ()
    tests: tuple[TestResult, ...] = ()
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One subject in one row: its name, and the state of each action. ``words`` is the same for a screen reader."""

    subject: str
    actions: tuple[tuple[str, State], ...]
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """Repositories that are decided alike."""

    patterns: tuple[str, ...]
    names: tuple[str, ...]
    more: int
    cells: tuple[Cell, ...]
    changed: bool


def render(report: Report) -> str:
    """The page."""
    lines = _lines(report)
    return _PAGE.render(
        report=report,
        lines=lines[:MAX_ROWS],
        more_lines=max(0, len(lines) - MAX_ROWS),
        changes=(report.changes or ())[:MAX_ROWS],
        more_changes=max(0, len(report.changes or ()) - MAX_ROWS),
        findings=report.findings[:MAX_ROWS],
        more_findings=max(0, len(report.findings) - MAX_ROWS),
        titles=CODES,
        counts=[
            (severity, sum(finding.severity == severity for finding in report.findings))
            for severity in ("error", "warning", "info")
        ],
        failed=sum(not result.passed for result in report.tests),
    )


def _lines(report: Report) -> list[Line]:
    """The rows of the table, those that are alike in one line."""
    old = {row.repository: row for row in report.before.rows} if report.before else {}
    alike: dict[tuple[tuple[str, ...], tuple[Cell, ...]], list[str]] = {}
    for row in report.table.rows:
        cells = tuple(_cells(report, row, old.get(row.repository)))
        alike.setdefault((row.blocks, cells), []).append(row.repository)
    return [
        Line(
            patterns=patterns,
            names=tuple(names[:MAX_NAMES]),
            more=max(0, len(names) - MAX_NAMES),
            cells=cells,
            changed=any(state in ("gained", "lost") for cell in cells for _, state in cell.actions),
        )
        for (patterns, cells), names in alike.items()
    ]


def _cells(report: Report, row: Row, old: Row | None) -> Sequence[Cell]:
    found = []
    for index, subject in enumerate(report.table.subjects):
        before = dict(old.cells[index]) if old else {}
        states = tuple((action, _state(outcome, before.get(action))) for action, outcome in row.cells[index])
        found.append(Cell(subject.label, states, "; ".join(f"{action}: {_WORDS[state]}" for action, state in states)))
    return found


def _state(outcome: str, before: str | None) -> State:
    if before is not None and before != outcome:
        if outcome == "allow":
            return "gained"
        if before == "allow" and outcome == "deny":
            return "lost"
    return outcome  # type: ignore[return-value]


_WORDS: Final[dict[State, str]] = {
    "allow": "yes",
    "deny": "no",
    "random": "at random",
    "conditional": "under a condition",
    "gained": "yes, new",
    "lost": "no, not any more",
}

_ENVIRONMENT: Final = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
_PAGE: Final = _ENVIRONMENT.from_string(PAGE.replace("{{ style }}", STYLE))
