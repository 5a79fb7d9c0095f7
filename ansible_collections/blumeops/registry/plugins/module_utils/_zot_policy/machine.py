# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""The language of one doublestar pattern, as a deterministic automaton that is built as far as it is asked.

zot matches patterns with doublestar v4.10, which tries ways one after another: the earliest stretch of a ``*``
first, the earliest segment of a ``**/`` first, the members of ``{a,b}`` in order. It goes back to the *last* star and
the *last* ``**/`` only, and it stops for good where the name ends too early. Mostly that gives the regular language
that one expects. It does not where a class matches the slash (``[!n]`` does), where ``**`` stands beside a brace, or
where stars follow stars. So this automaton follows the *search*, not the expectation: all the ways that doublestar
would try are advanced together, one character of the name at a time, in the order in which they would be tried, and
whatever the search would forget is forgotten.

* A *way* is one place where the search may go on: the text of the pattern that is left.
* An *attempt* is the list of ways under one start of the last ``**/``, first choice first.
* A *run* is the list of attempts under one choice of brace members.
* A *state* is the list of runs. The first run that says yes decides.

A way that reaches a further ``*`` has settled the one before: the later choices of its attempt are dropped. A way
that reaches a ``**/`` has settled everything: all later choices are dropped. A way that stands before a brace splits
its run, and with it the text that the later choices will read. Nothing is tried twice: time is linear in the name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

#: Runs in one state: each brace group multiplies them. doublestar, and so zot, tries each of them for every request.
MAX_RUNS: Final = 1024
#: States kept before the automaton starts afresh: bounds the memory that a pattern made to be large can take.
MAX_STATES: Final = 10_000
#: Work of one step, and of one search, in ways looked at (about a microsecond each). No real pattern comes near.
MAX_STEP_WORK: Final = 50_000
MAX_SEARCH_WORK: Final = 400_000

#: Characters of one pattern that the automaton takes. A repository name has 255 at most.
MAX_PATTERN: Final = 4096


class TooCostly(Exception):
    """The pattern asks for more work than any real one does; zot would do that work for every request."""


class CharClass(NamedTuple):
    """``[...]``: inclusive ranges of characters, and where in the text each ends.

    ``rest`` follows the closing bracket; None where there is none.
    """

    negated: bool
    ranges: tuple[tuple[str, str], ...]
    ends: tuple[int, ...]
    rest: str | None

    def takes(self, char: str) -> bool:
        """Whether the class matches this character. ``/`` is a character like any other here."""
        return any(low <= char <= high for low, high in self.ranges) != self.negated

    def left_by(self, char: str, text: str) -> str:
        """What doublestar reads on where the class does not match: a negated class is left in its middle."""
        for (low, high), end in zip(self.ranges, self.ends, strict=True):
            if low <= char <= high:
                return text[end:]
        return text[self.ends[-1] :]


_MEMBER: Final = re.compile(r"\\([\s\S]?)|([^\]])")


@lru_cache(maxsize=4096)
def read_class(text: str) -> CharClass | None:
    """The class at the start of ``text``, which begins with ``[``; None where it is empty: ``[]``, ``[!]``, ``[``.

    The low end of a range is also a member by itself, so ``[z-a]`` matches ``z``.
    """
    index = 2 if text[1:2] in {"!", "^"} else 1
    negated = index == 2
    ranges: list[tuple[str, str]] = []
    ends: list[int] = []
    low: str | None = None
    while member := _MEMBER.match(text, index):
        index = member.end()
        char = member[2] if member[2] is not None else member[1] or "\ufffd"
        if member[2] == "-" and low is not None and (end := _MEMBER.match(text, index)):
            index = end.end()
            ranges.append((low, end[2] if end[2] is not None else end[1] or "\ufffd"))
            ends.append(index)
            low = None
            continue
        ranges.append((char, char))
        ends.append(index)
        # The last code point of Unicode cannot begin a range: doublestar takes it for "no low end yet".
        low = char if char != "\U0010ffff" else None
    if not ranges:
        return None
    return CharClass(negated, tuple(ranges), tuple(ends), text[index + 1 :] if index < len(text) else None)


_BRACE_TOKEN: Final = re.compile(r"\\[\s\S]?|[{},]")


@lru_cache(maxsize=4096)
def read_brace(text: str) -> tuple[str, ...] | None:
    """What ``text``, which begins with ``{``, reads as under each member of its brace; None where it is not closed.

    Brackets are not looked at, as doublestar does not: the members of ``{[a,b]}`` are ``[a`` and ``b]``.
    """
    depth, start, members = 1, 1, []
    for token in _BRACE_TOKEN.finditer(text, 1):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                members.append(text[start : token.start()])
                rest = text[token.end() :]
                return tuple(member + rest for member in members)
        elif token[0] == "," and depth == 1:
            members.append(text[start : token.start()])
            start = token.end()
    return None


