"""What contracts/forgejo.md says and the recordings do not hold: each row names its section."""

from __future__ import annotations

import base64
import http
import http.client
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from lab.running import Part
from tests.integration.lab_forgejo.conftest import Ask

SECRETS = "/repos/eblume/blumeops/actions/secrets"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def message(response: requests.Response) -> str:
    text: str = response.json()["message"]
    return text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "[Data]: Required"),
        (b"{}", "[Data]: Required"),
        (b"null", "[Data]: Required"),
        (b'{"value": "x"}', "[Data]: Required"),
        (b"[1]", "[]: invalid character '[' looking for beginning of value"),
        (b"hello", "[]: invalid character 'h' looking for beginning of value"),
        (b"\xef\xbb\xbf{}", "[]: invalid character '\u00ef' looking for beginning of value"),
        (b'{"data": 7}', "[]: json: cannot unmarshal number into Go struct field %s.Data of type string"),
        (b'{"data": []}', "[]: json: cannot unmarshal array into Go struct field %s.Data of type string"),
        (b'{"data": {}}', "[]: json: cannot unmarshal object into Go struct field %s.Data of type string"),
        (b'{"data": true}', "[]: invalid character 't' looking for beginning of value"),
        (b'{"data": "x', "[]: json: string unexpected end of JSON input"),
        (b'{"data" "x"}', "[]: expected colon after object key"),
        (b'{"data": "x" "y"}', "[]: expected comma after object element"),
        (b'{"other": [1, "]"', "[]: json: array of object unexpected end of JSON input"),
    ],
)
def test_a_body_that_is_refused(ask: Ask, body: bytes, text: str) -> None:
    response = ask("ROOT", "PUT", f"{SECRETS}/REFUSED", data=body, headers=JSON)
    assert response.status_code == 422
    assert message(response) == text.replace("%s", "CreateOrUpdateSecretOption")


@pytest.mark.parametrize(
    ("body", "headers", "value"),
    [
        (b'{"data": "a\\r\\nb\\r\\n"}', JSON, "a\r\nb\r\n"),
        (b'{"DATA": " "}', JSON, " "),
        (b'{"data": "\\u0000\\ud83d\\ude00"}', JSON, "\0\U0001f600"),
        (b'{"data": "\xff\xfe!"}', JSON, "\ufffd\ufffd!"),
        (b'{"data": "\\ud83d!"}', JSON, "\ufffd!"),
        (b'{"extra": {"a": [1, "}"]}, "data": "x"} trailing', JSON, "x"),
        (b"data=a%0D%0Ab+c", FORM, "a\r\nb c"),
    ],
)
def test_a_body_that_is_taken(ask: Ask, body: bytes, headers: dict[str, str], value: str) -> None:
    """Values of secrets cannot be read back, so the same decoder is watched through a variable."""
    assert ask("ROOT", "PUT", f"{SECRETS}/TAKEN", data=body, headers=headers).status_code in {201, 204}
    variable = "/repos/eblume/blumeops/actions/variables/TAKEN"
    ask("ROOT", "DELETE", variable)
    for old, new in ((b"data", b"value"), (b"DATA", b"VALUE")):
        body = body.replace(old, new)
    assert ask("ROOT", "POST", variable, data=body, headers=headers).status_code == 204
    assert ask("ROOT", "GET", variable).json()["data"] == value.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("headers", "text"),
    [({}, "[]: Empty Content-Type"), ({"Content-Type": "text/plain"}, "[]: Unsupported Content-Type")],
)
def test_a_content_type_that_is_refused(ask: Ask, headers: dict[str, str], text: str) -> None:
    response = ask("ROOT", "PUT", f"{SECRETS}/REFUSED", data=b"" if not headers else b"x", headers=headers)
    assert (response.status_code, message(response)) == (422, text)


