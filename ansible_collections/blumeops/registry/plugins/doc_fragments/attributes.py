# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
"""Attributes that the modules share; a module adds RV(support) and details."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Says in check mode what it would change, and changes nothing.
  diff_mode:
    description: Says in diff mode what is, or would be, different from before.
  idempotent:
    description: A second run with the same arguments has nothing left to change, and says so.
  platform:
    description: Systems that the module runs on.
    support: full
    platforms: posix
"""
