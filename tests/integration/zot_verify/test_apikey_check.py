"""Module zot_apikey_check on a running registry: what it says of each kind of key, and of a registry in trouble."""

from __future__ import annotations

import base64
import datetime
import time
from typing import Any

import pytest
import requests

from ansible_collections.blumeops.registry.plugins.module_utils._transport import Transport
from ansible_collections.blumeops.registry.plugins.module_utils._zot.apikeys import ApiKey
from ansible_collections.blumeops.registry.plugins.module_utils._zot.client import Caller, Zot, minimal_image
from ansible_collections.blumeops.registry.plugins.module_utils._zot.keycheck import check_key
from lab.running import free_port
from tests.integration.zot_verify.in_process import call
from tests.integration.zot_verify.world import World
from tests.run_module import Outcome, run_module

NEVER_MADE = "zak_" + "0" * 32


def ask(registry: World, key: str, *, identity: str = "zot-ci", **more: Any) -> Outcome:
    """Run the module; no form of the key may be in anything that it says."""
    arguments = {"registry_url": registry.url, "identity": identity, "api_key": key, "retries": 0, **more}
    check = bool(arguments.pop("check", False))
    outcome = call("zot_apikey_check", arguments, check=check)
    shown = outcome.output.replace("\n", "")
    assert key.strip()[4:] not in shown
    assert base64.b64encode(f"{identity}:{key}".encode()).decode() not in shown
    assert "expired" not in shown
    assert "\n" not in outcome.msg
    return outcome


def push(registry: World, repository: str) -> None:
    manifest, blobs = minimal_image(repository)
    with Transport(registry.url, name="zot") as transport:
        Zot(transport).push(("erich", registry.keys["erich"]), repository, "v1", manifest, blobs)


def test_a_good_key_and_nothing_is_left_behind(registry: World) -> None:
    before = registry.stored()
    outcome = ask(registry, registry.keys["zot-ci"])
    result = outcome.result
    assert not outcome.failed
    assert not outcome.changed
    assert (result["status"], result["authenticated"], result["identified_by"]) == ("ok", True, "last_used")
    assert result["days_left"] == 89
    assert result["key"]["label"] == "zot-ci-key"
    ends = datetime.datetime.fromisoformat(result["key"]["ends"]) - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=89) < ends <= datetime.timedelta(days=90)
    assert result["may"] == {"read": True, "create": True, "update": None, "delete": False}
    assert registry.stored() == before
    assert registry.catalog() == []


@pytest.mark.parametrize(
    ("user", "may"),
    [
        ("zot-ci", {"read": True, "create": True, "update": False, "delete": False}),
        ("erich", {"read": True, "create": True, "update": True, "delete": True}),
        ("visitor", {"read": True, "create": False, "update": False, "delete": False}),
    ],
)
def test_what_else_it_may_do_in_a_repository(registry: World, user: str, may: dict[str, bool]) -> None:
    push(registry, "blumeops/navidrome")
    before = registry.stored()
    result = ask(registry, registry.keys[user], identity=user, repository="blumeops/navidrome").result
    assert (result["repository"], result["may"]) == ("blumeops/navidrome", may)
    assert ask(registry, registry.keys[user], identity=user).result["may"] == may, "the first of the catalog"
    assert registry.stored() == before


@pytest.mark.parametrize(
    ("key", "failed", "status"), [(None, False, "ok"), (NEVER_MADE, True, "refused"), (NEVER_MADE + "\n", True, None)]
)
def test_as_a_process_and_the_key_from_the_environment(
    lab_registry: World, key: str | None, failed: bool, status: str | None
) -> None:
    key = key or lab_registry.keys["zot-ci"]
    outcome = run_module(
        "zot_apikey_check", {"registry_url": lab_registry.url, "identity": "zot-ci"}, env={"ZOT_API_KEY": key}
    )
    assert (outcome.failed, outcome.result.get("status")) == (failed, status)
    assert key.strip()[4:] not in outcome.output
    assert "Traceback" not in outcome.output


