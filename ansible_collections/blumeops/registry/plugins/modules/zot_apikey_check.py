#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_apikey_check
short_description: Check whether an API key of a zot registry works, until when, and what for
version_added: 1.0.0
author: the blumeops.registry authors (@eblume)
description:
  - Asks a registry with the key itself. It stores, makes and changes nothing.
  - zot's list of keys never holds a key. Which entry is the one in hand is told by its label, or by the time of last
    use, which moves when the key is used. Where other keys are in use at the same moment and no label is given, the
    entry is not known, and the answer says so.
  - A key that is refused is wrong, ended, revoked, or another identity's; zot answers the same to all four, so this
    module does not name one of them.
options:
  identity:
    description: User name that the key belongs to, such as V(zot-ci).
    type: str
    required: true
  api_key:
    description:
      - The key.
      - If not set, the environment variable E(ZOT_API_KEY) is used.
    type: str
    required: true
  label:
    description: Label of the key in its owner's list, where several keys are in use.
    type: str
  repository:
    description:
      - Repository to ask about what the key may do.
      - By default the first one with a tag that the key sees, but none under the name of another registry such as
        C(docker.io/), and one that does not exist where there is none.
    type: str
    default: ""
  warn_days:
    description: A key that ends within so many days is V(expiring).
    type: int
    default: 21
  fail_days:
    description: A key that ends within so many days fails the task.
    type: int
    default: 7
  fail:
    description: Whether the task fails for a key that is refused, cannot be checked, or ends within O(fail_days).
    type: bool
    default: true
extends_documentation_fragment:
  - blumeops.registry.zot
  - blumeops.registry.attributes
attributes:
  check_mode:
    support: full
    details: Changes nothing in any mode.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - The only thing that moves is the key's time of last use.
seealso:
  - module: blumeops.registry.zot_registry_check
"""

EXAMPLES = r"""
- name: Check the key of CI
  blumeops.registry.zot_apikey_check:
    registry_url: https://registry.ops.eblu.me
    identity: zot-ci
    api_key: "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Forgejo Secrets/zot-ci-api') }}"
  delegate_to: localhost

- name: Only look
  blumeops.registry.zot_apikey_check:
    registry_url: https://registry.ops.eblu.me
    identity: zot-ci
    api_key: "{{ ci_key }}"
    label: ci-2026-11
    fail: false
  register: key
  delegate_to: localhost
"""

RETURN = r"""
status:
  description:
    - V(ok) or V(expiring) where the key authenticates, V(refused) where it does not.
    - V(unreachable) where the registry does not answer, or does not get to see the key.
  returned: always
  type: str
  sample: expiring
msg:
  description: The same in one sentence.
  returned: always
  type: str
authenticated:
  description: Whether the registry knows O(identity) by the key.
  returned: always
  type: bool
key:
  description: The entry of the owner's list that is the key in hand; V(null) where that is not known.
  returned: always
  type: dict
  contains:
    uuid:
      description: By which it is revoked.
      type: str
    label:
      description: Its label.
      type: str
    created:
      description: When it was made.
      type: str
      sample: "2026-11-22T03:11:52Z"
    ends:
      description: When it ends; V(null) for never.
      type: str
    last_used:
      description: When it was last used, which is now.
      type: str
identified_by:
  description: How the entry was found, V(label) or V(last_used), else V(unknown).
  returned: always
  type: str
days_left:
  description: Whole days until it ends; V(null) for never, and where the entry is not known.
  returned: always
  type: int
repository:
  description: The repository that was asked about.
  returned: always
  type: str
may:
  description:
    - What the key's owner may do in RV(repository), as C(read), C(create), C(update) and C(delete).
    - V(null) is not known, such as C(update) where there is no tag.
  returned: always
  type: dict
  sample: {"read": true, "create": true, "update": false, "delete": false}
"""

from ansible.module_utils.basic import env_fallback

from ansible_collections.blumeops.registry.plugins.module_utils._argspec import ZOT
from ansible_collections.blumeops.registry.plugins.module_utils._run import run
from ansible_collections.blumeops.registry.plugins.module_utils._zot.actions import check_api_key


def main():
    run(
        {
            "argument_spec": {
                **ZOT,
                "identity": {"type": "str", "required": True},
                "api_key": {
                    "type": "str",
                    "required": True,
                    "no_log": True,
                    "fallback": (env_fallback, ["ZOT_API_KEY"]),
                },
                "label": {"type": "str"},
                "repository": {"type": "str", "default": ""},
                "warn_days": {"type": "int", "default": 21},
                "fail_days": {"type": "int", "default": 7},
                "fail": {"type": "bool", "default": True},
            },
            "supports_check_mode": True,
        },
        check_api_key,
    )


if __name__ == "__main__":
    main()
