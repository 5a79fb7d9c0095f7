# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lookup blumeops.registry.onepassword: options and wiring."""

from __future__ import annotations

DOCUMENTATION = r"""
name: onepassword
author:
  - the blumeops.registry authors (@eblume)
version_added: 1.0.0
short_description: Fetch secrets from 1Password, all of a call in one go
description:
  - Resolves secret references such as V(op://vault/item/field) by 1Password Connect, or by the command C(op).
  - Ask for everything in B(one) call. With Connect a call costs one list of vaults, one list of items a vault and one
    request an item, for any number of terms. With C(op) it costs one process, for any number of references.
  - Values are exact. Nothing is stripped, so a PEM keeps its last newline.
  - A name matches an id that is equal, else a name that is equal, else a name that is equal but for case. Where more
    than one thing is left, the lookup fails and says how to name each of them. Archived items do not count.
  - A field is found by its id, its label, or one of V(username), V(password), V(notes) for the built-in ones; then a
    file by its name or id. Without a section, fields outside of all sections go first.
options:
  _terms:
    description:
      - Secret references of the form V(op://vault/item/[section/]field), any number of them, also as lists.
      - Names and ids may be mixed. Where 1Password Connect is asked, a name may hold any character, percent-encoded
        where it is C(/), C(?) or C(%). C(op) takes ASCII letters and digits, C(-), C(_), C(.) and blanks only; use the
        id of the rest, or O(vault), O(item) and O(field).
      - A query may follow. V(?attribute=otp) gives the code of a one-time-password field, V(?attribute=NAME) one of
        V(value), V(type), V(id), V(title), V(purpose) of a field or V(content), V(name), V(size), V(id), V(type) of a
        file, and V(?ssh-format=openssh) a private key in OpenSSH's form.
    type: list
    elements: str
  vault:
    description:
      - Vault, by name or id. With O(item) and O(field) it stands for a term, for names that a reference cannot hold.
    type: str
  item:
    description:
      - Item, by title or id.
    type: str
  section:
    description:
      - Section, by label or id.
    type: str
  field:
    description:
      - Field by label or id, or file by name or id.
    type: str
  attribute:
    description:
      - What C(?attribute=) says in a reference, for O(field).
    type: str
    choices: [value, otp, type, id, title, purpose, content, name, size]
  ssh_format:
    description:
      - What C(?ssh-format=) says in a reference, for O(field).
    type: str
    choices: [openssh]
  encoding:
    description:
      - V(text) returns values as they are, which must be UTF-8.
      - V(base64) returns the bytes in base64, for binary files.
    type: str
    choices: [text, base64]
    default: text
  allow_empty:
    description:
      - Return an empty string for a field without a value, instead of failing.
    type: bool
    default: false
  default:
    description:
      - Returned for an item, section, field or file that is not there. Nothing else gets it. A vault that is not
        granted, credentials that are refused and a server that does not answer always fail.
    type: str
  cache:
    description:
      - V(none) asks 1Password in every call of the lookup.
      - V(run) remembers what was fetched until C(ansible-playbook) ends, for all its hosts, tasks and forks. An item is
        then fetched once a run, by one process of C(op) or one request, however many variables look up its fields. A
        value that is changed in 1Password meanwhile is not seen by this run.
      - What is remembered is in the memory of one process of the same user, and in no file. Codes of one-time passwords
        and failures are never remembered. See the collection's guide to 1Password for what this protects from.
    type: str
    choices: [none, run]
    default: none
    env:
      - name: BLUMEOPS_ONEPASSWORD_CACHE
    ini:
      - section: onepassword_lookup
        key: cache
    vars:
      - name: onepassword_cache
  show_names:
    description:
      - Whether messages may list the labels of fields and sections, which tell how to mend a reference.
    type: bool
    default: true
extends_documentation_fragment:
  - blumeops.registry.onepassword
notes:
  - A value that was looked up is shown wherever Ansible shows variables. Use C(no_log) on the task. On ansible-core
    2.22 and later values are registered as secrets as well, so that Ansible replaces them in what it shows.
  - Ansible evaluates a lookup in a variable again at every use of the variable, on every host. Look up once and keep
    the result in C(set_fact) with C(run_once), as in the examples, or use O(cache=run).
  - C(errors=ignore) and C(errors=warn), which Ansible gives every lookup, act on the call as a whole.
"""

