#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many Actions secrets of Forgejo, with a memory of what was written."""

from __future__ import annotations

DOCUMENTATION = r"""
module: forgejo_actions_secrets
short_description: A whole set of Forgejo Actions secrets, written only where needed
version_added: 1.0.0
description:
  - Brings the Actions secrets of any number of repositories and organizations, and of the token's own user, to what is
    declared, in one task.
  - Reads first, decides, and writes what is needed, several requests at a time over kept connections.
  - Forgejo gives out neither a secret's value nor when it was changed. With O(ledger_key) this module remembers what it
    wrote as keyed fingerprints and writes only what is declared otherwise. Without it every secret is written each
    time.
  - Everything that can be checked is checked before anything is written. An error of one repository or secret does not
    keep the others from being done; the task then fails and says what was done and what was not.
author:
  - the blumeops.registry authors (@eblume)
extends_documentation_fragment:
  - blumeops.registry.forgejo
  - blumeops.registry.forgejo_ledger
  - blumeops.registry.attributes
attributes:
  check_mode:
    support: partial
    details:
      - Whether the token may write is not seen beforehand, only whether it may read.
      - Whether one of a user's own secrets exists cannot be seen.
  diff_mode:
    support: partial
    details:
      - Shows the states of secrets that are written or deleted, never a value or a fingerprint.
  idempotent:
    support: partial
    details:
      - With O(ledger_key) a second run writes nothing, apart from a user's own secrets, which Forgejo does not list.
      - Without it, and with O(update_value=always), every run writes and reports a change.
options:
  scopes:
    description:
      - Repositories and organizations (and the token's own user) with their secrets.
      - Each may be given once; names have no case.
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
          - The secrets of the token's own user. Forgejo does not list these, so their state is always V(unknown) and
            they are written in every run.
        type: bool
      secrets:
        description:
          - The secrets that shall be there.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description:
              - Name of the secret; letters, digits and underscores, no digit first, not C(GITHUB_…), C(GITEA_…).
              - Forgejo stores it in upper case.
            type: str
            required: true
          value:
            description:
              - The value, stored byte for byte. It cannot be empty and must be valid UTF-8.
              - Required if O(scopes[].secrets[].state=present).
            type: str
          state:
            description:
              - Whether the secret is to be there.
            type: str
            choices: [present, absent]
            default: present
          source_version:
            description:
              - Version of what the value was taken from, such as a 1Password item's. Kept in the ledger.
            type: str
  update_value:
    description:
      - V(as_needed) writes what is missing, differs or is unknown.
      - V(always) writes everything in every run.
      - V(on_create) writes only what is missing.
    type: str
    choices: [as_needed, always, on_create]
    default: as_needed
  rewrite_after:
    description:
      - Write a secret again that was written longer ago than this, such as V(7d), V(12h) or V(90m).
      - An overwrite elsewhere cannot be seen; this bounds how long one can stand.
    type: str
  purge:
    description:
      - Delete secrets that are not declared, but only those that the ledger says this collection has written and that
        were not created again elsewhere since.
    type: bool
    default: false
  purge_limit:
    description:
      - How many undeclared secrets may be deleted in one run. More fails the task before anything is written.
      - If not set, the smaller of 5 and a quarter of the secrets that the ledgers know.
    type: int
  lock_timeout:
    description:
      - How long this run may keep a repository locked for others, such as V(5m). What a killed run has locked is free
        for others ten seconds after that.
    type: str
    default: 5m
seealso:
  - module: blumeops.registry.forgejo_actions_secrets_info
  - module: blumeops.registry.forgejo_actions_variable
  - plugin: blumeops.registry.onepassword
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Hand CI its credentials
  blumeops.registry.forgejo_actions_secrets:
    forgejo_url: https://forge.eblu.me
    forgejo_token: "{{ credentials.forgejo_token }}"
    ledger_key: "{{ credentials.ledger_key }}"
    rewrite_after: 7d
    scopes:
      - repository: eblume/blumeops
        secrets:
          - name: ARGOCD_AUTH_TOKEN
            value: "{{ credentials.argocd }}"
          - name: ZOT_CI_API_KEY
            value: "{{ credentials.zot_ci }}"
      - repository: eblume/cv
        secrets:
          - name: FORGE_TOKEN
            value: "{{ credentials.forge }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
secrets:
  description: One row for each declared secret, and for each that is there and not declared.
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
      description:
        - V(as recorded), our last confirmed write equals the declaration (an overwrite elsewhere cannot be seen).
        - V(differs), another value is declared than the one that we wrote last.
        - V(unknown), it is there, and nothing that can be read says what it is.
        - V(missing), it is not there.
        - V(undeclared), it is there and not declared, or declared absent.
      type: str
      sample: differs
    action:
      description: What follows from that, V(write), V(delete) or V(none).
      type: str
      sample: write
    done:
      description: Whether that was done in this run; V(false) in check mode.
      type: bool
    reason:
      description: Why.
      type: str
      sample: another value than the one written last
    after:
      description: The state after the run; in check mode the one that it would have.
      type: str
      sample: as recorded
    created_at:
      description: When Forgejo says that it was created, before this run. It does not change when the value does.
      type: str
      sample: "2026-11-22T01:34:47Z"
states:
  description: How many secrets are in each state.
  returned: always
  type: dict
  sample: {as recorded: 58, differs: 2, unknown: 0, missing: 0, undeclared: 1}
written:
  description: How many secrets were (in check mode, would be) written.
  returned: always
  type: int
  sample: 2
deleted:
  description: How many were (would be) deleted.
  returned: always
  type: int
  sample: 0
errors:
  description: What failed, by scope and (where it was one secret) name.
  returned: always
  type: list
  elements: dict
  contains:
    scope:
      description: Where.
      type: str
    name:
      description: Name of the secret, empty where it was the scope as a whole.
      type: str
    error:
      description: What is wrong and what to do.
      type: str
"""

