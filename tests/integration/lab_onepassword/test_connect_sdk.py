"""1Password's own Python client is content with ``lab/connect``, and shows the traps that were measured with it."""

from __future__ import annotations

import json

import onepasswordconnectsdk
import pytest
from onepasswordconnectsdk import errors

from .conftest import TOKEN, Connect


def test_get_item_by_names(connect: Connect, ids: dict[str, str]) -> None:  # [T] 2.5: three requests
    client = onepasswordconnectsdk.new_client(connect().url, TOKEN)
    item = client.get_item("Zot OIDC", "blumeops")
    assert item.id == ids["Zot OIDC"]
    assert {field.label: field.value for field in item.fields}["credential"] == "LAB-zot-oidc-client-secret"


def test_the_safe_subset_patches(connect: Connect, ids: dict[str, str]) -> None:  # [T] 0.2
    client = onepasswordconnectsdk.new_client(connect().url, TOKEN)
    path = f"/v1/vaults/{ids['blumeops']}/items/{ids['Zot OIDC']}"
    body = [{"op": "replace", "path": "/fields/credential/value", "value": "LAB-new"}]
    assert client.build_request("PATCH", path, body).status_code == 200


def test_files_by_the_sdk(connect: Connect, ids: dict[str, str]) -> None:  # [S]
    client = onepasswordconnectsdk.new_client(connect().url, TOKEN)
    file = next(f for f in client.get_files(ids["Forge API"], ids["blumeops"]) if f.name == "ca.pem")
    content = client.get_file_content(file.id, ids["Forge API"], ids["blumeops"])
    assert b"BEGIN CERTIFICATE" in (content if isinstance(content, bytes) else content.encode())


def test_an_error_carries_the_message(connect: Connect, ids: dict[str, str]) -> None:  # [S] 2.6
    client = onepasswordconnectsdk.new_client(connect().url, TOKEN)
    with pytest.raises(errors.FailedToRetrieveVaultException, match="403"):
        client.get_vault(ids["Shared"])


def test_html_is_no_json(connect: Connect, ids: dict[str, str]) -> None:  # [T] 2.6
    client = onepasswordconnectsdk.new_client(connect("--fault", "502").url, TOKEN)
    with pytest.raises(errors.FailedToRetrieveVaultException):
        client.get_vaults()
    client = onepasswordconnectsdk.new_client(connect("--fault", "301").url, TOKEN)
    with pytest.raises((json.JSONDecodeError, errors.FailedToRetrieveVaultException)):
        client.get_vaults()
