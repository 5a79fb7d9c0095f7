"""Create, again, change, again, delete, again; each in check mode first, for each module and each kind of place.

With FORGEJO_URL and FORGEJO_TOKENS on a real Forgejo that holds the world of the recordings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LEDGER_VARIABLE
from tests.integration.forgejo_secret.conftest import PEM, VALUE
from tests.integration.forgejo_secrets.conftest import secrets_of
from tests.integration.forgejo_secrets.watched import LEDGER_KEY, PLACES, Watched

CV, ACME = "repos/eblume/cv", "orgs/acme"
NAMES = {CV: "repository eblume/cv", ACME: "organization acme"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("steps"))
    yield watched
    watched.empty()
    watched.stop()


@pytest.fixture
def forge(server: Watched) -> Watched:
    server.empty()
    return server


@pytest.mark.parametrize("place", PLACES)
def test_one_secret(forge: Watched, place: str) -> None:
    again = "value cannot be compared"
    steps: list[tuple[dict[str, Any], bool, str, str, str | None]] = [
        ({"value": VALUE}, True, "missing", "missing", VALUE),
        ({"value": VALUE}, True, "present", again, VALUE),
        ({"value": PEM}, True, "present", again, PEM),
        ({"value": PEM}, True, "present", again, PEM),
        ({"state": "absent"}, True, "present", "present", None),
        ({"state": "absent"}, False, "missing", "already absent", None),
    ]
    stored: str | None = None
    for arguments, changed, before, reason, value in steps:
        for check in (True, False):
            outcome = forge.run(
                "forgejo_actions_secret", check=check, name="Zot_CI_api_key", **PLACES[place], **arguments
            )
            result = outcome.result
            assert not outcome.failed, outcome.msg
            assert (result["changed"], result["before"], result["reason"]) == (changed, before, reason)
            assert (result["name"], result["scope"]) == ("ZOT_CI_API_KEY", NAMES[place])
            assert result["created"] is (changed and before == "missing")
            assert (result["diff"]["before"] != result["diff"]["after"]) is changed
            stored = stored if check else value
            assert forge.values(place).get("ZOT_CI_API_KEY") == stored


def test_one_secret_of_a_users_own(forge: Watched) -> None:
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
        predicted = forge.run("forgejo_actions_secret", check=True, name="own", user=True, **arguments)
        assert (predicted.changed, predicted.result["before"]) == (True, "unknown")
        assert forge.values("user").get("OWN") == stored
        outcome = forge.run("forgejo_actions_secret", name="own", user=True, **arguments)
        assert (outcome.changed, outcome.result["before"]) == (changed, before)
        stored = value
        assert forge.values("user").get("OWN") == stored


def test_a_set_of_secrets(forge: Watched) -> None:
    steps: list[tuple[dict[str, str | None], int, int]] = [
        ({"A": VALUE, "B": "the-second-value"}, 3, 0),
        ({"A": VALUE, "B": "the-second-value"}, 0, 0),
        ({"A": VALUE, "B": PEM}, 1, 0),
        ({"A": VALUE, "B": PEM}, 0, 0),
        ({"A": VALUE, "B": None}, 0, 1),
        ({"A": VALUE, "B": None}, 0, 0),
    ]
    stored: dict[str, str] = {}
    for values, written, deleted in steps:
        scopes = [
            {**PLACES[CV], "secrets": secrets_of(values)},
            {**PLACES[ACME], "secrets": secrets_of({"O": "the-organizations-value"})},
        ]
        for check in (True, False):
            outcome = forge.run("forgejo_actions_secrets", check=check, ledger_key=LEDGER_KEY, scopes=scopes)
            result = outcome.result
            assert not outcome.failed, outcome.msg
            assert (result["written"], result["deleted"]) == (written, deleted)
            assert result["changed"] is bool(written or deleted)
            assert bool(result["diff"]["before"]) is result["changed"]
            stored = stored if check else {name: value for name, value in values.items() if value is not None}
            assert forge.values(CV) == stored
            assert set(forge.variables(CV)) <= {LEDGER_VARIABLE}


@pytest.mark.parametrize(
    ("place", "options"), [*PLACES.items(), ("user", {"user": True})], ids=["repository", "organization", "user"]
)
def test_one_variable(forge: Watched, place: str, options: dict[str, Any]) -> None:
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
            outcome = forge.run("forgejo_actions_variable", check=check, name="registry", **options, **arguments)
            assert not outcome.failed, outcome.msg
            assert (outcome.changed, outcome.result["before"]) == (changed, stored)
            assert outcome.result["value"] == value
            assert (outcome.result["diff"]["before"] != outcome.result["diff"]["after"]) is changed
            stored = stored if check else value
            assert forge.variables(place).get("REGISTRY") == stored
