"""What lint reads beside the policy: keys, versions, logins, options."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy import config_keys, versions
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import (
    CODES,
    Finding,
    listed,
    place,
    shown,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.logins import Logins
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.options import (
    Accepted,
    Gates,
    parse_accepted,
    parse_gates,
    parse_groups,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.versions import ZotVersion

ROOT = pathlib.Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "tests" / "contracts" / "zot" / "config.schema.json").read_text(encoding="utf-8"))


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference, or behind the one of several that is no null."""
    for choice in (schema, *schema.get("anyOf", [])):
        if "$ref" in choice:
            name = choice["$ref"].removeprefix("#/definitions/").replace("~0", "~")
            return resolved(SCHEMA["definitions"][name])
    return schema


def compare(known: Any, schema: dict[str, Any], path: str) -> None:
    """The table knows the very keys of the schema, whatever their case, as deep as it goes."""
    schema = resolved(schema)
    if known is config_keys.ANY:
        return
    if isinstance(known, list):
        compare(known[0], schema["items"], f"{path}[]")
    elif config_keys.EACH in known:
        compare(known[config_keys.EACH], schema["additionalProperties"], f"{path}.*")
    else:
        told = {key.lower(): value for key, value in schema["properties"].items()}
        assert {key.lower() for key in known} == set(told), path
        for key, value in known.items():
            compare(value, told[key.lower()], f"{path}.{key}")


def test_known_keys_are_those_of_the_schema() -> None:
    compare(config_keys.CONFIG, SCHEMA, "config")


def test_unknown_key_is_told_with_the_one_that_was_meant() -> None:
    found = list(config_keys.check_keys({"http": {"adress": "x", "Auth": {"OpenID": {"providers": {"x": {"y": 1}}}}}}))
    assert found == [
        config_keys.UnknownKey(("http",), "adress", "address"),
        config_keys.UnknownKey(("http", "Auth", "OpenID", "providers", "x"), "y", ""),
    ]


@pytest.mark.parametrize(
    ("text", "lowest", "below"),
    [
        ("2.1.20", (2, 1, 20), (2, 1, 21)),
        (" v2.1.20 ", (2, 1, 20), (2, 1, 21)),
        ("v2.1.20-25-g1a2b3c4", (2, 1, 20), (2, 1, 21)),
        ("2.1.20-rc1", (0, 0, 0), (2, 1, 20)),
        (">=2.1.18", (2, 1, 18), None),
        ("< 2.1.18", None, (2, 1, 18)),
        ("", None, None),
        (None, None, None),
    ],
)
def test_version_is_read(text: str | None, lowest: Any, below: Any) -> None:
    version = ZotVersion.parse(text)
    assert (version.lowest, version.below) == (lowest, below)
    assert version.known == (text not in ("", None))


@pytest.mark.parametrize("text", ["2.1", "latest", "2.1.x", ">2.1.18", ">=2.1.18-rc1", "2.1.20 or so", "2" * 50])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no version"):
        ZotVersion.parse(text)


@pytest.mark.parametrize(
    ("text", "asked", "answer"),
    [
        ("2.1.19", versions.IMMUTABLE_BY_DIGEST, True),
        ("2.1.18", versions.IMMUTABLE_BY_DIGEST, False),
        ("2.2.0", versions.IMMUTABLE_BY_DIGEST, True),
        (">=2.1.18", versions.METRICS_ANONYMOUS, True),
        (">=2.1.18", versions.IMMUTABLE_BY_DIGEST, None),
        ("<2.1.18", versions.METRICS_ANONYMOUS, False),
        ("<2.1.18", versions.IMMUTABLE_LATEST, None),
        ("2.1.20-rc1", (2, 1, 20), False),
        ("", versions.IMMUTABLE_LATEST, None),
    ],
)
def test_version_has_reached_another(text: str, asked: versions.Version, answer: bool | None) -> None:
    assert ZotVersion.parse(text).reached(asked) is answer


def provider(key: str, *scopes: str) -> dict[str, Any]:
    return {"http": {"auth": {"openid": {"providers": {key: {"scopes": list(scopes)}}}}}}


