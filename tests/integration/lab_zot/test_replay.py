"""The recordings of a real zot, replayed on the stand-in, or on the zot at ZOT_BIN."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from tests.replay.zot import RECORDINGS, program, recordings, replay, replay_verify

EXCHANGES = list(recordings(RECORDINGS / "exchanges.jsonl"))


def test_the_recording_is_whole() -> None:
    assert sum(len(recorded["exchanges"]) for recorded in EXCHANGES) == 1303


@pytest.mark.parametrize("recorded", EXCHANGES, ids=[recorded["config"] for recorded in EXCHANGES])
def test_every_recorded_answer_is_given_again(recorded: dict[str, Any]) -> None:
    same, differences = replay(program("serve"), recorded)
    assert [str(difference) for difference in differences] == []
    assert same == len(recorded["exchanges"])


def test_every_recorded_configuration_gets_the_same_verdict() -> None:
    same, differences = replay_verify(program("verify"), RECORDINGS / "verify.jsonl")
    assert [str(difference) for difference in differences] == []
    assert same == 54


def test_the_replay_sees_an_answer_that_differs() -> None:
    recorded = next(recorded for recorded in EXCHANGES if not recorded["apikey"])
    ping = next(exchange for exchange in recorded["exchanges"] if exchange["id"] == "ping/anonymous")
    wrong = ping | {"answer": ping["answer"] | {"status": 404}}
    same, differences = replay(program("serve"), recorded | {"exchanges": [ping, wrong]})
    assert same == 1
    assert [(difference.recorded, difference.got) for difference in differences] == [(wrong, ping)]


def test_the_replay_sees_another_verdict(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "verify.jsonl"
    file.write_text(json.dumps({"name": "empty", "config": "{}", "valid": True, "message": ""}) + "\n")
    same, differences = replay_verify(program("verify"), file)
    assert (same, [difference.name for difference in differences]) == (0, ["empty"])
