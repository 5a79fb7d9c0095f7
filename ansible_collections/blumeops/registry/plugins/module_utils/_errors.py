# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""One tree of errors. Each carries one sentence: what is wrong, where, what to do."""

from __future__ import annotations

import base64
import binascii
import json
import re
import urllib.parse
from collections.abc import Iterable


class RegistryError(Exception):
    """Base of all errors that are meant for the user; ``str()`` of it is the whole message."""


class InvalidInput(RegistryError):
    """What was asked for cannot be right: found before anything was sent."""


class Unreachable(RegistryError):
    """No answer: refused, no such name, no route, reset or out of time."""

    #: True where the request may have been carried out (the connection broke after it was sent).
    maybe_done = False


class TlsError(Unreachable):
    """The connection's TLS could not be verified."""


class UnexpectedAnswer(RegistryError):
    """An answer that the service does not give: HTML, cut JSON, another shape."""


class ServiceError(RegistryError):
    """The service answered with an error. ``status`` is the HTTP status, ``reason`` the service's own words."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Refused(ServiceError):
    """401 or 403: the credential is not accepted, or not for this."""


class NotFound(ServiceError):
    """404: not there, or hidden from this credential."""


class Conflict(ServiceError):
    """409: changed or created by somebody else at the same time."""


class RateLimited(ServiceError):
    """429 after the retries that its Retry-After allowed."""


class ServerError(ServiceError):
    """5xx after the retries."""


#: Shapes that are credentials whoever they belong to: bearer values, JWTs, 1Password service tokens, zot keys.
_SHAPES = re.compile(
    r"(?i:\b(?:bearer|basic|token)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|\bops_[A-Za-z0-9_-]{8,}"
    r"|\bzak_[0-9a-f]{32}\b"
)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` with every secret replaced by ``***``.

    Args:
        text: What is to be shown.
        secrets: Values to hide as they are, URL-encoded, JSON-escaped and in base64 (also where they end a
            ``user:secret`` pair). Values under 4 characters are left: hiding them would shred the text.
    """
    forms: set[str] = set()
    for secret in secrets:
        if len(secret) < 4:
            continue
        raw = secret.encode("utf-8", "surrogatepass")
        forms |= {secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret)}
        forms |= {json.dumps(secret)[1:-1], base64.b64encode(raw).decode()}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    text = _SHAPES.sub("***", text)
    return re.sub(r"\b[A-Za-z0-9+/]{16,}={0,2}", lambda found: _hide_pair(found[0], forms), text)


def _hide_pair(word: str, forms: set[str]) -> str:
    try:
        decoded = base64.b64decode(word, validate=True).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return word
    return "***" if any(form in decoded for form in forms) else word
