# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""One secret, present or absent: what is to be done (pure), and doing it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import (
    REPOSITORY,
    Scope,
    check_name,
    check_value,
)

NOT_COMPARABLE = "value cannot be compared"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants of one secret; ``name`` is in upper case, ``value`` is None where it shall be absent."""

    scope: Scope
    name: str
    value: str | None
    overwrite: bool = True

    def __str__(self) -> str:
        return f"the secret {self.name} of {self.scope}"


@dataclass(frozen=True, slots=True)
class Step:
    """What follows: ``write``, ``delete`` or nothing (``""``), why, and the words before and after for a diff."""

    do: str
    reason: str
    before: str
    after: str


def wish(scope: Scope, name: str, value: str | None, *, state: str, update_value: str) -> Wish:
    """Check what was asked for.

    Raises:
        InvalidInput: A name or a value that Forgejo does not take, or ``on_create`` where existence cannot be seen.
    """
    name = check_name(name)
    if state == "absent":
        return Wish(scope, name, None)
    if update_value == "on_create" and not scope.has_list:
        raise InvalidInput(
            "update_value: on_create needs to know whether the secret exists, and Forgejo does not list a user's own: "
            "use update_value: always"
        )
    return Wish(scope, name, check_value(value, f"the secret {name} of {scope}"), update_value == "always")


def decide(wish: Wish, exists: bool | None) -> Step:
    """What to do, from what is wanted and whether the secret exists (None: that cannot be seen). Pure."""
    before = {True: "present", False: "missing", None: "unknown"}[exists]
    if wish.value is None:
        if exists is False:
            return Step("", "already absent", before, "missing")
        return Step("delete", "present" if exists else "a user's own secrets cannot be seen", before, "missing")
    if exists is False:
        return Step("write", "missing", before, "present")
    if exists and not wish.overwrite:
        return Step("", "present, and update_value is on_create", before, "present")
    return Step("write", NOT_COMPARABLE, before, "present, written again" if exists else "present")


def apply(client: Client, wish: Wish, *, check_mode: bool, warn: Callable[[str], None]) -> dict[str, Any]:
    """Look, decide, do; returns the module's result, which never holds a value."""
    names = client.secrets(wish.scope) if wish.scope.has_list else None
    step = decide(wish, wish.name in names if names is not None else None)
    if wish.value is not None and wish.scope.kind == REPOSITORY:
        warning = client.condition(wish.scope).warning(wish.scope)
        if warning:
            warn(warning)
    if step.do and not check_mode:
        step = decide(replace(wish, overwrite=True), _carry_out(client, wish))
    return {
        "changed": bool(step.do),
        "created": step.do == "write" and step.before == "missing",
        "name": wish.name,
        "scope": str(wish.scope),
        "before": step.before,
        "after": "missing" if wish.value is None else "present",
        "reason": step.reason,
        "diff": {"before": f"{wish}: {step.before}\n", "after": f"{wish}: {step.after}\n"},
    }


def _carry_out(client: Client, wish: Wish) -> bool:
    """Write or delete; returns whether the secret was there, which the answer tells better than the list before."""
    if wish.value is None:
        return client.delete_secret(wish.scope, wish.name)
    return not client.put_secret(wish.scope, wish.name, wish.value)
