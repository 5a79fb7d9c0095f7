# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""One variable, present or absent, compared with what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import Conflict
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import Scope, check_name, check_value


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants of one variable; ``value`` as Forgejo stores it, None where it shall be absent."""

    scope: Scope
    name: str
    value: str | None


def wish(scope: Scope, name: str, value: str | None, *, state: str) -> Wish:
    """Check what was asked for.

    Raises:
        InvalidInput: A name or a value that Forgejo does not take.
    """
    name = check_name(name, what="variable")
    if state == "absent":
        return Wish(scope, name, None)
    return Wish(scope, name, stored(check_value(value, f"the variable {name} of {scope}")))


def stored(value: str) -> str:
    """A value as Forgejo stores it: CRLF becomes LF, a lone CR stays (contracts/forgejo.md section 5)."""
    return value.replace("\r\n", "\n")


def apply(client: Client, wish: Wish, *, check_mode: bool) -> dict[str, Any]:
    """Look, compare, do; returns the module's result."""
    before = client.variable(wish.scope, wish.name)
    changed = before != wish.value
    if changed and not check_mode:
        _carry_out(client, wish, exists=before is not None)
    return {
        "changed": changed,
        "name": wish.name,
        "scope": str(wish.scope),
        "before": before,
        "value": wish.value,
        "diff": {"before": _shown(before), "after": _shown(wish.value)},
    }


def _carry_out(client: Client, wish: Wish, *, exists: bool) -> None:
    if wish.value is None:
        client.delete_variable(wish.scope, wish.name)
    elif exists:
        client.update_variable(wish.scope, wish.name, wish.value)
    else:
        try:
            client.create_variable(wish.scope, wish.name, wish.value)
        except Conflict:  # created elsewhere since it was looked for
            client.update_variable(wish.scope, wish.name, wish.value)


def _shown(value: str | None) -> str:
    return "" if value is None else value.rstrip("\n") + "\n"
