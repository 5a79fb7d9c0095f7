"""The regions of the space of names are all there are, each with a real name in it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy import regions
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import REPOSITORY_NAME, PatternSet
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.regions import find_regions

#: Every repository name up to length 6 on the alphabet a, b and the slash.
NAMES = [
    name
    for length in range(1, 7)
    for name in map("".join, itertools.product("ab/", repeat=length))
    if REPOSITORY_NAME.fullmatch(name)
]

_SEGMENTS = st.one_of(
    st.sampled_from(["a", "b", "ab", "*", "**", "?", "??", "a*", "*b", "a?", "**a", "a**", "a-b", "*-*", "\\a"]),
    st.sampled_from(["[ab]", "[!a]", "[!b]*", "[!-]*", "{a,b}", "{a}", "{a*,b}", "{a,b/**}", "{**,a}", "{,a}b"]),
    st.sampled_from(["{[a,b}]", "{a,b}{a,b}"]),
)
PATTERNS = st.lists(_SEGMENTS, min_size=1, max_size=3).map("/".join)
LISTS = st.lists(st.lists(PATTERNS | st.sampled_from(["**", "a/**", "a/b", ""]), max_size=4), min_size=1, max_size=2)


def winners(lists: list[list[str]], name: str) -> tuple[tuple[str, ...], ...]:
    sets = [PatternSet((text, text) for text in dict.fromkeys(patterns)) for patterns in lists]
    return tuple(tuple(sorted(patterns.longest(name))) for patterns in sets)


@given(LISTS)
@settings(max_examples=150)
def test_regions_agree_with_brute_force(lists: list[list[str]]) -> None:
    found = {region.winners: region.witness for region in find_regions(lists)}
    for expected, witness in found.items():
        assert REPOSITORY_NAME.fullmatch(witness)
        assert winners(lists, witness) == expected
    sets = [PatternSet((text, text) for text in dict.fromkeys(patterns)) for patterns in lists]
    for name in NAMES:
        region = tuple(tuple(sorted(patterns.longest(name))) for patterns in sets)
        assert len(found[region]) <= len(name)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([["**"]], {(("**",),): "x"}),
        ([[]], {((),): "x"}),
        ([["a/**"]], {((),): "x", (("a/**",),): "a"}),
        ([["**", "a/**", "a/b"]], {(("**",),): "x", (("a/**",),): "a"}),
        ([["a/*", "a/b"]], {((),): "x", (("a/*",),): "a/x", (("a/*", "a/b"),): "a/b"}),
        # A glob as long as a tree ties with it.
        ([["a/**", "a/??"]], {((),): "x", (("a/**",),): "a", (("a/**", "a/??"),): "a/xx"}),
        ([["**"], ["**", "xyz"]], {(("**",), ("**",)): "x", (("**",), ("xyz",)): "xyz"}),
        # What no repository can be called is no region.
        ([["**", "/a", "A", "a//b", "a.", "-*"]], {(("**",),): "x"}),
        ([["{a,b}/**", "[!a]/**"]], {((),): "xx", (("{a,b}/**",),): "a", (("[!a]/**",),): "x"}),
    ],
)
def test_regions_of(lists: list[list[str]], expected: dict[tuple[tuple[str, ...], ...], str]) -> None:
    found = {region.winners: region.witness for region in find_regions(lists)}
    assert {key: len(name) for key, name in found.items()} == {key: len(name) for key, name in expected.items()}


def test_known_names_are_preferred_as_witnesses() -> None:
    names = ["Not A Name", "blumeops/navidrome", "blumeops/zot", "other"]
    found = {region.winners: region.witness for region in find_regions([["**", "blumeops/**", "abc"]], names)}
    assert found == {(("**",),): "other", (("blumeops/**",),): "blumeops/navidrome", (("abc",),): "abc"}


def test_a_brace_that_cuts_through_a_bracket_hides_no_region() -> None:
    # The range a-d comes about only when the first member is read with what follows the brace.
    found = {region.winners for region in find_regions([["{[a,b}-d]", "c"]])}
    assert (("{[a,b}-d]",),) in found


@pytest.mark.parametrize(
    "patterns",
    [
        ["**/*" + char + "*/**" for char in "abcdefghijklmnop"],
        ["*a" + "?" * 25 + "*"],
        ["{*,a}" * 300],
        ["**/{a*,b*}/" * 60 + "*"],
        ["?" * 5000],
    ],
)
def test_what_overlaps_in_too_many_ways_is_an_error(patterns: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # The limit is kept, whatever it is: with the real one this takes seconds.
    monkeypatch.setattr(regions, "MAX_WORK", 200_000)
    with pytest.raises(InvalidInput, match=r"too many ways|too much work"):
        find_regions([patterns])


@pytest.mark.parametrize("globs", [0, 20])
def test_two_thousand_blocks_have_a_region_each(globs: int) -> None:
    plain = [f"team-{number % 17}/app-{number}/**" for number in range(2000 - globs)]
    patterns = ["**", *plain, *(f"blumeops/app{number}-*" for number in range(globs))]
    assert len(find_regions([patterns, patterns[:-1]])) == len(patterns)
