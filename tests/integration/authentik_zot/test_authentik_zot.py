"""The blueprint that role authentik_zot writes, its tags resolved, against Authentik's own schema; and its refusals."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from tests.integration.authentik_zot import blueprint
from tests.integration.authentik_zot.blueprint import BlueprintError, World

ROOT = pathlib.Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "tests/contracts/authentik/blueprint.schema.json").read_text())
SECRET = "client-secret-that-nobody-may-see"

ESTATE: dict[str, Any] = {
    "authentik_zot_registry_url": "https://registry.ops.eblu.me",
    "zot_external_url": "https://registry.ops.eblu.me",
    "zot_oidc_issuer": "https://authentik.ops.eblu.me/application/o/zot/",
    "zot_oidc_client_secret": SECRET,
}
#: name: (variables beside the estate's, what the sentence holds)
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no-path": ({"authentik_zot_blueprint_path": ""}, ["authentik_zot_blueprint_path is empty"]),
    "no-url": ({"authentik_zot_registry_url": ""}, ["authentik_zot_registry_url is empty"]),
    "no-secret-name": ({"authentik_zot_client_secret_env": ""}, ["authentik_zot_client_secret_env is empty"]),
    "two-holes": (
        {"authentik_zot_ci_group": "", "authentik_zot_signing_key": ""},
        ["authentik_zot_signing_key, authentik_zot_ci_group is empty"],
    ),
    "misspelt": ({"authentik_zot_clientid": "zot"}, ["authentik_zot_clientid is no variable of role authentik_zot"]),
    "url-with-path": (
        {"authentik_zot_registry_url": "https://registry.ops.eblu.me/zot"},
        ["authentik_zot_registry_url must be an address such as"],
    ),
    "url-with-password": (
        {"authentik_zot_registry_url": f"https://erich:{SECRET}@registry.ops.eblu.me"},
        ["must be an address such as", "https://registry.ops.eblu.me is not"],
    ),
    "client-id": (
        {"zot_oidc_client_id": "registry"},
        ["authentik_zot_client_id is zot and role zot logs in as registry (zot_oidc_client_id)"],
    ),
    "callback": (
        {"zot_external_url": "https://zot.ops.eblu.me"},
        ["https://registry.ops.eblu.me/zot/auth/callback/oidc", "https://zot.ops.eblu.me/zot/auth/callback/oidc"],
    ),
    "no-external-url": ({"zot_external_url": ""}, ["http://127.0.0.1:5050/zot/auth/callback/oidc (zot_external_url)"]),
    "scope": (
        {"zot_oidc_scopes": ["openid", "groups"]},
        ["role zot asks for the scope groups (zot_oidc_scopes), which authentik_zot_scopes does not offer"],
    ),
    "group": (
        {"zot_ci_group": "ci-workloads"},
        [
            "grants something to the group ci-workloads",
            "the blueprint lets the group artifact-workloads log in, to which the policy of zot grants nothing",
        ],
    ),
    "group-of-a-path": (
        {
            "zot_extra_config": {
                "http": {"accessControl": {"repositories": {"infra/**": {"policies": [{"groups": ["infra"]}]}}}}
            }
        },
        ["grants something to the group infra"],
    ),
    "admin-group": ({"authentik_zot_admin_groups": []}, ["grants something to the group admins"]),
    "no-login": ({"zot_oidc_issuer": ""}, ["role zot renders no login for no-login because zot_oidc_issuer is empty"]),
    "slug": (
        {"authentik_zot_application_slug": "registry"},
        ["authentik_zot_application_slug is registry and the issuer of zot ends in zot"],
    ),
    "wrong-type": ({"authentik_zot_sub_mode": "nickname"}, ["nickname"]),
}
WRITTEN: dict[str, dict[str, Any]] = {
    "estate": {},
    "slash": {"authentik_zot_registry_url": "https://registry.ops.eblu.me/", "zot_external_url": "https://registry.ops.eblu.me/"},
    "lab-issuer": {"zot_oidc_issuer": "http://127.0.0.1:9400"},
    "alone": {
        "authentik_zot_compare": False, "zot_oidc_issuer": "", "zot_external_url": "",
        "authentik_zot_client_id": "registry", "authentik_zot_admin_groups": [],
    },
    "quoting": {
        "authentik_zot_compare": False,
        "authentik_zot_ci_group": "a: 'b' \"c\" #d",
        "authentik_zot_admin_groups": ["!Env PATH", "null", "ünïcode\nline"],
        "authentik_zot_application_name": "{{ 'x' }}",
    },
}  # fmt: skip


class Outcome:
    def __init__(self, folder: pathlib.Path, output: str) -> None:
        self.folder, self.output = folder, output

    def said(self, case: str) -> str:
        return (self.folder / f"{case}.said").read_text()

    def path(self, case: str) -> pathlib.Path:
        return self.folder / f"{case}.yaml"


def play(folder: pathlib.Path, cases: Mapping[str, Mapping[str, Any]], *options: str) -> Outcome:
    """Run the role once for each case (a host each), in one process."""
    hosts = {
        case: {"authentik_zot_blueprint_path": str(folder / f"{case}.yaml"), **ESTATE, **variables}
        for case, variables in cases.items()
    }
    (folder / "inventory.json").write_text(
        json.dumps({"all": {"hosts": hosts, "vars": {"folder": str(folder)}}}), encoding="utf-8"
    )
    run = subprocess.run(
        [
            str(pathlib.Path(sys.executable).with_name("ansible-playbook")),
            "-i",
            str(folder / "inventory.json"),
            str(pathlib.Path(__file__).with_name("play.yml")),
            *options,
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    output = run.stdout + run.stderr
    assert run.returncode == 0, output
    return Outcome(folder, output)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    cases = {**WRITTEN, **{case: variables for case, (variables, _) in REFUSED.items()}}
    return play(tmp_path_factory.mktemp("authentik"), cases, "-vvv")


def world(**more: str) -> World:
    """An Authentik as it is after its installation, with the estate's admins."""
    there = {
        ("authentik_flows.flow", "slug", "default-provider-authorization-implicit-consent"),
        ("authentik_flows.flow", "slug", "default-provider-invalidation-flow"),
        ("authentik_crypto.certificatekeypair", "name", "authentik Self-signed Certificate"),
        *(("authentik_providers_oauth2.scopemapping", "scope_name", name) for name in ("openid", "email", "profile")),
        *(("authentik_core.group", "name", name) for name in ("admins", *more.values())),
    }
    return World(
        {place: blueprint.primary_key(place[0], place[2]) for place in there}, {"AUTHENTIK_ZOT_CLIENT_SECRET": SECRET}
    )


