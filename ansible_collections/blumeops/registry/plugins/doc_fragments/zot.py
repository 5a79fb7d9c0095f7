# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
"""Documentation of the options in module_utils/_argspec.py: ZOT."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  registry_url:
    description:
      - Address of the registry, such as V(https://registry.ops.eblu.me).
      - If not set, the environment variable E(ZOT_REGISTRY_URL) is used.
    type: str
    required: true
  ca_path:
    description:
      - PEM file with the CA certificates to trust instead of the system's.
    type: path
  validate_certs:
    description:
      - Whether the server's TLS certificate is verified.
      - Turning this off lets anybody on the way read the credentials.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait for a connection, and for each read of an answer.
    type: float
    default: 10.0
  retries:
    description:
      - How often a request is sent again after a failure that allows it, such as a refused connection or a 503.
    type: int
    default: 2
requirements:
  - requests (Python package, where the module runs)
"""
