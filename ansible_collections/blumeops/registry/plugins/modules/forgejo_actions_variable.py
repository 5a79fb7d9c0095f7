#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One Actions variable of Forgejo."""

from __future__ import annotations

DOCUMENTATION = r"""
module: forgejo_actions_variable
short_description: One Actions variable of a Forgejo repository, organization or user
version_added: 1.0.0
description:
  - Writes or deletes one variable of Forgejo Actions. Variables can be read back, so this compares for real.
  - Variables are not secret. Workflows and everybody who may manage Actions can read them, and they are shown in diffs.
author:
  - the blumeops.registry authors (@eblume)
extends_documentation_fragment:
  - blumeops.registry.forgejo
  - blumeops.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  repository:
    description:
      - Repository as C(owner/name).
      - Exactly one of O(repository), O(organization) and O(user) is needed.
    type: str
  organization:
    description:
      - Name of an organization.
    type: str
  user:
    description:
      - The variables of the token's own user.
    type: bool
  name:
    description:
      - Name of the variable; letters, digits and underscores, no digit first, not C(CI), C(GITHUB_…), C(GITEA_…).
      - Forgejo stores it in upper case.
    type: str
    required: true
  value:
    description:
      - The value. It cannot be empty and must be valid UTF-8.
      - Forgejo turns CRLF into LF, so the comparison does too.
      - Required if O(state=present).
    type: str
  state:
    description:
      - Whether the variable is to be there.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: blumeops.registry.forgejo_actions_secrets
"""

EXAMPLES = r"""
- name: Tell workflows which registry to push to
  blumeops.registry.forgejo_actions_variable:
    forgejo_url: https://forge.eblu.me
    repository: eblume/blumeops
    name: REGISTRY
    value: registry.ops.eblu.me
  delegate_to: localhost
"""

RETURN = r"""
name:
  description: Name of the variable as Forgejo stores it.
  returned: success
  type: str
  sample: REGISTRY
scope:
  description: Where the variable is.
  returned: success
  type: str
  sample: repository eblume/blumeops
before:
  description: The value that was there, none where there was no variable.
  returned: success
  type: str
value:
  description: The value that is there now (in check mode, would be), with LF for CRLF; none where there is no variable.
  returned: success
  type: str
"""

from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils import _argspec
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import one_variable
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client, connect
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import scope_of
from ansible_collections.blumeops.registry.plugins.module_utils._run import run

SPEC: dict[str, Any] = {
    "argument_spec": {
        **_argspec.FORGEJO,
        "repository": {"type": "str"},
        "organization": {"type": "str"},
        "user": {"type": "bool"},
        "name": {"type": "str", "required": True},
        "value": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    },
    "supports_check_mode": True,
}


def act(module: Any) -> dict[str, Any]:
    options = module.params
    scope = scope_of(options["repository"], options["organization"], options["user"])
    wish = one_variable.wish(scope, options["name"], options["value"], state=options["state"])
    with connect(options) as transport:
        return one_variable.apply(Client(transport), wish, check_mode=module.check_mode)


def main() -> None:
    run(SPEC, act)


if __name__ == "__main__":
    main()
