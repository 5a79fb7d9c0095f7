"""What a stand-in of Forgejo stores: secrets with their values, variables, runs of workflows; optionally in a file."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: Stored where two first writes collide: what the other writer sent.
RIVAL = "written by somebody else at the same moment"


@dataclass(slots=True)
class Secret:
    """A secret; ``created`` is a Unix time and stays when the value changes, as in Forgejo."""

    value: str
    created: int


@dataclass(slots=True)
class Place:
    """What belongs to one repository, organisation or user; names are upper case."""

    secrets: dict[str, Secret] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)


class Store:
    """Places by their path in the API (``repos/eblume/cv``, ``orgs/acme``, ``users/eblume``).

    With ``path`` everything is written there (mode 0600, replaced as a whole) before a request is answered, and
    read at the start. ``tick`` seconds are added to the clock with each secret that is created, so that tests need
    not wait for another second; ``collide`` is how often the first write of each new secret ends in a 500.
    """

    def __init__(self, path: pathlib.Path | None = None, *, tick: int = 0, collide: int = 0) -> None:
        self.path = path
        self.tick = tick
        self.ticked = 0
        self.collide = collide
        self.collided: dict[tuple[str, str], int] = {}
        self.places: dict[str, Place] = {}
        self.last_run = 0
        if path and path.exists():
            self._load(json.loads(path.read_text(encoding="utf-8")))

    def place(self, key: str) -> Place:
        return self.places.setdefault(key, Place())

    def now(self) -> int:
        return int(time.time()) + self.ticked

    def collides(self, key: str, name: str) -> bool:
        """Whether a write of this secret collides with another's first write of it, which then is what is stored."""
        times = self.collided.get((key, name), 0)
        place = self.place(key)
        if times >= self.collide or (name in place.secrets and not times):
            return False
        self.collided[key, name] = times + 1
        if not times:
            self._create(place, name, RIVAL)
        return True

    def put_secret(self, key: str, name: str, value: str) -> bool:
        """Store a secret; True where it is new."""
        place = self.place(key)
        if name in place.secrets:
            place.secrets[name].value = value
            return False
        self._create(place, name, value)
        return True

    def _create(self, place: Place, name: str, value: str) -> None:
        self.ticked += self.tick
        place.secrets[name] = Secret(value, self.now())

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Save once the block has ended, also where it ended with an answer that refuses."""
        try:
            yield
        finally:
            if self.path:
                self._save(self.path)

    def _save(self, path: pathlib.Path) -> None:
        content = {
            key: {
                "secrets": {
                    name: {"value": secret.value, "created": secret.created} for name, secret in place.secrets.items()
                },
                "variables": place.variables,
                "runs": place.runs,
            }
            for key, place in self.places.items()
        }
        temporary = path.with_name(path.name + ".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
        temporary.replace(path)

    def _load(self, content: dict[str, Any]) -> None:
        for key, place in content.items():
            self.places[key] = Place(
                {name: Secret(**secret) for name, secret in place["secrets"].items()},
                dict(place["variables"]),
                list(place["runs"]),
            )
            self.last_run = max([self.last_run, *(run["id"] for run in place["runs"])])