_WELL_FORMED: Final = re.compile(r"(?:\\[\s\S]|\[[!^]?+(?:\\[\s\S]|[^\]\\])++\]|([{}])|[^\\\[{}])")


def is_valid(text: str) -> bool:
    """Whether ``zot verify`` accepts the pattern: classes closed and not empty, braces paired, no lone backslash."""
    depth, index = 0, 0
    while index < len(text):
        token = _WELL_FORMED.match(text, index)
        if token is None:
            return False
        if token[1]:
            depth += 1 if token[1] == "{" else -1
            if depth < 0:
                return False
        index = token.end()
    return depth == 0


class Way(NamedTuple):
    """One place where the search may go on; ``text`` is what is left of the pattern there.

    ``kind`` is ``p`` at a position (``fresh`` where ``**`` would stand at the start of a segment); ``s`` for a star
    that may take one more character before ``text``; ``g`` for a ``**/`` that may begin again after the next slash;
    ``|`` between two attempts; ``!`` where the search stops because it finds the pattern malformed; ``x`` at the end
    of a run in which a way failed before a malformed rest: doublestar reads the rest to complain of it, and then tries
    no further member of a brace.
    """

    kind: str
    text: str = ""
    fresh: bool = False


Run = tuple[Way, ...]
Runs = tuple[Run, ...]

_BETWEEN: Final = Way("|")
_MALFORMED: Final = Way("!")
_COMPLAINT: Final = Way("x")
#: ``**`` at the end: whatever is left of the name matches.
_ANYTHING: Final = Way("p", "**", True)
_FINAL: Final = frozenset({_MALFORMED, _COMPLAINT, _ANYTHING})
_NOTHING_LEFT: Final = frozenset({"", "*", "**", "/**", "**/", "/**/"})


def start(pattern: str) -> Runs:
    """The state before the first character of the name."""
    return ((_position(pattern, True),),)


def accepts(runs: Runs) -> bool | None:
    """Whether a name that ends here matches; None where the search ends in a complaint. Raises TooCostly."""
    for run in runs:
        # The first way that is alive where the name ends has the last word of its run: no later one is tried.
        way = next((way for way in run if way.kind in "p!"), run[-1])
        verdict = _ends(way.text) if way.kind == "p" else (None if way.kind in "!x" else False)
        if verdict is not False:
            return verdict
    return False


def step(runs: Runs, char: str, careful: bool = True) -> tuple[Runs, int]:
    """The state after one more character of the name, and the work that it took. Raises TooCostly.

    ``careful`` may be False where no brace has a malformed member: saves reading the rests.
    """
    work = 0
    done: dict[Run, None] = {}
    # Each entry: the ways that have taken the character already, and those that have not, the next one last.
    todo: list[tuple[list[Way], list[Way]]] = [([], list(reversed(run))) for run in reversed(runs)]
    while todo:
        taken, ahead = todo.pop()
        while ahead:
            kind, text, fresh = ahead.pop()
            work += 1 + len(text) // 64
            if work > MAX_STEP_WORK:
                raise TooCostly
            first = text[:1]
            if kind == "|":
                taken.append(_BETWEEN)
            elif kind == "g":
                if char == "/":
                    taken += [_BETWEEN, _position(text, True)]
                taken.append(Way("g", text))
            elif kind == "s":
                if char != "/":
                    taken += [_position(text), Way("s", text)]
            elif kind == "!":
                taken.append(_MALFORMED)
                break
            elif kind == "x":
                taken.append(_COMPLAINT)
            elif first == "*":
                stars = 2 if text.startswith("**") else 1
                rest = text[stars:]
                if stars == 2 and fresh and not rest:
                    taken.append(_ANYTHING)
                    break
                if stars == 2 and fresh and rest[0] == "/":
                    ahead = [Way("g", rest[1:]), _position(rest[1:], True)]
                    taken.append(_BETWEEN)
                    continue
                while ahead and ahead[-1].kind in "ps!":
                    ahead.pop()
                ahead += [Way("s", rest), _position(rest)]
            elif first == "{":
                members = read_brace(text)
                if members is None:
                    taken.append(_MALFORMED)
                    break
                if len(done) + len(todo) + len(members) > MAX_RUNS:
                    raise TooCostly
                for member in reversed(members):
                    # The later choices will read the pattern with this member in it.
                    work += len(taken) + len(ahead)
                    later = [_with_member(way, text, member) for way in ahead if way.kind != "x"]
                    before = [way for way in taken if way.kind != "x"]
                    todo.append((before, [*later, _position(member, True)]))
                taken = []
                break
            elif first == "[":
                found = read_class(text)
                if found is None or (found.rest is None and not (found.negated and not found.takes(char))):
                    taken.append(_MALFORMED)
                    break
                if found.rest is not None and found.takes(char):
                    taken.append(_position(found.rest))
                elif careful and not is_valid(found.left_by(char, text)):
                    taken.append(_COMPLAINT)
            elif first == "?":
                if char != "/":
                    taken.append(_position(text[1:]))
                elif careful and not is_valid(text):
                    taken.append(_COMPLAINT)
            elif text == "\\":
                taken.append(_MALFORMED)
                break
            elif first:
                width = 2 if first == "\\" else 1
                if text[width - 1] == char:
                    taken.append(_position(text[width:], char == "/"))
                elif careful and not is_valid(text):
                    taken.append(_COMPLAINT)
        run = _tidy(taken)
        if run:
            done[run] = None
            if run[0] in _FINAL:
                break
    return tuple(done), work


