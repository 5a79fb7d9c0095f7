# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""``inherit: true``, compiled away.

In zot a block shadows ``**`` wholly: admins, anonymous and defaults granted there are lost unless said again. A block
that says ``inherit: true`` gets them again: its own rules first, then those of the block ``**``, each once. zot knows
no such key, so what is written is the flat form. Nothing else is touched: what needs no compiling comes back equal,
and the same input always gives the same output, key for key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import Block, Policy

#: The block that is inherited from.
ROOT: Final = "**"
_T = TypeVar("_T")


def flatten(policy: Policy) -> Policy:
    """The policy as zot will see it: no block inherits any more. The same object where none does.

    Without a block ``**`` there is nothing to inherit, and a block loses its ``inherit`` only. So does ``**`` itself.
    """
    if not any(block.inherit for block in policy.blocks):
        return policy
    root = policy.block(ROOT) or Block(ROOT)
    return dataclasses.replace(
        policy, blocks=tuple(_flat_block(block, root) if block.inherit else block for block in policy.blocks)
    )


def _flat_block(block: Block, root: Block) -> Block:
    if block.pattern == ROOT:
        return dataclasses.replace(block, inherit=False)
    return Block(
        pattern=block.pattern,
        rules=_with(block.rules, root.rules),
        default_actions=_with(block.default_actions, root.default_actions),
        anonymous_actions=_with(block.anonymous_actions, root.anonymous_actions),
    )


def _with(own: tuple[_T, ...], inherited: tuple[_T, ...]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(own + inherited)) if inherited else own


def flatten_mapping(access_control: Mapping[str, Any]) -> dict[str, Any]:
    """The ``accessControl`` mapping to write for zot: as :func:`flatten`, every other key of it kept as it is.

    Values of a wrong type are left where they are, for ``zot verify`` and lint to complain of.
    """
    flat = dict(access_control)
    key = _key(flat, "repositories")
    repositories = flat.get(key)
    if not isinstance(repositories, Mapping):
        return flat
    root = repositories.get(ROOT)
    flat[key] = {
        pattern: _flat_entry(entry, root if isinstance(root, Mapping) and pattern != ROOT else {})
        for pattern, entry in repositories.items()
    }
    return flat


def _flat_entry(entry: object, root: Mapping[str, Any]) -> object:
    if not isinstance(entry, Mapping):
        return entry
    mark = _key(entry, "inherit")
    if not isinstance(entry.get(mark), bool):
        # Absent, null, or something that only looks like it.
        return {key: value for key, value in entry.items() if key != mark or value is not None}
    flat = {key: value for key, value in entry.items() if key != mark}
    if entry[mark]:
        for name in ("policies", "defaultPolicy", "anonymousPolicy"):
            own, inherited = flat.get(_key(flat, name)), root.get(_key(root, name))
            if isinstance(inherited, list | tuple) and inherited and isinstance(own, list | tuple | None):
                # Rules are mappings, which no set can hold; there are few.
                merged: list[Any] = []
                for value in (*(own or ()), *inherited):
                    if value not in merged:
                        merged.append(value)
                flat[_key(flat, name)] = merged
    return flat


def _key(source: Mapping[str, Any], name: str) -> str:
    """The key as it is spelled in ``source``: zot finds keys whatever their case."""
    return next((key for key in source if isinstance(key, str) and key.lower() == name.lower()), name)