@pytest.mark.parametrize(
    "name",
    ["1X", "A-B", "A.B", "A%20B", "A%2FB", "%C3%A9", "%25", "A+B", "A%0A", "GITHUB_TOKEN", "gitea_x", "Github_x"],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_name_that_is_refused(ask: Ask, name: str, method: str) -> None:
    response = ask("ROOT", method, f"{SECRETS}/{name}", json={"data": "x"})
    assert (response.status_code, message(response)) == (400, "invalid secret name")


@pytest.mark.parametrize("name", ["FORGEJO_TOKEN", "CI", "ACTIONS_X", "_U", "GITHUB", "R" * 4000])
def test_a_name_that_is_taken(ask: Ask, name: str) -> None:
    assert ask("ROOT", "PUT", f"{SECRETS}/{name}", json={"data": "x"}).status_code == 201
    assert ask("ROOT", "DELETE", f"{SECRETS}/{name.lower()}").status_code == 204


@pytest.mark.parametrize(("method", "path"), [("PUT", SECRETS), ("PUT", f"{SECRETS}/"), ("HEAD", SECRETS)])
def test_no_name_is_no_verb_of_the_list(ask: Ask, method: str, path: str) -> None:
    response = ask("ROOT", method, path)
    assert (response.status_code, response.content, response.headers["Allow"]) == (405, b"", "GET")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "OPTIONS"])
def test_allow_names_one_verb_only(ask: Ask, method: str) -> None:
    allowed = {ask("ROOT", method, f"{SECRETS}/X").headers["Allow"] for _ in range(4)}
    assert allowed == {"PUT", "DELETE"}


@pytest.mark.parametrize(
    "path",
    ["/user/actions/secrets", "/users/eblume/actions/secrets", "/admin/actions/secrets", "/admin/actions/variables"],
)
def test_what_does_not_exist(ask: Ask, path: str) -> None:
    for token in (None, "ROOT", "OWEN"):
        response = ask(token, "GET", path)
        assert (response.status_code, response.text) == (404, "404 page not found\n")
        assert response.headers["Content-Type"].startswith("text/plain")
    # Measured on the commit of the recordings: a wrong token is noticed before the route.
    refused = ask("wrong", "GET", path)
    assert (refused.status_code, refused.json()["message"]) == (401, "user does not exist [uid: 0, name: ]")


@pytest.mark.parametrize(
    ("token", "path", "status", "text"),
    [
        ("WALT", "repos/owen/own", 403, "user should be the owner of the repo"),  # a collaborator with admin
        ("ADA", "repos/acme/app", 201, ""),  # a team with the permission admin
        ("ADA", "orgs/acme", 403, "Must be an organization owner"),
        ("OWEN", "repos/acme/vault", 201, ""),
        ("OWEN", "orgs/acme", 201, ""),
        ("ROOT", "repos/acme/vault", 201, ""),
        ("STRANGER", "repos/eblume/cv", 404, "The target couldn't be found."),
        ("STRANGER", "repos/hidden/thing", 404, "The target couldn't be found."),
        (None, "repos/hidden/thing", 404, "The target couldn't be found."),
        ("ADA", "repos/eblume/cv", 403, "user should be the owner of the repo"),
        ("PUBLIC", "repos/eblume/cv", 403, "token scope is limited to public repos"),
        ("PUBLIC_OWEN", "repos/eblume/cv", 404, "The target couldn't be found."),
        ("PUBLIC", "orgs/hidden", 403, "token scope is limited to public orgs"),
        ("PUBLIC", "orgs/acme", 201, ""),
        ("READ", "repos/nobody/x", 403, "token does not have at least one of required scope(s): [write:repository]"),
        ("REPO", "orgs/acme", 403, "token does not have at least one of required scope(s): [write:organization]"),
        ("REPO", "user", 403, "token does not have at least one of required scope(s): [write:user]"),
        (None, "repos/eblume/cv", 404, "The target couldn't be found."),
        (None, "repos/eblume/blumeops", 401, "token is required"),
        ("ROOT", "repos/eblume/blumeops.git", 404, "The target couldn't be found."),
        ("ROOT", "repos/eblume/archived", 201, ""),
        ("ROOT", "repos/eblume/noactions", 201, ""),
        ("ROOT", "repos/EBlume//BlumeOps/", 201, ""),
        ("ROOT", "orgs/eblume", 404, "GetOrgByName"),
        ("ROOT", "repos/nobody/x", 404, "GetUserByName"),
        (
            "BARRED",
            "user",
            403,
            "This account is prohibited from signing in, please contact your site administrator.",
        ),
    ],
)
def test_who_may_write_where(ask: Ask, token: str | None, path: str, status: int, text: str) -> None:
    secret = f"/{path}/actions/secrets/WHO"
    response = ask(token, "PUT", secret, json={"data": "x"})
    assert response.status_code == status
    assert (message(response) if response.content else "") == text
    if status == 201:
        assert ask(token, "DELETE", secret).status_code == 204