def test_check_mode_asks_the_same(registry: World) -> None:
    assert ask(registry, registry.keys["zot-ci"], check=True).result["status"] == "ok"


@pytest.mark.parametrize(
    ("days", "status", "failed", "left"),
    [(None, "ok", False, None), (15, "expiring", False, 14), (5, "expiring", True, 4)],
)
def test_how_long_it_lasts(registry: World, days: float | None, status: str, failed: bool, left: int | None) -> None:
    key = registry.key("zot-ci", f"days-{days}", days)
    outcome = ask(registry, key, label=f"days-{days}")
    assert (outcome.result["status"], outcome.failed, outcome.result["days_left"]) == (status, failed, left)
    assert outcome.result["identified_by"] == "label"
    assert outcome.result["key"]["label"] == f"days-{days}"
    if failed:
        assert "make its successor" in outcome.msg
        lenient = ask(registry, key, fail=False)
        assert (lenient.failed, lenient.result["status"], lenient.msg) == (False, "expiring", outcome.msg)
    assert ask(registry, key, warn_days=3, fail_days=1).result["status"] == "ok"


class Busy(Zot):
    """A registry at which another key is used whenever keys are listed."""

    other: Caller = None

    def keys(self, caller: Caller) -> tuple[ApiKey, ...]:
        super().keys(self.other)
        return super().keys(caller)


def test_where_another_key_is_in_use_the_label_is_asked_for(registry: World) -> None:
    mine = registry.key("zot-ci", "mine", 5)
    with Transport(registry.url, name="zot") as transport:
        zot = Busy(transport)
        zot.other = ("zot-ci", registry.keys["zot-ci"])
        options: dict[str, Any] = {"warn_days": 21, "fail_days": 7}
        unknown = check_key(zot, "zot-ci", mine, label=None, **options)
        known = check_key(zot, "zot-ci", mine, label="mine", **options)
    assert unknown.entry is None
    assert unknown.assessment.status == "expiring", "one of the two ends soon"
    assert not unknown.assessment.failing, "which of the two is not known"
    assert "2 keys of this owner are in use at the same time: give the label" in unknown.assessment.message
    assert known.entry is not None
    assert known.entry.label == "mine"
    assert known.assessment.failing


def test_the_label_of_another_key_is_noticed(registry: World) -> None:
    registry.key("zot-ci", "the-other")
    outcome = ask(registry, registry.keys["zot-ci"], label="the-other")
    assert (outcome.result["identified_by"], outcome.result["key"]) == ("unknown", None)
    assert "the key in hand is not the one with the label 'the-other'" in outcome.msg
    assert "the key in hand is not the one" in str(outcome.result["warnings"])


def test_the_four_causes_of_a_refusal_are_not_told_apart(registry: World) -> None:
    revoked = registry.key("zot-ci", "revoked")
    with Transport(registry.url, name="zot") as transport:
        zot, caller = Zot(transport), ("zot-ci", revoked)
        zot.delete_key(caller, next(key.uuid for key in zot.keys(caller) if key.label == "revoked"))
    ended = registry.key("zot-ci", "ended", 2 / 86400)
    time.sleep(3)
    asked = [
        ask(registry, NEVER_MADE),
        ask(registry, revoked),
        ask(registry, ended),
        ask(registry, registry.keys["erich"]),
    ]
    assert {outcome.result["status"] for outcome in asked} == {"refused"}
    assert all(outcome.failed and not outcome.result["authenticated"] for outcome in asked)
    assert len({outcome.msg for outcome in asked}) == 1
    assert "wrong, ended, revoked or another identity's" in asked[0].msg
    lenient = ask(registry, NEVER_MADE, fail=False)
    assert (lenient.failed, lenient.result["status"]) == (False, "refused")


