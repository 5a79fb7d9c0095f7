# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""From the options of the modules for many secrets to what ``sync`` takes."""

from __future__ import annotations

import functools
import getpass
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Any

from ansible.module_utils.basic import env_fallback

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, scrub
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import plan as plans
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import scope as places
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import Key
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger_store import FileStore, VariableStore
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.plan import Declaration, Policy
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import scope_of
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.sync import Ledgers, Settings

#: Above so many values Ansible's own search for them in the result (values times texts) takes minutes.
MANY = 500

PLACE: dict[str, Any] = {
    "repository": {"type": "str"},
    "organization": {"type": "str"},
    "user": {"type": "bool"},
}
SECRET: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "value": {"type": "str", "no_log": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "source_version": {"type": "str"},
}
LEDGER: dict[str, Any] = {
    "ledger_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["BLUMEOPS_LEDGER_KEY"])},
    "ledger_dir": {"type": "path"},
    "concurrency": {"type": "int", "default": 8},
}


def scopes(*, required: bool) -> dict[str, Any]:
    """The option ``scopes``; ``required`` says whether each must have a list of secrets."""
    secrets_option = {"type": "list", "elements": "dict", "required": required, "no_log": False, "options": SECRET}
    return {"type": "list", "elements": "dict", "required": True, "options": {**PLACE, "secrets": secrets_option}}


def declarations(parameters: dict[str, Any], policy: Policy, *, lists: bool = True) -> list[Declaration]:
    """What is declared, checked as a whole before anything is sent.

    Args:
        lists: Whether each scope must come with a list; without one it would be taken for an empty one.

    Raises:
        InvalidInput: Something that cannot be stored, or that cannot be meant.
    """
    declared = []
    for entry in parameters["scopes"]:
        scope = scope_of(entry["repository"], entry["organization"], entry["user"])
        given = entry["secrets"]
        declared.append(plans.declare(scope, () if given is None and not lists else given))
    plans.check_declarations(declared, policy, has_key=parameters["ledger_key"] is not None)
    return declared


def short_value_warning(declared: Sequence[Declaration]) -> str | None:
    """One warning for all values that are too short to be hidden well, or None."""
    return places.short_value_warning(
        (f"the secret {wanted.name} of {declaration.scope}", wanted.value)
        for declaration in declared
        for wanted in declaration.secrets
    )


def kept_ledgers(parameters: dict[str, Any], client: Client) -> Ledgers | None:
    """Key and place of the ledgers; None without a key.

    Raises:
        InvalidInput: The key is too short, or the directory cannot be used.
    """
    if parameters["ledger_key"] is None:
        if parameters["ledger_dir"] is not None:
            raise InvalidInput("ledger_dir is set without ledger_key: a ledger needs a key")
        return None
    key = Key(parameters["ledger_key"])
    if parameters["ledger_dir"] is None:
        return Ledgers(key, VariableStore(client))
    return Ledgers(key, FileStore(parameters["ledger_dir"], parameters["forgejo_url"]))


def settings(parameters: dict[str, Any], *, lock_seconds: int = 0) -> Settings:
    """Bounds of a run, and its name in locks: user, host and process."""
    concurrency = parameters["concurrency"]
    if not 1 <= concurrency <= 64:
        raise InvalidInput(f"concurrency must be between 1 and 64, which {concurrency} is not")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in a container
        user = str(os.getuid())
    holder = f"{user}@{socket.gethostname()} pid {os.getpid()}"
    return Settings(concurrency, secrets.token_hex(6).upper(), holder, lock_seconds)


def forget_values(module: Any) -> Callable[[str], str]:
    """Take the values out of the parameters, which are returned as the invocation; returns what scrubs error texts.

    Ansible then would look for each value in each text of the result. For thousands of values that takes minutes,
    and the result is made without them: from names, states and this collection's own sentences. Only error texts
    can hold words of a server.
    """
    hidden = frozenset(module.no_log_values)
    count = 0
    for entry in module.params["scopes"]:
        for secret in entry["secrets"] or ():
            count += 1
            if secret.get("value") is not None:
                secret["value"] = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    if count > MANY:
        kept = (module.params["forgejo_token"], module.params["ledger_key"])
        module.no_log_values = {value for value in kept if value}
    return functools.cache(lambda text: scrub(text, hidden))
