# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Repository patterns, matched as zot matches them (doublestar v4.10).

The shapes that real policies are made of (a plain name, ``name/**``, ``**``) are decided by comparing text. All others
go through the automaton of ``machine.py``, which takes time linear in the name whatever the pattern.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Generic, TypeVar

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.machine import (
    MAX_PATTERN,
    Automaton,
    TooCostly,
    is_valid,
)

T = TypeVar("T")

#: Names that zot takes for repositories: the grammar of the OCI distribution specification.
REPOSITORY_NAME: Final = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")


class Shape(enum.Enum):
    """How a pattern can be decided."""

    NAME = "name"  #: a plain name
    TREE = "tree"  #: ``name/**``: the name and everything below it
    ALL = "all"  #: ``**``
    OTHER = "other"  #: by automaton


@dataclass(frozen=True, slots=True)
class Pattern:
    """One compiled pattern; make it with :func:`compile_pattern`.

    ``length`` is what zot measures to find the longest: bytes of UTF-8. ``name`` is the plain part of the shapes NAME
    and TREE. ``valid`` is False where ``zot verify`` refuses the pattern.
    """

    text: str
    length: int
    shape: Shape
    name: str
    valid: bool
    automaton: Automaton | None = field(default=None, compare=False, repr=False)

    def matches(self, repository: str) -> bool:
        """Whether zot lets this pattern match the repository. Raises InvalidInput for a pattern made to be slow."""
        if self.shape is Shape.NAME:
            return repository == self.name
        if self.shape is Shape.ALL:
            return True
        if self.shape is Shape.TREE:
            size = len(self.name)
            return repository.startswith(self.name) and (len(repository) == size or repository[size] == "/")
        assert self.automaton is not None
        try:
            return self.automaton.search(repository) is True
        except TooCostly:
            raise too_costly(self.text) from None

    def complains(self, repository: str) -> bool:
        """Whether doublestar reports the pattern as malformed when it is matched against this repository.

        It finds the fault while it matches, so a malformed pattern can still match, and a few that ``zot verify``
        accepts are found malformed (``{[a,b]}``: the brace is split inside the bracket).
        """
        if self.automaton is None:
            return not self.valid and not self.matches(repository)
        found = self.automaton.search(repository)
        return found is None or (found is False and not self.valid)


def too_costly(text: str) -> InvalidInput:
    """The error for a pattern that would take too long, here and in zot."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return InvalidInput(
        f"The pattern {shown!r} takes too much work to match, and zot would do that work for every request: "
        "write it with fewer braces and stars."
    )


@lru_cache(maxsize=16384)
def compile_pattern(text: str) -> Pattern:
    """The pattern, ready to match. An invalid one has ``valid`` False, and matches what zot would let it match."""
    length = len(text.encode("utf-8", "surrogatepass"))
    valid = is_valid(text)
    if text == "**":
        return Pattern(text, length, Shape.ALL, "", valid)
    plain = text.removesuffix("/**")
    if not _SPECIAL.search(plain):
        return Pattern(text, length, Shape.NAME if plain == text else Shape.TREE, plain, valid)
    return Pattern(text, length, Shape.OTHER, "", valid, Automaton(text))


_SPECIAL: Final = re.compile(r"[*?\[{\\]")


class PatternSet(Generic[T]):
    """Values under patterns, found as zot finds a block: those under the longest patterns that match a repository.

    Plain names and trees are looked up; only patterns of the shape OTHER are tried, longest first, as far as one could
    still win. The value under the empty pattern is the one zot falls back to where no pattern matches.
    """

    __slots__ = ("_everywhere", "_fallback", "_names", "_others", "_trees")

    def __init__(self, items: Iterable[tuple[str, T]]) -> None:
        self._names: dict[str, tuple[int, T]] = {}
        self._trees: dict[str, tuple[int, T]] = {}
        self._everywhere: T | None = None
        self._fallback: T | None = None
        self._others: list[tuple[Pattern, T]] = []
        for text, value in items:
            pattern = compile_pattern(text)
            if not text:
                self._fallback = value
            elif pattern.shape is Shape.NAME:
                self._names[pattern.name] = (pattern.length, value)
            elif pattern.shape is Shape.TREE:
                self._trees[pattern.name] = (pattern.length, value)
            elif pattern.shape is Shape.ALL:
                self._everywhere = value
            else:
                self._others.append((pattern, value))
        self._others.sort(key=lambda entry: -entry[0].length)

    def longest(self, repository: str) -> list[T]:
        """The values under the longest patterns that match: one, several of equal length, or none."""
        longest, found = 0, []
        if self._everywhere is not None:
            longest, found = 2, [self._everywhere]
        if self._trees:
            end = len(repository)
            while end >= 0:
                if (entry := self._trees.get(repository[:end])) is not None:
                    # It is the longest tree: that of every shorter folder has a shorter pattern.
                    longest, found = entry[0], [entry[1]]
                    break
                end = repository.rfind("/", 0, end)
        if (entry := self._names.get(repository)) is not None:
            if entry[0] > longest:
                longest, found = entry[0], [entry[1]]
            elif entry[0] == longest:
                found.append(entry[1])
        for pattern, value in self._others:
            if pattern.length < longest:
                break
            if pattern.matches(repository):
                if pattern.length > longest:
                    longest, found = pattern.length, [value]
                else:
                    found.append(value)
        if not found and self._fallback is not None:
            return [self._fallback]
        return found


def brace_choices(text: str) -> int:
    """How many patterns the braces of ``text`` stand for; zot may try each of them for every request.

    Capped at a million. 1 without braces, or where they are not paired.
    """
    most = 1_000_000
    # Per open brace: choices of the members that are finished, and of the one being read.
    sums: list[int] = []
    product = [1]
    for token in _BRACES.finditer(text):
        if token[0] == "{":
            sums.append(0)
            product.append(1)
        elif token[0] == "," and sums:
            sums[-1] = min(most, sums[-1] + product[-1])
            product[-1] = 1
        elif token[0] == "}" and sums:
            members = sums.pop() + product.pop()
            product[-1] = min(most, product[-1] * members)
    return product[0] if not sums else 1


_BRACES: Final = re.compile(r"\\[\s\S]?|[{},]")

__all__ = [
    "MAX_PATTERN",
    "REPOSITORY_NAME",
    "Pattern",
    "PatternSet",
    "Shape",
    "brace_choices",
    "compile_pattern",
    "too_costly",
]
