# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Asking zot what a caller may do without leaving a trace: the requests, and what their answers mean.

Measured on zot 2.1.20 (contracts of zot, "Asking without leaving a trace"): authorization is decided before the
request is looked at, so a request that can never succeed tells apart "may" (415, 404, 400) from "may not"
(401, 403), stores nothing and makes no repository. A *manifest* that is missing is never asked for: under an
on-demand sync prefix that would ask the upstream registry. Blobs do not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Action = Literal["read", "create", "update", "delete"]
ACTIONS: tuple[Action, ...] = ("read", "create", "update", "delete")

#: A digest of nothing that anybody stores: what is asked for by it is not there.
ABSENT_DIGEST = "sha256:" + hashlib.sha256(b"blumeops.registry asks and stores nothing").hexdigest()
#: A repository that nobody has, asked about where the registry shows none.
ABSENT_REPOSITORY = "blumeops-registry-question"

DENIED = frozenset({401, 403})
_ALLOWED: dict[Action, frozenset[int]] = {
    "read": frozenset({404}),
    "create": frozenset({415}),
    "update": frozenset({415}),
    "delete": frozenset({400, 404}),
}


@dataclass(frozen=True, slots=True)
class Question:
    """One request that cannot succeed. ``path`` is under ``/v2/``; ``body`` has no content type, ever."""

    action: Action
    method: str
    path: str
    body: bytes | None


def question(action: Action, repository: str, tag: str = "") -> Question:
    """The request that asks whether a caller may do ``action`` in ``repository``.

    ``tag`` is needed for ``create`` (one that is not there) and ``update`` (one that is).
    """
    if action in ("create", "update"):
        return Question(action, "PUT", f"/v2/{repository}/manifests/{tag}", b"?")
    if action == "delete":
        return Question(action, "DELETE", f"/v2/{repository}/manifests/{ABSENT_DIGEST}", None)
    return Question(action, "GET", f"/v2/{repository}/blobs/{ABSENT_DIGEST}", None)


def verdict(action: Action, status: int) -> bool | None:
    """What the answer's status says: True may, False may not, None for an answer that zot does not give here."""
    if status in DENIED:
        return False
    return True if status in _ALLOWED[action] else None


def absent_tag(tags: Iterable[str]) -> str:
    """A tag that is none of ``tags``."""
    taken = set(tags)
    return next(tag for number in range(len(taken) + 1) if (tag := f"question-{number}") not in taken)


def present_tag(tags: Iterable[str]) -> str:
    """The tag of ``tags`` to ask about overwriting; empty where there is none.

    ``latest`` only where there is nothing else: zot before 2.1.15 let it be overwritten without the right to.
    """
    ordered = sorted(tags)
    return next((tag for tag in ordered if tag != "latest"), ordered[0] if ordered else "")
