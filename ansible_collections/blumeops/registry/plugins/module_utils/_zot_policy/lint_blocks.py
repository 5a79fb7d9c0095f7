# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Lint of the patterns, and of what a block takes away from the one that it stands in front of (codes ZP1xx).

A block is judged by names that it decides. They are found exactly (names.py), within a budget of work that does not
depend on the clock; where it is used up, that is a finding too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.machine import TooCostly
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import (
    Pattern,
    Shape,
    brace_choices,
    compile_pattern,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import ACTIONS, Block, Policy, Rule
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.names import (
    Work,
    find_name,
    literal_start,
    may_overlap,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.reading import ACCESS_CONTROL, dig, mapping
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.subjects import Subject

#: Blocks beyond which nothing is said about pairs of them.
MAX_BLOCKS: Final = 5_000
#: Steps of work for all blocks together: a few seconds.
MAX_WORK: Final = 1_000_000
#: Steps for one question about one pattern or pair.
MAX_WORK_ONCE: Final = 60_000
#: Ways to read the braces of one pattern; zot may try each of them for every request.
MAX_BRACE_CHOICES: Final = 256
#: Longer patterns that are looked at to tell whether they leave anything of a block.
MAX_IN_FRONT: Final = 40


def lint_blocks(
    raw: Mapping[Any, Any], policy: Policy, logins: Logins, facts: Facts, break_glass: tuple[Subject, ...]
) -> Iterator[Finding]:
    """Every finding about blocks. ``raw`` is the accessControl that ``policy`` was read from."""
    sources = mapping(dig(raw, "repositories"))
    if not policy.blocks:
        yield _no_blocks(policy)
    patterns: list[tuple[Block, Pattern]] = []
    for block in policy.blocks:
        pattern = compile_pattern(block.pattern)
        complaint = _text_of_pattern(block, pattern)
        yield from complaint
        if not any(finding.code in _UNUSABLE for finding in complaint):
            patterns.append((block, pattern))
        if logins.any:
            yield from _login_loses(block)
    if len(patterns) > MAX_BLOCKS:
        yield Finding(
            "ZP004",
            "error",
            f"{ACCESS_CONTROL}.repositories",
            f"There are {len(patterns)} blocks; beyond {MAX_BLOCKS} lint does not look for blocks that stand in each "
            "other's way, and zot tries every pattern for every request.",
            "Put names that are treated alike under one pattern.",
        )
        return
    yield from _Arrangement(patterns, policy, sources, logins, facts, break_glass).findings()


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
    elif brace_choices(text) > MAX_BRACE_CHOICES or len(text) > 4096:
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


@dataclass(frozen=True, slots=True)
class _Placed:
    """A block, its pattern, and a name that it decides."""

    block: Block
    pattern: Pattern
    name: str


class _Arrangement:
    """How the blocks of one policy stand to each other."""

    def __init__(
        self,
        patterns: list[tuple[Block, Pattern]],
        policy: Policy,
        sources: Mapping[Any, Any],
        logins: Logins,
        facts: Facts,
        break_glass: tuple[Subject, ...],
    ) -> None:
        self.patterns = patterns
        self.policy = policy
        self.sources = sources
        self.logins = logins
        self.facts = facts
        self.break_glass = break_glass
        self.work = Work(MAX_WORK)
        self.undecided: list[str] = []
        #: Names of repositories that exist, will exist, or have a block of their own.
        self.known = [*facts.repositories, *(p.name for _, p in patterns if p.shape in (Shape.NAME, Shape.TREE))]
        self.names: dict[str, tuple[Block, Pattern]] = {}
        self.trees: dict[str, tuple[Block, Pattern]] = {}
        self.others: list[tuple[Block, Pattern]] = []
        for block, pattern in patterns:
            if pattern.shape is Shape.NAME:
                self.names[pattern.name] = block, pattern
            elif pattern.shape is Shape.TREE:
                self.trees[pattern.name] = block, pattern
            else:
                self.others.append((block, pattern))

    def findings(self) -> Iterator[Finding]:
        yield from self._equal_lengths()
        yield from self._each_block()
        if self.undecided:
            yield Finding(
                "ZP004",
                "warning",
                f"{ACCESS_CONTROL}.repositories",
                f"How {listed(self.undecided, 4)} stand to the other patterns takes too much work to tell.",
                "Write patterns with fewer braces, brackets and stars.",
            )

    def matching(self, name: str) -> list[tuple[Block, Pattern]]:
        """The blocks whose patterns match the name, longest first. Raises TooCostly."""
        found = []
        if name in self.names:
            found.append(self.names[name])
        end = len(name)
        while end >= 0:
            if name[:end] in self.trees:
                found.append(self.trees[name[:end]])
            end = name.rfind("/", 0, end)
        for block, pattern in self.others:
            if name.startswith(literal_start(pattern.text)):
                self.work.spend(len(name) // 8 + 1)
                try:
                    if pattern.matches(name):
                        found.append((block, pattern))
                except InvalidInput:
                    raise TooCostly from None
        return sorted(found, key=lambda entry: -entry[1].length)

    def _ask(self, inside: Iterable[Pattern], outside: Iterable[Pattern] = ()) -> str | None:
        """The shortest name inside all and outside all. Raises TooCostly where one question takes too much."""
        once = Work(min(MAX_WORK_ONCE, self.work.left))
        before = once.left
        try:
            return find_name(tuple(inside), tuple(outside), once)
        except InvalidInput:
            raise TooCostly from None
        finally:
            self.work.left -= before - max(once.left, 0)

    # Patterns of equal length

    def _equal_lengths(self) -> Iterator[Finding]:
        for first, second in self._pairs_of_equal_length():
            try:
                name = self._random_for(first[1], second[1])
            except TooCostly:
                self._give_up(first[1].text)
                if self.work.left <= 0:
                    return
                continue
            if name is not None:
                yield self._random(first[0], second[0], name)

    def _random_for(self, one: Pattern, other: Pattern) -> str | None:
        """A name that both match and no longer pattern does. Raises TooCostly."""
        self.work.spend()
        return self._decided_by((one, other))[0] if may_overlap(one, other) else None

    def _decided_by(self, inside: tuple[Pattern, ...]) -> tuple[str | None, list[Pattern]]:
        """A name that these patterns of equal length are the longest for, or None and the longer ones that leave none.

        Only the longer patterns that stand in the way of a name are looked at, one after another. Raises TooCostly.
        """
        longer: list[Pattern] = []
        while len(longer) <= MAX_IN_FRONT:
            name = self._ask(inside, longer)
            if name is None:
                return None, longer
            deciding = self.matching(name)[0][1]
            if deciding.length <= inside[0].length:
                return name, longer
            longer.append(deciding)
        raise TooCostly

    def _pairs_of_equal_length(self) -> Iterator[tuple[tuple[Block, Pattern], tuple[Block, Pattern]]]:
        # A plain name and a tree of its length: the tree's root is the name without its last three characters or more.
        for entry in self.names.values():
            name = entry[1].name
            end = name.rfind("/")
            while end > 0:
                tree = self.trees.get(name[:end])
                if tree is not None and tree[1].length == entry[1].length:
                    yield entry, tree
                end = name.rfind("/", 0, end)
        by_length: dict[int, list[tuple[Block, Pattern]]] = defaultdict(list)
        for entry in (*self.names.values(), *self.trees.values()):
            by_length[entry[1].length].append(entry)
        for index, entry in enumerate(self.others):
            for other in self.others[index + 1 :]:
                if other[1].length == entry[1].length:
                    yield entry, other
            for other in by_length.get(entry[1].length, ()):
                yield entry, other

    def _random(self, first: Block, second: Block, name: str) -> Finding:
        same = (first.rules, first.default_actions, first.anonymous_actions) == (
            second.rules,
            second.default_actions,
            second.anonymous_actions,
        )
        both = f"{shown(first.pattern)!r} and {shown(second.pattern)!r} are equally long and both match {name}"
        if same:
            reason = f"{both}: zot takes one of them at random each time. They say the same, until one is edited."
        else:
            reason = f"{both}: zot takes one of them at random each time, and they do not say the same."
        return Finding(
            "ZP101",
            "warning" if same else "error",
            _at(first.pattern),
            reason,
            "Put both into one block, or make one of the patterns longer, so that it decides.",
        )

    # What one block means for the names it decides

    def _each_block(self) -> Iterator[Finding]:
        for block, pattern in self.patterns:
            try:
                placed = self._place(block, pattern)
            except TooCostly:
                self._give_up(block.pattern)
                if self.work.left <= 0:
                    return
                continue
            if isinstance(placed, Finding):
                yield placed
                continue
            yield from self._declared_break_glass(block)
            yield from self._one_level(placed)
            try:
                under = [entry for entry in self.matching(placed.name) if entry[1].length < pattern.length]
            except TooCostly:
                self._give_up(block.pattern)
                return
            if under:
                yield from self._taken_away(placed, under[0][0])

    def _give_up(self, pattern: str) -> None:
        if shown(pattern, 40) not in self.undecided:
            self.undecided.append(shown(pattern, 40))

    def _place(self, block: Block, pattern: Pattern) -> _Placed | Finding:
        """A name that the block decides, or the finding that there is none. Raises TooCostly."""
        if not pattern.text:
            return _never(block, "the empty pattern matches no name, and is taken only where no other pattern matches")
        name, longer = self._decided_by((pattern,))
        if name is not None:
            return _Placed(block, pattern, name)
        if longer:
            return _never(block, f"every name that it matches is matched by a longer pattern too, as {_quoted(longer)}")
        return _never(block, _why_no_name(pattern))

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

    def _one_level(self, placed: _Placed) -> Iterator[Finding]:
        """``name/*`` where names lie deeper, or where what lies deeper is open to more people."""
        block, pattern = placed.block, placed.pattern
        if pattern.shape is not Shape.OTHER or not (pattern.text == "*" or pattern.text.endswith("/*")):
            return
        wide = compile_pattern(f"{pattern.text}*")
        start = literal_start(pattern.text)
        try:
            for name in self.known:
                if name.startswith(start) and wide.matches(name) and not pattern.matches(name):
                    self.work.spend(2 * len(name))
                    deciding = self.matching(name)
                    if not deciding or deciding[0][1].length < pattern.length:
                        yield self._too_shallow(block, name, deciding[0][0] if deciding else None, "warning")
                        return
            name = f"{placed.name}/x"
            deciding = [entry for entry in self.matching(name) if entry[1].length < pattern.length]
        except (TooCostly, InvalidInput):
            self._give_up(pattern.text)
            return
        if not deciding:
            yield self._too_shallow(block, name, None, "warning" if pattern.text == "*" else "info")
            return
        under = deciding[0][0]
        more = _anonymous(self.policy, under) - _anonymous(self.policy, block)
        more |= set(under.default_actions) - set(block.default_actions)
        yield self._too_shallow(block, name, under, "warning" if more else "info")

    def _too_shallow(self, block: Block, name: str, under: Block | None, severity: Severity) -> Finding:
        falls = f"falls under {shown(under.pattern)!r}" if under else "falls under no block at all"
        return Finding(
            "ZP103",
            severity,
            _at(block.pattern),
            f"* ends at the next slash: {name} is not matched here and {falls}.",
            f"Write {shown(block.pattern + '*')!r} if everything below is meant.",
        )

    def _taken_away(self, placed: _Placed, under: Block) -> Iterator[Finding]:
        block, at = placed.block, _at(placed.block.pattern)
        source = dig(self.sources, block.pattern)
        behind = f"Without this block {shown(under.pattern)!r} would decide"
        if self.facts.break_glass is None:
            here = _all_powerful(self.policy, block)
            everybody = set(block.default_actions).issuperset(ACTIONS)
            robbed = [] if everybody else [who for who in _all_powerful(self.policy, under) if who not in here]
            if robbed:
                who = listed(map(_label, robbed))
                yield Finding(
                    "ZP105",
                    "warning",
                    at,
                    f"{behind}, where {who} may do everything; here that is lost, as on {placed.name}.",
                    "Repeat the rule in this block, or put the subject into adminPolicy, which counts everywhere.",
                )
        if "read" in _anonymous(self.policy, under) - _anonymous(self.policy, block):
            meant = dig(source, "anonymousPolicy") is not None
            yield Finding(
                "ZP106",
                "info" if meant else "warning",
                at,
                f"{behind}, where anonymous callers may read; here they may not, as on {placed.name}.",
                "Add anonymousPolicy: [read], or anonymousPolicy: [] to say that it is meant.",
            )
        lost = [a for a in ACTIONS if a in under.default_actions and a not in block.default_actions]
        if lost and self.logins.any:
            meant = dig(source, "defaultPolicy") is not None
            yield Finding(
                "ZP107",
                "info" if meant else "warning",
                at,
                f"{behind}, where everybody logged in may {listed(lost)}; here they may not, as on {placed.name}.",
                f"Add defaultPolicy: [{', '.join(lost)}], or defaultPolicy: [] to say that it is meant.",
            )


def _never(block: Block, why: str) -> Finding:
    return Finding(
        "ZP104",
        "error" if block.pattern else "warning",
        _at(block.pattern),
        f"The block never decides anything: {why}.",
        "Correct the pattern, or remove the block.",
    )


def _why_no_name(pattern: Pattern) -> str:
    text = pattern.text
    if text.endswith("/"):
        return "repository names do not end in a slash"
    if "//" in text:
        return "repository names have no two slashes in a row"
    return "no repository can have a name that it matches"


def _quoted(patterns: Iterable[Pattern]) -> str:
    return listed([repr(shown(pattern.text)) for pattern in patterns], 3)


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
