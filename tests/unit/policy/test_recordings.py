"""The policy model agrees with every recorded decision and pattern of a real zot."""

from __future__ import annotations

import json
import pathlib

import pytest
from click.testing import CliRunner

from lab.standins import policy as lab_policy

RECORDINGS = pathlib.Path(__file__).parents[2] / "contracts" / "zot"


def test_all_recorded_decisions_agree() -> None:
    tally = lab_policy.check_decisions(lab_policy.read_lines(RECORDINGS / "policy_decisions.jsonl"))
    assert (tally.asked, tally.wrong) == (6000, [])


def test_all_recorded_patterns_agree() -> None:
    tally = lab_policy.check_globs(lab_policy.read_lines(RECORDINGS / "globs.jsonl"))
    assert (tally.asked, tally.wrong) == (4000, [])


@pytest.mark.parametrize(
    ("option", "line", "said"),
    [
        (
            "--globs",
            {"pattern": "a/*", "repository": "a/b", "matches": False, "bad_pattern": False},
            "0 of 1 patterns agree",
        ),
        (
            "--decisions",
            {
                "accessControl": {"repositories": {"**": {"anonymousPolicy": ["read"]}}},
                "queries": [
                    {
                        "user": "",
                        "groups": [],
                        "repository": "a",
                        "existing_tags": [],
                        "method": "GET",
                        "reference": "",
                        "allowed": False,
                        "required_actions": ["read"],
                    }
                ],
            },
            "0 of 1 decisions agree",
        ),
    ],
)
def test_the_command_exits_1_on_a_disagreement(
    tmp_path: pathlib.Path, option: str, line: dict[str, object], said: str
) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_text(json.dumps(line))
    result = CliRunner().invoke(lab_policy.main, [option, str(path)])
    assert (result.exit_code, said in result.output) == (1, True)


@pytest.mark.parametrize("text", ["not json", '{"other": 1}'])
@pytest.mark.parametrize("option", ["--globs", "--decisions"])
def test_the_command_says_what_is_wrong_with_a_file(tmp_path: pathlib.Path, option: str, text: str) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_text(text)
    result = CliRunner().invoke(lab_policy.main, [option, str(path)])
    assert result.exit_code == 1
    assert str(path) in result.output
