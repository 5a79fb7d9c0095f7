"""What a person does once by hand: log in to zot through the provider and make an API key."""

from __future__ import annotations

import datetime
from typing import Any

import requests


def log_in(zot: str, user: str) -> str:
    """Log ``user`` in at ``zot`` by OIDC and return the session's Cookie header.

    The cookies of zot are Secure, and the lab speaks plain HTTP, so they are carried by hand.
    """
    first = requests.get(f"{zot}/zot/auth/login", params={"provider": "oidc"}, allow_redirects=False, timeout=20)
    first.raise_for_status()
    agreed = requests.post(first.headers["Location"], data={"sub": user}, allow_redirects=False, timeout=20)
    agreed.raise_for_status()
    back = requests.get(
        agreed.headers["Location"], headers={"Cookie": _cookies(first)}, allow_redirects=False, timeout=20
    )
    back.raise_for_status()
    return _cookies(back)


def make_key(zot: str, user: str, label: str, days: float | None = 90) -> dict[str, Any]:
    """Log in and make a key that ends after ``days`` (None: never); returns zot's answer, ``apiKey`` in it."""
    body: dict[str, Any] = {"label": label, "scopes": []}
    if days is not None:
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        body["expirationDate"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {"Cookie": log_in(zot, user), "X-ZOT-API-CLIENT": "zot-ui"}
    answer = requests.post(f"{zot}/zot/auth/apikey", json=body, headers=headers, timeout=20)
    answer.raise_for_status()
    key: dict[str, Any] = answer.json()
    return key


def _cookies(answer: requests.Response) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in answer.cookies)
