"""Module zot_registry_check on a running registry: as promised, otherwise than promised, and in trouble."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from aiohttp import web

from ansible_collections.blumeops.registry.plugins.module_utils._transport import Transport
from ansible_collections.blumeops.registry.plugins.module_utils._zot.client import Zot, minimal_image
from lab.running import free_port
from tests.integration.zot_verify.in_process import call
from tests.integration.zot_verify.world import THREE_TIERS, World
from tests.run_module import Outcome, run_module
from tests.serving import serving

ALL = {
    "reachable", "catalog", "pull", "anonymous_push", "discovery", "login", "key_route", "ci_key", "ci_create",
    "ci_update", "ci_delete", "admin_key", "admin_create", "admin_update", "admin_delete", "metrics",
}  # fmt: skip


def full(registry: World, **more: Any) -> dict[str, Any]:
    """Options for the whole plan."""
    return {
        "registry_url": registry.url,
        "issuer": registry.issuer,
        "ci_key": registry.keys["zot-ci"],
        "admin_identity": "erich",
        "admin_key": registry.keys["erich"],
        "fail": False,
        "retries": 0,
        **more,
    }


def ask(registry: World, *, check: bool = False, **more: Any) -> Outcome:
    """Run the module; no form of a key may be in anything that it says."""
    arguments = {name: value for name, value in full(registry, **more).items() if value is not None}
    outcome = call("zot_registry_check", arguments, check=check)
    for user, key in registry.keys.items():
        assert key[4:] not in outcome.output
        assert base64.b64encode(f"{user}:{key}".encode()).decode() not in outcome.output
    assert "\n" not in outcome.msg
    return outcome


def not_passed(outcome: Outcome) -> dict[str, tuple[str, str]]:
    return {
        check["name"]: (check["result"], check["cause"])
        for check in outcome.result["checks"]
        if check["result"] != "passed"
    }


def message(outcome: Outcome, name: str) -> str:
    return next(str(check["message"]) for check in outcome.result["checks"] if check["name"] == name)


def push(registry: World, repository: str, tag: str = "v1", title: str = "an image") -> None:
    manifest, blobs = minimal_image(title)
    with Transport(registry.url, name="zot") as transport:
        Zot(transport).push(("erich", registry.keys["erich"]), repository, tag, manifest, blobs)


def with_policy(**changes: Any) -> dict[str, Any]:
    """The estate's policy with other parts in its block for everything."""
    control = copy.deepcopy(THREE_TIERS)
    control["repositories"]["**"].update(changes)
    return control


