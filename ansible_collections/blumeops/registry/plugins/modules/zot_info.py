#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_info
short_description: What an installed zot can do
version_added: 1.0.0
author: the blumeops.registry authors (@eblume)
description:
  - Finds out which zot is installed, and which form of configuration it takes.
  - A zot that was built from source carries no version, so what it can do is asked of its C(zot verify).
options:
  binary:
    description: Path of the zot program, or its name where it is on the search path.
    type: str
    default: zot
extends_documentation_fragment:
  - blumeops.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Ask the installed zot
  blumeops.registry.zot_info:
    binary: /usr/local/bin/zot
  register: zot
"""

RETURN = r"""
present:
  description: Whether the program is there.
  returned: always
  type: bool
path:
  description: Where it was found.
  returned: when present
  type: str
version:
  description: The version that it says it is; empty for a build that carries none.
  returned: when present
  type: str
  sample: 2.1.20
metrics_anonymous_policy:
  description:
    - Whether it takes C(metrics.anonymousPolicy), with which anonymous scrapes are allowed from 2.1.18.
    - Older ones take an empty user name in C(metrics.users) for that.
  returned: when present
  type: bool
"""

import json
import os
import re
import tempfile

from ansible_collections.blumeops.registry.plugins.module_utils._run import run


def version_in(output):
    """The version in what ``zot --version`` prints: a JSON log line whose ``commit`` starts with the tag."""
    found = re.search(r'"commit":\s*"v?(\d+\.\d+\.\d+)', output)
    return found[1] if found else ""


def accepts(module, path, config):
    """Whether ``zot verify`` takes the configuration."""
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as folder:
        name = os.path.join(folder, "config.json")
        with open(name, "w", encoding="utf-8") as file:
            json.dump(config, file)
        return module.run_command([path, "verify", name])[0] == 0


def info(module):
    path = module.get_bin_path(module.params["binary"]) or module.params["binary"]
    if not os.access(path, os.X_OK):
        return {"changed": False, "present": False}
    code, out, err = module.run_command([path, "--version"])
    smallest = {"storage": {"rootDirectory": "/nonexistent"}, "http": {"address": "127.0.0.1", "port": "5000"}}
    control = {"metrics": {"anonymousPolicy": ["read"]}, "repositories": {"**": {"anonymousPolicy": ["read"]}}}
    smallest["http"]["accessControl"] = control
    return {
        "changed": False,
        "present": True,
        "path": path,
        "version": version_in(out + err) if code == 0 else "",
        "metrics_anonymous_policy": accepts(module, path, smallest),
    }


def main():
    run(
        {"argument_spec": {"binary": {"type": "str", "default": "zot"}}, "supports_check_mode": True}, info, requires=()
    )


if __name__ == "__main__":
    main()
