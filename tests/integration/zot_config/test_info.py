"""Module zot_info: what a program on the host is found to be, and what is in the configuration in place."""

from __future__ import annotations

import json
import pathlib

import pytest

from lab.running import ROOT
from tests.run_module import run_module


def program(path: pathlib.Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_the_zot_of_the_lab() -> None:
    found = run_module("zot_info", {"binary": str(ROOT / "lab" / "zot")}).result
    assert (found["present"], found["metrics_anonymous_policy"], found["changed"]) == (True, True, False)


def test_one_before_2_1_18_does_not_know_the_key(tmp_path: pathlib.Path) -> None:
    old = program(
        tmp_path / "zot", f'exec {ROOT / "lab" / "zot"} "$@" $([ "$1" = --version ] || echo --as-version 2.1.15)'
    )
    assert run_module("zot_info", {"binary": old}).result["metrics_anonymous_policy"] is False


def test_what_refuses_everything_is_not_taken_for_an_old_one(tmp_path: pathlib.Path) -> None:
    other = program(tmp_path / "zot", 'case $1 in verify) echo "Error: no such command" >&2; exit 1;; esac')
    outcome = run_module("zot_info", {"binary": other})
    assert outcome.failed
    assert f"{other} verify refuses even the smallest configuration (no such command)" in outcome.msg


def test_where_there_is_none(tmp_path: pathlib.Path) -> None:
    assert run_module("zot_info", {"binary": str(tmp_path / "zot")}).result["present"] is False
    (tmp_path / "zot").write_text("not executable")
    assert run_module("zot_info", {"binary": str(tmp_path / "zot")}).result["present"] is False


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "is no configuration in JSON"), ("[]", "is no configuration in JSON"), (None, "cannot")],
)
def test_a_configuration_that_cannot_be_told(tmp_path: pathlib.Path, content: str | None, words: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content) if content is not None else path.mkdir()
    found = run_module("zot_info", {"binary": str(tmp_path / "zot"), "config_path": str(path)}).result
    assert words in found["config_problem"]
    assert "config" not in found


def test_the_configuration_in_place_is_returned_without_its_secrets(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "config.json"
    openid = {"providers": {"oidc": {"clientid": "zot", "clientsecret": "LAB-inline-secret"}}}
    path.write_text(json.dumps({"http": {"port": "5000", "auth": {"openid": openid}}}))
    outcome = run_module("zot_info", {"binary": str(tmp_path / "zot"), "config_path": str(path)})
    assert outcome.result["config"]["http"]["port"] == "5000"
    assert "LAB-inline-secret" not in outcome.output
