"""What is refused of a variable."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.forgejo_secret.conftest import TOKEN
from tests.integration.forgejo_secrets.conftest import Forge
from tests.run_module import Outcome, run_module


def variable(forge: Forge, *, check: bool = False, **arguments: Any) -> Outcome:
    given = {"forgejo_url": forge.url, "forgejo_token": TOKEN, "retries": 0, "name": "registry", **arguments}
    return run_module("forgejo_actions_variable", given, check=check)


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
