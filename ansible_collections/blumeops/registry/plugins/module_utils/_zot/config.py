# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Decisions about a zot configuration: what changed, whether a running zot can take it, how that is seen.

Pure, and Python 3.9 is enough: module zot_config runs on the target.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Config = dict[str, Any]

#: What a running zot takes from a written configuration file. Read in zot 2.1.20: Config.UpdateReloadableConfig
#: copies more (openid, apikey), but the OIDC clients and the routes of the keys are made when the server starts.
RELOADABLE = (
    "http.accessControl",
    "http.auth.htpasswd",
    "http.auth.ldap",
    "storage.gc",
    "storage.gcDelay",
    "storage.gcInterval",
    "storage.dedupe",
    "storage.retention",
    "extensions.sync",
    "extensions.scrub",
    "extensions.search.cve",
)
#: Keys whose values are secrets wherever they stand in a configuration; shown as MASK.
SECRET_KEYS = re.compile(r"(?i)(secret|password|passwd|token|(secret|access|hash|encrypt)key(id)?)$")
MASK = "(hidden)"
#: The password of a URL such as redis://user:password@host.
URL_PASSWORD = re.compile(r"(\w://[^/@\s:]*:)([^/@\s]+)(@)")


class Change(NamedTuple):
    """Paths that differ, such as ``http.port``, split by what it takes until zot does as they say."""

    reload: tuple[str, ...]
    restart: tuple[str, ...]


def changes(old: Config, new: Config) -> Change:
    """Compare two configurations key by key."""
    paths = sorted(_differing(old, new, ""))
    live = [path for path in paths if any(path == key or path.startswith(key + ".") for key in RELOADABLE)]
    # Measured: an access control that was missing at the start stays off, and one that is taken away by a reload
    # denies everything to everybody, until zot is restarted.
    if can_probe(old) != can_probe(new) and "http.accessControl" in live:
        live.remove("http.accessControl")
    return Change(tuple(live), tuple(path for path in paths if path not in live))


def _differing(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict) and path not in RELOADABLE:
        for key in old.keys() | new.keys():
            # A key that is absent and one that is empty are the same for the walk, so that adding
            # `extensions: {sync: …}` is said as extensions.sync.
            below = f"{path}.{key}" if path else key
            yield from _differing(old.get(key, _like(new.get(key))), new.get(key, _like(old.get(key))), below)
    elif old != new:
        yield path


def _like(value: Any) -> Any:
    return {} if isinstance(value, dict) else None


def masked(value: Any) -> Any:
    """A copy for people: every secret's value is MASK, and so is a password inside a URL."""
    if isinstance(value, dict):
        return {key: MASK if _is_secret(key, inner) else masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return URL_PASSWORD.sub(rf"\1{MASK}\3", value) if isinstance(value, str) else value


def secrets_in(value: Any) -> Iterator[str]:
    """Every string that :func:`masked` hides."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if _is_secret(key, inner):
                yield inner
            else:
                yield from secrets_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from secrets_in(inner)
    elif isinstance(value, str):
        yield from (found[2] for found in URL_PASSWORD.finditer(value))


def _is_secret(key: object, value: object) -> bool:
    return isinstance(value, str) and bool(value) and bool(SECRET_KEYS.search(str(key)))


def with_probe(config: Config, name: str) -> Config:
    """The configuration with two more blocks, for repositories that do not exist: anonymous callers may read in
    ``NAME-open`` and not in ``NAME-closed``.

    Without the blocks both get the same answer, so a running zot that tells them apart has taken this configuration,
    and one that does not has taken another: that proves a reload from outside, whatever the change is about. Each
    pattern is a whole name, and so long that no other pattern outweighs it.
    """
    probing: Config = copy.deepcopy(config)
    blocks = probing["http"]["accessControl"].setdefault("repositories", {})
    blocks[f"{name}-open"] = {"anonymousPolicy": ["read"]}
    blocks[f"{name}-closed"] = {"policies": []}
    return probing


def can_probe(config: Config) -> bool:
    """Whether the configuration has an access control to put a probe into."""
    http = config.get("http")
    control = http.get("accessControl") if isinstance(http, dict) else None
    return isinstance(control, dict) and isinstance(control.get("repositories", {}), dict)


def rest_of_message(output: str) -> str:
    """What ``zot verify`` complains about, as one line: the text after its ``Error:``, without its log.

    zot 2.1.20 prints JSON log lines and then ``Error: …``, whose details can follow on further lines.
    """
    lines: list[str] = [line for line in output.splitlines() if not line.startswith("{") and line.strip()]
    text = " ".join(line.strip() for line in lines)
    found = re.search(r"Error: (.*)", text)
    return (found[1] if found else text).strip() or "no reason was given"