@contextlib.contextmanager
def answering(answer: Any, *, content_type: str = "application/json", status: int = 200) -> Iterator[str]:
    """A server that answers one thing to everything, or what ``answer`` makes of its address; yields that."""

    async def handle(request: web.Request) -> web.Response:
        text = answer(f"http://{request.host}") if callable(answer) else answer
        body = text if isinstance(text, str) else json.dumps(text)
        return web.Response(text=body, content_type=content_type, status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    with serving(app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def filled(registry: World) -> Iterator[World]:
    push(registry, "blumeops/navidrome")
    return registry


# As promised ----------------------------------------------------------------------------------------------------------


def test_an_empty_registry_and_nothing_is_left_behind(registry: World) -> None:
    before = registry.stored()
    outcome = ask(registry)
    assert not_passed(outcome) == {"ci_update": ("unknown", ""), "admin_update": ("unknown", "")}
    assert "no repository with a tag" in message(outcome, "ci_update")
    assert {check["name"] for check in outcome.result["checks"]} == ALL
    assert registry.stored() == before
    assert registry.catalog() == []
    assert not outcome.changed


def test_everything_is_as_promised_and_nothing_is_left_behind(filled: World) -> None:
    before = filled.stored()
    outcome = ask(filled)
    assert not_passed(outcome) == {}
    assert outcome.result["counts"] == {"passed": len(ALL), "failed": 0, "unknown": 0}
    assert len(outcome.result["table"]) == len(ALL)
    assert filled.stored() == before
    assert (outcome.failed, outcome.changed, outcome.msg) == (False, False, "")


def test_without_keys_what_they_may_do_is_unknown_and_nothing_fails(filled: World) -> None:
    outcome = ask(filled, ci_key=None, admin_key=None, admin_identity=None, fail=True)
    assert {result for result, _ in not_passed(outcome).values()} == {"unknown"}
    assert message(outcome, "key_route") == "the registry's settings say that API keys are on"


def test_a_mirrored_repository_is_not_asked_about(registry: World) -> None:
    push(registry, "docker.io/library/alpine")
    push(registry, "blumeops/navidrome")
    outcome = ask(registry)
    assert "docker.io" not in outcome.output
    assert "overwrite blumeops/navidrome:v1" in message(outcome, "ci_update")
    assert "docker.io/library/alpine" in message(ask(registry, repository="docker.io/library/alpine"), "ci_update")


# Otherwise than promised ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_user", "differences"),
    [
        ("visitor", {"ci_create": ("failed", "stale_groups")}),
        ("erich", {"ci_update": ("failed", "stale_groups"), "ci_delete": ("failed", "stale_groups")}),
    ],
)
def test_groups_of_another_login(filled: World, as_user: str, differences: dict[str, tuple[str, str]]) -> None:
    """A key whose owner was in other groups at the last login is, to zot, a key of somebody in those groups."""
    outcome = ask(filled, ci_identity=as_user, ci_key=filled.keys[as_user])
    assert not_passed(outcome) == differences
    assert f"log in as {as_user} once" in outcome.result["msg"]


@pytest.mark.parametrize(
    ("control", "differences"),
    [
        pytest.param(
            {"repositories": {"**": {"policies": THREE_TIERS["repositories"]["**"]["policies"]}},
             "metrics": THREE_TIERS["metrics"]},
            {"catalog": ("failed", "other_configuration"), "pull": ("failed", "other_configuration")},
            id="closed",
        ),
        pytest.param(
            with_policy(anonymousPolicy=["read", "create"]),
            {"anonymous_push": ("failed", "other_configuration")},
            id="anybody may push",
        ),
        pytest.param(
            with_policy(
                policies=[{"groups": ["artifact-workloads", "admins"], "actions": ["read", "create", "update"]}]
            ),
            {"ci_update": ("failed", "other_configuration"), "admin_delete": ("failed", "other_configuration")},
            id="CI may overwrite, admins may not delete",
        ),
        pytest.param(
            with_policy(policies=[]),
            {
                "ci_create": ("failed", "other_configuration"),
                **{f"admin_{action}": ("failed", "stale_groups") for action in ("create", "update", "delete")},
            },
            id="no policies at all",
        ),
        pytest.param(
            {**THREE_TIERS, "metrics": {"users": [""]}},
            {"metrics": ("failed", "older_zot")},
            id="metrics of an older zot",
        ),
    ],
)  # fmt: skip
def test_another_policy(registry: World, control: dict[str, Any], differences: dict[str, tuple[str, str]]) -> None:
    push(registry, "blumeops/navidrome")
    with registry.otherwise(control=control):
        outcome = ask(registry)
    assert not_passed(outcome) == differences


def test_an_older_zot_that_lets_latest_be_overwritten(lab_registry: World) -> None:
    push(lab_registry, "old/app", "latest")
    control = {**THREE_TIERS, "metrics": {"users": [""]}}
    with lab_registry.otherwise("--as-version", "2.1.14", control=control):
        outcome = ask(lab_registry, repository="old/app")
    assert not_passed(outcome) == {"ci_update": ("failed", "older_zot")}


def test_another_login(registry: World) -> None:
    outcome = ask(registry, client_id="registry", external_url="https://registry.ops.eblu.me")
    assert not_passed(outcome)["login"] == ("failed", "other_configuration")
    assert "the client id of a login is 'zot' instead of 'registry'" in message(outcome, "login")
    outcome = ask(registry, external_url="https://registry.ops.eblu.me")
    assert "instead of 'https://registry.ops.eblu.me/zot/auth/callback/oidc'" in message(outcome, "login")
    outcome = ask(registry, scopes=["openid", "groups"])
    assert not_passed(outcome)["discovery"] == ("failed", "issuer")
    assert "the scopes of a login" in message(outcome, "login")
    outcome = ask(registry, provider="authentik")
    assert "knows no OpenID provider 'authentik'" in message(outcome, "login")


def test_keys_that_are_off(filled: World) -> None:
    with filled.otherwise(apikey=False):
        outcome = ask(filled)
    differences = not_passed(outcome)
    assert differences["key_route"] == ("failed", "other_configuration")
    assert differences["ci_key"] == ("failed", "other_configuration")
    assert "http.auth.apikey is off" in message(outcome, "ci_key")
    assert differences["ci_create"] == ("unknown", "")
    assert differences["login"] == ("failed", "other_configuration")


def test_a_refused_key(filled: World) -> None:
    outcome = ask(filled, ci_key="zak_" + "0" * 32)
    assert {name: found for name, found in not_passed(outcome).items() if found[0] == "failed"} == {
        "ci_key": ("failed", "key_refused")
    }
    assert "wrong, ended, revoked or another identity's" in outcome.msg


# In trouble -----------------------------------------------------------------------------------------------------------


def discovery(**changes: Any) -> Any:
    def document(url: str) -> dict[str, Any]:
        found = {"issuer": url, "authorization_endpoint": f"{url}/oauth2/authorize", **changes}
        return {name: value for name, value in found.items() if value is not None}

    return document


@pytest.mark.parametrize(
    ("answer", "options", "words"),
    [
        pytest.param(
            discovery(issuer="https://elsewhere.example/"),
            {},
            "names another issuer, 'https://elsewhere.example/'",
            id="another issuer",
        ),
        pytest.param(lambda url: discovery(issuer=url + "/")(url), {}, "only the slash at the end differs", id="slash"),
        pytest.param("<html>Sign in</html>", {"content_type": "text/html"}, "with HTML instead of JSON", id="HTML"),
        pytest.param({"keys": []}, {}, "answered without issuer and authorization_endpoint", id="another document"),
        pytest.param({}, {"status": 404}, "check the issuer's address and the slug of its application", id="404"),
    ],
)
def test_an_issuer_in_trouble(registry: World, answer: Any, options: dict[str, Any], words: str) -> None:
    with answering(answer, **options) as issuer:
        outcome = ask(registry, issuer=issuer)
    assert not_passed(outcome)["discovery"] == ("failed", "issuer")
    assert words in message(outcome, "discovery")


def test_an_issuer_that_is_away(registry: World) -> None:
    outcome = ask(registry, issuer=f"http://127.0.0.1:{free_port()}/application/o/zot/")
    assert not_passed(outcome)["discovery"] == ("failed", "unreachable")
    assert not_passed(outcome)["login"] == ("failed", "other_configuration")


@pytest.mark.parametrize(
    ("options", "cause", "words"),
    [
        (["--fault", "html"], "not_the_registry", "with HTML instead of JSON"),
        (["--fault", "302"], "not_the_registry", "a redirect"),
        (["--fault", "503"], "", "answered 503"),
        (["--fault", "reset"], "unreachable", "broke the connection"),
    ],
)
def test_a_registry_that_is_none(lab_registry: World, options: list[str], cause: str, words: str) -> None:
    with lab_registry.otherwise(*options):
        outcome = ask(lab_registry, fail=True)
    assert outcome.failed
    assert words in outcome.msg
    differences = not_passed(outcome)
    assert differences.pop("reachable") == ("failed", cause or "unreachable")
    assert {result for result, _ in differences.values()} == {"unknown"}
    assert "discovery" not in differences, "the issuer was asked all the same"


def test_nobody_listens(lab_registry: World) -> None:
    outcome = ask(lab_registry, registry_url=f"http://127.0.0.1:{free_port()}", fail=True)
    assert outcome.failed
    assert "refuses connections" in outcome.msg


def test_tls_that_does_not_verify(lab_registry: World, tmp_path: pathlib.Path) -> None:
    lab_registry.stop()
    authority = tmp_path / "ca.pem"
    https = lab_registry.url.replace("http://", "https://")
    for fault, words in (([], ""), (["--fault", "tls"], "signed by nobody"), (["--fault", "tls-host"], "another host")):
        with lab_registry.over_tls(authority, *fault):
            outcome = ask(
                lab_registry, registry_url=https, external_url=lab_registry.url, ca_path=str(authority), fail=True
            )
        assert words in outcome.msg
        assert outcome.failed is bool(words)


def test_a_proxy_that_answers_questions_itself(lab_registry: World) -> None:
    """A 403 in HTML is a proxy's, and says nothing of what the caller may do."""
    with lab_registry.otherwise("--fault", "html:method=PUT"):
        outcome = ask(lab_registry)
    assert not_passed(outcome)["ci_create"] == ("failed", "not_the_registry")
    assert not_passed(outcome)["anonymous_push"] == ("failed", "not_the_registry")


def test_a_proxy_that_strips_authorization(lab_registry: World) -> None:
    with lab_registry.otherwise("--strip-authorization"):
        outcome = ask(lab_registry)
    differences = not_passed(outcome)
    assert differences["ci_key"] == differences["admin_key"] == ("failed", "proxy_strips_authorization")
    assert differences["ci_create"] == ("unknown", "")


def test_a_proxy_that_lets_only_reads_through(lab_registry: World) -> None:
    with lab_registry.otherwise("--fault", "405:method=PUT", "--fault", "405:method=DELETE"):
        outcome = ask(lab_registry, repository="blumeops/any")
    differences = not_passed(outcome)
    assert {differences[name] for name in ("anonymous_push", "ci_create", "ci_delete", "admin_create")} == {
        ("failed", "read_only")
    }


# Pushing --------------------------------------------------------------------------------------------------------------


def test_the_probe_is_pushed_once(registry: World) -> None:
    probe = {"push": True, "probe_repository": "probe/once"}
    dry = ask(registry, check=True, **probe)
    assert dry.changed
    assert not_passed(dry)["push"] == ("unknown", "")
    assert "probe/once" not in registry.catalog()
    first = ask(registry, **probe)
    assert (first.changed, not_passed(first)) == (True, {})
    assert "was pushed and is pulled" in message(first, "push")
    served = requests.get(f"{registry.url}/v2/probe/once/manifests/v1", timeout=10).content
    assert hashlib.sha256(served).hexdigest() == hashlib.sha256(minimal_image("blumeops.registry probe")[0]).hexdigest()
    before = registry.stored()
    second = ask(registry, **probe)
    assert (second.changed, not_passed(second)) == (False, {})
    assert "is there since an earlier push" in message(second, "push")
    assert not ask(registry, check=True, **probe).changed
    assert registry.stored() == before


def test_another_image_under_the_probes_tag(registry: World) -> None:
    push(registry, "probe/taken", title="not the probe")
    outcome = ask(registry, push=True, probe_repository="probe/taken")
    assert not_passed(outcome) == {"push": ("failed", "other_configuration")}
    assert "probe/taken:v1 holds another image than the probe" in outcome.msg


@pytest.mark.parametrize("disk", ["full", "read-only"])
def test_a_registry_that_cannot_store(lab_registry: World, disk: str) -> None:
    with lab_registry.otherwise("--disk", disk):
        outcome = ask(lab_registry, push=True, probe_repository="probe/disk")
        assert "probe/disk" not in lab_registry.catalog()
    assert not outcome.changed
    differences = not_passed(outcome)
    failed = {name: found for name, found in differences.items() if found[0] == "failed"}
    assert set(failed.values()) == {("failed", "storage")}, outcome.msg
    assert set(failed) <= {"push", "pull", "ci_key", "admin_key"}, "pulls and the use of a key are written down too"
    assert "full" in outcome.msg
    assert "read-only" in outcome.msg
    assert "look into its log" in outcome.msg


def test_a_key_that_may_not_push_pushes_nothing(registry: World) -> None:
    outcome = ask(
        registry, push=True, probe_repository="probe/denied", ci_identity="visitor", ci_key=registry.keys["visitor"]
    )
    assert not_passed(outcome)["push"][0] == "failed"
    assert not outcome.changed
    assert "probe/denied" not in registry.catalog()


# As a process ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [[], ["--fault", "html:path=/v2/_catalog"]])
def test_as_a_process(lab_registry: World, fault: list[str]) -> None:
    with lab_registry.otherwise(*fault):
        outcome = run_module("zot_registry_check", full(lab_registry, fail=True))
    assert outcome.failed is bool(fault)
    assert "Traceback" not in outcome.output
    for user, key in lab_registry.keys.items():
        assert key[4:] not in outcome.output
        assert base64.b64encode(f"{user}:{key}".encode()).decode() not in outcome.output


def test_a_key_without_its_identity_is_refused() -> None:
    outcome = run_module("zot_registry_check", {"registry_url": "http://127.0.0.1:1", "admin_key": "zak_" + "0" * 32})
    assert outcome.failed
    assert "admin_identity" in outcome.msg


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ci_key": "hunter2hunter2"}, "ci_key is no API key of zot"),
        ({"issuer": "authentik.ops.eblu.me"}, "issuer must be an address such as"),
        ({"external_url": "https://erich:hunter2@registry.ops.eblu.me"}, "must not hold a user name or password"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(
    lab_registry: World, arguments: dict[str, Any], words: str
) -> None:
    outcome = ask(lab_registry, **arguments)
    assert outcome.failed
    assert words in outcome.msg
    assert "hunter2" not in outcome.output
