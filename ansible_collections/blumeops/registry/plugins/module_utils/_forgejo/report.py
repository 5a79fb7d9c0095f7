# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What a run did, in words: rows, counts, a diff without values, and one sentence where something failed."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import lock as locks
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import plan as plans
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.plan import Item
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LOCK_VARIABLE
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.sync import NotTried, Work

#: How many different errors the sentence of a failed run tells.
MOST_TOLD = 3
#: How many its result lists.
MOST_LISTED = 100

Clean = Callable[[str], str]


class Incomplete(RegistryError):
    """A run that did not do everything; ``result`` says what it did."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result


def result(works: Sequence[Work], clean: Clean, *, written: bool, recording: bool) -> dict[str, Any]:
    """The result of a run.

    Args:
        clean: Takes secrets out of error texts.
        written: Whether the run could write; False in check mode, where the rows tell what would be done.
        recording: Whether there is a ledger.

    Raises:
        Incomplete: Something failed; carries the same result.
    """
    rows = [_row(work, item, written, recording) for work in works for item in _items(work)]
    shown = [row for row in rows if row["done"] or (row["action"] != plans.NOTHING and not written)]
    answer: dict[str, Any] = {
        "changed": bool(shown),
        "written": sum(row["action"] == plans.WRITE for row in shown),
        "deleted": sum(row["action"] == plans.DELETE for row in shown),
        "secrets": rows,
        "states": _counts(rows),
        "errors": _errors(works, clean),
        "diff": {"before": _before(shown), "after": _after_all(shown)},
    }
    if answer["errors"]:
        raise Incomplete(_sentence(works, rows, answer["written"], clean), answer)
    return answer


def warnings(works: Sequence[Work], *, check_mode: bool) -> list[str]:
    """What to warn of: where no job will see a secret, ledgers that cannot be used, in check mode also held locks."""
    now = time.time()
    found = [warning for work in works for warning in work.look.warnings]
    if check_mode:
        locked = [work for work in works if LOCK_VARIABLE in work.look.variables]
        found += [locks.held_message(work.scope, work.look.variables[LOCK_VARIABLE], now) for work in locked]
    return found


def info(works: Sequence[Work], clean: Clean) -> dict[str, Any]:
    """The result of looking only.

    Raises:
        Incomplete: A scope could not be read; carries the rest.
    """
    rows = [_info_row(work, item) for work in works for item in _items(work)]
    answer: dict[str, Any] = {
        "changed": False,
        "secrets": rows,
        "states": _counts(rows),
        "locks": {
            str(work.scope): locks.held_message(work.scope, work.look.variables[LOCK_VARIABLE], time.time())
            for work in works
            if LOCK_VARIABLE in work.look.variables
        },
    }
    failed = [work for work in works if work.error]
    if failed:
        raise Incomplete(f"{len(failed)} of {len(works)} scopes not read: {_reasons(works, clean)}", answer)
    return answer


def _info_row(work: Work, item: Item) -> dict[str, Any]:
    entry = work.look.ledger.entries.get(item.name)
    return {
        "scope": str(work.scope),
        "name": item.name,
        "state": item.state,
        "reason": item.reason,
        "created_at": (work.look.seen.created or {}).get(item.name, ""),
        "written_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.written_at)) if entry else "",
        "source_version": entry.source_version if entry else "",
        "interrupted": bool(entry and not entry.settled),
    }


def _items(work: Work) -> Sequence[Item]:
    """The items of the plan; what is declared where there is none, since the scope could not be read."""
    if work.plan is not None:
        return work.plan.items
    return [Item(wanted.name, plans.UNKNOWN, plans.NOTHING, "not read") for wanted in work.declaration.secrets]


def _row(work: Work, item: Item, written: bool, recording: bool) -> dict[str, Any]:
    outcome = work.outcomes.get(item.name, "")
    done = outcome in {"created", "updated", "deleted"}
    row: dict[str, Any] = {
        "scope": str(work.scope),
        "name": item.name,
        "state": item.state,
        "action": item.do,
        "done": done,
        "reason": item.reason,
        "after": _after(work, item, outcome, written, recording),
        "created_at": (work.look.seen.created or {}).get(item.name, ""),
    }
    return row


def _after(work: Work, item: Item, outcome: str, written: bool, recording: bool) -> str:
    """The state after the run; in check mode the one that it would have."""
    if item.do == plans.NOTHING or (written and outcome in {"", "refused"}):
        return item.state
    if item.do == plans.DELETE:
        return plans.MISSING if outcome != "unsure" else plans.UNKNOWN
    known = item.name in work.recorded if written else recording and work.scope.has_list
    return plans.AS_RECORDED if known else plans.UNKNOWN


def _before(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(f"{row['scope']} {row['name']}: {row['state']}\n" for row in rows)


def _after_all(rows: Sequence[dict[str, Any]]) -> str:
    """Lines of a diff; a write that leaves the state as it was is still to be seen."""
    marks = {plans.WRITE: " (written)", plans.DELETE: ""}
    return "".join(f"{row['scope']} {row['name']}: {row['after']}{marks[row['action']]}\n" for row in rows)


def _counts(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    found = collections.Counter(row["state"] for row in rows)
    return {state: found[state] for state in plans.STATES}


def _errors(works: Sequence[Work], clean: Clean) -> list[dict[str, str]]:
    """The first errors, each with its scope and name."""
    errors: list[tuple[str, str, RegistryError]] = []
    for work in works:
        if work.error:
            errors.append((str(work.scope), "", work.error))
        errors += [(str(work.scope), name, error) for name, error in sorted(work.errors.items())]
    return [{"scope": scope, "name": name, "error": clean(str(error))} for scope, name, error in errors[:MOST_LISTED]]


def _sentence(works: Sequence[Work], rows: Sequence[dict[str, Any]], written: int, clean: Clean) -> str:
    """What was done, what was not, and why."""
    planned = sum(row["action"] == plans.WRITE for row in rows)
    parts = [f"{written} of {planned} secrets written" if planned else "nothing written"]
    if failed := sum(len(work.errors) for work in works):
        parts.append(f"{failed} not written or deleted")
    if left := sum(bool(work.error) for work in works):
        parts.append(f"{left} of {len(works)} scopes not read or not finished")
    return f"{', '.join(parts)}: {_reasons(works, clean)}"


def _reasons(works: Sequence[Work], clean: Clean) -> str:
    """The first different reasons; what was not tried has no reason of its own."""
    reasons: dict[str, None] = {}
    for work in works:
        for error in (work.error, *work.errors.values()):
            if error is not None and not isinstance(error, NotTried):
                reasons.setdefault(str(error))
    more = f"; and {len(reasons) - MOST_TOLD} more errors" if len(reasons) > MOST_TOLD else ""
    return "; ".join(clean(reason) for reason in list(reasons)[:MOST_TOLD]) + more
