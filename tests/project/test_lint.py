"""Every linter of the project, one test each, so that the closing line of the tests counts them."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[str]:
    """The files that belong to the project and fit a pattern; links are left out, their targets are linted."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    return [name for name in listed if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink()]


def shell_scripts() -> list[str]:
    return [name for name in tracked() if (ROOT / name).read_bytes()[:32].startswith((b"#!/bin/sh", b"#!/bin/bash"))
            or (ROOT / name).read_bytes()[:32].startswith((b"#!/usr/bin/env bash", b"#!/usr/bin/env sh"))]  # fmt: skip


LINTERS = {
    "ruff": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "yamllint": ["yamllint", "--strict", "."],
    "ansible-lint": ["ansible-lint", "--profile", "production", "--strict", "-q"],
    "shellcheck": ["shellcheck", *shell_scripts()],
    "workflows": ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *tracked("*.forgejo/workflows/*")],
}


@pytest.mark.parametrize("command", LINTERS.values(), ids=LINTERS)
def test_linter_finds_nothing(command: list[str]) -> None:
    env = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)[:200]}\n{done.stdout[-8000:]}{done.stderr[-4000:]}"
