# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
"""Documentation of how 1Password is reached; the options are read by plugin_utils/onepassword.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  backend:
    description:
      - Who is asked.
      - V(auto) takes 1Password Connect where O(connect_host) and O(connect_token) are set, else the command C(op).
      - Connect is never replaced by C(op) after a failure, which would be a second source of truth that nobody chose.
    type: str
    choices: [auto, connect, op]
    default: auto
    env:
      - name: BLUMEOPS_ONEPASSWORD_BACKEND
    ini:
      - section: onepassword_lookup
        key: backend
    vars:
      - name: onepassword_backend
  connect_host:
    description:
      - Address of the 1Password Connect server, such as V(http://127.0.0.1:8080).
      - Required together with O(connect_token).
    type: str
    env:
      - name: OP_CONNECT_HOST
    ini:
      - section: onepassword_lookup
        key: connect_host
    vars:
      - name: onepassword_connect_host
  connect_token:
    description:
      - Access token of the Connect server. White space around it is taken off.
    type: str
    env:
      - name: OP_CONNECT_TOKEN
    vars:
      - name: onepassword_connect_token
  service_account_token:
    description:
      - Token of a 1Password service account, for C(op). Handed over in its environment, never as an argument.
      - Without it C(op) uses the app or the session that it is signed in to.
    type: str
    env:
      - name: OP_SERVICE_ACCOUNT_TOKEN
    vars:
      - name: onepassword_service_account_token
  account:
    description:
      - The account that C(op) uses, where it is signed in to several.
    type: str
    env:
      - name: OP_ACCOUNT
    ini:
      - section: onepassword_lookup
        key: account
    vars:
      - name: onepassword_account
  op_path:
    description:
      - The command C(op), by name or by path.
    type: str
    default: op
    env:
      - name: BLUMEOPS_ONEPASSWORD_OP_PATH
    ini:
      - section: onepassword_lookup
        key: op_path
    vars:
      - name: onepassword_op_path
  ca_path:
    description:
      - PEM file with the CA certificates to trust for O(connect_host) instead of the usual ones.
    type: path
    env:
      - name: BLUMEOPS_ONEPASSWORD_CA_PATH
    ini:
      - section: onepassword_lookup
        key: ca_path
    vars:
      - name: onepassword_ca_path
  timeout:
    description:
      - Seconds to wait for a connection to Connect and for each read of its answer, or for one process of C(op).
      - C(op) can wait without end for a fingerprint, which this bounds.
    type: float
    default: 15.0
    env:
      - name: BLUMEOPS_ONEPASSWORD_TIMEOUT
    ini:
      - section: onepassword_lookup
        key: timeout
    vars:
      - name: onepassword_timeout
  retries:
    description:
      - How often an answer 5xx of Connect is asked for again, after 0.2, 0.5 and 1 s (three times at most).
        With V(0) a request that broke is not sent again either.
      - C(op) is never asked again after a failure of its own, for every failed call counts against the rate limit.
    type: int
    default: 3
    env:
      - name: BLUMEOPS_ONEPASSWORD_RETRIES
    ini:
      - section: onepassword_lookup
        key: retries
    vars:
      - name: onepassword_retries
requirements:
  - onepasswordconnectsdk (Python package, >=2.0.0,<3, on the controller), to use 1Password Connect
  - op (1Password's command, 2.24 or newer, on the controller), to use a service account or the app
"""
