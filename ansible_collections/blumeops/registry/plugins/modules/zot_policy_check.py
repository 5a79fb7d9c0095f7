#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a zot configuration grants, before it is live."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_policy_check
short_description: Know what a zot configuration grants, and what is wrong with it, before it is live
version_added: 1.0.0
author:
  - the blumeops.registry authors (@eblume)
description:
  - Reads a whole zot configuration and says who may do what, finds what C(zot verify) accepts and what is wrong all the
    same, runs the tests that stand beside the policy, and compares it with the configuration that is live.
  - Everything is decided by a model of zot's authorization that agrees with recordings of a real zot. No registry is
    asked and nothing is changed, so run it on the controller.
  - Fails where there is an error, a test that does not hold or a gate that is broken, see O(fail_on). Warnings are
    shown as warnings of Ansible.
  - The guide C(docs/policy.md) in the repository of the collection explains every code of a finding.
extends_documentation_fragment:
  - blumeops.registry.attributes
attributes:
  check_mode:
    support: full
    details:
      - Does the same in check mode. The page at O(report_path) is written then too.
  diff_mode:
    support: none
    details:
      - Changes nothing. RV(comparison.lines) is what a task that writes the configuration can show above its diff.
  idempotent:
    support: full
options:
  config:
    description:
      - The whole zot configuration, as it would be written.
      - A block of its policy may say C(inherit=true) to keep the rules of the block V(**), see RV(access_control).
    type: dict
    required: true
  live_config:
    description:
      - The configuration that is live now, to compare with.
      - If not set, nothing is compared, and everything that O(config) grants is not taken for new.
    type: dict
  zot_version:
    description:
      - Version of the installed zot, such as V(2.1.20).
      - A zot that was built from source has none. Where a bound is known, for example from what its C(verify) accepts,
        write V(>=2.1.18) or V(<2.1.18).
      - If not set, what depends on the version is told as not known.
    type: str
  declared_groups:
    description:
      - The groups that the identity provider has. A policy for any other group is an error.
      - A list of names, or a mapping of names to lists of members. Known members make questions about users possible.
      - If not set, groups are not checked against anything.
    type: raw
  immutable_writers:
    description:
      - Subjects that may add images and must never change one, such as V(group:artifact-workloads).
      - Granting them C(update) anywhere is an error, and so is a zot on which a missing C(update) does not protect.
    type: list
    elements: str
    default: []
  break_glass:
    description:
      - Subjects that must keep every right on every repository, such as V(group:admins).
      - If not set, whoever has all rights under a pattern is expected to keep them under longer ones, with a warning.
    type: list
    elements: str
  repositories:
    description:
      - Names of repositories that exist or will, such as V(blumeops/navidrome).
      - They get a row in the table, serve as examples in messages, and tell where V(*) does not reach.
    type: list
    elements: str
    default: []
  tests:
    description:
      - What must hold of the policy.
      - A test that expects V(allow) or V(deny) fails where the answer is random or hangs on a condition.
    type: list
    elements: dict
    default: []
    suboptions:
      subject:
        description:
          - V(anonymous), V(authenticated) (anybody who is logged in and named nowhere), C(user:NAME), C(group:NAME), or
            the bare name of a known user or group.
        type: str
        required: true
      action:
        description:
          - What is to be done. C(create) is a push under a new tag, C(update) one under a tag that exists.
        type: str
        required: true
        choices: [read, create, update, delete]
      image:
        description:
          - Repository, with C(:TAG) or C(@DIGEST) if that reads better; zot decides by the repository alone.
        type: str
        required: true
      expect:
        description:
          - The answer that is right.
        type: str
        required: true
        choices: [allow, deny, conditional, random]
      groups:
        description:
          - The groups of a user, where O(declared_groups) does not tell them.
        type: list
        elements: str
      via:
        description:
          - How the caller comes in. Groups of the configuration count for V(password) only.
          - If not set, V(apikey) where OpenID Connect or API keys are on, else V(password).
        type: str
        choices: [apikey, login, password]
  questions:
    description:
      - Questions to answer with an explanation.
    type: list
    elements: dict
    default: []
    suboptions:
      subject:
        description:
          - As in O(tests[].subject).
        type: str
        required: true
      action:
        description:
          - As in O(tests[].action).
        type: str
        required: true
        choices: [read, create, update, delete]
      image:
        description:
          - As in O(tests[].image).
        type: str
        required: true
      groups:
        description:
          - As in O(tests[].groups).
        type: list
        elements: str
      via:
        description:
          - As in O(tests[].via).
        type: str
        choices: [apikey, login, password]
  gates:
    description:
      - What a change must not do.
      - V(no_public_write), nobody without a login may create, update or delete anywhere.
      - V(no_new_access), nobody gains anything that O(live_config) does not grant.
      - "A mapping V({no_lost_access_for: [admins, anonymous]}), these lose nothing that O(live_config) grants."
    type: list
    elements: raw
    default: []
  accepted:
    description:
      - Findings that are known and accepted, by code, such as V(ZP106), or by code and a part of the place, such as
        V(ZP106 blumeops/private).
      - They are told as C(info).
    type: list
    elements: str
    default: []
  fail_on:
    description:
      - Which findings fail the task. Tests and gates fail it unless this is V(never).
    type: str
    default: error
    choices: [error, warning, never]
  report_path:
    description:
      - File that receives one HTML page with the table, the findings and the comparison. It is replaced.
      - Its folder must exist. The page holds no secret, but it tells who may do what.
    type: path
  title:
    description:
      - What the page is about.
      - If not set, the host of C(http.externalUrl), else V(zot registry).
    type: str
