"""The publication by Dagger from outside: what is made of what the program says. ``dagger`` is a STUB, a script."""

from __future__ import annotations

import tarfile

import pytest
from blumeops_ci.images import Image
from blumeops_ci.problem import Problem
from blumeops_ci.publish import publish
from blumeops_ci.registry import Target

from lab.images import oci_archive

TARGET = Target("https://registry.ops.eblu.me", "blumeops", "transmission", "v4.0.6-r0-0123abc")
SHA = "0123abc4567890123456789012345678901234ef"
OTHER = Image("sha256:" + "b" * 64)


class Holding:
    """A registry whose tag holds one after the other of ``images``; the last one stays."""

    identity = "zot-ci"

    def __init__(self, *images):
        self.images = list(images)

    def check_key(self, now, *, label=None):
        return "the key is good"

    def check_create(self, target):
        pass

    def image(self, target):
        return self.images.pop(0) if len(self.images) > 1 else self.images[0]


@pytest.fixture
def built(tmp_path):
    """The image that the stub makes."""
    path = oci_archive(tmp_path / "built.tar", "one")
    with tarfile.open(path) as archive:
        manifests = [archive.extractfile(member).read() for member in archive if member.name.startswith("blobs/")]
    (manifest,) = [content for content in manifests if b'"schemaVersion": 2' in content]
    return Image.of_manifest(manifest)


@pytest.fixture
def run(tmp_path, monkeypatch, built):
    """Publish to a registry with a stub that does ``published`` when asked to publish."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path))
    monkeypatch.setenv("FORGE_TOKEN", "not for dagger")

    def go(registry, published):
        script = programs / "dagger"
        script.write_text(
            "#!/bin/sh\n"
            f'echo "$*" >> {tmp_path}/called\n'
            '[ -z "${FORGE_TOKEN:-}" ] || exit 9\n'
            'case "$4" in\n'
            f"publish) {published} ;;\n"
            f'archive) cp {tmp_path}/built.tar "${{8#--path=}}" ;;\n'
            "esac\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        return publish(tmp_path, registry, TARGET, "4.0.6-r0", SHA)

    return go


def called(tmp_path):
    return [line.split()[3] for line in (tmp_path / "called").read_text().splitlines()]


def test_published(run, built, tmp_path):
    done = run(Holding(None, built), f"echo registry/x:y@{built.digest}")
    assert (done.verdict, done.digest) == ("push", built.digest)
    (line,) = (tmp_path / "called").read_text().splitlines()
    assert line == (
        "--mod ./ci call publish --src=. --container-name=transmission --version=4.0.6-r0 "
        f"--commit-sha={SHA} --registry=registry.ops.eblu.me --namespace=blumeops --username=zot-ci "
        "--registry-password=env://ZOT_CI_API_KEY"
    )


def test_there_already_is_built_compared_and_not_published(run, built, tmp_path):
    assert run(Holding(built), "exit 1").verdict == "unchanged"
    assert called(tmp_path) == ["archive"]


def test_another_run_was_faster(run, built, tmp_path):
    assert run(Holding(None, built), "exit 1").verdict == "unchanged"
    assert called(tmp_path) == ["publish", "archive"]


@pytest.mark.parametrize(
    ("images", "published", "said"),
    [
        ((OTHER,), "exit 1", "holds another image .* tags are immutable for zot-ci"),
        ((None, OTHER), "exit 1", "holds another image .* tags are immutable for zot-ci"),
        ((None,), "exit 4", r"was not published by Dagger \(status 4\): its output above names the step"),
        ((None,), "echo done", "printed no reference with a digest"),
        ((None,), f"echo x@{OTHER.digest}", "was reported as done and the registry does not hold it"),
    ],
)
def test_what_is_not_published(run, images, published, said):
    with pytest.raises(Problem, match=said) as caught:
        run(Holding(*images), published)
    assert "\n" not in str(caught.value)


def test_a_build_that_fails_when_the_tag_is_there(run, built, tmp_path):
    (tmp_path / "built.tar").unlink()
    with pytest.raises(Problem, match=r"transmission was not built by Dagger \(status 1\)"):
        run(Holding(built), "exit 1")


def test_without_dagger(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="dagger is not installed here"):
        publish(tmp_path, Holding(None), TARGET, "4.0.6-r0", SHA)
