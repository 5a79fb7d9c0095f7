# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Bring many secrets to what is declared: read everything, decide, write what is needed, within a bound.

The order within a scope keeps the ledger true wherever a run dies: lock, read again, store the ledger with every
write that follows as pending, write, list, store the ledger with what was confirmed, unlock. An entry that is
pending counts as unknown to everybody.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    Refused,
    RegistryError,
    ServerError,
    ServiceError,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import ledger as ledgers
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import lock as locks
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import plan as plans
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import Key, Unreadable
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger_store import LedgerStore
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.plan import (
    Declaration,
    Item,
    Plan,
    Policy,
    Seen,
)
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import REPOSITORY, Scope

#: Scopes that are locked at the same time, for each concurrent request.
BATCH = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run works: concurrent requests, and who it is for the locks (``lock_seconds`` from taking to its end)."""

    concurrency: int = 8
    run: str = "0000"
    holder: str = "somebody"
    lock_seconds: int = 300


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The operator's key, and where the ledgers are."""

    key: Key
    store: LedgerStore


@dataclass(frozen=True, slots=True)
class Look:
    """What was read of one scope; ``text`` is its ledger's."""

    seen: Seen
    variables: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def ledger(self) -> ledgers.Ledger:
        return self.seen.ledger or ledgers.EMPTY


@dataclass(slots=True)
class Work:
    """One scope on its way through a run.

    ``error`` is what kept the scope as a whole from being read or finished, ``errors`` what kept single secrets
    from being written. ``outcomes`` are as in ``plan.settled``; ``recorded`` are the names that the stored ledger
    now holds as settled.
    """

    declaration: Declaration
    look: Look = Look(Seen(None, None))
    plan: Plan | None = None
    lock: locks.Lock | None = None
    error: RegistryError | None = None
    outcomes: dict[str, str] = field(default_factory=dict)
    errors: dict[str, RegistryError] = field(default_factory=dict)
    recorded: frozenset[str] = frozenset()

    @property
    def scope(self) -> Scope:
        return self.declaration.scope

    @property
    def steps(self) -> tuple[Item, ...]:
        """What is to be written and deleted; nothing where the scope has failed."""
        return (*self.plan.writes, *self.plan.deletions) if self.plan and not self.error else ()

    def fail(self, error: RegistryError) -> None:
        """Keep the scope's first error."""
        self.error = self.error or error