def test_a_password_that_must_be_changed(forgejo: Part, ask: Ask) -> None:
    response = ask("FRESH", "GET", "/repos/eblume/blumeops")
    text = f"You must change your password. Change it at: {forgejo.url}//user/change_password"
    assert (response.status_code, response.json()) == (403, {"message": text})


def test_a_missing_owner_is_named(ask: Ask) -> None:
    body = ask("ROOT", "GET", "/repos/NobodyHere/x/actions/secrets").json()
    assert body["errors"] == ["user redirect does not exist [name: nobodyhere]"]


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/repos/eblume/oldname/actions/secrets/R?a=%20b", 301, "/repos/eblume/newname/actions/secrets/R?a=%20b"),
        ("/repos/oldorg/app/actions/secrets/R", 307, "/repos/acme/app/actions/secrets/R"),
        ("/orgs/oldorg/actions/secrets/R", 307, "/orgs/acme/actions/secrets/R"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_renamed(ask: Ask, method: str, path: str, status: int, location: str) -> None:
    if method == "GET":
        path, location = path.replace("/R", "", 1), location.replace("/R", "", 1)
    response = ask("ROOT", method, path, json={"data": "x"})
    # Measured on the commit of the recordings: only the answer to a GET has a body.
    text = f'<a href="/api/v1{location}">{http.HTTPStatus(status).phrase}</a>.\n\n' if method == "GET" else ""
    assert (response.status_code, response.text) == (status, text)
    assert response.headers["Location"] == f"/api/v1{location}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("eblume", "user does not exist [uid: 0, name: ]"),
        ("acme:x", "user's password isn't set [uid: 8, name: acme]"),
        ("nobody:x", "user does not exist [uid: 0, name: nobody]"),
    ],
    ids=["no colon", "organisation", "nobody"],
)
def test_basic_credentials_that_are_none(ask: Ask, given: str, said: str) -> None:
    """Measured on the commit of the recordings."""
    basic = "Basic " + base64.b64encode(given.encode()).decode()
    response = ask(None, "GET", "/user", headers={"Authorization": basic})
    assert response.status_code == 401
    assert re.sub(r"uid: [1-9]\d*", "uid: 8", response.json()["message"]) == said


def test_a_page_beyond_every_number_is_the_first(ask: Ask) -> None:
    """Measured on the commit of the recordings: the offset overflows."""
    for name in "ABC":
        ask("ROOT", "PUT", f"{SECRETS}/{name}", json={"data": "x"})
    first = ask("ROOT", "GET", f"{SECRETS}?page=1&limit=2").json()
    assert [one["name"] for one in first] == ["A", "B"]
    for page in ("4611686018427387905", "9" * 19, "9" * 40):
        assert ask("ROOT", "GET", f"{SECRETS}?page={page}&limit=2").json() == first, page
    assert ask("ROOT", "GET", f"{SECRETS}?page=99&limit=2").json() == []


def test_the_first_value_of_a_form_wins_even_if_it_is_empty(ask: Ask) -> None:
    """Measured on the commit of the recordings."""
    assert ask("ROOT", "PUT", f"{SECRETS}/F?data=zz", data=b"data=", headers=FORM).status_code == 422
    assert ask("ROOT", "PUT", f"{SECRETS}/F?data=zz", data=b"", headers=FORM).status_code == 201


def test_a_new_name_that_is_not_visible_is_not_told(ask: Ask) -> None:
    assert ask("OWEN", "GET", "/repos/eblume/gone/actions/secrets").status_code == 404
    assert ask("ROOT", "GET", "/repos/eblume/gone/actions/secrets").status_code == 301


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status", "text"),
    [
        ("token OWEN", 204, ""),
        ("Token OWEN", 204, ""),
        ("TOKEN OWEN", 204, ""),
        ("Bearer OWEN", 204, ""),
        ("bearer OWEN", 204, ""),
        (_basic("owen:OWEN"), 204, ""),
        (_basic("owen:correct horse"), 204, ""),
        (_basic("OWEN:"), 204, ""),
        (_basic("owen:wrong"), 401, "user's password is invalid [uid: 2, name: owen]"),
        (_basic("noone:wrong"), 401, "user does not exist [uid: 0, name: noone]"),
        (_basic("barred:pw"), 401, "user is not allowed login [uid: 6, name: barred]"),
        ("OWEN", 401, "token is required"),
        ("token owen", 401, "user does not exist [uid: 0, name: ]"),
    ],
)
def test_forms_of_a_credential(ask: Ask, authorization: str, status: int, text: str) -> None:
    path = "/repos/owen/own/actions/secrets/FORMS"
    ask("OWEN", "PUT", path, json={"data": "x"})
    response = ask(None, "PUT", path, json={"data": "x"}, headers={"Authorization": authorization})
    assert (response.status_code, message(response) if response.content else "") == (status, text)


