"""The recordings of a real Forgejo, replayed; on a real one with FORGEJO_URL and FORGEJO_TOKENS."""

from __future__ import annotations

import json
import os
import pathlib

from lab.running import Part
from tests.replay.forgejo import RECORDINGS, replay, server


def test_every_recorded_answer_is_given_again() -> None:
    with server(os.environ.get("FORGEJO_URL"), os.environ.get("FORGEJO_TOKENS")) as (url, tokens):
        same, differences = replay(url, tokens, RECORDINGS / "exchanges.jsonl")
    assert [str(difference) for difference in differences] == []
    assert same == 1200


def test_the_replay_sees_an_answer_that_differs(forgejo: Part, tmp_path: pathlib.Path) -> None:
    exchange = {"id": 1, "as": "none", "method": "GET", "path": "/version", "headers": None, "body": None}
    answer = {"status": 200, "content_type": "application/json;charset=utf-8", "json": {"version": "1.0"}}
    recording = tmp_path / "one.jsonl"
    recording.write_text(json.dumps({**exchange, "answer": answer}) + "\n")
    same, differences = replay(forgejo.url, {}, recording)
    assert same == 0
    assert [difference.id for difference in differences] == [1]
