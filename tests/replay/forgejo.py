"""Replay recorded exchanges with Forgejo: on the stand-in, or on a real server that holds the same world.

    python -m tests.replay.forgejo                                  starts lab/forgejo and replays on it
    python -m tests.replay.forgejo --url URL [--tokens FILE]        a server that is there

``FORGEJO_URL`` and ``FORGEJO_TOKENS`` (lines ``T_ALL=...``) stand for the two options. The server starts without
secrets and variables. A recording is one JSON object a line: ``as`` (a token's name; ``none`` sends no credential,
``bad`` forty zeros), ``method``, ``path``, ``headers``, ``body`` (``RAW:text`` is sent as that text, ``<70000 x>``
stands for that many letters), and the ``answer``. Times, addresses, long texts and ids are compared by kind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

from lab.running import standin

RECORDINGS = pathlib.Path(__file__).resolve().parent.parent / "contracts" / "forgejo"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LONG = 2000


@dataclass(frozen=True, slots=True)
class Difference:
    """One exchange whose answer is another than the recorded one."""

    id: int
    request: str
    recorded: dict[str, Any]
    got: dict[str, Any]

    def __str__(self) -> str:
        recorded, got = (json.dumps(answer)[:300] for answer in (self.recorded, self.got))
        return f"{self.id} {self.request}: recorded {recorded}, got {got}"


def by_kind(value: Any, key: str = "") -> Any:
    """A JSON value with what differs between servers replaced by its kind."""
    if isinstance(value, dict):
        return {name: by_kind(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [by_kind(item) for item in value]
    if key == "url":
        return "<url>"
    if key in {"owner_id", "repo_id"}:
        return "<id>" if value else value
    if isinstance(value, str) and key:
        return "<time>" if TIME.fullmatch(value) else "<long>" if len(value) > LONG else value
    return value


def answer_of(response: requests.Response) -> dict[str, Any]:
    """What is compared: status, content type, total, and the body."""
    answer: dict[str, Any] = {"status": response.status_code}
    if content_type := response.headers.get("Content-Type"):
        answer["content_type"] = content_type.replace(" ", "").lower()
    if (total := response.headers.get("X-Total-Count")) is not None:
        answer["total"] = total
    if response.content:
        try:
            answer["json"] = by_kind(response.json())
        except ValueError:
            answer["text"] = response.text[:200]
    return answer


def body_of(body: Any) -> dict[str, Any]:
    """The body as an argument of ``requests``."""
    if body is None:
        return {}
    if isinstance(body, str):
        return {"data": body.removeprefix("RAW:").encode()}
    return {"json": {key: "x" * 70_000 if value == "<70000 x>" else value for key, value in body.items()}}


def replay(url: str, tokens: dict[str, str], recording: pathlib.Path) -> tuple[int, list[Difference]]:
    """Send every request in order; returns how many answers were the same, and the differences."""
    same, differences = 0, []
    with requests.Session() as session, recording.open(encoding="utf-8") as lines:
        session.trust_env = False
        for exchange in map(json.loads, lines):
            name, headers = exchange["as"], dict(exchange["headers"] or {})
            if name != "none":
                headers["Authorization"] = "token " + ("0" * 40 if name == "bad" else tokens.get(name, name))
            response = session.request(
                exchange["method"],
                f"{url.rstrip('/')}/api/v1{exchange['path']}",
                headers=headers,
                allow_redirects=False,
                timeout=30,
                **body_of(exchange["body"]),
            )
            got = answer_of(response)
            if got == exchange["answer"]:
                same += 1
            else:
                request = f"{name} {exchange['method']} {exchange['path'][:80]}"
                differences.append(Difference(exchange["id"], request, exchange["answer"], got))
    return same, differences


def read_tokens(path: str | None) -> dict[str, str]:
    """Names and tokens of a file with lines ``NAME=value``; a token's name is the token where there is no file."""
    if not path:
        return {}
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    return {name.strip(): token.strip() for name, found, token in (line.partition("=") for line in lines) if found}


@contextlib.contextmanager
def server(url: str | None, tokens: str | None) -> Iterator[tuple[str, dict[str, str]]]:
    """Address and tokens of the server to replay on; a stand-in where no address is given."""
    if url:
        yield url, read_tokens(tokens)
        return
    with standin("forgejo", "--world", str(RECORDINGS / "world.json")) as part:
        yield part.url, {}


def main() -> int:
    """Replay, print each difference and one line that counts; the exit status is 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("FORGEJO_URL"))
    parser.add_argument("--tokens", default=os.environ.get("FORGEJO_TOKENS"))
    parser.add_argument("--file", type=pathlib.Path, default=RECORDINGS / "exchanges.jsonl")
    options = parser.parse_args()
    with server(options.url, options.tokens) as (url, tokens):
        same, differences = replay(url, tokens, options.file)
    for difference in differences:
        print(difference)
    print(f"{same} same, {len(differences)} differ")
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
