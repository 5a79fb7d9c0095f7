#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_config
short_description: Install a zot configuration, and let the running zot take it without a restart
version_added: 1.0.0
author: the blumeops.registry authors (@eblume)
description:
  - Checks a configuration with C(zot verify), puts it in place atomically, and has the running zot take it.
  - Nothing is written where C(zot verify) refuses the configuration, or where the port that zot would need is taken
    by another program.
  - The file in place is at every moment one that zot starts on. A run that was killed is picked up by the next one.
  - zot notices a write to the file that it opened when it started, and no replacement by rename. So the module keeps
    that file as a second link beside the configuration, puts the new file in place by rename, and writes one newline to
    the link; zot then reads the new file by its path.
  - Whether zot took it is proven by requests. For a moment the configuration has two more blocks, for repositories that
    do not exist, one that anybody may read in and one that nobody may; zot tells them apart as long as it runs with
    that configuration, and no longer.
options:
  path:
    description: The configuration file that zot is started with.
    type: path
    required: true
  config:
    description: The whole configuration.
    type: dict
    required: true
  binary:
    description: The zot program that checks the configuration.
    type: path
    required: true
  oidc_credentials_path:
    description:
      - File that receives O(oidc_client_id) and O(oidc_client_secret), with mode 0600.
      - O(config) names it as C(credentialsFile).
    type: path
  oidc_client_id:
    description: Client id for the credentials file.
    type: str
  oidc_client_secret:
    description: Client secret for the credentials file.
    type: str
  owner:
    description: User that owns the files.
    type: str
  group:
    description: Group that owns the files.
    type: str
  mode:
    description: Mode of the configuration file.
    type: str
    default: "0640"
  running:
    description: Whether zot runs now, on O(path).
    type: bool
    required: true
  url:
    description:
      - Address at which the running zot is asked from the target, such as V(http://127.0.0.1:5050).
      - Asked without credentials and without verifying its certificate, which is for the public name.
    type: str
    required: true
  restart_for:
    description: What else asks for a restart of the running zot, such as another program, in words for people.
    type: list
    elements: str
    default: []
  reload_timeout:
    description: Seconds to wait until the running zot answers as the new configuration says.
    type: float
    default: 5.0
extends_documentation_fragment:
  - blumeops.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Secrets in the configuration are hidden, and the credentials file is never shown.
  idempotent:
    support: full
notes:
  - Needs nothing but Python 3.9 on the target.
"""

EXAMPLES = r"""
- name: Install the configuration
  blumeops.registry.zot_config:
    path: /etc/zot/config.json
    config: "{{ my_zot_config }}"
    binary: /usr/local/bin/zot
    running: true
    url: http://127.0.0.1:5050
  register: installed

- name: Restart zot
  ansible.builtin.service:
    name: zot
    state: restarted
  when: installed.restart_required
"""

RETURN = r"""
reload:
  description:
    - V(none) where zot does not run or nothing changed.
    - V(taken) where a request proved that the running zot has the new configuration.
    - V(unproven) where zot was told and nothing could prove that it listened (no access control in the configuration).
    - V(restart) where the running zot cannot take the change.
    - V(would reload) and V(would restart) in check mode.
  returned: always
  type: str
restart_required:
  description: Whether zot has to be restarted before it does as the configuration says.
  returned: always
  type: bool
reasons:
  description: What asks for the restart, such as C(http.port), or what the reload was about.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.blumeops.registry.plugins.module_utils._run import run
from ansible_collections.blumeops.registry.plugins.module_utils._zot.installation import install


def main():
    run(
        {
            "argument_spec": {
                "path": {"type": "path", "required": True},
                "config": {"type": "dict", "required": True},
                "binary": {"type": "path", "required": True},
                "oidc_credentials_path": {"type": "path"},
                "oidc_client_id": {"type": "str"},
                "oidc_client_secret": {"type": "str", "no_log": True},
                "owner": {"type": "str"},
                "group": {"type": "str"},
                "mode": {"type": "str", "default": "0640"},
                "running": {"type": "bool", "required": True},
                "url": {"type": "str", "required": True},
                "restart_for": {"type": "list", "elements": "str", "default": []},
                "reload_timeout": {"type": "float", "default": 5.0},
            },
            "required_together": [["oidc_credentials_path", "oidc_client_id", "oidc_client_secret"]],
            "supports_check_mode": True,
        },
        install,
        requires=(),
    )


if __name__ == "__main__":
    main()
