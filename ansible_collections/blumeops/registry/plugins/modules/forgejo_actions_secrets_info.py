#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names, times and states of Forgejo's Actions secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: forgejo_actions_secrets_info
short_description: Names, times and states of Forgejo Actions secrets
version_added: 1.0.0
description:
  - Lists the Actions secrets of repositories and organizations with when they were created and, with O(ledger_key),
    what the ledger says about them.
  - Where values are declared, each has the state that M(blumeops.registry.forgejo_actions_secrets) would find.
  - Writes nothing and takes no lock.
author:
  - the blumeops.registry authors (@eblume)
extends_documentation_fragment:
  - blumeops.registry.forgejo
  - blumeops.registry.forgejo_ledger
  - blumeops.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  scopes:
    description:
      - Repositories and organizations to look into.
    type: list
    elements: dict
    required: true
    suboptions:
      repository:
        description:
          - Repository as C(owner/name).
          - Exactly one of O(scopes[].repository), O(scopes[].organization) and O(scopes[].user) is needed.
        type: str
      organization:
        description:
          - Name of an organization.
        type: str
      user:
        description:
          - The secrets of the token's own user. Forgejo does not list these, so the state of each declared one is
            V(unknown).
        type: bool
      secrets:
        description:
          - What is declared, to compare with. Without it every secret is V(undeclared).
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Name of the secret.
            type: str
            required: true
          value:
            description:
              - The declared value.
              - Required if O(scopes[].secrets[].state=present).
            type: str
          state:
            description:
              - Whether the secret is declared to be there.
            type: str
            choices: [present, absent]
            default: present
          source_version:
            description:
              - Not used here; accepted so that one list serves both modules.
            type: str
seealso:
  - module: blumeops.registry.forgejo_actions_secrets
"""

EXAMPLES = r"""
- name: What secrets does CI have, and since when
  blumeops.registry.forgejo_actions_secrets_info:
    forgejo_url: https://forge.eblu.me
    ledger_key: "{{ credentials.ledger_key }}"
    scopes:
      - repository: eblume/blumeops
      - organization: acme
  register: found
"""

RETURN = r"""
secrets:
  description: One row for each secret that is there or declared.
  returned: always
  type: list
  elements: dict
  contains:
    scope:
      description: Where it is.
      type: str
      sample: repository eblume/blumeops
    name:
      description: Its name.
      type: str
      sample: ZOT_CI_API_KEY
    state:
      description: V(as recorded), V(differs), V(unknown), V(missing) or V(undeclared).
      type: str
    reason:
      description: Why it has this state.
      type: str
    created_at:
      description: When Forgejo says that it was created. It does not change when the value does.
      type: str
      sample: "2026-11-22T01:34:47Z"
    written_at:
      description: When this collection wrote it last, by the ledger; empty where the ledger does not say.
      type: str
      sample: "2026-11-22T01:34:48Z"
    source_version:
      description: Version of what its value was taken from then; empty where there is none.
      type: str
    interrupted:
      description: Whether a write of it was begun and not confirmed.
      type: bool
states:
  description: How many secrets are in each state.
  returned: always
  type: dict
locks:
  description: Scopes that a run holds now (or held when it died), each with a sentence.
  returned: always
  type: dict
"""

from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils import _argspec
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import options as given
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import plan, report
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client, connect
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.sync import Sync
from ansible_collections.blumeops.registry.plugins.module_utils._run import run

SPEC: dict[str, Any] = {
    "argument_spec": {**_argspec.FORGEJO, **given.LEDGER, "scopes": given.scopes(required=False)},
    "supports_check_mode": True,
    # Ansible would log the arguments to syslog and hide values in them only where they are one line.
    "no_log": True,
}


def act(module: Any) -> dict[str, Any]:
    options = module.params
    policy = plan.Policy()
    declared = given.declarations(options, policy, lists=False)
    if warning := given.short_value_warning(declared):
        module.warn(warning)
    settings = given.settings(options)
    with connect(options, pool_size=settings.concurrency) as transport:
        client = Client(transport)
        works = Sync(client, given.kept_ledgers(options, client), policy, settings).run(declared, write=False)
    for warning in report.warnings(works, check_mode=False):
        module.warn(warning)
    return report.info(works, given.forget_values(module))


def main() -> None:
    run(SPEC, act)


if __name__ == "__main__":
    main()