requirements:
  - jinja2 (Python package; comes with ansible-core)
"""

EXAMPLES = r"""
- name: Know what the policy grants before anything is written
  blumeops.registry.zot_policy_check:
    config: "{{ my_zot_config }}"
    live_config: "{{ my_live_zot_config }}"
    zot_version: 2.1.20
    declared_groups:
      admins: [erich]
      artifact-workloads: [zot-ci]
    immutable_writers: [group:artifact-workloads]
    tests:
      - {subject: zot-ci, action: create, image: 'blumeops/navidrome:v1.0.1', expect: allow}
      - {subject: zot-ci, action: update, image: 'blumeops/navidrome:v1.0.0', expect: deny}
      - {subject: anonymous, action: read, image: blumeops/navidrome, expect: allow}
    gates:
      - no_public_write
      - no_lost_access_for: [admins, anonymous]
    report_path: /tmp/policy.html
  delegate_to: localhost
  register: policy

- name: Show what would change for whom
  ansible.builtin.debug:
    msg: "{{ policy.comparison.lines }}"

- name: Ask why CI may not overwrite a tag
  blumeops.registry.zot_policy_check:
    config: "{{ lookup('ansible.builtin.file', '/etc/zot/config.json') | from_json }}"
    declared_groups: {artifact-workloads: [zot-ci]}
    questions:
      - {subject: zot-ci, action: update, image: 'blumeops/navidrome:v1.0.0'}
    fail_on: never
  register: asked

- name: Show the answer
  ansible.builtin.debug:
    msg: "{{ [asked.answers[0].sentence] + asked.answers[0].explanation }}"
"""

RETURN = r"""
passed:
  description: Whether nothing stands in the way, by O(fail_on), O(tests) and O(gates).
  returned: always
  type: bool
problems:
  description: What stands in the way, one sentence each.
  returned: always
  type: list
  elements: str
lines:
  description: The whole result in sentences for people, the comparison first.
  returned: always
  type: list
  elements: str
