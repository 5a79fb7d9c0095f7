"""Create, again, change, again, delete, again; each in check mode too, for each kind of place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.forgejo_secret.conftest import PEM, VALUE, Forge

ALWAYS = "value cannot be compared"
PLACES = [
    ({"repository": "eblume/blumeops"}, "repos/eblume/blumeops", "repository eblume/blumeops"),
    ({"organization": "acme"}, "orgs/acme", "organization acme"),
]


@pytest.mark.parametrize(("options", "place", "scope"), PLACES)
def test_twelve_steps(forge: Forge, options: dict[str, Any], place: str, scope: str) -> None:
    steps: list[tuple[dict[str, Any], bool, str, str, str | None]] = [
        ({"value": VALUE}, True, "missing", "missing", VALUE),
        ({"value": VALUE}, True, "present", ALWAYS, VALUE),
        ({"value": PEM}, True, "present", ALWAYS, PEM),
        ({"value": PEM}, True, "present", ALWAYS, PEM),
        ({"state": "absent"}, True, "present", "present", None),
        ({"state": "absent"}, False, "missing", "already absent", None),
    ]
    stored: str | None = None
    for arguments, changed, before, reason, value in steps:
        for check in (True, False):
            outcome = forge.run(check=check, name="Zot_CI_api_key", **options, **arguments)
            result = outcome.result
            assert not outcome.failed, outcome.msg
            assert (result["changed"], result["before"], result["reason"]) == (changed, before, reason)
            assert (result["name"], result["scope"]) == ("ZOT_CI_API_KEY", scope)
            assert result["created"] is (changed and before == "missing")
            assert (result["diff"]["before"] != result["diff"]["after"]) is changed
            stored = stored if check else value
            assert forge.stored(place).get("ZOT_CI_API_KEY") == stored


def test_twelve_steps_of_a_users_own(forge: Forge) -> None:
    """Whether one exists is known after the write only, so check mode says ``unknown``."""
    steps: list[tuple[dict[str, Any], bool, str, str | None]] = [
        ({"value": VALUE}, True, "missing", VALUE),
        ({"value": VALUE}, True, "present", VALUE),
        ({"value": PEM}, True, "present", PEM),
        ({"value": PEM}, True, "present", PEM),
        ({"state": "absent"}, True, "present", None),
        ({"state": "absent"}, False, "missing", None),
    ]
    stored: str | None = None
    for arguments, changed, before, value in steps:
        predicted = forge.run(check=True, name="own", user=True, **arguments)
        assert (predicted.changed, predicted.result["before"]) == (True, "unknown")
        assert forge.stored("users/eblume").get("OWN") == stored
        outcome = forge.run(name="own", user=True, **arguments)
        assert (outcome.changed, outcome.result["before"]) == (changed, before)
        stored = value
        assert forge.stored("users/eblume").get("OWN") == stored


def test_on_create_leaves_an_existing_one_alone(forge: Forge) -> None:
    options: dict[str, Any] = {"repository": "eblume/cv", "name": "ONCE", "update_value": "on_create"}
    assert forge.run(**options, value=VALUE).result["created"] is True
    again = forge.run(**options, value=PEM)
    assert (again.changed, again.result["reason"]) == (False, "present, and update_value is on_create")
    assert forge.stored("repos/eblume/cv")["ONCE"] == VALUE