EXAMPLES = r"""
- name: Fetch everything in one call, once for all hosts
  ansible.builtin.set_fact:
    forge_secrets: "{{ dict(references.keys() | zip(query('blumeops.registry.onepassword', *references.values()))) }}"
  vars:
    references:
      zot_ci_api_key: op://blumeops/Forgejo Secrets/zot-ci-api
      fly_deploy_token: op://blumeops/Forgejo Secrets/fly-deploy-token
      oidc_secret: op://blumeops/Zot OIDC/credential
  run_once: true
  no_log: true

- name: One field of a section
  ansible.builtin.set_fact:
    api_key: "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Forge API/prod/api-key') }}"
  no_log: true

- name: A lookup in a variable, fetched once a run although each host uses it many times
  ansible.builtin.template:
    src: app.conf.j2
    dest: /etc/app.conf
    mode: "0600"
  vars:
    app_token: "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/App/token', cache='run') }}"
  no_log: true

- name: Names that a reference cannot hold
  ansible.builtin.set_fact:
    password: "{{ lookup('blumeops.registry.onepassword', vault='blumeops', item='Router / Attic', field='password') }}"
  no_log: true

- name: A binary file, for a place that takes base64 (Ansible's own strings cannot hold its bytes)
  ansible.builtin.set_fact:
    keystore: "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Java/keystore.jks', encoding='base64') }}"
  no_log: true

- name: By another Connect server than the environment's
  ansible.builtin.set_fact:
    token: "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Forge API/credential', ca_path='/etc/ssl/own.pem',
                      connect_host='https://connect.example.org', connect_token=other_token) }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description:
    - The values, in the order of the terms.
  type: list
  elements: str
"""

import dataclasses
import functools
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.reference import Reference, build, parse
from ansible_collections.blumeops.registry.plugins.plugin_utils.onepassword import Settings, credentials, read
from ansible_collections.blumeops.registry.plugins.plugin_utils.run_cache import RunMemory

#: The options of a call, by its arguments; see LookupModule._read.
_known: dict[frozenset[tuple[str, Any]], dict[str, Any]] = {}


class LookupModule(LookupBase):
    """References in, values out."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Resolve all terms, or raise one AnsibleLookupError."""
        options = self._read(variables or {}, kwargs)
        try:
            references = _references(self._flatten(terms), options)
            settings = Settings(**{field.name: options[field.name] for field in dataclasses.fields(Settings)})
            memory = RunMemory(credentials(settings)) if references and options["cache"] == "run" else None
            return read(references, settings, memory)
        except RegistryError as error:
            raise AnsibleLookupError(f"onepassword: {error}") from None

    def _read(self, variables: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
        """The options. Ansible takes longer to work them out than all else takes that was looked up before, so where
        no variable has a say (they may differ from use to use) they are worked out once for the same arguments.
        """
        # A lookup gets the variables as they are written, with their templates unresolved.
        given = {name: variables[name] for name in _variables(self._load_name) if name in variables}
        if self._templar is not None:
            given = {name: self._templar.template(value) for name, value in given.items()}
        try:
            key = None if given else frozenset(arguments.items())
        except TypeError:  # an argument that is a list or a mapping
            key = None
        options = None if key is None else _known.get(key)
        if options is None:
            self.set_options(var_options=given, direct=arguments)
            options = self.get_options()
            if key is not None:
                _known[key] = options
        return options


@functools.cache
def _variables(plugin: str) -> tuple[str, ...]:
    """The variables that set options of this lookup, as documented above."""
    return tuple(C.config.get_plugin_vars("lookup", plugin))


def _references(terms: list[Any], options: dict[str, Any]) -> list[Reference]:
    """What is asked for, by terms or by names given one by one."""
    parts = {name: options[name] for name in ("vault", "item", "section", "field")}
    if all(value is None for value in parts.values()):
        return [parse(term) for term in terms]
    if terms:
        raise InvalidInput("give secret references, or vault=, item= and field=, but not both in one call")
    missing = [name for name in ("vault", "item", "field") if parts[name] is None]
    if missing:
        raise InvalidInput(f"{' and '.join(f'{name}=' for name in missing)} missing: vault=, item=, field= go together")
    return [build(**parts, attribute=options["attribute"] or "", ssh_format=options["ssh_format"] or "")]