class Sync:
    """One run over declared scopes.

    Args:
        ledgers: None for no ledger, and no lock, which protects nothing else.
        clock: Unix seconds.
    """

    def __init__(
        self,
        client: Client,
        ledgers: Ledgers | None,
        policy: Policy,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._ledgers = ledgers
        self._policy = policy
        self._settings = settings
        self._clock = clock
        self._gave_up: RegistryError | None = None
        self._giving_up = threading.Lock()

    def run(self, declarations: Sequence[Declaration], *, write: bool) -> list[Work]:
        """Read, decide and (where ``write``) do; one Work for each declaration, in their order.

        Errors of one scope or secret are kept in its Work and the rest goes on; where the token is refused or the
        server cannot be reached, what is left is not tried.

        Raises:
            InvalidInput: Purge would delete too much; nothing was written.
        """
        works = [Work(declaration) for declaration in declarations]
        with ThreadPoolExecutor(self._settings.concurrency) as pool:
            self._each(pool, self._look_and_plan, works)
            plans.check_purge((work.plan for work in works if work.plan), self._policy)
            busy = [work for work in works if write and work.steps]
            for batch in _batches(busy, BATCH * self._settings.concurrency):
                self._each(pool, self._prepare, batch)
                list(pool.map(self._carry_out, [(work, item) for work in batch for item in work.steps]))
                self._each(pool, self._finish, [work for work in batch if work.lock])
        return works

    # -- reading --------------------------------------------------------------------------------------------------

    def _look_and_plan(self, work: Work) -> None:
        """Read one scope and decide; whether jobs will see what is stored there is asked once."""
        declaration, warnings = work.declaration, list(work.look.warnings)
        stores = any(wanted.value is not None for wanted in declaration.secrets)
        if stores and work.plan is None and work.scope.kind == REPOSITORY:
            warnings.append(self._client.condition(work.scope).warning(work.scope))
        look = self._look(work.scope)
        said = dict.fromkeys(warning for warning in (*warnings, *look.warnings) if warning)
        work.look = replace(look, warnings=tuple(said))
        work.plan = self._plan(work)

    def _look(self, scope: Scope) -> Look:
        """The secrets of a scope and our ledger of them."""
        if not scope.has_list:
            return Look(Seen(None, None))
        created = self._client.secrets(scope)
        if self._ledgers is None:
            return Look(Seen(created, None, "no ledger_key"))
        variables = self._client.variables(scope)
        text = self._ledgers.store.read(scope, variables)
        if text is None:
            return Look(Seen(created, ledgers.EMPTY), variables)
        try:
            ledger = ledgers.load(text, scope, self._ledgers.key, self._ledgers.store.largest)
        except Unreadable as error:
            return Look(Seen(created, None, "not in a ledger that can be read"), variables, text, (str(error),))
        return Look(Seen(created, ledger), variables, text)

    def _plan(self, work: Work) -> Plan:
        now = int(self._clock())
        kept = self._ledgers
        plan = plans.make(work.declaration, work.look.seen, self._policy, kept.key if kept else None, now)
        if kept and work.scope.has_list and plan.writes:
            # Refuses here, before anything is written, what could not be stored.
            ledger = plans.largest(work.look.ledger, plan, work.look.seen, kept.key, now)
            ledgers.dump(ledger, work.scope, kept.key, kept.store.largest)
        return plan

    # -- writing --------------------------------------------------------------------------------------------------

    def _prepare(self, work: Work) -> None:
        """Lock, read again, decide again, and store what is going to be written as pending."""
        if self._ledgers is None or not work.scope.has_list:
            return
        now = int(self._clock())
        mine = locks.Lock(self._settings.run, self._settings.holder, now, now + self._settings.lock_seconds)
        locks.acquire(self._client, work.scope, mine, self._clock)
        work.lock = mine
        first = work.plan
        self._look_and_plan(work)
        work.plan = _no_more_deletions(work.plan, first)
        locks.sweep(self._client, work.scope, work.look.variables, self._clock())
        if work.plan and work.plan.writes:
            key = self._ledgers.key
            self._save(work, self._ledgers, plans.pending(work.look.ledger, work.plan, key, int(self._clock())))

    def _carry_out(self, step: tuple[Work, Item]) -> None:
        """Write or delete one secret and keep what came of it."""
        work, item = step
        try:
            self._check_going_on()
            if work.lock:
                work.lock.check(work.scope, self._clock())
            work.outcomes[item.name] = self._apply(work.scope, item)
        except RegistryError as error:
            work.outcomes[item.name] = "unsure" if _unsure(error) else "refused"
            work.errors[item.name] = self._considered(error)

    def _apply(self, scope: Scope, item: Item) -> str:
        if item.do == plans.DELETE:
            return "deleted" if self._client.delete_secret(scope, item.name) else "absent"
        return "created" if self._client.put_secret(scope, item.name, item.value) else "updated"

    def _finish(self, work: Work) -> None:
        """Store what was confirmed and give the lock back; the lock also where the first fails."""
        if self._ledgers is None or work.lock is None:
            return
        try:
            if work.outcomes and work.plan:
                self._settle(work, work.plan, work.lock, self._ledgers)
        except RegistryError as error:
            work.fail(error)
        locks.release(self._client, work.scope, work.lock, self._clock)

    def _settle(self, work: Work, plan: Plan, lock: locks.Lock, kept: Ledgers) -> None:
        after = self._client.secrets(work.scope)
        lock.check(work.scope, self._clock())
        before = work.look.seen.created or {}
        now = int(self._clock())
        ledger = plans.settled(work.look.ledger, plan, work.outcomes, before, after, kept.key, now)
        self._save(work, kept, ledger)
        work.recorded = frozenset(name for name, entry in ledger.entries.items() if entry.settled)

    def _save(self, work: Work, kept: Ledgers, ledger: ledgers.Ledger) -> None:
        text = ledgers.dump(ledger, work.scope, kept.key, kept.store.largest)
        kept.store.write(work.scope, text, exists=work.look.text is not None)
        work.look = replace(work.look, text=text)

    # -- going on or not ------------------------------------------------------------------------------------------

    def _each(self, pool: ThreadPoolExecutor, step: Callable[[Work], None], works: Iterable[Work]) -> None:
        """Do a step for each scope whose steps before went well; an error stays with its scope."""
        finishing = step == self._finish

        def guarded(work: Work) -> None:
            if work.error and not finishing:
                return
            try:
                if not finishing:
                    self._check_going_on()
                step(work)
            except RegistryError as error:
                work.fail(self._considered(error))

        list(pool.map(guarded, works))

    def _considered(self, error: RegistryError) -> RegistryError:
        """The error to keep; where no request can succeed any more, the rest is given up and told once."""
        hopeless = isinstance(error, Refused) and error.status == 401
        if not hopeless and (not isinstance(error, Unreachable) or error.maybe_done):
            return error
        with self._giving_up:
            if self._gave_up is None:
                self._gave_up = error
                return error
        return NotTried(str(error))

    def _check_going_on(self) -> None:
        if self._gave_up is not None:
            raise NotTried(str(self._gave_up))


class NotTried(RegistryError):
    """Left out after an error that would have met it too; the text is that error's."""


def _unsure(error: RegistryError) -> bool:
    """Whether the request may have been carried out all the same."""
    if isinstance(error, Unreachable):
        return error.maybe_done
    if isinstance(error, ServiceError):
        return isinstance(error, ServerError)
    return isinstance(error, UnexpectedAnswer)


def _no_more_deletions(plan: Plan | None, first: Plan | None) -> Plan | None:
    """The plan without deletions that the first one, which the purge limit was checked on, does not have."""
    if plan is None or first is None:
        return plan
    allowed = {item.name for item in first.deletions}
    items = tuple(item for item in plan.items if item.do != plans.DELETE or item.name in allowed)
    return replace(plan, items=items)


def _batches(works: Sequence[Work], size: int) -> Iterable[list[Work]]:
    iterator = iter(works)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
