"""The questions' answers are those that contracts/zot.md measured; the recordings have some of them as well."""

from __future__ import annotations

import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._zot import questions
from ansible_collections.blumeops.registry.plugins.module_utils._zot.questions import Action

RECORDINGS = pathlib.Path(__file__).parents[2] / "contracts" / "zot" / "exchanges.jsonl"


@pytest.mark.parametrize(
    ("action", "status", "may"),
    [
        ("create", 415, True),
        ("update", 415, True),
        ("delete", 404, True),
        ("delete", 400, True),
        ("read", 404, True),
        *((action, status, False) for action in questions.ACTIONS for status in (401, 403)),
        *((action, status, None) for action in questions.ACTIONS for status in (200, 201, 202, 302, 405, 500, 503)),
        ("create", 404, None),
        ("create", 400, None),
        ("delete", 415, None),
        ("read", 400, None),
        ("read", 415, None),
    ],
)
def test_what_an_answer_means(action: Action, status: int, may: bool | None) -> None:
    assert questions.verdict(action, status) is may


@pytest.mark.parametrize("action", questions.ACTIONS)
def test_no_question_can_store_or_fetch_anything(action: Action) -> None:
    asked = questions.question(action, "blumeops/navidrome", "v1")
    if action in ("create", "update"):
        assert (asked.method, asked.path) == ("PUT", "/v2/blumeops/navidrome/manifests/v1")
        assert asked.body is not None
        assert len(asked.body) == 1
    else:
        assert asked.body is None
        assert asked.path.endswith(questions.ABSENT_DIGEST)
    assert not (asked.method == "GET" and "/manifests/" in asked.path), "would ask upstream under a sync prefix"


def test_the_answers_to_a_delete_agree_with_the_recordings() -> None:
    """Who is in `admins` may, everybody else may not, in the configuration with three tiers."""
    three_tier = next(
        row for row in map(json.loads, RECORDINGS.read_text().splitlines()) if row["config"] == "three-tier"
    )
    answers = {
        step["as"]: questions.verdict("delete", step["answer"]["status"])
        for step in three_tier["exchanges"]
        if step["id"].startswith("delete-digest/")
    }
    assert len(answers) == 10
    assert {who for who, may in answers.items() if may} == {"admin"}
    assert None not in answers.values()


@given(st.sets(st.sampled_from(["v1", "latest", *(f"question-{number}" for number in range(5))])))
def test_a_tag_that_is_not_there(tags: set[str]) -> None:
    assert questions.absent_tag(tags) not in tags


@pytest.mark.parametrize(
    ("tags", "tag"), [([], ""), (["latest"], "latest"), (["latest", "v1"], "v1"), (["v2", "v1"], "v1")]
)
def test_a_tag_that_is_there(tags: list[str], tag: str) -> None:
    assert questions.present_tag(tags) == tag
