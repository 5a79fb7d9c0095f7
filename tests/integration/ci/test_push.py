"""The push by skopeo, for real: once, again, over another image; with keys that are no good; nothing left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.ci.lab import Registry, docker_archive, oci_archive

ROOT = Path(__file__).parents[3]


def ci(
    *arguments: str, zot: Registry | None = None, key: str = "", temp: Path, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of ci/run as a job of the estate's runner does."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(temp), "TMPDIR": str(temp), "RUNNER_TEMP": str(temp)}
    if zot:
        environment["REGISTRY_URL"] = zot.url
    if key:
        environment["ZOT_CI_API_KEY"] = key
    command = [str(ROOT / "ci" / "run"), *arguments]
    return subprocess.run(command, env={**environment, **extra}, capture_output=True, text=True, timeout=120, cwd=ROOT)


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """A tag that no other test uses."""
    return f"v1.0.0-{abs(hash(request.node.nodeid)) % 16**7:07x}-nix"


def test_pushes_once(zot, temp, tmp_path, tag):
    image = docker_archive(tmp_path / "image.tar.gz", tag)
    key = zot.keys["zot-ci"]
    first = ci("image-push", "ntfy", tag, f"docker-archive:{image}", zot=zot, key=key, temp=temp)
    assert first.returncode == 0, first.stderr
    digest = zot.digest("blumeops/ntfy", tag)
    assert first.stdout.splitlines()[-1] == f"{zot.host}/blumeops/ntfy:{tag} pushed: {digest}"

    again = ci("image-push", "ntfy", tag, f"docker-archive:{image}", zot=zot, key=key, temp=temp)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == (
        f"{zot.host}/blumeops/ntfy:{tag} already holds this image, nothing was pushed: {digest}"
    )

    other = docker_archive(tmp_path / "other.tar.gz", tag + " changed")
    refused = ci("image-push", "ntfy", tag, f"docker-archive:{other}", zot=zot, key=key, temp=temp)
    assert refused.returncode == 1
    assert f"{zot.host}/blumeops/ntfy:{tag} holds another image ({digest[:19]})" in refused.stderr
    assert (
        "tags are immutable for zot-ci, and only a member of the group admins may change or delete one"
        in refused.stderr
    )
    assert refused.stderr.count("\n") == 1
    assert zot.digest("blumeops/ntfy", tag) == digest
    assert list(temp.iterdir()) == []