def test_a_token_in_the_query_works_with_a_warning(ask: Ask) -> None:
    response = ask(None, "GET", "/repos/owen/own/actions/secrets?token=OWEN")
    assert response.status_code == 200
    assert "deprecated" in response.headers["Warning"]


@pytest.mark.parametrize("kind", ["secrets", "variables"])
@pytest.mark.parametrize(
    ("query", "length"),
    [("", 73), ("?limit=10", 73), ("?page=0", 73), ("?page=-1&limit=5", 73), ("?page=abc", 73), ("?page=1", 30),
     ("?page=1&limit=10", 10), ("?page=1&limit=1000", 50), ("?page=2&limit=1000", 23), ("?page=1&limit=-3", 30),
     ("?page=1&limit=abc", 30), ("?page=9", 0)],
)  # fmt: skip
def test_pages(ask: Ask, kind: str, query: str, length: int) -> None:
    base = f"/repos/owen/own/actions/{kind}"
    method, key = ("PUT", "data") if kind == "secrets" else ("POST", "value")
    for number in range(73):
        ask("OWEN", method, f"{base}/PAGED_{number:02}", json={key: "x"})
    ask("OWEN", "DELETE", f"{base}/FORMS")
    response = ask("OWEN", "GET", base + query)
    names = [item["name"] for item in response.json()]
    assert len(names) == length
    assert names == sorted(names)
    assert response.headers["X-Total-Count"] == "73"
    assert "Link" not in response.headers


def test_created_at_stays_on_update(ask: Ask, world_file: str) -> None:
    from lab.running import standin
    from tests.integration.lab_forgejo.conftest import asking

    with standin("forgejo", "--world", world_file, "--tick", "60") as part:
        ask = asking(part.url)
        path = "/repos/owen/own/actions/secrets"

        def created() -> Any:
            return ask("OWEN", "GET", path).json()[0]["created_at"]

        assert ask("OWEN", "PUT", f"{path}/A", json={"data": "1"}).status_code == 201
        first = created()
        assert ask("OWEN", "PUT", f"{path}/A", json={"data": "2"}).status_code == 204
        assert created() == first
        ask("OWEN", "DELETE", f"{path}/A")
        ask("OWEN", "PUT", f"{path}/A", json={"data": "2"})
        assert created() > first


def test_variables(ask: Ask) -> None:
    base = "/orgs/acme/actions/variables"
    assert ask("OWEN", "PUT", f"{base}/NEW", json={"value": "1"}).status_code == 404
    assert ask("OWEN", "POST", f"{base}/new", json={"value": "1"}).status_code == 204
    conflict = ask("OWEN", "POST", f"{base}/New", json={"value": "1"})
    assert (conflict.status_code, message(conflict)) == (409, "variable name New already exists")
    assert ask("OWEN", "POST", f"{base}/OTHER", json={"value": "a\r\nb\rc\n"}).status_code == 204
    assert ask("OWEN", "GET", f"{base}/other").json()["data"] == "a\nb\rc\n"
    duplicate = ask("OWEN", "PUT", f"{base}/NEW", json={"name": "other", "value": "2"})
    assert (duplicate.status_code, message(duplicate)) == (500, "")
    told = ask("ROOT", "PUT", f"{base}/NEW", json={"name": "other", "value": "2"})
    assert message(told).startswith("UNIQUE constraint failed: action_variable.")
    assert ask("OWEN", "PUT", f"{base}/NEW", json={"name": "newer", "value": "2"}).status_code == 204
    assert ask("OWEN", "PUT", f"{base}/NEWER", json={"name": "1bad", "value": "2"}).status_code == 400
    assert message(ask("OWEN", "POST", f"{base}/ci", json={"value": "1"})) == "env name cannot be ci"
    assert [item["name"] for item in ask("OWEN", "GET", base).json()] == ["NEWER", "OTHER"]
    assert ask("OWEN", "DELETE", f"{base}/NEWER").status_code == 204
    assert message(ask("OWEN", "DELETE", f"{base}/NEWER")) == "variable not found"


