# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Lint of the patterns, and of what a block takes away from the one that it stands in front of (codes ZP1xx).

A block is judged by a name that it decides. Which block decides where is exact over all names (regions.py).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.facts import Facts
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import (
    Finding,
    Severity,
    listed,
    shown,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.logins import Logins
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import (
    MAX_PATTERN,
    Pattern,
    Shape,
    brace_choices,
    compile_pattern,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import ACTIONS, Block, Policy, Rule
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.reading import ACCESS_CONTROL, dig, mapping
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.regions import find_regions
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.subjects import Subject

#: Blocks from which on zot, which tries every pattern for every request, becomes slow.
MANY_BLOCKS: Final = 5_000
#: Ways to read the braces of one pattern; zot may try each of them for every request.
MAX_BRACE_CHOICES: Final = 256


def lint_blocks(
    raw: Mapping[Any, Any], policy: Policy, logins: Logins, facts: Facts, break_glass: tuple[Subject, ...]
) -> Iterator[Finding]:
    """Every finding about blocks. ``raw`` is the accessControl that ``policy`` was read from."""
    if not policy.blocks:
        yield _no_blocks(policy)
    if len(policy.blocks) > MANY_BLOCKS:
        yield Finding(
            "ZP004",
            "warning",
            f"{ACCESS_CONTROL}.repositories",
            f"There are {len(policy.blocks)} blocks, and zot tries every pattern for every request.",
            "Put names that are treated alike under one pattern.",
        )
    usable: list[tuple[Block, Pattern]] = []
    for block in policy.blocks:
        pattern = compile_pattern(block.pattern)
        complaints = _text_of_pattern(block, pattern)
        yield from complaints
        if not any(finding.code in _UNUSABLE for finding in complaints):
            usable.append((block, pattern))
        if logins.any:
            yield from _login_loses(block)
    try:
        yield from _Arrangement(
            usable, policy, mapping(dig(raw, "repositories")), logins, facts, break_glass
        ).findings()
    except InvalidInput as error:
        yield Finding(
            "ZP004", "error", f"{ACCESS_CONTROL}.repositories", str(error), "Write fewer and simpler patterns."
        )


_UNUSABLE: Final = frozenset({"ZP003", "ZP004", "ZP102"})


def _at(pattern: str) -> str:
    return f"{ACCESS_CONTROL}.repositories[{shown(pattern)!r}]"


def _no_blocks(policy: Policy) -> Finding:
    left = "only adminPolicy grants anything" if policy.admin.actions else "nobody may do anything"
    return Finding(
        "ZP109",
        "error",
        f"{ACCESS_CONTROL}.repositories",
        f"There is no block, so {left}.",
        'Grant what is meant, as "**": {anonymousPolicy: [read]}.',
    )


def _text_of_pattern(block: Block, pattern: Pattern) -> list[Finding]:
    """What the text of one pattern alone tells."""
    text, at = block.pattern, _at(block.pattern)
    found: list[Finding] = []
    if not pattern.valid:
        found.append(
            Finding(
                "ZP003",
                "error",
                at,
                "The pattern is malformed: a bracket or brace is open, a class is empty, or it ends in a backslash.",
                "Close it, or put a backslash before a character that is meant as itself.",
            )
        )
    elif brace_choices(text) > MAX_BRACE_CHOICES or len(text) > MAX_PATTERN:
        found.append(
            Finding(
                "ZP004",
                "error",
                at,
                "The pattern can be read in so many ways, or is so long, that zot would be slow at every request.",
                "Write it with fewer braces, or as several patterns.",
            )
        )
    elif text.startswith("/"):
        found.append(
            Finding(
                "ZP102",
                "error",
                at,
                "The pattern begins with a slash, and no repository name does: the block never matches.",
                f"Write {shown(text.lstrip('/') or '**')!r}.",
            )
        )
    if "::" in text:
        found.append(
            Finding(
                "ZP003",
                "error",
                at,
                "zot's loader takes :: in a key for the end of it, and refuses what is left.",
                "Take it out; repository names have no colon.",
            )
        )
    segments = text.split("/")
    if any("**" in segment and segment != "**" for segment in segments) and "{" not in text and "[" not in text:
        found.append(
            Finding(
                "ZP103",
                "warning",
                at,
                "** reaches into folders only where it stands alone between slashes; here it is the same as *.",
                "Write it as a segment of its own, as name/**.",
            )
        )
    return found


def _login_loses(block: Block) -> Iterator[Finding]:
    lost = [action for action in ACTIONS if action in block.anonymous_actions and action not in block.default_actions]
    if lost:
        yield Finding(
            "ZP108",
            "warning",
            _at(block.pattern),
            f"Logging in takes {listed(lost)} away: anonymousPolicy is for callers without a user name only, so "
            "who logs in and is named by no rule here is denied.",
            f"Add defaultPolicy: [{', '.join(lost)}].",
        )


class _Arrangement:
    """How the blocks of one policy stand to each other. Raises InvalidInput where that is too much work to tell."""

    def __init__(
        self,
        usable: list[tuple[Block, Pattern]],
        policy: Policy,
        sources: Mapping[Any, Any],
        logins: Logins,
        facts: Facts,
        break_glass: tuple[Subject, ...],
    ) -> None:
        self.usable = usable
        self.policy = policy
        self.sources = sources
        self.logins = logins
        self.break_glass = break_glass
        self.guess_break_glass = facts.break_glass is None
        plain = [pattern.name for _, pattern in usable if pattern.shape in (Shape.NAME, Shape.TREE)]
        #: Names of repositories that exist, will exist, or have a block of their own.
        self.known = dict.fromkeys((*facts.repositories, *plain))
        self.regions = find_regions([[pattern.text for _, pattern in usable]], facts.repositories)
        self.blocks = {block.pattern: block for block, _ in usable}
        self.trees = {pattern.name: entry for entry in usable if (pattern := entry[1]).shape is Shape.TREE}
        self.names = {pattern.name: entry for entry in usable if (pattern := entry[1]).shape is Shape.NAME}
        others = [entry for entry in usable if entry[1].shape in (Shape.ALL, Shape.OTHER) and entry[1].text]
        others.sort(key=lambda entry: -entry[1].length)
        self.others = [(_needed(pattern.text), (block, pattern)) for block, pattern in others]

    def findings(self) -> Iterator[Finding]:
        witnesses: dict[str, str] = {}
        winning: set[str] = set()
        for (winners,), witness in self.regions:
            winning.update(winners)
            if len(winners) > 1:
                yield self._random([self.blocks[pattern] for pattern in winners], witness)
            elif winners:
                witnesses[winners[0]] = witness
        for block, pattern in self.usable:
            if block.pattern not in winning:
                yield self._never(block, pattern)
                continue
            yield from self._declared_break_glass(block)
            if block.pattern not in witnesses:
                continue
            name = witnesses[block.pattern]
            if pattern.shape is Shape.OTHER and (pattern.text == "*" or pattern.text.endswith("/*")):
                yield self._one_level(block, pattern, name)
            under = self.matching(name, shorter_than=pattern.length)
            if under is not None:
                yield from self._taken_away(block, name, under)

    def matching(self, name: str, shorter_than: int) -> Block | None:
        """What would decide the name if all patterns of this length and more were not there."""
        found = [self.names[name]] if name in self.names else []
        end = len(name)
        while end >= 0:
            if name[:end] in self.trees:
                found.append(self.trees[name[:end]])
            end = name.rfind("/", 0, end)
        found = [entry for entry in found if entry[1].length < shorter_than]
        longest = max((entry[1].length for entry in found), default=0)
        # Longest first: the first that matches is the one, unless a name or tree is longer.
        for needed, entry in self.others:
            if entry[1].length <= longest:
                break
            if entry[1].length < shorter_than and needed in name and entry[1].matches(name):
                return entry[0]
        return max(found, key=lambda entry: entry[1].length)[0] if found else None

    def _random(self, blocks: list[Block], name: str) -> Finding:
        same = len({replace(block, pattern="") for block in blocks}) == 1
        which = listed(repr(shown(block.pattern)) for block in blocks)
        result = "They say the same, until one is edited." if same else "They do not say the same."
        return Finding(
            "ZP101",
            "warning" if same else "error",
            _at(blocks[0].pattern),
            f"{which} are equally long and match {name}: zot takes one of them at random each time. {result}",
            "Put them into one block, or make one of the patterns longer, so that it decides.",
        )

    def _never(self, block: Block, pattern: Pattern) -> Finding:
        matched = [region.witness for region in find_regions([[pattern.text]]) if region.winners != ((),)]
        if not pattern.text:
            why = "the empty pattern matches no name, and is taken only where no other pattern matches"
        elif matched:
            winner = self.matching(matched[0], shorter_than=_ANY)
            assert winner is not None  # at least this very block
            why = f"every name that it matches is matched by a longer pattern too, as {shown(winner.pattern)!r}"
        else:
            why = _why_no_name(pattern)
        return Finding(
            "ZP104",
            "error" if pattern.text else "warning",
            _at(block.pattern),
            f"The block never decides anything: {why}.",
            "Correct the pattern, or remove the block.",
        )

    def _declared_break_glass(self, block: Block) -> Iterator[Finding]:
        for subject in self.break_glass:
            lost = [action for action in ACTIONS if action not in _rights(self.policy, block, subject)]
            if lost:
                yield Finding(
                    "ZP105",
                    "error",
                    _at(block.pattern),
                    f"{shown(subject.label)} must be able to repair everything, and may not {listed(lost)} here: "
                    "what stands under a shorter pattern does not count.",
                    "Repeat the rule in this block, or put the subject into adminPolicy, which counts everywhere.",
                )

    def _one_level(self, block: Block, pattern: Pattern, witness: str) -> Finding:
        """``name/*`` where names lie deeper, or where what lies deeper is open to more people."""
        wide = compile_pattern(f"{pattern.text}*")
        start = _start(pattern.text)
        for name in self.known:
            if name.startswith(start) and wide.matches(name) and not pattern.matches(name):
                deciding = self.matching(name, shorter_than=_ANY)
                if deciding is None or compile_pattern(deciding.pattern).length < pattern.length:
                    return self._too_shallow(block, name, deciding, "warning")
        name = f"{witness}/x"
        under = self.matching(name, shorter_than=pattern.length)
        if under is None:
            return self._too_shallow(block, name, None, "warning" if pattern.text == "*" else "info")
        more = _anonymous(self.policy, under) - _anonymous(self.policy, block)
        more |= set(under.default_actions) - set(block.default_actions)
        return self._too_shallow(block, name, under, "warning" if more else "info")

    def _too_shallow(self, block: Block, name: str, under: Block | None, severity: Severity) -> Finding:
        falls = f"falls under {shown(under.pattern)!r}" if under else "falls under no block at all"
        return Finding(
            "ZP103",
            severity,
            _at(block.pattern),
            f"* ends at the next slash: {name} is not matched here and {falls}.",
            f"Write {shown(block.pattern + '*')!r} if everything below is meant.",
        )

    def _taken_away(self, block: Block, name: str, under: Block) -> Iterator[Finding]:
        at = _at(block.pattern)
        source = dig(self.sources, block.pattern)
        behind = f"Without this block {shown(under.pattern)!r} would decide"
        if self.guess_break_glass:
            here = _all_powerful(self.policy, block)
            everybody = set(block.default_actions).issuperset(ACTIONS)
            robbed = [] if everybody else [who for who in _all_powerful(self.policy, under) if who not in here]
            if robbed:
                who = listed(map(_label, robbed))
                yield Finding(
                    "ZP105",
                    "warning",
                    at,
                    f"{behind}, where {who} may do everything; here that is lost, as on {name}.",
                    "Repeat the rule in this block, or put the subject into adminPolicy, which counts everywhere.",
                )
        if "read" in _anonymous(self.policy, under) - _anonymous(self.policy, block):
            meant = dig(source, "anonymousPolicy") is not None
            yield Finding(
                "ZP106",
                "info" if meant else "warning",
                at,
                f"{behind}, where anonymous callers may read; here they may not, as on {name}.",
                "Add anonymousPolicy: [read], or anonymousPolicy: [] to say that it is meant.",
            )
        lost = [a for a in ACTIONS if a in under.default_actions and a not in block.default_actions]
        if lost and self.logins.any:
            meant = dig(source, "defaultPolicy") is not None
            yield Finding(
                "ZP107",
                "info" if meant else "warning",
                at,
                f"{behind}, where everybody logged in may {listed(lost)}; here they may not, as on {name}.",
                f"Add defaultPolicy: [{', '.join(lost)}], or defaultPolicy: [] to say that it is meant.",
            )


_ANY: Final = 1 << 30


def _start(text: str) -> str:
    """What every name that the pattern matches begins with."""
    end = next((index for index, char in enumerate(text) if char in "*?[{\\"), len(text))
    # name/** also matches name itself.
    return text[:end].rstrip("/") if text[end:].startswith("**") else text[:end]


def _needed(text: str) -> str:
    """Some text without a slash that every name that the pattern matches has in it; empty where that is not plain."""
    if "\\" in text or ("[" in text and "{" in text):
        return ""
    plain = re.sub(r"\[[^\]]*\]|\{.*\}", "*", text)
    return max(re.split(r"[*?/]", plain), key=len)


def _why_no_name(pattern: Pattern) -> str:
    text = pattern.text
    if text.endswith("/"):
        return "repository names do not end in a slash"
    if "//" in text:
        return "repository names have no two slashes in a row"
    return "no repository can have a name that it matches"


def _label(name: tuple[str, str]) -> str:
    kind, text = name
    return f"group {shown(text)}" if kind == "group" else shown(text)


def _rights(policy: Policy, block: Block, subject: Subject) -> set[str]:
    """What a subject may do without a condition in this block."""
    rights: set[str] = set()
    names = {subject.identity.name} if subject.kind in ("user", "anonymous") else set()
    for rule in (*block.rules, policy.admin):
        if not rule.conditions and (names & set(rule.users) or set(subject.identity.groups) & set(rule.groups)):
            rights.update(rule.actions)
    rights.update(block.anonymous_actions if subject.kind == "anonymous" else block.default_actions)
    return rights


def _anonymous(policy: Policy, block: Block) -> set[str]:
    """What anonymous callers may do here: nothing at all where no block of the policy has an anonymousPolicy."""
    if not policy.admits_anonymous:
        return set()
    rights = set(block.anonymous_actions)
    for rule in (*block.rules, policy.admin):
        if "" in rule.users and not rule.conditions:
            rights.update(rule.actions)
    return rights


def _all_powerful(policy: Policy, block: Block) -> list[tuple[str, str]]:
    """The users and groups that may do all four actions in this block."""
    rights: dict[tuple[str, str], set[str]] = defaultdict(lambda: set(block.default_actions))

    def add(rule: Rule) -> None:
        if rule.conditions:
            return
        for group in rule.groups:
            rights["group", group].update(rule.actions)
        for user in rule.users:
            if user:
                rights["user", user].update(rule.actions)

    for rule in (*block.rules, policy.admin):
        add(rule)
    return [name for name, actions in rights.items() if actions.issuperset(ACTIONS)]