def test_a_registry_with_its_keys_off(registry: World) -> None:
    with registry.otherwise(apikey=False):
        outcome = ask(registry, registry.keys["zot-ci"])
    assert (outcome.failed, outcome.result["status"]) == (True, "refused")
    assert "API keys are off there (http.auth.apikey)" in outcome.msg


def test_a_registry_closed_to_everybody_else(registry: World) -> None:
    closed = {"repositories": {"**": {"policies": [{"groups": ["artifact-workloads"], "actions": ["read", "create"]}]}}}
    with registry.otherwise(control=closed):
        assert ask(registry, registry.keys["zot-ci"]).result["status"] == "ok"
        assert ask(registry, NEVER_MADE).result["status"] == "refused"


@pytest.mark.parametrize("control", [None, {"repositories": {"**": {"defaultPolicy": ["read"]}}}])
def test_a_proxy_that_strips_authorization(lab_registry: World, control: dict[str, Any] | None) -> None:
    with lab_registry.otherwise("--strip-authorization", control=control):
        outcome = ask(lab_registry, lab_registry.keys["zot-ci"])
    assert (outcome.failed, outcome.result["status"]) == (True, "unreachable")
    assert "does not reach the registry" in outcome.msg
    assert "pass the Authorization header on" in outcome.msg


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fault", "html:path=/zot/*"], "with HTML instead of JSON"),
        (["--fault", "cut:path=/zot/*"], "JSON that is cut or broken"),
        (["--fault", "500:path=/zot/*"], "answered 500"),
        (["--fault", "503:path=/zot/*"], "answered 503"),
        (["--fault", "429:path=/zot/*"], "asked too often"),
        (["--fault", "302:path=/zot/*"], "a redirect"),
        (["--fault", "reset:path=/zot/*"], "broke the connection"),
        (["--fault", "delay:path=/zot/*,seconds=3"], "gave no answer within 0.5 s"),
    ],
)
def test_a_registry_in_trouble(lab_registry: World, options: list[str], words: str) -> None:
    with lab_registry.otherwise(*options):
        outcome = ask(lab_registry, lab_registry.keys["zot-ci"], timeout=0.5 if "delay" in options[1] else 10)
    assert (outcome.failed, outcome.result["status"]) == (True, "unreachable")
    assert words in outcome.msg


def test_nobody_listens(lab_registry: World) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    outcome = ask(lab_registry, lab_registry.keys["zot-ci"], registry_url=nowhere)
    assert (outcome.failed, outcome.result["status"]) == (True, "unreachable")
    assert "refuses connections" in outcome.msg
    assert not ask(lab_registry, lab_registry.keys["zot-ci"], registry_url=nowhere, fail=False).failed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"api_key": NEVER_MADE + "\n"}, "a line break at its beginning or end"),
        ({"api_key": "hunter2hunter2"}, "is no API key of zot"),
        ({"warn_days": 3, "fail_days": 7}, "fail_days is 7 and warn_days is 3"),
        ({"registry_url": "registry.ops.eblu.me"}, "must be an address such as https://host[:port]"),
        ({"ca_path": "/nonexistent/ca.pem"}, "the CA file /nonexistent/ca.pem cannot be read"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(
    lab_registry: World, arguments: dict[str, Any], words: str
) -> None:
    key = arguments.pop("api_key", NEVER_MADE)
    outcome = ask(lab_registry, key, **{**arguments, "fail": False})
    assert outcome.failed
    assert words in outcome.msg


def test_the_last_use_of_the_key_is_all_that_moves(registry: World) -> None:
    def listed() -> list[dict[str, Any]]:
        answer = requests.get(
            f"{registry.url}/zot/auth/apikey", auth=("erich", registry.keys["erich"]), timeout=10
        ).json()["apiKeys"]
        return [{name: value for name, value in entry.items() if name != "lastUsed"} for entry in answer]

    before = listed()
    assert ask(registry, registry.keys["erich"], identity="erich").result["status"] == "ok"
    assert listed() == before
