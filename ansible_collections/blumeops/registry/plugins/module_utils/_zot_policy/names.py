# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Finding a repository name that some patterns match and others do not, or that there is none.

Exact, over all names that zot takes: the patterns' automata and the grammar of names are walked side by side, shortest
name first. Plain names and trees are decided by comparing text.
"""

from __future__ import annotations

import re
import string
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.machine import (
    Automaton,
    State,
    TooCostly,
    read_brace,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import (
    REPOSITORY_NAME,
    Pattern,
    Shape,
    brace_choices,
)

_WORD: Final = string.ascii_lowercase + string.digits
#: Every character of a repository name.
ALPHABET: Final = _WORD + "/-._"
#: What may follow in a name, by what came before; a name may end in "word" only.
_GRAMMAR: Final[dict[str, dict[str, str]]] = {
    "start": dict.fromkeys(_WORD, "word"),
    "word": dict.fromkeys(_WORD, "word") | {"/": "start", ".": "start-within", "_": "underscore", "-": "dash"},
    "start-within": dict.fromkeys(_WORD, "word"),
    "underscore": dict.fromkeys(_WORD, "word") | {"_": "start-within"},
    "dash": dict.fromkeys(_WORD, "word") | {"-": "dash"},
}


class Work:
    """How much may still be done, in steps of an automaton (a few microseconds each)."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, steps: int = 1) -> None:
        """Raises TooCostly where nothing is left."""
        self.left -= steps
        if self.left < 0:
            raise TooCostly


def is_name(text: str) -> bool:
    """Whether zot takes the text for a repository name."""
    return REPOSITORY_NAME.fullmatch(text) is not None


def find_name(inside: Sequence[Pattern], outside: Sequence[Pattern], work: Work) -> str | None:
    """The shortest name that all of ``inside`` match and none of ``outside``; None where there is none.

    Raises TooCostly where the work does not suffice to tell.
    """
    plain = next((pattern for pattern in inside if pattern.shape is Shape.NAME), None)
    if plain is not None:
        return plain.name if _fits(plain.name, inside, outside, work) else None
    trees = sorted((pattern.name for pattern in inside if pattern.shape is Shape.TREE), key=len)
    if any(not is_name(name) for name in trees):
        return None
    if any(not f"{inner}/".startswith(f"{outer}/") for outer, inner in pairwise(trees)):
        return None
    for candidate in _candidates(trees):
        if _fits(candidate, inside, outside, work):
            return candidate
    return _search(inside, outside, work)


def may_overlap(first: Pattern, second: Pattern) -> bool:
    """False where the plain parts of the two already tell that no name matches both. Cheap."""
    one, other = literal_start(first.text), literal_start(second.text)
    if not (one.startswith(other) or other.startswith(one)):
        return False
    left, right = _readings(first.text), _readings(second.text)
    if left is None or right is None:
        return True
    return any(_agree(one, other) and _agree(one[::-1], other[::-1]) for one in left for other in right)


#: A segment: what it begins and ends with, and whether it is plain; None stands for ``**``.
_Segment = tuple[str, str, bool] | None


def _agree(first: tuple[_Segment, ...], second: tuple[_Segment, ...]) -> bool:
    """Whether the segments can be the same ones, as far as the first ``**``."""
    for one, other in zip(first, second, strict=False):
        if one is None or other is None:
            return True
        if one[2] and other[2]:
            if one[0] != other[0]:
                return False
        elif not (
            (one[0].startswith(other[0]) or other[0].startswith(one[0]))
            and (one[1].endswith(other[1]) or other[1].endswith(one[1]))
        ):
            return False
    return len(first) == len(second) or None in first or None in second


@lru_cache(maxsize=16384)
def _readings(text: str) -> tuple[tuple[_Segment, ...], ...] | None:
    """The segments of a pattern under each choice of its braces; None where it is too unusual to tell."""
    if "\\" in text or ("[" in text and ("{" in text or _WIDE_CLASS.search(text))) or brace_choices(text) > 8:
        return None
    plain, left = [], [text]
    while left:
        reading = left.pop()
        start = reading.find("{")
        members = read_brace(reading[start:]) if start >= 0 else ()
        if members is None:
            return None
        if start < 0:
            plain.append(tuple(map(_segment, reading.split("/"))))
        left.extend(reading[:start] + member for member in members)
    return tuple(plain)


def _segment(text: str) -> _Segment:
    if text == "**":
        return None
    parts = re.split(r"[*?]|\[[^\]]*\]", text)
    return parts[0], parts[-1], len(parts) == 1


#: A class that can hold a slash, or is not closed before one.
_WIDE_CLASS: Final = re.compile(r"\[(?:[!^]|[^\]]*(?:/|$)|[^\]]*[ -.]-)")


@lru_cache(maxsize=16384)
def literal_start(text: str) -> str:
    """What every name that the pattern matches begins with."""
    end = next((index for index, char in enumerate(text) if char in "*?[{\\"), len(text))
    start = text[:end]
    # name/** also matches name itself.
    return start[:-1] if start.endswith("/") and text[end:].startswith("**") else start


def _candidates(trees: list[str]) -> Iterator[str]:
    """Names that are likely to be free: the deepest root, and something unusual below it."""
    root = max(trees, key=len, default="")
    if root:
        yield root
    below = f"{root}/" if root else ""
    yield f"{below}x0"
    yield f"{below}x0/x0"
    yield f"{below}x0/x0/x0"


def _fits(name: str, inside: Sequence[Pattern], outside: Sequence[Pattern], work: Work) -> bool:
    if not is_name(name):
        return False
    for pattern in inside:
        work.spend(_cost(pattern, name))
        if not pattern.matches(name):
            return False
    for pattern in outside:
        work.spend(_cost(pattern, name))
        if pattern.matches(name):
            return False
    return True


def _cost(pattern: Pattern, name: str) -> int:
    return len(name) if pattern.shape is Shape.OTHER else 1


def _search(inside: Sequence[Pattern], outside: Sequence[Pattern], work: Work) -> str | None:
    machines = [pattern.automaton or Automaton(pattern.text) for pattern in (*inside, *outside)]
    needed = len(inside)
    letters = _letters(inside, outside)
    first = "start", tuple(machine.initial for machine in machines)
    seen: set[tuple[str, tuple[State, ...]]] = {first}
    queue = deque([("", first)])
    while queue:
        name, (where, states) = queue.popleft()
        for char in letters:
            following = _GRAMMAR[where].get(char)
            if following is None:
                continue
            work.spend(len(machines))
            after = tuple(machine.after(state, char) for machine, state in zip(machines, states, strict=True))
            if any(not state.runs for state in after[:needed]):
                continue
            longer = name + char
            if following == "word":
                work.spend(len(machines))
                answers = [machine.accepts(state) for machine, state in zip(machines, after, strict=True)]
                if all(answers[:needed]) and not any(answers[needed:]):
                    return longer
            product = following, after
            if product not in seen:
                seen.add(product)
                queue.append((longer, product))
    return None


def _letters(inside: Sequence[Pattern], outside: Sequence[Pattern]) -> str:
    """The characters that can make a difference: those in the patterns, a slash, and one that is in none of them."""
    text = "".join(pattern.text for pattern in (*inside, *outside))
    if "[" in text:
        return ALPHABET
    used = set(text)
    other = next((char for char in "x" + _WORD if char not in used), "")
    return other + "".join(char for char in ALPHABET if char in used or char == "/")
