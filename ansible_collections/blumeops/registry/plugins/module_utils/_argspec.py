# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Options of each service, once. The doc_fragments document the same keys; a test compares the two."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import env_fallback

_HTTP: dict[str, Any] = {
    "ca_path": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 10.0},
    "retries": {"type": "int", "default": 2},
}

#: Options of every module that talks to Forgejo; documented in doc_fragments/forgejo.py.
FORGEJO: dict[str, Any] = {
    "forgejo_url": {
        "type": "str",
        "required": True,
        "fallback": (env_fallback, ["FORGEJO_URL"]),
    },
    "forgejo_token": {
        "type": "str",
        "required": True,
        "no_log": True,
        "fallback": (env_fallback, ["FORGEJO_TOKEN"]),
    },
    **_HTTP,
}

#: Options of every module that talks to a zot registry; documented in doc_fragments/zot.py.
ZOT: dict[str, Any] = {
    "registry_url": {
        "type": "str",
        "required": True,
        "fallback": (env_fallback, ["ZOT_REGISTRY_URL"]),
    },
    **_HTTP,
}
