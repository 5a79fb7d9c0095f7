# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter blumeops.registry.secret_references."""

from __future__ import annotations

DOCUMENTATION = r"""
name: secret_references
author:
  - the blumeops.registry authors (@eblume)
version_added: 1.0.0
short_description: The secret references in a structure
description:
  - Returns every string that begins with C(op://), each once, in the order of the structure.
  - With it all references of a list are fetched by one call of P(blumeops.registry.onepassword#lookup), and
    P(blumeops.registry.fill_references#filter) puts the values in their places.
options:
  _input:
    description: Lists and dictionaries with strings in them, as deep as they are.
    type: raw
    required: true
  keys:
    description:
      - Return only strings that are the value of one of these keys in a dictionary, or in a list there.
      - If not set, every reference.
    type: list
    elements: str
seealso:
  - plugin: blumeops.registry.fill_references
    plugin_type: filter
  - plugin: blumeops.registry.onepassword
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Fetch all references of a list in one call
  ansible.builtin.set_fact:
    fetched: "{{ dict(found | zip(query('blumeops.registry.onepassword', *found))) }}"
  vars:
    found: "{{ my_settings | blumeops.registry.secret_references }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: The references.
  type: list
  elements: str
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

PREFIX = "op://"


def found(value: Any, keys: Collection[str] | None, wanted: bool) -> Iterator[str]:
    if isinstance(value, str):
        if wanted and value.startswith(PREFIX):
            yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from found(inner, keys, keys is None or key in keys)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from found(inner, keys, wanted)


def secret_references(value: Any, keys: Collection[str] | None = None) -> list[str]:
    """The strings in ``value`` that begin with ``op://``, each once, in order.

    With ``keys`` only those whose nearest dictionary key is one of them.
    """
    return list(dict.fromkeys(found(value, keys, keys is None)))


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"secret_references": secret_references}
