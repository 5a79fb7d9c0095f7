"""Every refusal, disturbance and odd answer of a running stand-in: one sentence, no secret, nothing half done."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.forgejo_secret.conftest import PEM, VALUE, Forge, Start

REPO: dict[str, Any] = {"repository": "eblume/blumeops", "name": "X", "value": VALUE}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "A-B"}, "'A-B' cannot be the name of a secret"),
        ({"name": "github_x"}, "GITHUB_ and GITEA_ are reserved"),
        ({"value": ""}, "the value of the secret X of repository eblume/blumeops is empty"),
        ({"value": None}, "the value of the secret X of repository eblume/blumeops is empty"),
        ({"value": "a\udcffb"}, "is not valid UTF-8"),
        ({"value": "op://blumeops/Forgejo Secrets/zot-ci-api"}, "is a secret reference"),
        ({"repository": "blumeops"}, "repository must be given as owner/name"),
        ({"organization": "acme"}, "exactly one of repository, organization and user"),
        ({"repository": "eblume/none"}, "does not exist, or the token may not see it"),
        ({"repository": "nobody/x"}, "there is no account nobody"),
        ({"repository": None, "organization": "eblume"}, "a user is no organisation"),
        ({"repository": "eblume/old"}, "repository eblume/old has been renamed to eblume/new: use that name"),
        ({"repository": "oldcorp/app"}, "repository oldcorp/app has been renamed to acme/app"),
        ({"repository": None, "organization": "oldcorp"}, "organization oldcorp has been renamed to acme"),
        ({"forgejo_token": "no-such-token-01"}, "does not accept forgejo_token"),
        ({"forgejo_token": "tok-carol-0123456789"}, "a collaborator, even with admin rights, is none"),
        ({"forgejo_token": "tok-barred-0123456789"}, "the token's account is blocked"),
        ({"forgejo_token": "tok-owen-0123456789", "repository": "eblume/cv"}, "the token may not see it"),
        ({"forgejo_token": "tok-read-0123456789"}, "lacks the scope write:repository"),
        ({"forgejo_token": "tok-public-0123456789", "repository": "eblume/cv"}, "limited to what is public"),
        (
            {"forgejo_token": "tok-repo-0123456789", "repository": None, "organization": "acme"},
            "lacks the scope read:organization",
        ),
        ({"forgejo_token": "tok-repo-0123456789", "repository": None, "user": True}, "lacks the scope write:user"),
        (
            {"forgejo_token": "tok-carol-0123456789", "repository": None, "organization": "acme"},
            "not in the organisation's Owners team",
        ),
        ({"forgejo_token": "tok-eblume\n-0123456789"}, "forgejo_token contains a blank, a control character"),
        ({"forgejo_url": "ftp://forge"}, "must be an address such as https://"),
        ({"forgejo_url": "http://127.0.0.1:9"}, "refuses connections"),
        ({"ca_path": "/nonexistent.pem"}, "the CA file /nonexistent.pem cannot be read"),
    ],
)
def test_refused(forge: Forge, arguments: dict[str, Any], says: str) -> None:
    before = forge.state.read_text() if forge.state.exists() else ""
    outcome = forge.run(**{**REPO, **arguments})
    assert outcome.failed
    assert says in outcome.msg
    assert "\n" not in outcome.msg
    assert "Traceback" not in outcome.output
    assert (forge.state.read_text() if forge.state.exists() else "") == before


def test_a_token_with_a_newline_at_its_end_is_taken(forge: Forge) -> None:
    assert not forge.run(**{**REPO, "forgejo_token": "tok-eblume-0123456789\n"}).failed


def test_an_address_with_a_path_is_named(forge: Forge) -> None:
    outcome = forge.run(**REPO, forgejo_url=f"{forge.part.url}/api/v1")
    assert "forgejo_url must be the address of Forgejo itself, without /api" in outcome.msg


@pytest.mark.parametrize(("repository", "says"), [("archived", "is archived"), ("noactions", "has Actions turned off")])
def test_stored_and_never_seen_is_a_warning(forge: Forge, repository: str, says: str) -> None:
    outcome = forge.run(repository=f"eblume/{repository}", name="X", value=VALUE)
    assert outcome.changed
    assert any(says in str(warning) for warning in outcome.result["warnings"])
    assert forge.stored(f"repos/eblume/{repository}")["X"] == VALUE


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (["html"], "with HTML instead of JSON"),
        (["html:method=PUT"], "with HTML instead of JSON"),
        (["cut"], "with JSON that is cut or broken instead of JSON"),
        (["empty"], "instead of JSON"),
        (["reset"], "broke the connection before its answer was complete"),
        (["reset:method=PUT,after"], "broke the connection before its answer was complete"),
        (["delay:seconds=20"], "gave no answer within 1 s"),
        (["401"], "does not accept forgejo_token"),
        (["403"], "Forgejo refuses it"),
        (["409:method=PUT"], "somebody else has created it meanwhile"),
        (["429:retry_after=60"], "asked too often"),
        (["500"], "Forgejo answered 500"),
        (["500:method=PUT"], "Forgejo answered 500"),
        (["503"], "Forgejo answered 503"),
        (["302:location=https://sso.example/login"], "redirects to https://sso.example: set forgejo_url"),
        (["refuse"], "refuses connections"),
        (["tls"], "TLS"),
        (["tls-host"], "TLS"),
    ],
)
def test_disturbed(start: Start, faults: list[str], says: str) -> None:
    forge = start(*(argument for fault in faults for argument in ("--fault", fault)))
    outcome = forge.run(**REPO, timeout=1.0)
    assert outcome.failed
    assert says in outcome.msg
    assert "\n" not in outcome.msg
    assert "Traceback" not in outcome.output


@pytest.mark.parametrize("fault", ["429:first=2,times=1,retry_after=1", "503:first=3,times=1", "reset:first=3,times=1"])
def test_a_passing_disturbance_is_passed_over(start: Start, fault: str) -> None:
    forge = start("--fault", fault)
    assert forge.run(**REPO, retries=2).changed
    assert forge.stored("repos/eblume/blumeops") == {"X": VALUE}


def test_first_writes_that_collide_are_repeated_once(start: Start) -> None:
    forge = start("--collide", "1")
    outcome = forge.run(**REPO)
    assert outcome.changed
    assert forge.stored("repos/eblume/blumeops") == {"X": VALUE}


def test_a_500_that_stays_is_an_error(start: Start) -> None:
    forge = start("--collide", "2")
    assert "Forgejo answered 500" in forge.run(**REPO).msg


def test_tls_with_a_ca_of_ones_own(start: Start, tmp_path: Any) -> None:
    ca = tmp_path / "ca.pem"
    forge = start("--tls", str(ca))
    assert "signed by nobody that is trusted here; set ca_path" in forge.run(**REPO).msg
    assert forge.run(**REPO, ca_path=str(ca)).changed
    assert forge.run(**REPO, validate_certs=False).changed


def test_on_create_leaves_an_existing_one_alone(forge: Forge) -> None:
    options: dict[str, Any] = {"repository": "eblume/cv", "name": "ONCE", "update_value": "on_create"}
    assert forge.run(**options, value=VALUE).result["created"] is True
    again = forge.run(**options, value=PEM)
    assert (again.changed, again.result["reason"]) == (False, "present, and update_value is on_create")
    assert forge.stored("repos/eblume/cv")["ONCE"] == VALUE


def test_a_very_short_value_is_warned_of_once(forge: Forge) -> None:
    alone = forge.run(**{**REPO, "value": "zqj"})
    place = {"repository": "eblume/cv", "secrets": [{"name": name, "value": "zqj"} for name in ("A", "B")]}
    many = forge.run("forgejo_actions_secrets", scopes=[place])
    for outcome, named in (
        (alone, "X of repository eblume/blumeops"),
        (many, "A of repository eblume/cv (and of 1 more)"),
    ):
        (warning,) = outcome.result["warnings"]
        assert f"the value of the secret {named} has fewer than 4 characters" in str(warning)
