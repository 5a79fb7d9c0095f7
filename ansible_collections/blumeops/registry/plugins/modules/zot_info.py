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
  - A program whose C(verify) refuses even the smallest configuration is no zot, and an error.
options:
  binary:
    description: Path of the zot program, or its name where it is on the search path.
    type: str
    default: zot
  config_path:
    description:
      - Configuration file in place, to return what is in it.
    type: path
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
config:
  description: What is in the file at O(config_path), with every secret hidden.
  returned: when there is a configuration in JSON
  type: dict
config_problem:
  description: Why the file at O(config_path) cannot be told, one sentence.
  returned: when there is such a file and it is no configuration in JSON
  type: str
"""

import json
import os
import re
import tempfile

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._run import run
from ansible_collections.blumeops.registry.plugins.module_utils._zot.config import masked, rest_of_message


def version_in(output):
    """The version in what ``zot --version`` prints: a JSON log line whose ``commit`` starts with the tag."""
    found = re.search(r'"commit":\s*"v?(\d+\.\d+\.\d+)', output)
    return found[1] if found else ""


def problem(module, path, config):
    """What ``zot verify`` has against the configuration; empty where it takes it."""
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as folder:
        name = os.path.join(folder, "config.json")
        with open(name, "w", encoding="utf-8") as file:
            json.dump(config, file)
        code, out, err = module.run_command([path, "verify", name])
    return rest_of_message(err + "\n" + out) if code else ""


def knows_anonymous_policy(module, path):
    """Whether ``metrics.anonymousPolicy`` is a key that it knows.

    Raises:
        InvalidInput: It refuses a configuration without the key too, so nothing can be told by it.
    """
    config = {"storage": {"rootDirectory": "/nonexistent"}, "http": {"address": "127.0.0.1", "port": "5000"}}
    control = {"repositories": {"**": {"anonymousPolicy": ["read"]}}}
    if not problem(module, path, with_control(config, {**control, "metrics": {"anonymousPolicy": ["read"]}})):
        return True
    refused = problem(module, path, with_control(config, control))
    if refused:
        raise InvalidInput(
            f"{path} verify refuses even the smallest configuration ({refused}): check that this program is a zot for "
            "this machine"
        )
    return False


def with_control(config, control):
    """The configuration with an access control."""
    return {**config, "http": {**config["http"], "accessControl": control}}


def in_place(path):
    """What is in the configuration file, as two of the module's results; neither where there is no file."""
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        return {"config_problem": f"{path} cannot be read ({error.strerror}): check what is there and who owns it"}
    except ValueError:
        config = None
    if not isinstance(config, dict):
        return {"config_problem": f"{path} is no configuration in JSON, so nothing can be compared with it"}
    return {"config": masked(config)}


def info(module):
    found = in_place(module.params["config_path"]) if module.params["config_path"] else {}
    path = module.get_bin_path(module.params["binary"]) or module.params["binary"]
    if not os.access(path, os.X_OK):
        return {"changed": False, "present": False, **found}
    code, out, err = module.run_command([path, "--version"])
    return {
        "changed": False,
        "present": True,
        "path": path,
        "version": version_in(out + err) if code == 0 else "",
        "metrics_anonymous_policy": knows_anonymous_policy(module, path),
        **found,
    }


def main():
    spec = {"binary": {"type": "str", "default": "zot"}, "config_path": {"type": "path"}}
    run({"argument_spec": spec, "supports_check_mode": True}, info, requires=())


if __name__ == "__main__":
    main()