findings:
  description: Findings of lint, errors first.
  returned: always
  type: list
  elements: dict
  contains:
    code:
      description: Stable code, explained in the guide.
      type: str
    severity:
      description: V(error), V(warning) or V(info).
      type: str
    place:
      description: Path in the configuration.
      type: str
    reason:
      description: What happens.
      type: str
    fix:
      description: What to do.
      type: str
  sample:
    - code: ZP102
      severity: error
      place: http.accessControl.repositories['/blumeops/**']
      reason: "The pattern begins with a slash, and no repository name does: the block never matches."
      fix: "Write 'blumeops/**'."
tests:
  description: How each of O(tests) came out.
  returned: always
  type: list
  elements: dict
  contains:
    passed:
      description: Whether the answer is the expected one.
      type: bool
    expect:
      description: The answer that was expected.
      type: str
    answer:
      description: V(allow), V(deny), V(conditional) or V(random).
      type: str
    sentence:
      description: The answer in one sentence.
      type: str
    explanation:
      description: Why, block by block and rule by rule.
      type: list
      elements: str
answers:
  description: The answers to O(questions), shaped as RV(tests[]) without C(passed) and C(expect).
  returned: always
  type: list
  elements: dict
access:
  description:
    - Who may do what. For each repository, for each subject, the answer for each action.
    - Repositories are those that are known, and for each pattern one name that it decides.
  returned: when the policy can be read
  type: dict
  sample:
    blumeops/navidrome:
      anonymous: {read: allow, create: deny, update: deny, delete: deny}
access_control:
  description:
    - The C(accessControl) of O(config) as zot wants it, with every C(inherit) of a block written out.
    - Equal to what was given where no block inherits. That nothing is lost by writing it out is checked.
  returned: when the policy can be read
  type: dict
comparison:
  description: What would change, over every repository name there can be.
  returned: when O(live_config) is given and both policies can be read
  type: dict
  contains:
    changed:
      description: Whether anybody gains or loses anything.
      type: bool
    lines:
      description: One sentence each, for people.
      type: list
      elements: str
      sample: ["zot-ci gains update on blumeops/navidrome:v1.0.0"]
    changes:
      description: The same as data.
      type: list
      elements: dict
gates:
  description: How each of O(gates) came out.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The gate.
      type: str
    held:
      description: Whether it holds.
      type: bool
    broken_by:
      description: The changes that break it.
      type: list
      elements: str
report_path:
  description: Where the page is.
  returned: when O(report_path) is set
  type: str
"""

from ansible_collections.blumeops.registry.plugins.module_utils._run import run
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.check import check

ACTIONS = ["read", "create", "update", "delete"]
QUESTION = {
    "subject": {"type": "str", "required": True},
    "action": {"type": "str", "required": True, "choices": ACTIONS},
    "image": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "str"},
    "via": {"type": "str", "choices": ["apikey", "login", "password"]},
}
TEST = {
    **QUESTION,
    "expect": {"type": "str", "required": True, "choices": ["allow", "deny", "conditional", "random"]},
}


def main():
    run(
        {
            "argument_spec": {
                "config": {"type": "dict", "required": True},
                "live_config": {"type": "dict"},
                "zot_version": {"type": "str"},
                "declared_groups": {"type": "raw"},
                "immutable_writers": {"type": "list", "elements": "str", "default": []},
                "break_glass": {"type": "list", "elements": "str"},
                "repositories": {"type": "list", "elements": "str", "default": []},
                "tests": {"type": "list", "elements": "dict", "default": [], "options": TEST},
                "questions": {"type": "list", "elements": "dict", "default": [], "options": QUESTION},
                "gates": {"type": "list", "elements": "raw", "default": []},
                "accepted": {"type": "list", "elements": "str", "default": []},
                "fail_on": {"type": "str", "default": "error", "choices": ["error", "warning", "never"]},
                "report_path": {"type": "path"},
                "title": {"type": "str"},
            },
            "supports_check_mode": True,
        },
        check,
        requires=("jinja2",),
    )


if __name__ == "__main__":
    main()
