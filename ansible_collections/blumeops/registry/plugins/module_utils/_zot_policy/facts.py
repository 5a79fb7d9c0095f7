# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What lint is told beside the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.versions import ZotVersion


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything is optional: what is not known is not guessed.

    Attributes:
        version: Of the installed zot.
        groups: The groups that the identity provider has, with the members that are known; None: not told.
        immutable_writers: Subjects that may add images and must never change one (``group:artifact-workloads``).
        break_glass: Subjects that must keep every right everywhere. None: whoever has all rights under ``**``.
        repositories: Names of repositories that exist or will.
    """

    version: ZotVersion = field(default_factory=ZotVersion)
    groups: Mapping[str, tuple[str, ...]] | None = None
    immutable_writers: tuple[str, ...] = ()
    break_glass: tuple[str, ...] | None = None
    repositories: tuple[str, ...] = ()
