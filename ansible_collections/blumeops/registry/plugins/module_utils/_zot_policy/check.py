# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What module zot_policy_check does beside deciding: show warnings, write the page, fail."""

from __future__ import annotations

import os
import pathlib
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._zot.config import secrets_in
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.examine import examine
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.options import Options
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.report import render


class PolicyRefused(RegistryError):
    """Something stands in the way. ``result`` is everything that was found."""

    def __init__(self, problems: tuple[str, ...], result: dict[str, Any]) -> None:
        said = f" {problems[0]}" if len(problems) == 1 else "".join(f"\n- {problem}" for problem in problems)
        super().__init__(f"The policy must not go live like this:{said}")
        self.result = result


def check(module: AnsibleModule) -> dict[str, Any]:
    """Run it. Raises PolicyRefused where the policy must not go live, InvalidInput for options that cannot be right."""
    for config in (module.params["config"], module.params["live_config"]):
        module.no_log_values.update(secrets_in(config))
    given = dict(module.params)
    path = given.pop("report_path")
    examination = examine(Options(**given))
    result = {**examination.result, "changed": False}
    if path:
        write_page(pathlib.Path(path), render(examination.report))
        result["report_path"] = path
    for warning in examination.warnings:
        module.warn(warning)
    if examination.problems:
        raise PolicyRefused(examination.problems, result)
    return result


def write_page(path: pathlib.Path, page: str) -> None:
    """Replace the file in one step, so that nobody reads half a page. Raises InvalidInput."""
    draft = ""
    try:
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with open(handle, "w", encoding="utf-8") as file:
            file.write(page)
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except OSError as error:
        if draft:
            pathlib.Path(draft).unlink(missing_ok=True)
        raise InvalidInput(
            f"The report cannot be written to {path} ({error.strerror}): give a path in a folder of yours."
        ) from None
