"""What zot remembers about users: the groups of their last login, their API keys, and who a password belongs to.

Kept in one file below the storage directory, so that a restart forgets nothing but the browser sessions. Of a key
only the digest is kept.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bcrypt

PREFIX = "zak_"
NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class ApiKey:
    """An entry of the list that its owner sees; times in RFC 3339."""

    createdAt: str
    expirationDate: str
    creatorUa: str
    label: str
    scopes: list[str] | None
    uuid: str
    isExpired: bool = False
    generatedBy: str = "manual"
    lastUsed: str = field(default_factory=lambda: stamp(NEVER))

    def ended(self) -> bool:
        """Whether the key's end has passed; the end at the beginning of time means that it has none."""
        end = datetime.fromisoformat(self.expirationDate)
        return self.isExpired or (end != NEVER and datetime.now(UTC) > end)


@dataclass(slots=True)
class User:
    groups: list[str] = field(default_factory=list)
    #: digest of the key -> its entry
    keys: dict[str, ApiKey] = field(default_factory=dict)


class Users:
    """The users below ``directory``; ``may_write`` raises ``OSError`` where nothing can be stored."""

    def __init__(self, directory: Path, may_write: Callable[[], None]) -> None:
        self._path, self._may_write = directory / "users.json", may_write
        stored = json.loads(self._path.read_bytes()) if self._path.exists() else {}
        self._users = {
            name: User(user["groups"], {key: ApiKey(**entry) for key, entry in user["keys"].items()})
            for name, user in stored.items()
        }

    def remember_groups(self, name: str, groups: list[str]) -> None:
        self._users.setdefault(name, User()).groups = groups
        self._store()

    def groups(self, name: str) -> list[str] | None:
        """The groups of the last interactive login; None for who never logged in."""
        return self._users[name].groups if name in self._users else None

    def keys(self, name: str) -> list[ApiKey]:
        keys = list(self._users[name].keys.values()) if name in self._users else []
        for key in keys:
            key.isExpired = key.ended()
        if keys:
            self._store()
        return keys

    def add_key(self, name: str, label: str, scopes: list[str] | None, end: datetime, agent: str) -> tuple[str, ApiKey]:
        """A new key and its entry; the only time that the key itself is seen."""
        key = secrets.token_hex(16)
        entry = ApiKey(stamp(datetime.now(UTC)), stamp(end), agent, label, scopes, str(uuid.uuid4()))
        self._users.setdefault(name, User()).keys[_digest(key)] = entry
        self._store()
        return PREFIX + key, entry

    def remove_key(self, name: str, identifier: str) -> None:
        """Forget the owner's key with this uuid; somebody else's is left alone. Raises ``KeyError`` for no user."""
        user = self._users[name]
        user.keys = {digest: key for digest, key in user.keys.items() if key.uuid != identifier}
        self._store()

    def authenticate(self, name: str, password: str) -> bool:
        """Whether ``password`` is a live key of this user; marks it as used now."""
        if not password.startswith(PREFIX) or name not in self._users:
            return False
        key = self._users[name].keys.get(_digest(password.removeprefix(PREFIX)))
        if key is None:
            return False
        key.isExpired = key.ended()
        if not key.isExpired:
            key.lastUsed = stamp(datetime.now(UTC))
        self._store()
        return not key.isExpired

    def _store(self) -> None:
        self._may_write()
        content: dict[str, Any] = {name: asdict(user) for name, user in self._users.items()}
        staged = self._path.with_suffix(".new")
        staged.write_text(json.dumps(content, indent=1))
        staged.chmod(0o600)
        staged.replace(self._path)


def stamp(moment: datetime) -> str:
    """RFC 3339 as Go writes it: no zeros at the end of a fraction, Z for UTC."""
    text = moment.isoformat()
    if moment.microsecond:
        text = re.sub(r"(\.\d*?)0+(?=[+-])", r"\1", text)
    return text.replace("+00:00", "Z")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Htpasswd:
    """The users of an htpasswd file with bcrypt hashes; read again when the file changes."""

    def __init__(self) -> None:
        self._seen: tuple[Path, int, int] | None = None
        self._hashes: dict[str, str] = {}

    def accepts(self, path: Path | None, name: str, password: str) -> bool:
        self._read(path)
        hashed = self._hashes.get(name, "")
        if not hashed.startswith(("$2a$", "$2b$", "$2y$")):
            return False
        try:
            return bcrypt.checkpw(password.encode(), hashed.encode())
        except ValueError:
            return False

    def _read(self, path: Path | None) -> None:
        if path is None:
            self._seen, self._hashes = None, {}
            return
        try:
            status = path.stat()
        except OSError:
            return
        if self._seen != (seen := (path, status.st_mtime_ns, status.st_ino)):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            self._hashes = dict(line.split(":", 1) for line in lines if ":" in line)
            self._seen = seen