from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils import _argspec
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import options as given
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo import plan, report
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client, connect
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.sync import Sync
from ansible_collections.blumeops.registry.plugins.module_utils._run import run

SPEC: dict[str, Any] = {
    "argument_spec": {
        **_argspec.FORGEJO,
        **given.LEDGER,
        "scopes": given.scopes(required=True),
        "update_value": {"type": "str", "choices": ["as_needed", "always", "on_create"], "default": "as_needed"},
        "rewrite_after": {"type": "str"},
        "purge": {"type": "bool", "default": False},
        "purge_limit": {"type": "int"},
        "lock_timeout": {"type": "str", "default": "5m"},
    },
    "supports_check_mode": True,
    # Ansible would log the arguments to syslog and hide values in them only where they are one line.
    "no_log": True,
}


def act(module: Any) -> dict[str, Any]:
    options = module.params
    rewrite_after = plan.seconds(options["rewrite_after"], "rewrite_after")
    policy = plan.Policy(options["update_value"], rewrite_after, options["purge"], options["purge_limit"])
    lock_seconds = plan.seconds(options["lock_timeout"], "lock_timeout") or 0
    declared = given.declarations(options, policy)
    if warning := given.short_value_warning(declared):
        module.warn(warning)
    settings = given.settings(options, lock_seconds=lock_seconds)
    with connect(options, pool_size=settings.concurrency) as transport:
        client = Client(transport)
        ledgers = given.kept_ledgers(options, client)
        works = Sync(client, ledgers, policy, settings).run(declared, write=not module.check_mode)
    for warning in report.warnings(works, check_mode=module.check_mode):
        module.warn(warning)
    clean = given.forget_values(module)
    return report.result(works, clean, written=not module.check_mode, recording=ledgers is not None)


def main() -> None:
    run(SPEC, act)


if __name__ == "__main__":
    main()
