"""The tag of an image: made by one function, read back by another."""

from __future__ import annotations

import re

import pytest
from blumeops_ci.problem import Problem
from blumeops_ci.tags import ImageTag, container_name, image_tag, parse_tag
from hypothesis import given
from hypothesis import strategies as st

SHA = "0123abc4567890123456789012345678901234ef"
versions = st.from_regex(
    re.compile(r"v?[0-9]{1,4}\.[0-9]{1,3}\.[0-9]{1,3}(-[0-9A-Za-z.]{1,12})?", re.ASCII), fullmatch=True
)
commits = st.text("0123456789abcdef", min_size=7, max_size=40)


@pytest.mark.parametrize(
    ("version", "commit", "options", "tag"),
    [
        ("v0.58.0", SHA, {}, "v0.58.0-0123abc"),
        ("0.58.0", SHA, {}, "v0.58.0-0123abc"),
        ("2026.2.0", SHA, {"nix": True}, "v2026.2.0-0123abc-nix"),
        ("1.2.3", SHA, {"main": True}, "v1.2.3-0123abc-main"),
        ("1.2.3", SHA, {"main": True, "nix": True}, "v1.2.3-0123abc-main-nix"),
        ("4.0.6-r0", "0123abc", {}, "v4.0.6-r0-0123abc"),
        ("1.2.3-rc.1", "0123abc", {"nix": True}, "v1.2.3-rc.1-0123abc-nix"),
    ],
)
def test_image_tag(version, commit, options, tag):
    assert image_tag(version, commit, **options) == tag


@pytest.mark.parametrize(
    "version", ["", "v", "1", "1.2", "1.2.3.4", "vv1.2.3", "V1.2.3", "1.2.3+b", "1.2.x", "latest", "1.2.3\n"]
)
def test_what_is_no_version_is_said(version):
    with pytest.raises(Problem, match=r"is no version: write X\.Y\.Z"):
        image_tag(version, SHA)


@pytest.mark.parametrize(
    "commit",
    ["", "main", "HEAD", "v1.2.3", "0123ab", SHA + "0", SHA.upper(), "0123abg", "0123abc\n", "-0123abc"],
)
def test_a_ref_that_is_no_commit_never_gets_into_a_tag(commit):
    with pytest.raises(Problem, match=r"is no commit: give its SHA"):
        image_tag("1.2.3", commit)


def test_a_tag_that_no_registry_takes_is_refused():
    with pytest.raises(Problem, match="and a registry takes 128"):
        image_tag("1.2.3-" + "a" * 120, SHA)


@given(versions, commits, st.booleans(), st.booleans())
def test_parse_undoes_make(version, commit, nix, main):
    tag = image_tag(version, commit, nix=nix, main=main)
    assert parse_tag(tag) == ImageTag(version.removeprefix("v"), commit[:7], nix, main)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", tag)


@given(versions, commits, st.booleans(), st.booleans(), versions, commits, st.booleans(), st.booleans())
def test_different_builds_have_different_tags(v1, c1, n1, m1, v2, c2, n2, m2):
    same = (v1.removeprefix("v"), c1[:7], n1, m1) == (v2.removeprefix("v"), c2[:7], n2, m2)
    assert (image_tag(v1, c1, nix=n1, main=m1) == image_tag(v2, c2, nix=n2, main=m2)) is same


@pytest.mark.parametrize(
    "tag",
    ["latest", "v1.2.3", "1.2.3-0123abc", "v1.2.3-0123abc-nix-main", "v1.2-0123abc", "v1.2.3-0123abcd", ""],
)
def test_other_tags_are_not_ours(tag):
    assert parse_tag(tag) is None


@pytest.mark.parametrize(
    "name", ["", "Navidrome", "a/b", "..", "a b", "-a", "a-", "a--b", "a_b", "a\n", "$(id)", "a;b"]
)
def test_what_is_no_container(name):
    with pytest.raises(Problem, match="is no container"):
        container_name(name)


@pytest.mark.parametrize("name", ["navidrome", "kube-state-metrics", "k8s", "1password"])
def test_what_is_a_container(name):
    assert container_name(name) == name
