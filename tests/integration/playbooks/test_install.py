"""How the program comes onto the host: copied or downloaded, checked, switched to, and the one before it kept."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import platform
from collections.abc import Iterator

import pytest

from lab.running import ROOT
from lab.up import Lab, lab


@pytest.fixture
def running() -> Iterator[Lab]:
    with lab() as one:
        yield one


def program(path: pathlib.Path, word: str) -> pathlib.Path:
    """A zot of its own content: a script that calls the lab's."""
    path.write_text(f'#!/bin/sh\n# {word}\nexec {ROOT / "lab" / "zot"} "$@"\n')
    path.chmod(0o755)
    return path


def play(running: Lab, variables: dict[str, object], *arguments: str) -> tuple[int, str]:
    extra = running.folder / "extra.json"
    extra.write_text(json.dumps(variables))
    done = running.run("ansible-playbook", "playbooks/indri.yml", "--tags", "zot", "-e", f"@{extra}", *arguments)
    return done.returncode, done.stdout + done.stderr


def test_a_copied_program_is_switched_to_and_the_one_before_is_kept(running: Lab, tmp_path: pathlib.Path) -> None:
    binary, kept = tmp_path / "bin" / "zot", tmp_path / "kept"
    binary.parent.mkdir()
    before = program(binary, "before").read_text()
    source = program(tmp_path / "source", "first")
    variables = {
        "zot_install": "binary",
        "zot_binary": str(binary),
        "zot_binary_source": str(source),
        "zot_release_dir": str(kept),
    }
    status, text = play(running, variables, "--check")
    assert status == 0, text
    assert not binary.is_symlink()
    assert not kept.exists()
    status, text = play(running, variables)
    assert status == 0, text
    assert binary.read_text() == source.read_text()
    assert (kept / "zot-before").read_text() == before
    first = os.readlink(binary)
    assert "changed=0" in play(running, variables)[1]

    program(source, "second")
    status, text = play(running, variables)
    assert status == 0, text
    assert "zot has to be restarted: another program" in text
    assert binary.read_text() == source.read_text()
    assert pathlib.Path(first).exists(), "the program before is kept"


def test_a_release_is_downloaded_by_version_and_checksum(running: Lab, tmp_path: pathlib.Path) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    release = program(tmp_path / f"zot-2.1.20-{platform.system().lower()}-{machine}", "release")
    binary, kept = tmp_path / "zot", tmp_path / "kept"
    variables = {
        "zot_install": "release",
        "zot_binary": str(binary),
        "zot_release_dir": str(kept),
        "zot_release_url": f"file://{tmp_path}/zot-{{version}}-{{os}}-{{arch}}",
        "zot_release_version": "2.1.20",
        "zot_release_checksum": "sha256:" + "0" * 64,
    }
    status, text = play(running, variables)
    assert status == 2, "another checksum is refused"
    assert "checksum" in text
    assert not binary.exists()
    assert not running.zot_config.exists()
    variables["zot_release_checksum"] = "sha256:" + hashlib.sha256(release.read_bytes()).hexdigest()
    status, text = play(running, variables)
    assert status == 0, text
    assert os.readlink(binary) == str(kept / "zot-2.1.20")
    assert binary.read_text() == release.read_text()


def test_a_program_that_refuses_the_configuration_is_not_switched_to(running: Lab, tmp_path: pathlib.Path) -> None:
    binary = program(tmp_path / "zot", "before")
    source = tmp_path / "source"
    source.write_text('#!/bin/sh\ncase $1 in verify) echo "Error: this one takes nothing" >&2; exit 1;; esac\n')
    source.chmod(0o755)
    before = binary.read_text()
    variables = {
        "zot_install": "binary",
        "zot_binary": str(binary),
        "zot_binary_source": str(source),
        "zot_release_dir": str(tmp_path / "kept"),
    }
    status, text = play(running, variables)
    assert status == 2
    assert "this one takes nothing" in text
    assert not binary.is_symlink()
    assert binary.read_text() == before
    assert not running.zot_config.exists()