def _position(text: str, fresh: bool = False) -> Way:
    # ``fresh`` is only looked at before ``**``: dropped elsewhere, so that equal states are equal.
    return Way("p", text, fresh and text.startswith("**"))


def _with_member(way: Way, brace: str, member: str) -> Way:
    """A later choice of the run, reading ``member`` where the pattern said ``brace``."""
    if way.kind == "p" and way.text.endswith(brace):
        before = way.text[: len(way.text) - len(brace)]
        return Way("p", before + member, way.fresh)
    if way.kind in "sg" and way.text.endswith(brace):
        return Way(way.kind, way.text[: len(way.text) - len(brace)] + member)
    return way


def _tidy(ways: list[Way]) -> Run:
    """The run without what can never decide: ways and attempts that an earlier equal one decides for."""
    seen: dict[Run, None] = {}
    attempt: dict[Way, None] = {}
    complaint = False
    for way in [*ways, _BETWEEN]:
        if way.kind == "x":
            complaint = True
        elif way.kind == "|":
            if attempt:
                seen.setdefault(tuple(attempt))
            attempt = {}
        else:
            attempt.setdefault(way)
    out: list[Way] = []
    for one in seen:
        if out:
            out.append(_BETWEEN)
        out += one
    if complaint:
        out.append(_COMPLAINT)
    return tuple(out)


def _ends(pattern: str) -> bool | None:
    """What the search says where the name ends and ``pattern`` is left: True, False, or None for malformed.

    Only these rests count as nothing: ``*``, ``**``, ``/**``, ``**/``, ``/**/``, and a brace with a member that leaves
    one of them. ``***`` does not.
    """
    work = 0
    left = [pattern]
    while left:
        rest = left.pop()
        work += 1 + len(rest) // 64
        if work > MAX_STEP_WORK:
            raise TooCostly
        if rest in _NOTHING_LEFT:
            return True
        if rest[0] == "{":
            members = read_brace(rest)
            if members is None:
                return None
            left.extend(reversed(members))
        elif not is_valid(rest):
            return None
    return False


class State:
    """One state of an Automaton: where each character leads, as far as it was asked.

    ``dead``: no name that goes on from here can match. ``full``: every one does, whatever follows.
    """

    __slots__ = ("accepts", "after", "asked", "dead", "full", "runs")

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.dead = all(way.kind in "!x" for run in runs for way in run)
        self.full = bool(runs) and runs[0][0] == _ANYTHING
        self.accepts: bool | None = None
        self.asked = False
        self.after: dict[str, State] = {}


class Automaton:
    """The names that one pattern matches. States are made when they are first reached, and shared.

    ``spent`` is all the work that making them took, in the measure of MAX_STEP_WORK.
    """

    __slots__ = ("_careful", "_states", "initial", "pattern", "spent")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.spent = 0
        self._careful = "{" in pattern and ("[" in pattern or not is_valid(pattern))
        self._reset()

    def _reset(self) -> None:
        self._states: dict[Runs, State] = {}
        self.initial = self._state(start(self.pattern))

    def _state(self, runs: Runs) -> State:
        state = self._states.get(runs)
        if state is None:
            state = self._states[runs] = State(runs)
        return state

    def after(self, state: State, char: str) -> State:
        """The state that ``char`` leads to. Raises TooCostly."""
        following = state.after.get(char)
        if following is None:
            if len(self._states) > MAX_STATES:
                self._reset()
            runs, work = step(state.runs, char, self._careful)
            self.spent += work
            following = state.after[char] = self._state(runs)
        return following

    def accepts(self, state: State) -> bool | None:
        """Whether a name that ends in this state matches; None for a complaint. Raises TooCostly."""
        if not state.asked:
            state.accepts = accepts(state.runs)
            state.asked = True
        return state.accepts

    def search(self, name: str) -> bool | None:
        """What doublestar answers: a match, none, or None for "malformed pattern" (which zot takes for none).

        Time is linear in the name. Raises TooCostly.
        """
        if len(self.pattern) > MAX_PATTERN:
            raise TooCostly
        most = self.spent + MAX_SEARCH_WORK
        state = self.initial
        for char in name:
            state = state.after.get(char) or self.after(state, char)
            if self.spent > most:
                raise TooCostly
        return self.accepts(state)