def entries(outcome: Outcome, case: str, **more: str) -> dict[str, list[dict[str, Any]]]:
    resolved = blueprint.resolve(blueprint.load(outcome.path(case).read_text()), world(**more))
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(resolved)
    by_model: dict[str, list[dict[str, Any]]] = {}
    for entry in resolved["entries"]:
        by_model.setdefault(entry["model"].partition(".")[2], []).append(entry)
    return by_model


def test_the_estates_blueprint_resolves_and_is_valid(outcome: Outcome) -> None:
    assert outcome.said("estate") == ""
    made = entries(outcome, "estate")
    (group,), (user,) = made["group"], made["user"]
    (provider,), (application,) = made["oauth2provider"], made["application"]
    assert group["identifiers"] == {"name": "artifact-workloads"}
    assert user["identifiers"] == {"username": "zot-ci"}
    assert user["attrs"]["type"] == "service_account"
    assert user["attrs"]["groups"] == [blueprint.primary_key("authentik_core.group", "ci-group")]
    assert "password" not in user["attrs"]
    attrs = provider["attrs"]
    assert (attrs["client_type"], attrs["client_id"], attrs["client_secret"]) == ("confidential", "zot", SECRET)
    assert attrs["redirect_uris"] == [
        {"matching_mode": "strict", "url": "https://registry.ops.eblu.me/zot/auth/callback/oidc"}
    ]
    assert attrs["property_mappings"] == [
        blueprint.primary_key("authentik_providers_oauth2.scopemapping", name)
        for name in ("openid", "email", "profile")
    ]
    assert attrs["include_claims_in_id_token"] is True
    assert application["identifiers"] == {"slug": "zot"}
    assert application["attrs"]["provider"] == blueprint.primary_key(provider["model"], "provider")
    bound = [binding["identifiers"] for binding in made["policybinding"]]
    assert [(entry["order"], entry["group"]) for entry in bound] == [
        (0, blueprint.primary_key("authentik_core.group", "ci-group")),
        (1, blueprint.primary_key("authentik_core.group", "admins")),
    ]
    assert {entry["target"] for entry in bound} == {blueprint.primary_key(application["model"], "application")}


