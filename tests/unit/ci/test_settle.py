"""What counts after a push is what the registry holds, not what the program that pushed said."""

from __future__ import annotations

import pytest
from blumeops_ci.images import Image
from blumeops_ci.problem import Problem
from blumeops_ci.push import last_word, settle
from blumeops_ci.registry import Target

TARGET = Target("https://registry.ops.eblu.me", "blumeops", "ntfy", "v1.0.0-0123abc")
OURS, OTHER = Image("sha256:" + "a" * 64), Image("sha256:" + "b" * 64)


class Holding:
    """A registry that holds one image, and takes no other where ``denied``."""

    identity = "zot-ci"

    def __init__(self, image, denied=""):
        self._image, self._denied = image, denied

    def image(self, target):
        return self._image

    def check_create(self, target):
        if self._denied:
            raise Problem(self._denied)


@pytest.mark.parametrize("failed", [None, "denied"])
def test_what_is_there_is_a_success_whoever_pushed_it(failed):
    assert settle(Holding(OURS), TARGET, OURS, failed) == OURS


@pytest.mark.parametrize(
    ("registry", "failed", "said"),
    [
        (Holding(None), None, "was reported as done and the registry does not hold it"),
        (Holding(None), "denied", "was not pushed, and the tag is not there: denied; see the registry's log"),
        (Holding(None, "zot-ci may not create"), "denied", "^zot-ci may not create$"),
        (Holding(OTHER), None, "holds another image"),
        (Holding(OTHER), "denied", "holds another image"),
    ],
)
def test_what_is_not(registry, failed, said):
    with pytest.raises(Problem, match=said):
        settle(registry, TARGET, OURS, failed)


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("", "it ended with status 2 and said nothing"),
        ('time="x" level=fatal msg="writing blob: \\"a\\": denied"\n', 'writing blob: "a": denied'),
        ("first\nlast\n\n", "last"),
    ],
)
def test_last_word(stderr, said):
    assert last_word(stderr, 2) == said


def test_target():
    assert TARGET.address == "registry.ops.eblu.me/blumeops/ntfy:v1.0.0-0123abc"
    assert Target("http://127.0.0.1:5050/", "b", "n", "t").address == "127.0.0.1:5050/b/n:t"
