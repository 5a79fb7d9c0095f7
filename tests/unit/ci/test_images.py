"""What makes two images the same, and what that means for a tag."""

from __future__ import annotations

import hashlib
import json

import pytest
from blumeops_ci.images import Image, decide, of_archive, of_layout
from blumeops_ci.problem import Problem
from hypothesis import given
from hypothesis import strategies as st

ADDRESS = "registry.ops.eblu.me/blumeops/ntfy:v1.0.0-0123abc"
A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")


@pytest.mark.parametrize(
    ("stored", "verdict"),
    [
        (None, "push"),
        (Image(A, C), "unchanged"),
        (Image(A, None), "unchanged"),
        (Image(B, C), "unchanged"),  # the same content, compressed otherwise
    ],
)
def test_decide(stored, verdict):
    assert decide(ADDRESS, Image(A, C), stored, identity="zot-ci") == verdict


@pytest.mark.parametrize("built", [Image(A, C), Image(A, None)])
@pytest.mark.parametrize("stored", [Image(B, D), Image(B, None)])
def test_another_image_under_the_tag_is_an_error_that_says_whose_it_is(built, stored):
    with pytest.raises(Problem) as caught:
        decide(ADDRESS, built, stored, identity="zot-ci")
    assert str(caught.value) == (
        f"{ADDRESS} holds another image (sha256:bbbbbbbbbbbb) than this build (sha256:aaaaaaaaaaaa): "
        "tags are immutable for zot-ci, and only a member of the group admins may change or delete one; "
        "build a new commit, which gets a tag of its own"
    )


def manifest(config=C):
    return json.dumps({"schemaVersion": 2, "config": {"digest": config}, "layers": []}).encode()


def layout(folder, *manifests, index=None):
    (folder / "blobs" / "sha256").mkdir(parents=True)
    digests = [hashlib.sha256(content).hexdigest() for content in manifests]
    for digest, content in zip(digests, manifests, strict=True):
        (folder / "blobs" / "sha256" / digest).write_bytes(content)
    listed = {"manifests": [{"digest": f"sha256:{digest}"} for digest in digests]}
    (folder / "index.json").write_text(json.dumps(listed if index is None else index))
    return folder


def test_a_layout_of_one_image(tmp_path):
    content = manifest()
    expected = Image("sha256:" + hashlib.sha256(content).hexdigest(), C)
    assert of_layout(layout(tmp_path, content)) == expected


def test_an_index_has_no_configuration(tmp_path):
    assert of_layout(layout(tmp_path, b'{"schemaVersion": 2, "manifests": []}')).config is None


@pytest.mark.parametrize(
    "index",
    [{}, [], {"manifests": []}, {"manifests": [1]}, {"manifests": [{"digest": A}]}, {"manifests": [{"digest": 7}]}],
)
def test_what_is_no_layout(tmp_path, index):
    with pytest.raises(Problem, match="is no OCI layout of exactly one image"):
        of_layout(layout(tmp_path, index=index))


def test_two_images_are_not_one(tmp_path):
    with pytest.raises(Problem, match="is no OCI layout of exactly one image"):
        of_layout(layout(tmp_path, manifest(), manifest(D)))


def test_a_damaged_manifest_is_noticed(tmp_path):
    folder = layout(tmp_path, manifest())
    (blob,) = (folder / "blobs" / "sha256").iterdir()
    blob.write_bytes(manifest(D))
    with pytest.raises(Problem, match="is damaged"):
        of_layout(folder)


@pytest.mark.parametrize("name", ["nowhere.tar", "text.tar"])
def test_what_is_no_archive(tmp_path, name):
    (tmp_path / "text.tar").write_text("no tar")
    with pytest.raises(Problem, match="cannot be read as a tar file"):
        of_archive(tmp_path / name)


@given(st.binary())
def test_a_manifest_is_read_or_refused(content):
    try:
        image = Image.of_manifest(content)
    except ValueError:
        image = None
    assert image is None or image.digest == "sha256:" + hashlib.sha256(content).hexdigest()
