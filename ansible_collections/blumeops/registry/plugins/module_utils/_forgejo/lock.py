# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""One writer at a time in a scope, by an Actions variable.

Forgejo has no compare-and-swap, but of several clients that create one variable exactly one succeeds (measured:
204 once, 409 for the rest; contracts/forgejo.md section 5b). A holder stops acting at the lock's end; others take
it over only some time after that, and only while they hold a second lock that is named after the run that ended.
So of several that find the same expired lock one replaces it, and a lock that is held again is never deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    Conflict,
    RegistryError,
    ServerError,
    Unreachable,
)
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LOCK_VARIABLE, Scope

#: Seconds after its end until a lock may be taken over: for requests under way, and for clocks that differ.
GRACE = 10
TRIES = 4
#: A run's id, which becomes part of a variable's name.
RUN = re.compile(r"[0-9A-F]{4,32}")

Clock = Callable[[], float]


class Held(RegistryError):
    """Another run holds the lock."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Who holds a lock: the run's id, words for a person, and Unix seconds of its beginning and end."""

    run: str
    holder: str
    since: int
    end: int

    def text(self) -> str:
        """The value of the variable."""
        return json.dumps({"run": self.run, "holder": self.holder, "since": self.since, "end": self.end})

    def check(self, scope: Scope, now: float) -> None:
        """Raise Held where the holder must not act any more."""
        if now >= self.end:
            raise Held(f"the lock of {scope} ended before the work was done: raise lock_timeout and run again")

    def expired(self, now: float) -> bool:
        """Whether others may take it over."""
        return now >= self.end + GRACE


def parse(text: str) -> Lock | None:
    """A lock from the value of its variable; None where it is none."""
    try:
        body = json.loads(text)
        held = Lock(str(body["run"]), str(body["holder"]), int(body["since"]), int(body["end"]))
    except (ValueError, TypeError, KeyError):
        return None
    return held if RUN.fullmatch(held.run) else None


def held_message(scope: Scope, text: str, now: float) -> str:
    """One sentence about a lock that somebody else holds."""
    held = parse(text)
    if held is None:
        return f"the lock of {scope} (variable {LOCK_VARIABLE}) is not readable: delete it if no run is under way"
    age = max(0, int(now - held.since))
    left = max(1, int(held.end + GRACE - now))
    return (
        f"{scope} is being written by {held.holder} (run {held.run}) since {age} s: run again when that has ended, "
        f"or in {left} s if it died"
    )


def acquire(client: Client, scope: Scope, mine: Lock, clock: Clock, *, name: str = LOCK_VARIABLE) -> None:
    """Take the lock, also from a run that ended without giving it back.

    Raises:
        Held: Another run has it.
    """
    for _ in range(TRIES):
        try:
            client.create_variable(scope, name, mine.text())
            return
        except (Conflict, ServerError):
            # Simultaneous creations end in 409, now and then in 500: what is stored tells.
            pass
        except Unreachable as error:
            if not error.maybe_done:
                raise
        text = client.variable(scope, name)
        if text is None:
            continue
        if text == mine.text():
            return
        held = parse(text)
        if held is None or not held.expired(clock()):
            raise Held(held_message(scope, text, clock()))
        _remove_expired(client, scope, mine, clock, name, text, held)
    raise Held(f"{scope} is being written by several runs at once: run again later")


def release(client: Client, scope: Scope, mine: Lock, clock: Clock) -> None:
    """Give the lock back; after its end it is left, since it may be somebody else's by then."""
    if clock() < mine.end:
        client.delete_variable(scope, LOCK_VARIABLE)


def sweep(client: Client, scope: Scope, variables: Mapping[str, str], now: float) -> None:
    """Delete what runs left that died while they took a lock over; only the lock's holder does this."""
    for name, text in variables.items():
        if name.startswith(f"{LOCK_VARIABLE}_") and (left := parse(text)) and left.expired(now):
            client.delete_variable(scope, name)


def _remove_expired(client: Client, scope: Scope, mine: Lock, clock: Clock, name: str, text: str, held: Lock) -> None:
    """Delete an expired lock, under a lock named after its run."""
    takeover = f"{name}_{held.run}"
    acquire(client, scope, mine, clock, name=takeover)
    try:
        if client.variable(scope, name) == text:
            client.delete_variable(scope, name)
    finally:
        client.delete_variable(scope, takeover)
