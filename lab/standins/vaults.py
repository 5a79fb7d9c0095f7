"""The vaults that both 1Password stand-ins show: one JSON file, read by ``connect`` and by ``op``.

The file has Connect's own shapes (``contracts/onepassword.md`` 1.6)::

    {"connect_tokens": {"TOKEN": {"VAULT": "r" | "w" | "rw"}},
     "service_accounts": {"TOKEN": ["VAULT", ...]},
     "vaults": [{"id": …, "name": …, "items": [{"id", "title", "category", "sections", "fields", "files", …}]}]}

What an item leaves out (version, dates, labels, values) is filled in or stays absent as at the real server. A
file carries ``text`` or ``base64``. Few imports, for ``op`` is started often and timed.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

Json = dict[str, Any]

#: What an id of 1Password looks like [S]; anything else is a name.
ID = re.compile(r"[a-z0-9]{26}")

CATEGORIES = frozenset(
    {
        *("LOGIN", "PASSWORD", "API_CREDENTIAL", "SERVER", "DATABASE", "CREDIT_CARD", "MEMBERSHIP", "PASSPORT"),
        *("SOFTWARE_LICENSE", "OUTDOOR_LICENSE", "SECURE_NOTE", "WIRELESS_ROUTER", "BANK_ACCOUNT", "SSH_KEY"),
        *("DRIVER_LICENSE", "IDENTITY", "REWARD_PROGRAM", "DOCUMENT", "EMAIL_ACCOUNT", "SOCIAL_SECURITY_NUMBER"),
        *("MEDICAL_RECORD", "CUSTOM"),
    }
)

_CREATED = "2026-03-01T09:00:00Z"


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an id: 26 lower-case letters and digits."""
    return ID.fullmatch(text) is not None


def now() -> str:
    """The time as Connect writes it: RFC 3339 in UTC with ``Z`` (an offset breaks Go clients [X])."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Vaults:
    """The content of one vault file."""

    def __init__(self, data: Json) -> None:
        self.connect_tokens: dict[str, dict[str, str]] = data.get("connect_tokens", {})
        self.service_accounts: dict[str, list[str]] = data.get("service_accounts", {})
        self.vaults: list[Json] = data["vaults"]
        for vault in self.vaults:
            for item in vault.setdefault("items", []):
                complete(item, vault)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vaults:
        with open(path, encoding="utf-8") as file:
            return cls(json.load(file))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Replace the file at once, so that a reader sees the old content or the new, never a part."""
        content = {
            "connect_tokens": self.connect_tokens,
            "service_accounts": self.service_accounts,
            "vaults": self.vaults,
        }
        temporary = f"{os.fspath(path)}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, ensure_ascii=False)
        os.replace(temporary, path)

    def vault(self, vault_id: str) -> Json | None:
        """The vault with this id."""
        return next((vault for vault in self.vaults if vault["id"] == vault_id), None)

    def scope(self, token: str) -> dict[str, str] | None:
        """What a Connect token may do, as vault id to ``r``, ``w`` or ``rw``; None where it is no token."""
        grants = self.connect_tokens.get(token)
        if grants is None:
            return None
        return {v["id"]: grants.get(v["name"]) or grants[v["id"]] for v in self.vaults if _granted(v, grants)}


def _granted(vault: Json, grants: Any) -> bool:
    return vault["name"] in grants or vault["id"] in grants


def complete(item: Json, vault: Json) -> None:
    """Fill in what every stored item has."""
    item["vault"] = {"id": vault["id"], "name": vault["name"]}
    item.setdefault("version", 1)
    item.setdefault("createdAt", _CREATED)
    item.setdefault("updatedAt", item["createdAt"])
    item.setdefault("lastEditedBy", "LAB7EXAMPLEUSEROFTHELAB000")
    for key in ("urls", "tags", "sections", "fields", "files"):
        item.setdefault(key, [])
    if item.get("category") not in CATEGORIES:
        item["category"] = "CUSTOM"  # unknown categories come back so [S Connect 1.2.0]


def file_bytes(file: Json) -> bytes:
    """The content of an attached file."""
    if "base64" in file:
        import base64

        return base64.b64decode(file["base64"])
    return str(file.get("text", "")).encode("utf-8")


def totp(seed: str, at: float | None = None) -> str:
    """The code of a one-time-password field now: RFC 6238 with SHA-1, 30 s, 6 digits, or what the URI says.

    ``seed`` is an ``otpauth://`` URI or a bare base32 secret (both occur [S]).
    """
    import base64
    import urllib.parse

    from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

    query = urllib.parse.parse_qs(urllib.parse.urlsplit(seed).query) if seed.startswith("otpauth:") else {}
    secret = query.get("secret", [seed])[0].replace(" ", "").upper()
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digits, period = int(query.get("digits", ["6"])[0]), int(query.get("period", ["30"])[0])
    hashes: dict[str, type[SHA1 | SHA256 | SHA512]] = {"SHA1": SHA1, "SHA256": SHA256, "SHA512": SHA512}
    algorithm = hashes[query.get("algorithm", ["SHA1"])[0].upper()]()
    return TOTP(key, digits, algorithm, period, enforce_key_length=False).generate(at or time.time()).decode()


def openssh(pkcs8: str) -> str:
    """A private key in OpenSSH's form, as ``?ssh-format=openssh`` gives it."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(pkcs8.encode(), password=None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
