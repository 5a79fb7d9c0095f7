# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Lint of a zot configuration: what ``zot verify`` accepts and what is wrong all the same.

``lint(config, facts) -> findings``, errors first. It never fails on bad input, however bad; bounded in time by counted
work. Codes are in findings.py, what each means in docs/policy.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.config_keys import UnknownKey, check_keys
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.facts import Facts
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import (
    Finding,
    Path,
    Severity,
    in_order,
    place,
    shown,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.lint_access import lint_access
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.lint_blocks import lint_blocks
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.lint_service import (
    lint_installed,
    lint_logins,
    open_to_all,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.logins import Logins
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import REPOSITORY_NAME
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import Parsed, parse_policy
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.reading import (
    ACCESS_CONTROL,
    dig,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.subjects import People, Subject

#: Findings of one code and severity that are told one by one.
MAX_OF_ONE_CODE: Final = 25


def lint(config: object, facts: Facts | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong, or worth knowing, with a whole zot configuration.

    Raises InvalidInput only where ``facts`` name subjects that cannot be told (see subjects.py).
    """
    return in_order(_bounded(_lint(config, facts or Facts())))


def _lint(config: object, facts: Facts) -> Iterator[Finding]:
    if not isinstance(config, Mapping):
        yield Finding(
            "ZP001",
            "error",
            "the configuration",
            "The configuration is no mapping, so there is nothing to read.",
            "Give the whole zot configuration, with its http and storage.",
        )
        return
    yield from _keys(config)
    logins = Logins.of(config)
    parsed: Parsed | None = None
    raw = dig(config, "http", "accessControl")
    # Where accessControl is no mapping, _keys has told it, and nothing can be said about access.
    if raw is None or isinstance(raw, Mapping):
        try:
            parsed = parse_policy(raw or {})
        except InvalidInput as error:
            yield Finding("ZP001", "error", f"{ACCESS_CONTROL}.repositories", str(error), "Write a mapping there.")
    policy = parsed.policy if parsed and parsed.policy.enabled else None
    if parsed is not None and policy is None:
        yield open_to_all(config, logins)
    if parsed is not None and policy is not None:
        yield from _read_otherwise(parsed)
        people = People.of([policy], facts.groups)
        writers = _subjects("immutable_writers", facts.immutable_writers, people)
        break_glass = _subjects("break_glass", facts.break_glass or (), people)
        deeper = replace(facts, repositories=(*facts.repositories, *_mirrored(config)))
        yield from lint_access(policy, logins, facts, writers)
        yield from lint_blocks(raw, policy, logins, deeper, break_glass)
    yield from lint_installed(config, policy, facts)
    yield from lint_logins(config, policy, logins)


def _subjects(option: str, names: tuple[str, ...], people: People) -> tuple[Subject, ...]:
    try:
        return tuple(people.subject(name) for name in names)
    except InvalidInput as error:
        raise InvalidInput(f"{option}: {error}") from None


def _keys(config: Mapping[Any, Any]) -> Iterator[Finding]:
    for problem in check_keys(config):
        if not isinstance(problem, UnknownKey):
            if place(problem.path).lower().startswith(f"{ACCESS_CONTROL.lower()}."):
                continue  # the model tells it, with what stands there
            yield Finding(
                "ZP001",
                "error",
                place(problem.path),
                f"There must be a {problem.wanted} here.",
                f"Write a {problem.wanted}.",
            )
            continue
        path: Path = (*problem.path, problem.key)
        near = f"Did you mean {problem.near}?" if problem.near else "Take it out, or correct it."
        if problem.key == "inherit" and "repositories" in [str(part).lower() for part in problem.path]:
            near = "inherit is true or false, and is written out before zot sees it (zot_policy_check)."
        if [str(part).lower() for part in problem.path] == ["extensions"]:
            yield Finding(
                "ZP002", "warning", place(path), f"zot has no extension {shown(problem.key)!r}: it does nothing.", near
            )
        else:
            yield Finding(
                "ZP002",
                "error",
                place(path),
                f"zot knows no key {shown(problem.key)!r} here and refuses to start.",
                near,
            )


def _read_otherwise(parsed: Parsed) -> Iterator[Finding]:
    """What zot refuses, or reads as other than it is written. Unknown keys are told by _keys."""
    for problem in parsed.problems:
        if problem.code == "unknown_key":
            continue
        code, severity, what, fix = _PROBLEMS[problem.code]
        yield Finding(code, severity, f"{ACCESS_CONTROL}.{problem.place}", f"{what} {problem.text}", fix)


_PROBLEMS: Final[dict[str, tuple[str, Severity, str, str]]] = {
    "wrong_type": (
        "ZP001",
        "error",
        "The value",
        "Write it in that form; quote texts that YAML could take for something else.",
    ),
    "changed_key": ("ZP111", "warning", "This name", "Write it in lower case."),
    "no_value": (
        "ZP112",
        "warning",
        "This entry",
        "To give nobody anything write anonymousPolicy: [] or users: []; else say who may do what.",
    ),
}


def _mirrored(config: Mapping[Any, Any]) -> Iterator[str]:
    """A name under each prefix that zot mirrors other registries to: they have folders, as library/alpine."""
    registries = dig(config, "extensions", "sync", "registries")
    for registry in registries if isinstance(registries, (list, tuple)) else ():
        content = dig(registry, "content")
        for item in content if isinstance(content, (list, tuple)) else ():
            prefix, destination = dig(item, "prefix"), dig(item, "destination")
            if isinstance(destination, str) and (not isinstance(prefix, str) or "*" in prefix):
                name = f"{destination.strip('/')}/library/alpine".lstrip("/")
                if REPOSITORY_NAME.fullmatch(name):
                    yield name


def _bounded(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Of very many findings of one kind the first ones, and how many more there are."""
    count: Counter[tuple[str, Severity]] = Counter()
    last: dict[tuple[str, Severity], Finding] = {}
    for finding in findings:
        kind = (finding.code, finding.severity)
        count[kind] += 1
        if count[kind] <= MAX_OF_ONE_CODE:
            yield finding
        else:
            last[kind] = finding
    for kind, finding in last.items():
        more = count[kind] - MAX_OF_ONE_CODE
        yield replace(finding, place=f"{finding.place}, as the last of {more} more places")