def test_the_file_holds_no_secret(outcome: Outcome) -> None:
    assert SECRET not in outcome.path("estate").read_text()
    assert "!Env" in outcome.path("estate").read_text()


@pytest.mark.parametrize("case", sorted(WRITTEN))
def test_what_is_written_is_valid(outcome: Outcome, case: str) -> None:
    assert outcome.said(case) == ""
    more = WRITTEN[case].get("authentik_zot_admin_groups", [])
    assert entries(outcome, case, **{str(number): name for number, name in enumerate(more)})


def test_values_stay_what_they_are(outcome: Outcome) -> None:
    """Quotes, colons, tags and templates in a value are its text and nothing else."""
    document = blueprint.load(outcome.path("quoting").read_text())
    groups = [entry["identifiers"]["group"] for entry in document["entries"] if "policybinding" in entry["model"]]
    assert document["entries"][0]["identifiers"] == {"name": "a: 'b' \"c\" #d"}
    assert [group.conditions for group in groups[1:]] == [
        (("name", "!Env PATH"),), (("name", "null"),), (("name", "ünïcode\nline"),),
    ]  # fmt: skip


def test_without_admins_only_ci_is_bound(outcome: Outcome) -> None:
    made = entries(outcome, "alone")
    assert len(made["policybinding"]) == 1
    assert made["oauth2provider"][0]["attrs"]["client_id"] == "registry"


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_bad_input_is_one_sentence_and_nothing_is_written(outcome: Outcome, case: str) -> None:
    said = outcome.said(case)
    assert all(words in said for words in REFUSED[case][1]), said
    assert SECRET not in said
    assert not outcome.path(case).exists()
    if case != "wrong-type":  # in Ansible's own words
        assert said.count("\n") == 0
        assert said.endswith("(nothing was written)")


def test_no_secret_is_shown_even_in_full_verbosity(outcome: Outcome) -> None:
    shown = outcome.output.replace(f"erich:{SECRET}@", "")  # given as an address, which is no secret's place
    assert SECRET not in shown


def test_a_second_run_changes_nothing_and_check_mode_writes_nothing(tmp_path: pathlib.Path) -> None:
    first = play(tmp_path, {"estate": {}}, "--check", "--diff")
    assert not first.path("estate").exists()
    assert "+    id: provider" in first.output
    play(tmp_path, {"estate": {}})
    before = first.path("estate").stat()
    again = play(tmp_path, {"estate": {}}, "--diff")
    after = first.path("estate").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "id: provider" not in again.output


def test_the_resolver_finds_what_authentik_would_not() -> None:
    for text, words in (
        ("entries: [{model: m, attrs: {a: !KeyOf later}}, {model: m, id: later}]", "no such entry before"),
        ("entries: [{model: m, attrs: {a: !Find [authentik_core.group, [name, nobody]]}}]", "nothing found"),
    ):
        with pytest.raises(BlueprintError, match=words):
            blueprint.resolve(blueprint.load(text), world())


def test_the_schema_refuses_a_wrong_blueprint(outcome: Outcome) -> None:
    document = blueprint.resolve(blueprint.load(outcome.path("estate").read_text()), world())
    document["entries"][2]["attrs"]["redirect_uris"][0]["matching_mode"] = "loose"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
