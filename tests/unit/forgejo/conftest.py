"""A transport that answers from a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client
from ansible_collections.blumeops.registry.plugins.module_utils._transport import Answer


class Script:
    """Gives one answer a request, in order, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []

    def request(self, method: str, path: str, *, json: Any = None, params: Any = None) -> Answer:
        self.asked.append((method, path, params if params is not None else json))
        return self.answers.pop(0)


def answer(
    status: int, body: Any = b"", headers: dict[str, str] | None = None, kind: str = "application/json"
) -> Answer:
    """An answer with a JSON or raw body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = requests.structures.CaseInsensitiveDict({"Content-Type": kind, **(headers or {})})
    return Answer(status, fields, raw, "Forgejo at http://forge (GET /x)")


def refusal(status: int, message: str) -> Answer:
    return answer(status, {"message": message, "url": "http://forge/api/swagger"})


@pytest.fixture
def scripted() -> Callable[..., tuple[Client, Script]]:
    def make(*answers: Answer) -> tuple[Client, Script]:
        script = Script(*answers)
        return Client(script), script  # type: ignore[arg-type]

    return make
