# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter blumeops.registry.fill_references."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fill_references
author:
  - the blumeops.registry authors (@eblume)
version_added: 1.0.0
short_description: Put fetched values in the places of their references
description:
  - Returns the structure with every string that is one of the references replaced by its value, or those under O(keys).
positional: values
options:
  _input:
    description: Lists and dictionaries with strings in them, as deep as they are.
    type: raw
    required: true
  values:
    description: Value of each reference.
    type: dict
    required: true
  keys:
    description:
      - Replace only strings that are the value of one of these keys in a dictionary, or in a list there.
      - If not set, every string.
    type: list
    elements: str
seealso:
  - plugin: blumeops.registry.secret_references
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Hand CI its credentials
  blumeops.registry.forgejo_actions_secrets:
    forgejo_url: https://forge.eblu.me
    forgejo_token: "{{ forgejo_token }}"
    scopes: "{{ my_scopes | blumeops.registry.fill_references(fetched, keys=['value']) }}"
"""

RETURN = r"""
_value:
  description: The filled structure.
  type: raw
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any


def fill_references(value: Any, values: Mapping[str, str], keys: Collection[str] | None = None) -> Any:
    """A copy of ``value`` in which every string that is a key of ``values`` is replaced by what it maps to.

    With ``keys`` only those whose nearest dictionary key is one of them.
    """
    return _filled(value, values, keys, keys is None)


def _filled(value: Any, values: Mapping[str, str], keys: Collection[str] | None, wanted: bool) -> Any:
    if isinstance(value, str):
        return values.get(value, value) if wanted else value
    if isinstance(value, Mapping):
        return {key: _filled(inner, values, keys, keys is None or key in keys) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner, values, keys, wanted) for inner in value]
    return value


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fill_references": fill_references}
