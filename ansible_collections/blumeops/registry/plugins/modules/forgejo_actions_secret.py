#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One Actions secret of Forgejo."""

from __future__ import annotations

DOCUMENTATION = r"""
module: forgejo_actions_secret
short_description: One Actions secret of a Forgejo repository, organization or user
version_added: 1.0.0
description:
  - Writes or deletes one secret of Forgejo Actions.
  - Forgejo gives out neither the value of a secret nor when it was changed, so this module cannot tell whether a secret
    that exists already has the value. It says so, see O(update_value).
  - M(blumeops.registry.forgejo_actions_secrets) does many secrets in one task and remembers what it wrote.
author:
  - the blumeops.registry authors (@eblume)
extends_documentation_fragment:
  - blumeops.registry.forgejo
  - blumeops.registry.attributes
attributes:
  check_mode:
    support: partial
    details:
      - Whether the token may write is not seen beforehand, only whether it may read.
      - Whether one of a user's own secrets exists cannot be seen, so O(state=absent) predicts a change for those.
  diff_mode:
    support: partial
    details:
      - Shows whether the secret is there before and after, never a value.
  idempotent:
    support: partial
    details:
      - Deleting, and writing with O(update_value=on_create), are.
      - With O(update_value=always) every run writes and reports a change, as the value cannot be compared.
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
      - The secrets of the token's own user.
      - Forgejo does not list these, so whether one exists is only known after writing it.
    type: bool
  name:
    description:
      - Name of the secret; letters, digits and underscores, no digit first, not C(GITHUB_…) and not C(GITEA_…).
      - Forgejo stores it in upper case.
    type: str
    required: true
  value:
    description:
      - The value, stored byte for byte. It cannot be empty and must be valid UTF-8.
      - Required if O(state=present).
    type: str
  state:
    description:
      - Whether the secret is to be there.
    type: str
    choices: [present, absent]
    default: present
  update_value:
    description:
      - V(always) writes the value in every run and reports a change, since Forgejo does not let the values be compared.
      - V(on_create) writes only where the secret is missing.
    type: str
    choices: [always, on_create]
    default: always
seealso:
  - module: blumeops.registry.forgejo_actions_secrets
  - plugin: blumeops.registry.onepassword
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Hand the registry's API key to CI
  blumeops.registry.forgejo_actions_secret:
    forgejo_url: https://forge.eblu.me
    forgejo_token: "{{ forgejo_token }}"
    repository: eblume/blumeops
    name: ZOT_CI_API_KEY
    value: "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Forgejo Secrets/zot-ci-api') }}"
  delegate_to: localhost

- name: Take a token away from an organization
  blumeops.registry.forgejo_actions_secret:
    forgejo_url: https://forge.eblu.me
    organization: acme
    name: OLD_TOKEN
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
name:
  description: Name of the secret as Forgejo stores it.
  returned: success
  type: str
  sample: ZOT_CI_API_KEY
scope:
  description: Where the secret is.
  returned: success
  type: str
  sample: repository eblume/blumeops
before:
  description: What was there, V(present), V(missing) or V(unknown).
  returned: success
  type: str
  sample: present
after:
  description: What is there now (in check mode, what would be), V(present) or V(missing).
  returned: success
  type: str
  sample: present
created:
  description: Whether the secret is new.
  returned: success
  type: bool
  sample: false
reason:
  description: Why it was written, deleted or left alone.
  returned: success
  type: str
  sample: value cannot be compared
"""

from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils import _argspec
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import one_secret
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client, connect
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import scope_of, short_value_warning
from ansible_collections.blumeops.registry.plugins.module_utils._run import run

SPEC: dict[str, Any] = {
    "argument_spec": {
        **_argspec.FORGEJO,
        "repository": {"type": "str"},
        "organization": {"type": "str"},
        "user": {"type": "bool"},
        "name": {"type": "str", "required": True},
        "value": {"type": "str", "no_log": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "update_value": {"type": "str", "choices": ["always", "on_create"], "default": "always"},
    },
    "supports_check_mode": True,
}


def act(module: Any) -> dict[str, Any]:
    options = module.params
    scope = scope_of(options["repository"], options["organization"], options["user"])
    wish = one_secret.wish(
        scope, options["name"], options["value"], state=options["state"], update_value=options["update_value"]
    )
    if warning := short_value_warning([(str(wish), wish.value)]):
        module.warn(warning)
    with connect(options) as transport:
        return one_secret.apply(Client(transport), wish, check_mode=module.check_mode, warn=module.warn)


def main() -> None:
    run(SPEC, act)


if __name__ == "__main__":
    main()
