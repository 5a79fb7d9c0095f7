# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""The space of all repository names, cut into the regions in which the same patterns win.

Exact, over every name that zot takes (there are infinitely many), with the shortest name of each region as its witness.
Where all patterns are plain names, trees and ``**``, the regions are read off the folders that the patterns name.
Otherwise the grammar of names, the tree of plain names and the automata of the other patterns are walked side by side,
shortest names first; an automaton is dropped where it can no longer match, or no longer win.

Why not a library of automata: they know regular expressions, not doublestar's search; and measured on 33 globs, where
each can win takes 0.13 s here, 0.9 s with automata-lib and 5 s with greenery (``bench/bench_policy.py``), which say
nothing yet of which patterns win together.
"""

from __future__ import annotations

import itertools
import re
import string
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.machine import (
    MAX_PATTERN,
    Automaton,
    CharClass,
    State,
    TooCostly,
    read_class,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import (
    REPOSITORY_NAME,
    Pattern,
    PatternSet,
    Shape,
    compile_pattern,
    too_costly,
)

#: States of the walk. Only patterns that were made to be slow, or very many globs that overlap freely, come near.
MAX_WALK: Final = 100_000
#: Steps of single automata in the walk, about half a microsecond each; one that makes a new state costs many.
MAX_WORK: Final = 12_000_000
NEW_STATE: Final = 20

Winners = tuple[str, ...]


class Region(NamedTuple):
    """Names in which the same patterns win.

    ``winners``: for each list of patterns the ones that win here: one, none, or several of equal length, sorted.
    ``witness``: a name in the region; a known one where there is one, else the shortest.
    """

    winners: tuple[Winners, ...]
    witness: str


def find_regions(lists: Sequence[Iterable[str]], known_names: Iterable[str] = ()) -> tuple[Region, ...]:
    """The regions of one or several lists of patterns, ordered by witness.

    Of ``known_names`` those that are repository names are preferred as witnesses, the first of each region. Raises
    InvalidInput where a pattern, or all of them together, are too much work.
    """
    texts = [tuple(dict.fromkeys(patterns)) for patterns in lists]
    sets = [PatternSet((text, text) for text in patterns) for patterns in texts]
    compiled = {text: compile_pattern(text) for patterns in texts for text in patterns}
    if any(pattern.shape is Shape.OTHER for pattern in compiled.values()):
        found = _Walk(texts, compiled).run()
    else:
        found = _by_folders(sets, compiled.values())
    preferred: dict[tuple[Winners, ...], str] = {}
    for name in known_names:
        if REPOSITORY_NAME.fullmatch(name):
            preferred.setdefault(_winners(sets, name), name)
    return tuple(
        sorted((Region(winners, preferred.get(winners, name)) for winners, name in found.items()), key=_by_witness)
    )


def _by_witness(region: Region) -> tuple[int, str]:
    return len(region.witness), region.witness


def _winners(sets: Sequence[PatternSet[str]], name: str) -> tuple[Winners, ...]:
    return tuple(tuple(sorted(patterns.longest(name))) for patterns in sets)


def _is_name(text: str) -> bool:
    return REPOSITORY_NAME.fullmatch(text) is not None


def _by_folders(sets: Sequence[PatternSet[str]], patterns: Iterable[Pattern]) -> dict[tuple[Winners, ...], str]:
    """The regions of plain names, trees and ``**``.

    What wins for a name depends on the deepest folder on its path that a pattern names: on that folder alone, if it is
    not the name itself. So each such folder, and one new name below it, show everything there is.
    """
    below: dict[str, set[str]] = {"": set()}
    for pattern in patterns:
        if pattern.shape is not Shape.ALL and _is_name(pattern.name):
            path = ""
            for part in pattern.name.split("/"):
                below[path].add(part)
                path = f"{path}/{part}" if path else part
                below.setdefault(path, set())
    found: dict[tuple[Winners, ...], str] = {}
    for folder in sorted(below, key=lambda path: (len(path), path)):
        fresh = next(part for part in _fresh_parts() if part not in below[folder])
        for name in (folder, f"{folder}/{fresh}") if folder else (fresh,):
            winners = _winners(sets, name)
            if winners not in found or _shorter(name, found[winners]):
                found[winners] = name
    return found


def _shorter(name: str, other: str) -> bool:
    return (len(name), name) < (len(other), other)


def _fresh_parts() -> Iterable[str]:
    yield from _PREFERRED_WORD
    yield from (f"x{number}" for number in itertools.count())


_WORD: Final = string.ascii_lowercase + string.digits
#: Characters that may come next, and what they lead to, by what came before. A name may end after a word only.
_GRAMMAR: Final[dict[str, dict[str, str]]] = {
    "start": dict.fromkeys(_WORD, "word"),
    "word": dict.fromkeys(_WORD, "word") | {"/": "start", ".": "one", "_": "underscore", "-": "dashes"},
    "one": dict.fromkeys(_WORD, "word"),
    "underscore": dict.fromkeys(_WORD, "word") | {"_": "one"},
    "dashes": dict.fromkeys(_WORD, "word") | {"-": "dashes"},
}
#: In the order in which a character is chosen where several do the same.
_PREFERRED_WORD: Final = "x" + _WORD.replace("x", "")
_PREFERRED: Final = _PREFERRED_WORD + "-_."


class _Node:
    """A place in the tree of plain names."""

    __slots__ = ("after", "name", "tree")

    def __init__(self) -> None:
        self.after: dict[str, _Node] = {}
        self.name: Pattern | None = None
        self.tree: Pattern | None = None


#: For each list of patterns the length of the longest that matches whatever follows, and those of that length.
_Base = tuple[tuple[int, Winners], ...]
#: The patterns that may still come to match, by number, each in its state.
_Live = tuple[tuple[int, State], ...]


class _Place(NamedTuple):
    """A state of the walk. ``node`` is None beside the tree of plain names; ``live`` is a number of ``_Walk.lives``."""

    node: _Node | None
    grammar: str
    base: _Base
    live: int


class _Walk:
    """The regions where some patterns are neither plain names, trees nor ``**``; one use."""

    def __init__(self, lists: Sequence[Sequence[str]], compiled: dict[str, Pattern]) -> None:
        self.members = [frozenset(patterns) for patterns in lists]
        self.others: list[Pattern] = []
        self.root = _Node()
        for pattern in compiled.values():
            if pattern.shape is Shape.OTHER:
                if len(pattern.text) > MAX_PATTERN:
                    raise too_costly(pattern.text)
                self.others.append(pattern)
            elif pattern.text and pattern.shape is not Shape.ALL and _is_name(pattern.name):
                node = self.root
                for char in pattern.name:
                    node = node.after.setdefault(char, _Node())
                if pattern.shape is Shape.NAME:
                    node.name = pattern
                else:
                    node.tree = pattern
        self.automata = [Automaton(pattern.text) for pattern in self.others]
        self.kinds = [_kinds_of_characters(pattern.text) for pattern in self.others]
        self.everywhere = compiled.get("**")
        self.found: dict[tuple[Winners, ...], str] = {}
        self.work = 0
        # Many places share what is live: each combination has a number (0 is none), and is advanced once a character.
        self.lives: list[_Live] = [()]
        self._numbers: dict[_Live, int] = {(): 0}
        self._advanced: dict[tuple[int, str], tuple[int, tuple[Pattern, ...]]] = {}
        self._choices: dict[tuple[_Node | None, str, int], tuple[str, ...]] = {}

    def run(self) -> dict[tuple[Winners, ...], str]:
        """Walks breadth first, so that the first name of each region is a shortest one."""
        base: _Base = tuple((0, ("",) if "" in patterns else ()) for patterns in self.members)
        if self.everywhere is not None:
            base = self._with(base, self.everywhere)
        live = tuple((index, automaton.initial) for index, automaton in enumerate(self.automata))
        first = _Place(self.root, "start", base, self._number(live))
        seen = {first}
        queue = deque([(first, "")])
        while queue:
            place, name = queue.popleft()
            for char in self._next_characters(place):
                following = self._after(place, char)
                if following in seen:
                    continue
                seen.add(following)
                if len(seen) > MAX_WALK:
                    raise _too_many()
                longer = name + char
                if following.node is None and not following.live:
                    # Nothing can change any more: every name that goes on from here is in one region.
                    ended = longer if following.grammar == "word" else longer + "x"
                    self._record(following._replace(grammar="word"), ended)
                    continue
                if following.grammar == "word":
                    self._record(following, longer)
                queue.append((following, longer))
        return self.found

    def _record(self, place: _Place, name: str) -> None:
        winners = place.base
        if place.node is not None:
            for pattern in (place.node.name, place.node.tree):
                if pattern is not None:
                    winners = self._with(winners, pattern)
        for index, state in self.lives[place.live]:
            try:
                accepts = self.automata[index].accepts(state)
            except TooCostly:
                raise too_costly(self.others[index].text) from None
            if accepts:
                winners = self._with(winners, self.others[index])
        key = tuple(patterns for _, patterns in winners)
        if key not in self.found or _shorter(name, self.found[key]):
            self.found[key] = name

    def _with(self, base: _Base, pattern: Pattern) -> _Base:
        """``base`` with one more pattern that matches."""
        return tuple(
            (length, patterns)
            if pattern.text not in members or pattern.length < length
            else (length, tuple(sorted({*patterns, pattern.text})))
            if pattern.length == length
            else (pattern.length, (pattern.text,))
            for members, (length, patterns) in zip(self.members, base, strict=True)
        )

    def _after(self, place: _Place, char: str) -> _Place:
        base = place.base
        node = place.node
        if node is not None:
            if char == "/" and node.tree is not None:
                base = self._with(base, node.tree)
            node = node.after.get(char)
        live, full = self._advance(place.live, char)
        for pattern in full:
            base = self._with(base, pattern)
        if base is not place.base:
            live = self._number(self._that_can_win(self.lives[live], base))
        return _Place(node, _GRAMMAR[place.grammar][char], base, live)

    def _number(self, live: _Live) -> int:
        number = self._numbers.get(live)
        if number is None:
            number = self._numbers[live] = len(self.lives)
            self.lives.append(live)
        return number

    def _advance(self, number: int, char: str) -> tuple[int, tuple[Pattern, ...]]:
        """What is live after one more character, and the patterns that match from there whatever follows."""
        advanced = self._advanced.get((number, char))
        if advanced is None:
            live: list[tuple[int, State]] = []
            full: list[Pattern] = []
            for index, state in self.lives[number]:
                following = state.after.get(char)
                if following is None:
                    before = self.automata[index].spent
                    try:
                        following = self.automata[index].after(state, char)
                    except TooCostly:
                        raise too_costly(self.others[index].text) from None
                    self.work += NEW_STATE * (self.automata[index].spent - before)
                    if self.work > MAX_WORK:
                        raise _too_many()
                if following.full:
                    full.append(self.others[index])
                elif not following.dead:
                    live.append((index, following))
            self.work += len(self.lives[number]) + 1
            if self.work > MAX_WORK:
                raise _too_many()
            advanced = self._advanced[number, char] = (self._number(tuple(live)), tuple(full))
        return advanced

    def _that_can_win(self, live: _Live, base: _Base) -> _Live:
        return tuple(
            (index, state)
            for index, state in live
            if any(
                self.others[index].text in members and self.others[index].length >= length
                for members, (length, _) in zip(self.members, base, strict=True)
            )
        )

    def _next_characters(self, place: _Place) -> tuple[str, ...]:
        """One character of each kind that may come next; characters of a kind lead to the same regions."""
        key = (place.node, place.grammar, place.live)
        chosen = self._choices.get(key)
        if chosen is None:
            allowed = _GRAMMAR[place.grammar]
            after = {} if place.node is None else place.node.after
            told_apart = set(after)
            classes: dict[CharClass, None] = {}
            for index, _ in self.lives[place.live]:
                told_apart |= self.kinds[index].told_apart
                classes |= dict.fromkeys(self.kinds[index].classes)
            kinds: dict[tuple[object, ...], list[str]] = {}
            for char in _PREFERRED:
                if char in allowed:
                    kind = (char if char in told_apart else "", *(found.takes(char) for found in classes))
                    kinds.setdefault(kind, []).append(char)
            picked: list[str] = ["/"] if "/" in allowed else []
            for chars in kinds.values():
                # After a letter everything may follow that may follow after . _ or -, and more. Among these three
                # themselves, what may follow differs.
                picked += chars[:1] if chars[0] in _WORD else chars
            chosen = self._choices[key] = tuple(picked)
        return chosen


def _too_many() -> InvalidInput:
    return InvalidInput(
        "The patterns of these policies overlap in too many ways to be compared exactly: "
        "write some of the globs as plain names or as NAME/**."
    )


_PLAIN_CLASS: Final = re.compile(r"\[[!^]?+[^\]\\{},\[]++\]")


class _Kinds(NamedTuple):
    """What a pattern tells apart: these characters from all others, and the members of these classes from the rest."""

    told_apart: frozenset[str]
    classes: tuple[CharClass, ...] = ()


def _kinds_of_characters(pattern: str) -> _Kinds:
    if "[" not in pattern:
        return _Kinds(frozenset(pattern))
    if "{" in pattern and "[" in _PLAIN_CLASS.sub("", pattern):
        # A brace may cut through a bracket here: too rare to reason about.
        return _Kinds(frozenset(_PREFERRED))
    found = (read_class(pattern[at:]) for at, char in enumerate(pattern) if char == "[")
    # Where in the pattern a class stands makes no difference here.
    classes = dict.fromkeys(one._replace(ends=(), rest=None) for one in found if one is not None)
    return _Kinds(frozenset(_PLAIN_CLASS.sub("", pattern)), tuple(classes))