@pytest.mark.parametrize(
    ("config", "answer"),
    [
        (provider("oidc", "openid", "email", "profile"), True),  # Authentik's profile scope has the groups
        (provider("oidc", "openid", "email", "groups"), True),
        (provider("oidc", "openid", "urn:zitadel:iam:org:project:roles"), True),
        (provider("oidc", "openid", "email", "offline_access"), False),
        (provider("google", "openid", "profile"), False),
        (provider("gitlab", "openid"), True),
        (provider("github", "user"), True),
        (provider("github", "repo"), False),
        ({"http": {"auth": {"ldap": {"address": "x"}}}}, True),
        ({"http": {"auth": {"htpasswd": {"path": "x"}}}}, False),
        ({"http": {"auth": {"bearer": {"cert": "x"}}}}, True),
        ({"http": {"auth": {"bearer": {"oidc": [{"issuer": "x"}]}}}}, False),
        ({"http": {"auth": {"bearer": {"oidc": [{"claimMapping": {"groups": "claims.groups"}}]}}}}, True),
        ({"HTTP": {"Auth": {"LDAP": {"Address": "x"}}}}, True),
        ({}, False),
    ],
)
def test_logins_that_may_bring_groups(config: dict[str, Any], answer: bool) -> None:
    assert Logins.of(config).may_bring_groups is answer


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        (None, None),
        ([], {}),
        (["admins"], {"admins": ()}),
        ({"admins": ["erich"], "devs": None}, {"admins": ("erich",), "devs": ()}),
    ],
)
def test_declared_groups_are_names_or_have_members(value: object, groups: Any) -> None:
    assert parse_groups(value) == groups


@pytest.mark.parametrize("value", ["admins", 3, {"admins": "erich"}, {"admins": [3]}, {3: []}, [["a"]], [3]])
def test_declared_groups_of_another_form_are_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="declared_groups must be"):
        parse_groups(value)


def test_gates_are_read() -> None:
    told = ["no_public_write", {"no_lost_access_for": ["admins", "anonymous"]}, {"no_lost_access_for": ["admins"]}]
    assert parse_gates(told) == Gates(no_public_write=True, no_lost_access_for=("admins", "anonymous"))
    assert parse_gates(["no_new_access"]) == Gates(no_new_access=True)


@pytest.mark.parametrize(
    "entry",
    ["no_write", {"no_lost_access_for": []}, {"no_lost_access_for": "admins"}, {"no_new_access": True}, 3, None],
)
def test_gate_that_is_not_known_is_refused(entry: object) -> None:
    with pytest.raises(InvalidInput, match=r"The gate .* is not known"):
        parse_gates([entry])


def test_accepted_findings_cover_a_code_or_a_place() -> None:
    everywhere, there = parse_accepted(["ZP106", "ZP107 blumeops/private"])
    assert (everywhere, there) == (Accepted("ZP106", ""), Accepted("ZP107", "blumeops/private"))
    finding = Finding("ZP107", "warning", "http.accessControl.repositories['blumeops/private/**']", "R.", "F.")
    assert there.covers(finding)
    assert not everywhere.covers(finding)
    assert not Accepted("ZP107", "elsewhere").covers(finding)
    with pytest.raises(InvalidInput, match="'ZP999' in accepted is no code"):
        parse_accepted(["ZP999"])


def test_place_is_a_path() -> None:
    assert place(("http", "accessControl", "repositories", "a/**", "policies", 0)) == (
        "http.accessControl.repositories['a/**'].policies[0]"
    )
    assert place(()) == "the configuration"


def test_texts_are_made_fit_to_show() -> None:
    assert shown("a\nb\x1b[31m") == "a\\u000ab\\u001b[31m"
    assert len(shown("x" * 1000)) == 80
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert listed("abcdefg") == "a, b, c, d and 3 more"


def test_guide_explains_every_code() -> None:
    guide = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    assert [code for code in CODES if f"| {code} |" not in guide] == []
