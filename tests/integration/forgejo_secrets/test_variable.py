"""One variable, compared for real."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.forgejo_secret.conftest import TOKEN
from tests.integration.forgejo_secrets.conftest import Forge
from tests.run_module import Outcome, run_module

PLACES = [
    ({"repository": "eblume/cv"}, "repos/eblume/cv"),
    ({"organization": "acme"}, "orgs/acme"),
    ({"user": True}, "users/eblume"),
]


def variable(forge: Forge, *, check: bool = False, **arguments: Any) -> Outcome:
    given = {"forgejo_url": forge.url, "forgejo_token": TOKEN, "retries": 0, "name": "registry", **arguments}
    return run_module("forgejo_actions_variable", given, check=check)


@pytest.mark.parametrize(("options", "place"), PLACES)
def test_twelve_steps(forge: Forge, options: dict[str, Any], place: str) -> None:
    steps: list[tuple[dict[str, Any], bool, str | None]] = [
        ({"value": "a\r\nb\rc\r\n"}, True, "a\nb\rc\n"),
        ({"value": "a\r\nb\rc\r\n"}, False, "a\nb\rc\n"),
        ({"value": "registry.ops.eblu.me"}, True, "registry.ops.eblu.me"),
        ({"value": "registry.ops.eblu.me"}, False, "registry.ops.eblu.me"),
        ({"state": "absent"}, True, None),
        ({"state": "absent"}, False, None),
    ]
    stored: str | None = None
    for arguments, changed, value in steps:
        for check in (True, False):
            outcome = variable(forge, check=check, **options, **arguments)
            assert not outcome.failed, outcome.msg
            assert (outcome.changed, outcome.result["before"]) == (changed, stored)
            assert outcome.result["value"] == value
            assert (outcome.result["diff"]["before"] != outcome.result["diff"]["after"]) is changed
            stored = stored if check else value
            assert forge.variables(place).get("REGISTRY") == stored


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "ci", "value": "x"}, "Forgejo sets it itself"),
        ({"name": "A-B", "value": "x"}, "cannot be the name of a variable"),
        ({"name": "BLUMEOPS_REGISTRY_LEDGER", "value": "x"}, "keeps it for itself"),
        ({"value": ""}, "the value of the variable REGISTRY of repository eblume/cv is empty"),
        ({"value": "x", "repository": "eblume/none"}, "does not exist, or the token may not see it"),
        ({"value": "x", "repository": "eblume/old"}, "has been renamed to eblume/new"),
        ({"value": "x", "forgejo_token": "tok-carol-0123456789", "repository": "eblume/blumeops"}, "does not own it"),
    ],
)
def test_refused(forge: Forge, arguments: dict[str, Any], says: str) -> None:
    outcome = variable(forge, **{"repository": "eblume/cv", **arguments})
    assert outcome.failed
    assert says in outcome.msg
    assert forge.variables() == {}
