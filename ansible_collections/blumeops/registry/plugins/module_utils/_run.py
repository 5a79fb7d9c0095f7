# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""How every module runs: options in, one function, its result or one sentence out."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.blumeops.registry.plugins.module_utils._errors import RegistryError, scrub

Result = dict[str, Any]


def run(
    spec: dict[str, Any],
    action: Callable[[AnsibleModule], Result],
    *,
    requires: Iterable[str] = ("requests",),
) -> None:
    """Build the module, call ``action``, exit as Ansible wants it.

    Args:
        spec: Keyword arguments of ``AnsibleModule``.
        action: Gets the module (``params``, ``check_mode``, ``warn``) and returns the result to exit with. What it
            raises as RegistryError fails the module with that sentence; an attribute ``result`` of the error
            (a dict) is returned beside it.
        requires: Python packages that the module imports; where one is missing the module says so.
    """
    module = AnsibleModule(**spec)
    for package in requires:
        try:
            importlib.import_module(package)
        except ImportError:
            module.fail_json(msg=missing_required_lib(package), exception=traceback.format_exc())
    try:
        result = action(module)
    except RegistryError as error:
        module.fail_json(msg=scrub(str(error), module.no_log_values), **getattr(error, "result", {}))
    module.exit_json(**result)
