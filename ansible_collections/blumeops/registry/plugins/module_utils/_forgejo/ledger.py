# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What was last written to a place that cannot be read back, as keyed fingerprints. Pure; docs/ledger.md.

A ledger belongs to one scope. It is JSON with a seal: an HMAC over everything in it, so that only who has the key
can make or change one. Without the key its fingerprints tell neither values nor that two are equal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import Scope

FORMAT = 1
#: A variable is handed to jobs, and MySQL's TEXT ends at 65,535 bytes; about 450 entries.
LARGEST = 60_000
#: Of a ledger in a file; some 100,000 entries.
LARGEST_FILE = 16_000_000
SHORTEST_KEY = 16


class LaterFormat(RegistryError):
    """A ledger that a later version of the collection wrote: not ours to change."""


class Unreadable(RegistryError):
    """A ledger that was edited, cut, made with another key or for another scope: nothing in it counts."""


class Key:
    """The operator's key; one is derived from it for fingerprints and one for seals."""

    __slots__ = ("_fingerprints", "_seals")

    def __init__(self, secret: str) -> None:
        """Raises InvalidInput where the key is shorter than 16 characters."""
        if len(secret) < SHORTEST_KEY:
            raise InvalidInput(
                f"ledger_key is shorter than {SHORTEST_KEY} characters: make a long random one and keep it"
            )
        root = secret.encode("utf-8", "surrogateescape")
        self._fingerprints = hmac.digest(root, b"blumeops.registry ledger 1 fingerprints", "sha256")
        self._seals = hmac.digest(root, b"blumeops.registry ledger 1 seals", "sha256")

    def fingerprint(self, scope: Scope, name: str, value: str) -> str:
        """HMAC-SHA-256 over scope, name and value, in base64; each part has its length before it."""
        return self._mac(self._fingerprints, (scope.key, name, value))

    def seal(self, content: str) -> str:
        """HMAC-SHA-256 over a ledger's canonical content, in base64."""
        return self._mac(self._seals, (content,))

    def _mac(self, key: bytes, parts: Iterable[str]) -> str:
        mac = hmac.new(key, digestmod=hashlib.sha256)
        for part in parts:
            raw = part.encode("utf-8", "surrogatepass")
            mac.update(len(raw).to_bytes(8, "big") + raw)
        return base64.b64encode(mac.digest()).decode()


@dataclass(frozen=True, slots=True)
class Entry:
    """One secret that was written.

    ``settled`` is False from before the write until its answer was seen. ``created_at`` is what Forgejo said after
    the write, ``written_at`` Unix seconds, ``source_version`` the version that the value came from ("" for none).
    """

    fingerprint: str
    settled: bool
    created_at: str = ""
    written_at: int = 0
    source_version: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The entries of one scope by the secrets' names."""

    entries: Mapping[str, Entry] = field(default_factory=dict)


EMPTY = Ledger()


def dump(ledger: Ledger, scope: Scope, key: Key, largest: int = LARGEST) -> str:
    """The ledger as text of one line.

    Raises:
        InvalidInput: More bytes than ``largest``.
    """
    entries = {name: _entry_to_json(ledger.entries[name]) for name in sorted(ledger.entries)}
    content = {"format": FORMAT, "scope": scope.key, "entries": entries}
    text = _canonical({**content, "seal": key.seal(_canonical(content))})
    if len(text) > largest:
        raise InvalidInput(
            f"the ledger of {scope} would be {len(text)} bytes, more than the {largest} that are safe: "
            "declare fewer secrets, or keep ledgers in files with ledger_dir"
        )
    return text


def load(text: str, scope: Scope, key: Key, largest: int = LARGEST) -> Ledger:
    """Read a ledger.

    Raises:
        LaterFormat: A later version of the collection wrote it.
        Unreadable: It is not what this key sealed for this scope.
    """
    why = f"the ledger of {scope} cannot be used"
    if len(text) > largest:
        raise Unreadable(f"{why}: it is larger than any that this collection writes; what it covers counts as unknown")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("format"), int):
        raise Unreadable(f"{why}: it was edited or cut; what it covers counts as unknown")
    if body["format"] > FORMAT:
        raise LaterFormat(
            f"the ledger of {scope} has format {body['format']}, this version of the collection knows {FORMAT}: "
            "upgrade it (nothing was written there)"
        )
    seal = body.pop("seal", None)
    if not isinstance(seal, str) or not _same(seal, key.seal(_canonical(body))):
        raise Unreadable(f"{why}: it was edited, or made with another ledger_key; what it covers counts as unknown")
    if body.get("scope") != scope.key:
        raise Unreadable(f"{why}: it was made for {body.get('scope')}; what it covers counts as unknown")
    return Ledger({name: _entry_from_json(entry) for name, entry in body["entries"].items()})


def matches(entry: Entry, fingerprint: str) -> bool:
    """Whether an entry is of this fingerprint."""
    return _same(entry.fingerprint, fingerprint)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    content: dict[str, Any] = {"fingerprint": entry.fingerprint, "written_at": entry.written_at}
    if not entry.settled:
        content["pending"] = True
    if entry.created_at:
        content["created_at"] = entry.created_at
    if entry.source_version:
        content["source_version"] = entry.source_version
    return content


def _entry_from_json(content: Mapping[str, Any]) -> Entry:
    # The seal holds, so the shape is what this version writes.
    return Entry(
        content["fingerprint"],
        not content.get("pending", False),
        content.get("created_at", ""),
        content["written_at"],
        content.get("source_version", ""),
    )
