"""What is done with one secret, as a table."""

from __future__ import annotations

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.one_secret import Wish, decide, wish
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import Scope

REPO, USER = Scope("repository", "eblume/cv"), Scope("user")


@pytest.mark.parametrize(
    ("value", "overwrite", "exists", "do", "reason"),
    [
        ("v", True, False, "write", "missing"),
        ("v", True, True, "write", "value cannot be compared"),
        ("v", True, None, "write", "value cannot be compared"),
        ("v", False, False, "write", "missing"),
        ("v", False, True, "", "present, and update_value is on_create"),
        (None, True, True, "delete", "present"),
        (None, True, False, "", "already absent"),
        (None, True, None, "delete", "a user's own secrets cannot be seen"),
    ],
)
def test_decisions(value: str | None, overwrite: bool, exists: bool | None, do: str, reason: str) -> None:
    step = decide(Wish(REPO, "X", value, overwrite), exists)
    assert (step.do, step.reason) == (do, reason)
    assert (step.before == step.after) == (not do)


def test_on_create_needs_a_list() -> None:
    with pytest.raises(InvalidInput, match="does not list a user's own"):
        wish(USER, "x", "v", state="present", update_value="on_create")
    assert wish(USER, "x", "v", state="present", update_value="always").name == "X"


def test_absent_needs_no_value() -> None:
    assert wish(REPO, "x", None, state="absent", update_value="always").value is None
    with pytest.raises(InvalidInput, match="the secret X of repository eblume/cv is empty"):
        wish(REPO, "x", "", state="present", update_value="always")
