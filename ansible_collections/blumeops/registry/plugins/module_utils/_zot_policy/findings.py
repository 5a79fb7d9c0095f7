# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What lint says: all codes, and the form of one finding. docs/policy.md explains each; a test compares."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

Severity = Literal["error", "warning", "info"]
Path = tuple[str | int, ...]

#: code -> what it is about. Codes are stable: they are never given a second meaning.
CODES: Final[dict[str, str]] = {
    "ZP001": "the value has the wrong shape",
    "ZP002": "a key that zot does not know",
    "ZP003": "a pattern that zot does not accept",
    "ZP004": "too much to check, or made to be slow",
    "ZP101": "patterns of equal length that overlap",
    "ZP102": "a pattern with a leading slash",
    "ZP103": "* where nested names exist and ** was meant",
    "ZP104": "a block that can never match",
    "ZP105": "a block takes break-glass access away",
    "ZP106": "a block takes anonymous access away",
    "ZP107": "a block takes the access of everybody who is logged in away",
    "ZP108": "logging in takes away what anonymous has",
    "ZP109": "no block at all",
    "ZP110": "no access control at all",
    "ZP111": "capital letters in a key, which zot reads in lower case",
    "ZP112": "an entry without a value, which zot reads as absent",
    "ZP201": "a group that is defined nowhere",
    "ZP202": "an empty group",
    "ZP203": "a policy without subject",
    "ZP204": "an unknown action",
    "ZP205": "create, update or delete without read",
    "ZP206": "anonymous callers may write",
    "ZP207": "adminPolicy without actions",
    "ZP208": "update is granted to an immutable writer",
    "ZP209": "a policy without actions",
    "ZP210": "the anonymous caller, written as a user without name",
    "ZP211": "a condition on something that does not exist",
    "ZP301": "the version of the installed zot is not known",
    "ZP302": "immutability does not hold on the installed zot",
    "ZP303": "the installed zot is too old for this",
    "ZP304": "metrics are closed",
    "ZP305": "metrics are opened by the old trick",
    "ZP401": "policies for groups, and no login that brings groups",
    "ZP402": "a claim that its owner can change is the user name",
    "ZP403": "groups of the configuration are used to authorise API keys",
    "ZP404": "API keys are on and nobody can log in to make one",
    "ZP405": "bearer is set beside other ways to log in",
    "ZP406": "externalUrl is missing or not a URL",
    "ZP407": "a secret stands in the configuration instead of in a file",
    "ZP408": "policies for users, and no way to log in",
}
_ORDER: Final[dict[str, int]] = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth knowing.

    ``place`` is a path in the configuration, ``reason`` one sentence on what happens, ``fix`` one on what to do. No
    text holds a value that may be secret.
    """

    code: str
    severity: Severity
    place: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.code} {self.severity} at {self.place}: {self.reason} {self.fix}"

    def as_dict(self) -> dict[str, Any]:
        """For a module's result."""
        return {
            "code": self.code,
            "severity": self.severity,
            "place": self.place,
            "reason": self.reason,
            "fix": self.fix,
        }


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first; within a severity as they were found. One that is there twice is kept once."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: _ORDER[finding.severity]))


def place(path: Path) -> str:
    """``http.accessControl.repositories['a/**'].policies[0]`` for the path of a value."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)!r}]"
    return text or "the configuration"


def shown(text: str, limit: int = 80) -> str:
    """``text`` fit for a message: no control characters, cut where it is too long."""
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def listed(words: Iterable[str], limit: int = 5) -> str:
    """``a``, ``a and b``, ``a, b and c``; beyond ``limit``: ``a, b and 7 more``."""
    words = list(words)
    if len(words) > limit:
        words = [*words[: limit - 1], f"{len(words) - limit + 1} more"]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
