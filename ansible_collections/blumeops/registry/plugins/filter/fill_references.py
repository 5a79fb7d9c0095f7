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
  - Returns the structure with every string that is one of the references replaced by its value.
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
seealso:
  - plugin: blumeops.registry.secret_references
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Hand CI its credentials
  blumeops.registry.forgejo_actions_secrets:
    forgejo_url: https://forge.eblu.me
    forgejo_token: "{{ forgejo_token }}"
    scopes: "{{ my_scopes | blumeops.registry.fill_references(fetched) }}"
"""

RETURN = r"""
_value:
  description: The filled structure.
  type: raw
"""

from collections.abc import Callable, Mapping
from typing import Any


def fill_references(value: Any, values: Mapping[str, str]) -> Any:
    """A copy of ``value`` in which every string that is a key of ``values`` is replaced by what it maps to."""
    if isinstance(value, str):
        return values.get(value, value)
    if isinstance(value, Mapping):
        return {key: fill_references(inner, values) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fill_references(inner, values) for inner in value]
    return value


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fill_references": fill_references}
