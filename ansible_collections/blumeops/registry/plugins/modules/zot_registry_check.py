#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_registry_check
short_description: Check that a live zot registry does what its configuration promises
version_added: 1.0.0
author: the blumeops.registry authors (@eblume)
description:
  - Anybody may pull and see the catalog, nobody may push without credentials, a login goes to the issuer, the CI key
    may add a tag and may not overwrite or delete, admins may, metrics answer a scrape, and API keys are on.
  - What a caller may do is asked with requests that can never succeed, whose answers still tell. Nothing is stored or
    made, unless O(push=true).
  - A disagreement names its likely cause.
options:
  external_url:
    description:
      - Address at which people reach the registry, of which the login's callback is made. O(registry_url) by default.
    type: str
  issuer:
    description: Issuer of the OpenID Connect login, exactly as in the configuration. The login is not checked without.
    type: str
  issuer_ca_path:
    description: PEM file with the CA certificates to trust for the issuer instead of the system's.
    type: path
  client_id:
    description: Client id that a login has to be made with.
    type: str
    default: zot
  scopes:
    description: Scopes that a login has to ask for.
    type: list
    elements: str
    default: [openid, email, profile]
  provider:
    description: Name of the provider in zot's configuration.
    type: str
    default: oidc
  ci_identity:
    description: User name of CI.
    type: str
    default: zot-ci
  ci_key:
    description: API key of O(ci_identity). What CI may do is unknown without.
    type: str
  admin_identity:
    description: User name of an admin.
    type: str
  admin_key:
    description: API key of O(admin_identity). What admins may do is unknown without.
    type: str
  repository:
    description:
      - Repository to ask about.
      - By default the first one with a tag, but none under the name of another registry such as C(docker.io/), and one
        that does not exist where there is none.
    type: str
    default: ""
  metrics_path:
    description: Path of the metrics. Empty where there are none.
    type: str
    default: /metrics
  push:
    description:
      - Whether to push one small image as O(ci_identity) and to pull it without credentials.
      - It is pushed once. Where it is there already, that is the proof.
    type: bool
    default: false
  probe_repository:
    description: Repository of the image that is pushed.
    type: str
    default: blumeops/registry-probe
  probe_tag:
    description: Tag of the image that is pushed.
    type: str
    default: v1
  fail:
    description: Whether the task fails where a check has failed.
    type: bool
    default: true
extends_documentation_fragment:
  - blumeops.registry.zot
  - blumeops.registry.attributes
attributes:
  check_mode:
    support: full
    details: With O(push=true) the image is not pushed, and the check is C(unknown) where it is not there yet.
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: blumeops.registry.zot_apikey_check
"""

EXAMPLES = r"""
- name: Check what anybody may do
  blumeops.registry.zot_registry_check:
    registry_url: https://registry.ops.eblu.me
  delegate_to: localhost

- name: Check everything
  blumeops.registry.zot_registry_check:
    registry_url: https://registry.ops.eblu.me
    issuer: https://authentik.ops.eblu.me/application/o/zot/
    ci_key: "{{ ci_key }}"
    admin_identity: erich
    admin_key: "{{ admin_key }}"
  delegate_to: localhost
"""

RETURN = r"""
checks:
  description: The test plan, in its order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check, such as C(ci_update).
      type: str
    title:
      description: What is checked.
      type: str
    result:
      description: V(passed), V(failed) or V(unknown).
      type: str
    message:
      description: What was seen, in one sentence.
      type: str
    cause:
      description:
        - The likely cause of a failure. V(unreachable), V(not_the_registry), V(key_refused), V(stale_groups),
          V(older_zot), V(proxy_strips_authorization), V(proxy_adds_credentials), V(read_only), V(storage),
          V(other_configuration) or V(issuer).
        - Empty where nothing failed, or the cause is not known.
      type: str
table:
  description: The same as lines of text.
  returned: always
  type: list
  elements: str
counts:
  description: How many checks have which result.
  returned: always
  type: dict
  sample: {"passed": 16, "failed": 0, "unknown": 1}
msg:
  description: What failed, in one sentence.
  returned: always
  type: str
"""

from ansible_collections.blumeops.registry.plugins.module_utils._argspec import ZOT
from ansible_collections.blumeops.registry.plugins.module_utils._run import run
from ansible_collections.blumeops.registry.plugins.module_utils._zot.actions import check_registry


def main():
    run(
        {
            "argument_spec": {
                **ZOT,
                "external_url": {"type": "str"},
                "issuer": {"type": "str"},
                "issuer_ca_path": {"type": "path"},
                "client_id": {"type": "str", "default": "zot"},
                "scopes": {"type": "list", "elements": "str", "default": ["openid", "email", "profile"]},
                "provider": {"type": "str", "default": "oidc"},
                "ci_identity": {"type": "str", "default": "zot-ci"},
                "ci_key": {"type": "str", "no_log": True},
                "admin_identity": {"type": "str"},
                "admin_key": {"type": "str", "no_log": True},
                "repository": {"type": "str", "default": ""},
                "metrics_path": {"type": "str", "default": "/metrics"},
                "push": {"type": "bool", "default": False},
                "probe_repository": {"type": "str", "default": "blumeops/registry-probe"},
                "probe_tag": {"type": "str", "default": "v1"},
                "fail": {"type": "bool", "default": True},
            },
            "required_by": {"admin_key": "admin_identity"},
            "supports_check_mode": True,
        },
        check_registry,
    )


if __name__ == "__main__":
    main()
