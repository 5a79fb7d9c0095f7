"""What ``lab/connect`` answers to reads, each with the mark of the fact in contracts/onepassword.md."""

from __future__ import annotations

import json
import pathlib
import urllib.parse
from typing import Any

import pytest

from .conftest import Connect


def message(answer: Any) -> tuple[int, str]:
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["message"]


def test_heartbeat_and_health_need_no_token_and_have_no_v1(connect: Connect) -> None:  # [S] 1.1, [I connect#93]
    client = connect(token=None)
    beat = client.get("/heartbeat")
    assert (beat.status_code, beat.text, beat.headers["Content-Type"].split(";")[0]) == (200, ".", "text/plain")
    health = client.get("/health").json()
    assert health["name"] == "1Password Connect API"
    assert {entry["service"]: entry["status"] for entry in health["dependencies"]}["sqlite"] == "ACTIVE"
    assert client.get("/v1/heartbeat").status_code == 404


def test_every_answer_names_the_version(connect: Connect) -> None:  # [S] connect-sdk-go version.go, 1.3.0
    client = connect()
    for path in ("/v1/vaults", "/nothing", "/heartbeat"):
        assert client.get(path).headers["1Password-Connect-Version"] == "1.8.1"


@pytest.mark.parametrize("token", [None, "nobody", ""])
def test_a_token_that_is_none_gets_401(connect: Connect, token: str | None) -> None:  # [I connect#54, #78]
    assert message(connect(token=token).get("/v1/vaults")) == (401, "Authentication: (Invalid bearer token)")


def test_vaults_are_a_bare_list_of_those_granted(connect: Connect) -> None:  # [S], [X] op fails on a wrapped list
    client = connect()
    assert [vault["name"] for vault in client.get("/v1/vaults").json()] == ["blumeops"]
    assert {v["name"] for v in connect(token="LAB-connect-read").get("/v1/vaults").json()} == {"blumeops", "Shared"}


def test_a_slash_at_the_end_is_taken(connect: Connect, ids: dict[str, str]) -> None:  # [S] connect-sdk-js
    client = connect()
    assert client.get("/v1/vaults/").json() == client.get("/v1/vaults").json()
    path = f"/v1/vaults/{ids['blumeops']}/items"
    assert client.get(f"{path}/").json() == client.get(path).json()


def test_a_vault_not_granted_and_one_that_is_not_are_both_403(connect: Connect, ids: dict[str, str]) -> None:  # [X]
    client = connect()
    for vault in (ids["Shared"], "z" * 26):
        expected = (403, f"Authorization: token does not have access to vault {vault}")
        assert message(client.get(f"/v1/vaults/{vault}")) == expected
        assert message(client.get(f"/v1/vaults/{vault}/items")) == expected


def test_a_name_in_the_path_is_400(connect: Connect, ids: dict[str, str]) -> None:  # [I eso#1202, connect#45]
    client = connect()
    assert message(client.get("/v1/vaults/blumeops/items")) == (400, "Invalid Vault UUID")
    path = f"/v1/vaults/{ids['blumeops']}/items/Forge%20API"
    assert message(client.get(path)) == (400, "Invalid Item UUID")


def test_which_is_checked_first_is_a_switch(connect: Connect) -> None:  # [?] 7.1.3
    assert connect("--scope-first").get("/v1/vaults/blumeops/items").status_code == 403


def test_items_of_a_list_have_no_fields(connect: Connect, ids: dict[str, str]) -> None:  # [S]
    for item in connect().get(f"/v1/vaults/{ids['blumeops']}/items").json():
        assert not {"fields", "sections", "files"} & set(item)
        assert item["vault"] == {"id": ids["blumeops"], "name": "blumeops"}


def test_an_item_leaves_out_what_is_empty(connect: Connect, ids: dict[str, str]) -> None:  # [S] 1.6
    item = connect().get(f"/v1/vaults/{ids['blumeops']}/items/{ids['Forge API']}").json()
    assert item["createdAt"].endswith("Z")  # [X] an offset breaks Go clients
    assert isinstance(item["lastEditedBy"], str)
    assert {"id": "add more"} in item["sections"]
    fields = {field["id"]: field for field in item["fields"]}
    assert "value" not in fields["notesPlain"]
    assert "label" not in fields["399BE6B606F64D04AEF7516C8CB286BA"]
    otp = next(field for field in item["fields"] if field["type"] == "OTP")  # [T][I sdk#12]: not TOTP
    assert otp["id"].startswith("TOTP_")  # [S] terraform 2.0.0
    assert otp["totp"].isdigit()
    assert len(otp["totp"]) == 6
    assert all("content" not in file and "text" not in file for file in item["files"])


def test_an_item_that_is_not_there(connect: Connect, ids: dict[str, str]) -> None:  # [S]
    missing = "a" * 26
    path = f"/v1/vaults/{ids['blumeops']}/items/{missing}"
    assert message(connect().get(path)) == (404, f"item {missing} not found")


