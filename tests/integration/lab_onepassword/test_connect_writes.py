"""What ``lab/connect`` answers to writes, each with the mark of the fact in contracts/onepassword.md."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
from typing import Any

import pytest

from .conftest import WORLD, Connect


def field(item: dict[str, Any], field_id: str) -> dict[str, Any]:
    return next(entry for entry in item["fields"] if entry["id"] == field_id)


def path_of(ids: dict[str, str], title: str) -> str:
    return f"/v1/vaults/{ids['blumeops']}/items/{ids[title]}"


def test_patch_of_one_field_by_its_id(connect: Connect, ids: dict[str, str]) -> None:  # [T][I connect#58][X]
    client, path = connect(), path_of(ids, "Forge API")
    before = client.get(path).json()
    answer = client("PATCH", path, json=[{"op": "replace", "path": "/fields/credential/value", "value": "LAB-new"}])
    assert answer.status_code == 200
    assert field(answer.json(), "credential")["value"] == "LAB-new"
    after = client.get(path).json()
    assert after["version"] == before["version"] + 1
    others = {"credential"}
    assert [f for f in after["fields"] if f["id"] not in others and f["type"] != "OTP"] == [
        f for f in before["fields"] if f["id"] not in others and f["type"] != "OTP"
    ]
    assert after["files"] == before["files"]


def test_removed_is_absent(connect: Connect, ids: dict[str, str]) -> None:  # [X]
    client, path = connect(), path_of(ids, "Forge API")
    client("PATCH", path, json=[{"op": "remove", "path": "/fields/credential/value"}])
    assert "value" not in field(client.get(path).json(), "credential")


def test_a_field_can_be_added(connect: Connect, ids: dict[str, str]) -> None:  # [S] spec, "type": "string"
    client, path = connect(), path_of(ids, "Zot OIDC")
    added = {"type": "string", "label": "note", "value": "LAB-note"}
    shown = client("PATCH", path, json=[{"op": "add", "path": "/fields", "value": added}]).json()
    assert [(f["label"], f["type"]) for f in shown["fields"] if f.get("value") == "LAB-note"] == [("note", "STRING")]


@pytest.mark.parametrize("body", [{"op": "replace", "path": "/fields/credential/value", "value": "x"}, "text", None])
def test_patch_wants_a_list(connect: Connect, ids: dict[str, str], body: object) -> None:  # [I connect#61]
    assert connect()("PATCH", path_of(ids, "Forge API"), json=body).status_code == 400


@pytest.mark.parametrize("name", ["test", "move", "copy"])
def test_only_add_remove_replace(connect: Connect, ids: dict[str, str], name: str) -> None:  # [S]
    body = [{"op": name, "path": "/fields/credential/value", "value": "x"}]
    assert connect()("PATCH", path_of(ids, "Forge API"), json=body).status_code == 400


def test_the_leading_slash_is_needed(connect: Connect, ids: dict[str, str]) -> None:  # [I connect#61]
    body = [{"op": "replace", "path": "fields/credential/value", "value": "x"}]
    assert connect()("PATCH", path_of(ids, "Forge API"), json=body).status_code == 400


def test_an_empty_patch_changes_nothing(connect: Connect, ids: dict[str, str]) -> None:  # [S]
    client, path = connect(), path_of(ids, "Forge API")
    before = client.get(path).json()["version"]
    assert client("PATCH", path, json=[]).status_code == 200
    assert client.get(path).json()["version"] == before


def test_a_label_is_no_address(connect: Connect, ids: dict[str, str]) -> None:  # [S]; 400 or 404 is a switch [?]
    body = [{"op": "replace", "path": "/fields/zot-ci-api/value", "value": "x"}]
    path = path_of(ids, "Forgejo Secrets")
    assert connect()("PATCH", path, json=body).status_code == 400
    assert connect("--unknown-field", "404")("PATCH", path, json=body).status_code == 404


def test_put_answers_the_old_version(connect: Connect, ids: dict[str, str]) -> None:  # [S] terraform-provider
    client, path = connect(), path_of(ids, "Zot OIDC")
    item = client.get(path).json()
    assert client("PUT", path, json=item).json()["version"] == item["version"]
    assert client.get(path).json()["version"] == item["version"] + 1


def test_version_of_a_patch_answer_is_a_switch(connect: Connect, ids: dict[str, str]) -> None:  # [?]
    path, body = path_of(ids, "Zot OIDC"), [{"op": "replace", "path": "/fields/credential/value", "value": "x"}]
    shown = [connect(*how)("PATCH", path, json=body).json()["version"] for how in ([], ["--new-version"])]
    assert shown[1] == shown[0] + 1


def test_put_replaces_the_whole_item(connect: Connect, ids: dict[str, str]) -> None:  # [T], [I sdk-python#34]
    client, path = connect(), path_of(ids, "zot-ci")
    item = client.get(path).json()
    item["fields"] = [{key: value for key, value in field(item, "password").items() if key != "purpose"}]
    client("PUT", path, json=item)
    after = client.get(path).json()
    assert [(f["id"], f["type"]) for f in after["fields"]] == [("password", "STRING")]


def test_put_wants_the_ids_in_its_body(connect: Connect, ids: dict[str, str]) -> None:  # [I sdk-js#122]
    assert connect()("PUT", path_of(ids, "zot-ci"), json={"title": "zot-ci"}).status_code == 400


def test_two_passwords_are_refused(connect: Connect, ids: dict[str, str]) -> None:  # [I sdk-python#71]
    client, path = connect(), path_of(ids, "zot-ci")
    item = client.get(path).json()
    item["fields"].append({"purpose": "PASSWORD", "value": "x", "label": "other"})
    answer = client("PUT", path, json=item)
    assert answer.status_code == 400
    assert 'too many "password" fields in Apply()' in answer.json()["message"]


def test_create_answers_200_and_delete_204(connect: Connect, ids: dict[str, str]) -> None:  # [S]
    client, items = connect(), f"/v1/vaults/{ids['blumeops']}/items"
    body = {"title": "New", "category": "PASSWORD", "fields": [{"purpose": "PASSWORD", "generate": True}]}
    made = client("POST", items, json=body)
    assert made.status_code == 200
    assert len(field(made.json(), "password")["value"]) == 32  # [S] the recipe's default
    assert client("DELETE", f"{items}/{made.json()['id']}").status_code == 204
    assert client.get(f"{items}/{made.json()['id']}").status_code == 404


@pytest.mark.parametrize("category", ["CUSTOM", "DOCUMENT"])  # [S] 1.2.0, 1.7.0
def test_what_cannot_be_created(connect: Connect, ids: dict[str, str], category: str) -> None:
    answer = connect()("POST", f"/v1/vaults/{ids['blumeops']}/items", json={"title": "x", "category": category})
    assert (answer.status_code, answer.json()["message"]) == (400, "Invalid item category")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("401", "Unauthorized Request, token does not have write access to the Vault"),
        ("403", "does not have permission"),
    ],
)  # [I terraform#24], [X]: which of the two is a switch
def test_a_write_without_the_right(connect: Connect, ids: dict[str, str], status: str, said: str) -> None:
    client = connect("--write-denied", status, token="LAB-connect-read")
    answer = client("PATCH", path_of(ids, "zot-ci"), json=[])
    assert answer.status_code == int(status)
    assert said in answer.json()["message"]


def test_patch_needs_the_right_to_read_too(connect: Connect, ids: dict[str, str]) -> None:  # [S] 1.7.1
    answer = connect(token="LAB-connect-write")("PATCH", path_of(ids, "zot-ci"), json=[])
    assert answer.status_code == 403


def test_reads_after_a_write_can_be_stale(connect: Connect, ids: dict[str, str]) -> None:  # [S] eventual consistency
    client, path = connect("--stale-reads", "2"), path_of(ids, "Zot OIDC")
    body = [{"op": "replace", "path": "/fields/credential/value", "value": "LAB-new"}]
    assert field(client("PATCH", path, json=body).json(), "credential")["value"] == "LAB-new"
    seen = [field(client.get(path).json(), "credential")["value"] for _ in range(3)]
    assert seen == ["LAB-zot-oidc-client-secret", "LAB-zot-oidc-client-secret", "LAB-new"]


@pytest.mark.parametrize("status", ["409", "500"])  # [S] terraform retry.go: both occur
def test_two_writes_of_a_vault_at_once_conflict(connect: Connect, ids: dict[str, str], status: str) -> None:
    client = connect("--conflict-ms", "600", "--conflict-status", status)
    body = [{"op": "replace", "path": "/fields/credential/value", "value": "x"}]

    def write(title: str) -> int:
        return client("PATCH", path_of(ids, title), json=body).status_code

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(write, ["Zot OIDC", "Forge API"])) == [200, int(status)]


def test_changes_are_kept_in_the_file_on_request(connect: Connect, ids: dict[str, str], tmp_path: pathlib.Path) -> None:
    copy = tmp_path / "vaults.json"
    copy.write_bytes(WORLD.read_bytes())
    client = connect("--save", vaults=copy)
    body = [{"op": "replace", "path": "/fields/credential/value", "value": "LAB-kept"}]
    client("PATCH", path_of(ids, "Zot OIDC"), json=body)
    assert "LAB-kept" in copy.read_text()
    assert json.loads(copy.read_text())["connect_tokens"]
