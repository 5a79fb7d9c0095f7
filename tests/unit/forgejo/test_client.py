"""The client's sentences for every refusal of contracts/forgejo.md, and how it reads lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    Conflict,
    NotFound,
    RateLimited,
    Refused,
    RegistryError,
    ServerError,
    ServiceError,
    UnexpectedAnswer,
)
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client, Condition, Moved
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import Scope
from tests.unit.forgejo.conftest import Script, answer, refusal

Make = Callable[..., tuple[Client, Script]]
REPO, ORG, USER = Scope("repository", "eblume/cv"), Scope("organization", "acme"), Scope("user")
NOT_FOUND = "The target couldn't be found."
SCOPE = "token does not have at least one of required scope(s): [write:repository]"
HTML = answer(200, b"<!DOCTYPE html><title>Sign in</title>", kind="text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("scope", "given", "error", "says"),
    [
        (REPO, refusal(401, "user does not exist [uid: 0, name: ]"), Refused, "does not accept forgejo_token"),
        (REPO, refusal(401, "token is required"), Refused, "does not accept forgejo_token"),
        (REPO, refusal(403, SCOPE), Refused, "lacks the scope write:repository"),
        (REPO, refusal(403, "user should be the owner of the repo"), Refused, "a collaborator, even with admin rights"),
        (ORG, refusal(403, "Must be an organization owner"), Refused, "Owners team"),
        (REPO, refusal(403, "token scope is limited to public repos"), Refused, "limited to what is public"),
        (REPO, answer(403, {"message": "This account is prohibited from signing in, please"}), Refused, "is blocked"),
        (REPO, answer(403, {"message": "You must change your password. Change"}), Refused, "change its password first"),
        (REPO, answer(403, {"message": "something new"}), Refused, "(something new)"),
        (REPO, refusal(404, NOT_FOUND), NotFound, "does not exist, or the token may not see it"),
        (REPO, refusal(404, "GetUserByName"), NotFound, "there is no account eblume"),
        (ORG, refusal(404, "GetOrgByName"), NotFound, "a user is no organisation"),
        (REPO, answer(404, b"404 page not found\n", kind="text/plain"), UnexpectedAnswer, "without /api"),
        (REPO, refusal(400, "invalid secret name"), ServiceError, "does not take the name (invalid secret name)"),
        (REPO, refusal(422, "[Data]: Required"), ServiceError, "does not take the value ([Data]: Required)"),
        (REPO, refusal(429, "slow"), RateLimited, "asked too often"),
        (REPO, refusal(503, ""), ServerError, "answered 503: look into its log"),
        (REPO, answer(502, b"<html>", kind="text/html"), ServerError, "answered 502"),
        (REPO, answer(405, b""), ServiceError, "answered 405"),
        (REPO, HTML, UnexpectedAnswer, "HTML instead of JSON"),
        (REPO, answer(403, b"<html>", kind="text/html"), UnexpectedAnswer, "HTML instead of JSON"),
        (REPO, answer(200, b'[{"na'), UnexpectedAnswer, "cut or broken"),
        (REPO, answer(200, {"ok": True}), UnexpectedAnswer, "another shape"),
        (REPO, answer(200, [1]), UnexpectedAnswer, "another shape"),
        (REPO, answer(200, [{"name": "X"}]), UnexpectedAnswer, "another shape"),
        (
            REPO,
            answer(301, headers={"Location": "/api/v1/repos/eblume/resume/actions/secrets"}),
            Moved,
            "repository eblume/cv has been renamed to eblume/resume: use that name",
        ),
        (
            ORG,
            answer(307, headers={"Location": "/api/v1/orgs/new%20corp/actions/secrets"}),
            Moved,
            "organization acme has been renamed to new corp",
        ),
        (
            REPO,
            answer(301, headers={"Location": "https://u:p@forge.example/api/v1/repos/a/b/actions/secrets?token=t"}),
            UnexpectedAnswer,
            "redirects to https://forge.example: set forgejo_url",
        ),
    ],
)
def test_a_refusal_is_one_sentence(
    scripted: Make, scope: Scope, given: Any, error: type[RegistryError], says: str
) -> None:
    client, _ = scripted(given)
    with pytest.raises(error) as caught:
        client.secrets(scope)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 307])
def test_a_write_is_not_redirected(scripted: Make, status: int) -> None:
    location = "/api/v1/repos/eblume/new/actions/secrets/X"
    client, script = scripted(answer(status, headers={"Location": location}))
    with pytest.raises(Moved) as caught:
        client.put_secret(REPO, "X", "v")
    assert caught.value.new == "eblume/new"
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("first", "second", "created"), [(201, None, True), (204, None, False), (500, 204, False), (500, 201, True)]
)
def test_a_colliding_write_is_repeated_once(scripted: Make, first: int, second: int | None, created: bool) -> None:
    answers = [refusal(first, "") if first == 500 else answer(first)] + ([answer(second)] if second else [])
    client, script = scripted(*answers)
    assert client.put_secret(REPO, "X", "v") is created
    assert script.asked == [("PUT", "/api/v1/repos/eblume/cv/actions/secrets/X", {"data": "v"})] * len(answers)


def test_a_second_500_is_an_error(scripted: Make) -> None:
    client, script = scripted(refusal(500, ""), refusal(500, ""))
    with pytest.raises(ServerError, match="answered 500"):
        client.put_secret(REPO, "X", "v")
    assert len(script.asked) == 2


def test_a_write_that_answers_with_a_page_is_no_success(scripted: Make) -> None:
    client, _ = scripted(HTML)
    with pytest.raises(UnexpectedAnswer, match="HTML"):
        client.put_secret(REPO, "X", "v")


def _named(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "created_at": "2026-11-22T01:34:47Z"} for name in names]


def test_a_whole_list_needs_one_request(scripted: Make) -> None:
    client, script = scripted(answer(200, _named("A", "B"), {"X-Total-Count": "2"}))
    assert list(client.secrets(REPO)) == ["A", "B"]
    assert script.asked == [("GET", "/api/v1/repos/eblume/cv/actions/secrets", None)]


def test_a_list_that_the_server_cuts_is_read_page_by_page(scripted: Make) -> None:
    total = {"X-Total-Count": "3"}
    client, script = scripted(
        answer(200, _named("A"), total), answer(200, _named("A", "B"), total), answer(200, _named("C"), total)
    )
    assert list(client.secrets(ORG)) == ["A", "B", "C"]
    assert [params for _, _, params in script.asked] == [
        None,
        {"page": "1", "limit": "50"},
        {"page": "2", "limit": "50"},
    ]


def test_a_list_that_shrinks_while_it_is_read_ends(scripted: Make) -> None:
    client, _ = scripted(answer(200, _named("A"), {"X-Total-Count": "3"}), answer(200, [], {"X-Total-Count": "3"}))
    assert list(client.secrets(ORG)) == ["A"]


@pytest.mark.parametrize(
    ("given", "gone"), [(answer(204), True), (refusal(404, "secret was not found [name: ]"), False)]
)
def test_deleting(scripted: Make, given: Any, gone: bool) -> None:
    client, _ = scripted(given)
    assert client.delete_secret(USER, "X") is gone


def test_deleting_in_a_missing_repository_is_an_error(scripted: Make) -> None:
    client, _ = scripted(refusal(404, NOT_FOUND))
    with pytest.raises(NotFound):
        client.delete_secret(REPO, "X")


def test_variables(scripted: Make) -> None:
    client, script = scripted(
        refusal(404, "variable not found"),
        answer(204),
        refusal(409, "variable name X already exists"),
        answer(200, {"owner_id": 0, "repo_id": 6, "name": "X", "data": "v"}),
        answer(204),
        answer(200, [{"owner_id": 0, "repo_id": 6, "name": "X", "data": "w"}], {"X-Total-Count": "1"}),
        answer(204),
    )
    assert client.variable(USER, "X") is None
    client.create_variable(USER, "X", "v")
    with pytest.raises(Conflict):
        client.create_variable(USER, "X", "v")
    assert client.variable(USER, "X") == "v"
    client.update_variable(USER, "X", "w")
    assert client.variables(USER) == {"X": "w"}
    assert client.delete_variable(USER, "X")
    assert [method for method, _, _ in script.asked] == ["GET", "POST", "POST", "GET", "PUT", "GET", "DELETE"]
    assert script.asked[1][2] == {"value": "v"}


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        ({"archived": False, "has_actions": True}, ""),
        ({"archived": True, "has_actions": True}, "repository eblume/cv is archived"),
        ({"archived": False, "has_actions": False}, "repository eblume/cv has Actions turned off"),
        ({}, ""),
    ],
)
def test_conditions(scripted: Make, body: dict[str, bool], warning: str) -> None:
    client, _ = scripted(answer(200, body))
    condition: Condition = client.condition(REPO)
    assert condition.warning(REPO).startswith(warning)
    assert bool(condition.warning(REPO)) is bool(warning)
