"""Two runs at once: exactly one writes in a scope at a time, and what both leave is true."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import lock as locks
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import matches
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.lock import Held, Lock
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LEDGER_VARIABLE, LOCK_VARIABLE
from ansible_collections.blumeops.registry.plugins.module_utils._transport import Transport
from tests.integration.forgejo_secrets.conftest import secrets_of
from tests.integration.forgejo_secrets.watched import KEY, PLACES, Watched, scope_in
from tests.run_module import run_module, start_module

CV = "repos/eblume/cv"
SCOPE = scope_in(CV)


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("two"))
    yield watched
    watched.empty()
    watched.stop()


def test_two_modules_at_once(forge: Watched) -> None:
    forge.empty()
    values = [{f"S{number}": f"value-{run}-{number}" for number in range(12)} for run in range(2)]
    running = [
        start_module("forgejo_actions_secrets", forge.arguments([{**PLACES[CV], "secrets": secrets_of({**each})}]))
        for each in values
    ]
    results = [process.wait().result for process in running]
    for result in results:
        assert not result.get("failed") or "is being written by" in result["msg"]
    won = [index for index, result in enumerate(results) if not result.get("failed")]
    assert won
    assert forge.values(CV) in [values[index] for index in won]
    assert set(forge.variables(CV)) == {LEDGER_VARIABLE}
    for name, entry in forge.ledger(CV).entries.items():
        assert entry.settled
        assert matches(entry, KEY.fingerprint(SCOPE, name, forge.values(CV)[name]))


def _compete(forge: Watched, runs: int, now: float) -> list[str]:
    """Runs that take the lock at the same moment and hold it; the ids of those that got it."""
    barrier = threading.Barrier(runs)
    got: list[str] = []
    refused: list[str] = []

    def take(number: int) -> None:
        with Transport(forge.url, name="Forgejo", auth=f"token {forge.token}", retries=0) as transport:
            client = Client(transport)
            client.secrets(SCOPE)
            mine = Lock(f"{number:04X}", f"run {number}", int(now), int(now) + 60)
            barrier.wait(10)
            try:
                locks.acquire(client, SCOPE, mine, lambda: now)
            except Held as error:
                refused.append(str(error))
            else:
                got.append(mine.run)

    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(take, range(1, runs + 1)))
    assert len(refused) == runs - len(got)
    assert all("is being written by" in message for message in refused)
    return got


@pytest.mark.parametrize("expired", [False, True], ids=["free", "expired"])
def test_of_many_exactly_one_gets_the_lock(forge: Watched, expired: bool) -> None:
    """Also where all of them find the same lock of a run that died: it is replaced once."""
    now = time.time()
    for _ in range(5):
        forge.empty()
        if expired:
            dead = Lock("DEAD", "a run that died", int(now) - 100, int(now) - 50)
            forge.ask("POST", f"{CV}/actions/variables/{LOCK_VARIABLE}", value=dead.text())
        got = _compete(forge, 6, now)
        assert len(got) == 1
        held = locks.parse(forge.variables(CV)[LOCK_VARIABLE])
        assert held is not None
        assert held.run == got[0]
        assert set(forge.variables(CV)) == {LOCK_VARIABLE}


def test_a_lock_is_not_taken_over_before_its_grace_has_passed(forge: Watched) -> None:
    forge.empty()
    held = Lock("BEEF", "a slow run", 1000, 1060)
    forge.ask("POST", f"{CV}/actions/variables/{LOCK_VARIABLE}", value=held.text())
    with Transport(forge.url, name="Forgejo", auth=f"token {forge.token}", retries=0) as transport:
        client, mine = Client(transport), Lock("CAFE", "me", 1060, 2000)
        with pytest.raises(Held, match=r"by a slow run \(run BEEF\) since 69 s"):
            locks.acquire(client, SCOPE, mine, lambda: 1069.9)
        locks.acquire(client, SCOPE, mine, lambda: 1070.0)
        locks.release(client, SCOPE, mine, lambda: 2000.0)  # its own time is over: not its to delete any more
        assert forge.variables(CV) == {LOCK_VARIABLE: mine.text()}
        locks.release(client, SCOPE, mine, lambda: 1999.0)
        assert forge.variables(CV) == {}


def test_a_run_whose_lock_ends_while_it_works_stops_writing(forge: Watched) -> None:
    forge.empty()
    times = iter([1000.0] * 6 + [9000.0] * 1000)
    declared = [{**PLACES[CV], "secrets": secrets_of({f"S{number}": f"value-{number}" for number in range(5)})}]
    works = forge.sync(declared, clock=lambda: next(times))
    told = {str(error) for error in (*works[0].errors.values(), works[0].error) if error}
    assert told == {"the lock of repository eblume/cv ended before the work was done: raise lock_timeout and run again"}
    assert len(forge.values(CV)) < 5
    assert not any(entry.settled for entry in forge.ledger(CV).entries.values())


def test_what_was_left_of_a_takeover_is_swept(forge: Watched) -> None:
    forge.empty()
    orphan = Lock("DEAD", "a run that died twice", 1000, 1060)
    forge.ask("POST", f"{CV}/actions/variables/{LOCK_VARIABLE}_DEAD", value=orphan.text())
    declared = [{**PLACES[CV], "secrets": secrets_of({"A": "value-a"})}]
    assert not run_module("forgejo_actions_secrets", forge.arguments(declared)).failed
    assert set(forge.variables(CV)) == {LEDGER_VARIABLE}
