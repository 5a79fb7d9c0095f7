"""What the tests of the estate's CI share: a registry, a repository with containers, images to push."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.ci.lab import Registry, registry

# Dagger's SDK reads the main object's name when it is imported; the engine sets it for the module's runtime.
os.environ["DAGGER_MAIN_OBJECT"] = "BlumeopsCi"

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def zot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The lab's zot (``ZOT_BIN``: a real one) with the estate's three tiers; tests use tags of their own."""
    with registry(tmp_path_factory.mktemp("zot")) as started:
        yield started


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of a repository with the real ``containers/`` and ``ci/`` in one commit, which its remote has."""
    origin, clone = tmp_path / "origin", tmp_path / "checkout"
    origin.mkdir()
    for name in ("ci", "containers"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(origin / name)], check=True)
    git(origin, "init", "--quiet", "--initial-branch=main")
    commit(origin, "First")
    subprocess.run(["git", "clone", "--quiet", str(origin), str(clone)], check=True)
    return clone


def git(folder: Path, *arguments: str) -> str:
    """Run git as nobody in particular, without the user's configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_{what}": "lab@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, message: str) -> str:
    """Commit everything; returns the SHA."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")