def test_go_escapes_on_the_wire(ask: Ask) -> None:
    path = "/user/actions/variables/ESCAPED"
    ask("OWEN", "POST", path, json={"value": "<&>\u2028é"})
    assert '"data":"\\u003c\\u0026\\u003e\\u2028é"' in ask("OWEN", "GET", path).text


@pytest.mark.parametrize(
    ("token", "body", "status", "text"),
    [
        ("ROOT", {"ref": "main", "inputs": {"container": "navidrome"}}, 204, ""),
        ("ROOT", {"ref": "main"}, 400, "input required for 'container'"),
        ("ROOT", {"inputs": {"container": "x"}}, 400, "ref is empty"),
        ("ROOT", {"ref": "nope", "inputs": {"container": "x"}}, 500, "could not expand reference 'nope'"),
        ("WALT", {"ref": "nope", "inputs": {"container": "x"}}, 500, ""),
        ("STRANGER", {"ref": "main"}, 403, "user should have a permission to write to a repo"),
        (None, {"ref": "main"}, 401, "token is required"),
        ("ROOT", {"ref": "main", "inputs": {"container": 1}}, 422,
         "[]: json: cannot unmarshal number into Go struct field DispatchWorkflowOption.Inputs of type string"),
    ],
)  # fmt: skip
def test_dispatch(ask: Ask, token: str | None, body: dict[str, Any], status: int, text: str) -> None:
    response = ask(token, "POST", "/repos/eblume/blumeops/actions/workflows/build.yaml/dispatches", json=body)
    assert (response.status_code, message(response) if response.content else "") == (status, text)


def test_a_dispatched_run_is_listed(ask: Ask) -> None:
    base = "/repos/eblume/blumeops/actions"
    body = {"ref": "main", "inputs": {"container": "navidrome"}, "return_run_info": True}
    answer = ask("ROOT", "POST", f"{base}/workflows/build.yaml/dispatches", json=body)
    run = answer.json()
    assert (answer.status_code, run["jobs"]) == (201, ["build"])
    listed = ask("ROOT", "GET", f"{base}/runs").json()
    assert listed["workflow_runs"][0]["id"] == run["id"]
    assert listed["total_count"] == len(listed["workflow_runs"])
    assert ask("ROOT", "GET", f"{base}/tasks").json()["workflow_runs"][0]["status"] == "success"
    missing = ask("ROOT", "POST", f"{base}/workflows/nope.yaml/dispatches", json=body)
    assert (missing.status_code, message(missing)) == (500, "workflow not found")


@pytest.mark.parametrize(
    ("repo", "archived", "actions"), [("archived", True, True), ("noactions", False, False), ("blumeops", False, True)]
)
def test_a_repository_tells_what_a_write_does_not(ask: Ask, repo: str, archived: bool, actions: bool) -> None:
    body = ask("REPO", "GET", f"/repos/eblume/{repo}").json()
    assert (body["archived"], body["has_actions"], body["permissions"]["admin"]) == (archived, actions, True)


def test_what_needs_no_token(forgejo: Part, ask: Ask) -> None:
    assert ask(None, "GET", "/version").status_code == 200
    assert ask(None, "GET", "/settings/api").json()["max_response_items"] == 50
    assert requests.get(f"{forgejo.url}/api/healthz", timeout=5).json()["status"] == "pass"
    assert message(ask("REPO", "GET", "/user")).endswith("[read:user]")


def test_a_large_value_in_chunks_after_100_continue(forgejo: Part) -> None:
    connection = http.client.HTTPConnection(urlsplit(forgejo.url).netloc, timeout=20)
    connection.putrequest("PUT", f"/api/v1{SECRETS}/LARGE")
    for name, value in (("Authorization", "token ROOT"), ("Content-Type", "application/json"),
                        ("Transfer-Encoding", "chunked"), ("Expect", "100-continue")):  # fmt: skip
        connection.putheader(name, value)
    connection.endheaders(b'{"data": "' + b"x" * 4_000_000 + b'"}', encode_chunked=True)
    assert connection.getresponse().status == 201
    connection.close()
