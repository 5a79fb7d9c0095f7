# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
"""Documentation of the options in module_utils/_argspec.py: FORGEJO."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  forgejo_url:
    description:
      - Address of Forgejo itself, such as V(https://forge.eblu.me), without C(/api).
      - If not set, the environment variable E(FORGEJO_URL) is used.
    type: str
    required: true
  forgejo_token:
    description:
      - Access token, with the scope C(write:repository) for repositories, C(write:organization) for organisations and
        C(write:user) for the user's own. Reading alone needs the same with C(read).
      - Its user must own the repository, or be in the organisation's Owners team, or be a site administrator.
      - If not set, the environment variable E(FORGEJO_TOKEN) is used.
    type: str
    required: true
  ca_path:
    description:
      - PEM file with the CA certificates to trust instead of the system's.
    type: path
  validate_certs:
    description:
      - Whether the server's TLS certificate is verified.
      - Turning this off lets anybody on the way read the token and the secrets.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait for a connection, and for each read of an answer.
    type: float
    default: 10.0
  retries:
    description:
      - How often a request is sent again after a failure that allows it, such as a refused connection, a 503, or a 429
        that asks for at most 10 seconds of patience.
    type: int
    default: 2
requirements:
  - requests (Python package, where the module runs)
"""
