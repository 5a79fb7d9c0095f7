# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
"""Documentation of the options in module_utils/_forgejo/options.py: LEDGER."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  ledger_key:
    description:
      - Key of the ledger, at least 16 characters that only the operator has. What was last written is remembered as
        HMAC-SHA-256 under it, over scope, name and value.
      - If not set, the environment variable E(BLUMEOPS_LEDGER_KEY) is used. Without a key there is no ledger; the state
        of every secret that is there is then V(unknown).
      - Another key than the one before makes every state V(unknown) once.
    type: str
  ledger_dir:
    description:
      - Directory, where the module runs, for the ledgers, one file for each scope of each forge.
      - If not set, the ledger is the Actions variable C(BLUMEOPS_REGISTRY_LEDGER) of the same scope, which workflows
        can read and whoever may write variables can put back to an earlier state.
    type: path
  concurrency:
    description:
      - How many requests are sent at the same time, at most 64.
    type: int
    default: 8
"""