@pytest.mark.parametrize("encode", [urllib.parse.quote, urllib.parse.quote_plus])  # [I operator#132]
@pytest.mark.parametrize("name", ["name", "title"])  # [S][X]: both on vaults
def test_filter_on_vaults(connect: Connect, encode: Any, name: str) -> None:
    client = connect(token="LAB-connect-read")
    found = client.get("/v1/vaults?filter=" + encode(f'{name} eq "Shared"')).json()
    assert [vault["name"] for vault in found] == ["Shared"]


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ('title eq "Forge API"', ["Forge API"]),  # [S]
        ('title co "Forge"', ["Forgejo Secrets", "Forge API"]),  # [S] connect-sdk-js
        ('tag eq "ci"', ["Forgejo Secrets"]),  # [D]
        ('title eq "Odd / Name (1)"', ["Odd / Name (1)"]),  # [T] survives percent-encoding
        ('title eq "Twice"', ["Twice", "Twice"]),  # [S] 0..n
        ('title eq "nothing"', []),  # [S]; it must be applied [X]
    ],
)
def test_filter_on_items(connect: Connect, ids: dict[str, str], text: str, titles: list[str]) -> None:
    path = f"/v1/vaults/{ids['blumeops']}/items?filter=" + urllib.parse.quote(text, safe="")
    assert [item["title"] for item in connect().get(path).json()] == titles


@pytest.mark.parametrize("text", ['title eq "Forge', '"', 'title eq "a"b"'])
def test_a_lone_quote_in_a_filter_is_400(connect: Connect, ids: dict[str, str], text: str) -> None:  # [S] 1.5.2
    path = f"/v1/vaults/{ids['blumeops']}/items?filter=" + urllib.parse.quote(text, safe="")
    assert connect().get(path).status_code == 400


def test_case_of_a_filter_is_a_switch(connect: Connect, ids: dict[str, str]) -> None:  # [?] for titles
    path = f"/v1/vaults/{ids['blumeops']}/items?filter=" + urllib.parse.quote('title eq "forge api"')
    assert (len(connect().get(path).json()), len(connect("--filter-case").get(path).json())) == (1, 0)


def test_archived_in_lists_is_a_switch(connect: Connect, ids: dict[str, str]) -> None:  # [?]
    path = f"/v1/vaults/{ids['blumeops']}/items"
    states = {item["title"]: item.get("state") for item in connect().get(path).json()}
    assert (states["Old Key"], states["Forge API"]) == ("ARCHIVED", None)  # [S] absent when active
    assert "Old Key" not in {item["title"] for item in connect("--hide-archived").get(path).json()}


def test_files(connect: Connect, ids: dict[str, str]) -> None:  # [S] 1.2
    client = connect("--inline-limit", "50")
    base = f"/v1/vaults/{ids['blumeops']}/items/{ids['Forge API']}/files"
    files = {file["name"]: file for file in client.get(base).json()}
    assert files["blob.bin"]["size"] == 10
    content = client.get(files["blob.bin"]["content_path"])
    assert content.headers["Content-Type"] == "application/octet-stream"
    assert "blob.bin" in content.headers["Content-Disposition"]
    assert content.content == bytes.fromhex("00ff80c328e228a100ff")
    large = client.get(f"{base}/{files['ca.pem']['id']}?inline_files=true")
    assert large.status_code == 413
    assert message(large)[1].startswith("File is too large to inline in request.")
    assert client.get(f"{base}/{files['blob.bin']['id']}?inline_files=true").json()["content"]
    assert message(client.get(f"{base}/{'x' * 26}")) == (404, f"file {'x' * 26} not found")


def test_a_file_is_500_until_it_is_synced(connect: Connect, ids: dict[str, str]) -> None:  # [S] operator connect.go
    client = connect("--unsynced-files", "1")
    base = f"/v1/vaults/{ids['blumeops']}/items/{ids['Forge API']}/files"
    path = client.get(base).json()[0]["content_path"]
    assert [client.get(path).status_code for _ in range(2)] == [500, 200]


def test_the_first_request_can_be_500_until_the_server_is_synced(connect: Connect) -> None:  # [I sdk-python#9]
    client = connect("--unsynced", "1")
    first = message(client.get("/v1/vaults"))
    assert first == (500, "failed to initiate, review service logs for details")
    assert client.get("/v1/vaults").status_code == 200


def test_activity_is_paged(connect: Connect) -> None:  # [S]
    client = connect()
    client.get("/v1/vaults")
    assert client.get("/v1/activity?limit=1").headers["Content-Range"] == "1-1/2"


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ("401", 401, "Authentication: (Invalid bearer token)"),  # [I]
        ("409", 409, "Conflict"),  # [S]: the status; its words are ours
        ("429:retry_after=3", 429, "Too Many Requests"),
        ("500", 500, "Something went wrong"),  # [I connect#93]
    ],
)
def test_a_fault_answers_as_connect_does(connect: Connect, fault: str, status: int, said: str) -> None:
    answer = connect("--fault", fault).get("/v1/vaults")
    assert message(answer) == (status, said)
    assert answer.headers.get("Retry-After") == ("3" if status == 429 else None)


def test_403_once(connect: Connect) -> None:  # [I connect#82, eso#4205]: transient up to 1.7.x
    client = connect("--fault", "403:times=1")
    assert [client.get("/v1/vaults").status_code for _ in range(2)] == [403, 200]


def test_no_secret_is_in_the_log(
    connect: Connect, ids: dict[str, str], world: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    client = connect()
    for title in ("Forge API", "Forgejo Secrets", "zot-ci"):
        client.get(f"/v1/vaults/{ids['blumeops']}/items/{ids[title]}")
    log = (tmp_path / "connect.jsonl").read_text()
    assert [json.loads(line)["status"] for line in log.splitlines()] == [200, 200, 200]
    values = {f["value"] for v in world["vaults"] for i in v["items"] for f in i["fields"] if f["type"] == "CONCEALED"}
    assert not [value for value in {*values, *world["connect_tokens"]} if value in log]
