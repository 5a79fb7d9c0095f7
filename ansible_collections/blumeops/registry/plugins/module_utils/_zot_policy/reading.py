# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Finding one's way in a zot configuration, whose keys zot reads whatever their case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ACCESS_CONTROL = "http.accessControl"


def dig(value: Any, *keys: str) -> Any:
    """The value under these keys, in any case of letters; None where there is none."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        found = value.get(key)
        if found is None:
            found = next((item for name, item in value.items() if str(name).lower() == key.lower()), None)
        value = found
    return value


def mapping(value: Any) -> Mapping[Any, Any]:
    """``value`` where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a list; nothing where it is none."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, (list, tuple)) else ()
