"""From options to result: what stands in the way, what is shown, what is compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.examine import (
    Examination,
    examine,
    with_flat_policy,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.options import Options

Config = dict[str, Any]
Changed = Callable[[Callable[[Config], object] | None], Config]
ALL = ["read", "create", "update", "delete"]
TELL: dict[str, Any] = {
    "zot_version": "2.1.20",
    "declared_groups": {"admins": ["erich"], "artifact-workloads": ["zot-ci"]},
    "immutable_writers": ["group:artifact-workloads"],
    "break_glass": ["group:admins"],
    "repositories": ["blumeops/navidrome"],
    "tests": [{"subject": "zot-ci", "action": "update", "image": "blumeops/navidrome:v1.0.0", "expect": "deny"}],
    "gates": ["no_public_write", {"no_lost_access_for": ["admins", "anonymous"]}],
}


def examined(config: Config, **more: Any) -> Examination:
    return examine(Options(config=config, **{**TELL, **more}))


def blocks(config: Config) -> Config:
    found: Config = config["http"]["accessControl"]["repositories"]
    return found


def forget_admins(config: Config) -> None:
    blocks(config)["blumeops/private/**"] = {
        "anonymousPolicy": ["read"],
        "defaultPolicy": ["read"],
        "policies": [{"groups": ["artifact-workloads"], "actions": ["read", "create"]}],
    }


def allow_overwriting(config: Config) -> None:
    blocks(config)["**"]["policies"][0]["actions"].append("update")


def write_in_public(config: Config) -> None:
    blocks(config)["**"]["anonymousPolicy"].append("create")


def test_estate_passes(changed: Changed) -> None:
    done = examined(changed(None), live_config=changed(None))
    assert (done.problems, done.warnings) == ((), ())
    assert done.result["passed"]
    assert done.result["comparison"] == {
        "changed": False,
        "lines": ["Nobody gains or loses any access."],
        "changes": [],
    }
    assert done.result["gates"][0] == {"name": "no_public_write", "held": True, "broken_by": []}
    assert done.result["access"]["blumeops/navidrome"]["group artifact-workloads"] == {
        "read": "allow",
        "create": "allow",
        "update": "deny",
        "delete": "deny",
    }
    assert done.result["lines"][0] == "Nobody gains or loses any access."
    assert done.report.verdict == "No error was found."
    assert done.report.title == "registry.ops.eblu.me"


def test_forgotten_admins_are_an_error_and_a_broken_gate(changed: Changed) -> None:
    done = examined(changed(forget_admins), live_config=changed(None))
    assert [problem.split(" ")[0] for problem in done.problems] == ["ZP105", "Gate", "Gate", "Gate"]
    assert (
        "no_lost_access_for admins is broken: group admins loses create on blumeops/private:v1.0.0." in done.problems[1]
    )
    lines = done.result["comparison"]["lines"]
    assert lines == [
        "- group admins loses create, update, delete on blumeops/private:v1.0.0",
        "- erich loses create, update, delete on blumeops/private:v1.0.0",
    ]
    assert done.result["comparison"]["changes"][0] == {
        "subject": "group admins",
        "direction": "loses",
        "action": "create",
        "repository": "blumeops/private",
        "before": "allow",
        "after": "deny",
        "sentence": "group admins loses create on blumeops/private:v1.0.0",
    }
    assert done.report.verdict == "There are 1 error and 1 gate that is broken."


def test_gain_is_told_and_the_failing_test_explains_itself(changed: Changed) -> None:
    done = examined(changed(allow_overwriting), live_config=changed(None), gates=["no_new_access"])
    assert "+ zot-ci gains update on blumeops/navidrome:v1.0.0" in done.result["comparison"]["lines"]
    (failed,) = [problem for problem in done.problems if problem.startswith("Test 1")]
    assert failed.startswith("Test 1 expects deny: zot-ci (in artifact-workloads) may update blumeops/navidrome:v1.0.0")
    assert "repositories['**'].policies[0] grants update to group artifact-workloads." in failed
    assert [gate["held"] for gate in done.result["gates"]] == [False]
    assert done.result["tests"][0]["passed"] is False


def test_losses_come_before_gains(changed: Changed) -> None:
    def both(config: Config) -> None:
        allow_overwriting(config)
        blocks(config)["**"]["anonymousPolicy"] = []

    signs = [line[0] for line in examined(changed(both), live_config=changed(None)).result["comparison"]["lines"]]
    assert signs == sorted(signs, key="-+?".index)
    assert set(signs) == {"-", "+"}


def test_public_write_breaks_its_gate_without_a_live_policy(changed: Changed) -> None:
    done = examined(changed(write_in_public), gates=["no_public_write"])
    assert "comparison" not in done.result
    assert "Gate no_public_write is broken: anonymous may create blumeops/navidrome:v1.0.0." in done.problems


def test_nothing_is_new_where_nothing_is_live(changed: Changed) -> None:
    done = examined(changed(None), gates=["no_new_access", {"no_lost_access_for": ["admins"]}])
    assert [gate["held"] for gate in done.result["gates"]] == [True, True]
    assert done.problems == ()


@pytest.mark.parametrize("live", [{"http": {"accessControl": []}}, {"http": {"accessControl": {"repositories": "x"}}}])
def test_live_policy_that_cannot_be_read_promises_nothing(live: Config, changed: Changed) -> None:
    done = examined(changed(None), live_config=live, gates=["no_public_write", "no_new_access"])
    assert [gate["held"] for gate in done.result["gates"]] == [True, False]
    assert "no policy that can be read, so nothing can be promised" in done.problems[0]
    assert done.warnings == ("The live configuration has no policy that can be read, so nothing is compared.",)
    assert "comparison" not in done.result


def test_registry_that_was_open_to_all_is_compared(changed: Changed) -> None:
    done = examined(changed(None), live_config={"http": {"auth": {"apikey": True}}}, gates=[])
    assert any(
        "anybody logged in loses delete" in line or "loses create" in line
        for line in done.result["comparison"]["lines"]
    )


def test_name_that_no_policy_knows_breaks_the_gate(changed: Changed) -> None:
    done = examined(changed(None), live_config=changed(None), gates=[{"no_lost_access_for": ["admin"]}])
    assert "Gate no_lost_access_for admin is broken: admin is no user or group of either policy" in done.problems[0]


def test_accepted_finding_is_for_information(changed: Changed) -> None:
    def close(config: Config) -> None:
        blocks(config)["a/**"] = {"policies": [{"groups": ["admins"], "actions": ALL}]}
        blocks(config)["b/**"] = {"policies": [{"groups": ["admins"], "actions": ALL}]}

    plain = examined(changed(close))
    assert len(plain.warnings) == 4
    some = examined(changed(close), accepted=["ZP106", "ZP107 'a/**'"])
    assert [warning.split(" at ")[0] for warning in some.warnings] == ["ZP107 warning"]
    assert {finding["severity"] for finding in some.result["findings"]} == {"info", "warning"}
    assert some.result["findings"][1]["fix"].startswith("Accepted as it is.")


def test_fail_on_says_what_stops(changed: Changed) -> None:
    def lose_login(config: Config) -> None:
        blocks(config)["**"].pop("defaultPolicy")

    assert examined(changed(lose_login)).problems == ()
    assert len(examined(changed(lose_login)).warnings) == 1
    strict = examined(changed(lose_login), fail_on="warning")
    assert (len(strict.problems), strict.warnings) == (1, ())
    assert examined(changed(allow_overwriting), fail_on="never").problems == ()


def test_policy_that_cannot_be_read_is_one_problem_of_several(changed: Changed) -> None:
    done = examined(changed(lambda config: config["http"].update(accessControl=["**"])))
    assert done.problems[0].startswith("ZP001 error at http.accessControl: ")
    assert done.problems[1] == "The tests beside the policy could not run, as nothing can be decided."
    assert "nothing can be promised" in done.problems[2]
    assert "access" not in done.result


def test_policy_made_to_be_slow_is_an_error_not_a_wait(changed: Changed) -> None:
    slow = {f"**/a{number}/**/b{number}*": {"defaultPolicy": []} for number in range(800)}
    done = examined(changed(lambda config: blocks(config).update(slow)))
    assert any(problem.startswith("ZP004 error") for problem in done.problems)
    assert len(done.result["findings"]) == len({str(finding) for finding in done.result["findings"]})


def test_inherit_is_written_out_and_nothing_is_lost(changed: Changed) -> None:
    def inherit(config: Config) -> None:
        blocks(config)["blumeops/private/**"] = {
            "inherit": True,
            "policies": [{"groups": ["artifact-workloads"], "actions": ["delete"]}],
        }

    config = changed(inherit)
    done = examined(config, live_config=changed(None))
    assert done.problems == ()
    flat = done.result["access_control"]["repositories"]["blumeops/private/**"]
    assert "inherit" not in json.dumps(done.result["access_control"])
    assert flat["policies"][1:] == blocks(config)["**"]["policies"]
    assert flat["anonymousPolicy"] == ["read"]
    assert done.result["comparison"]["lines"] == [
        "+ group artifact-workloads gains delete on blumeops/private:v1.0.0",
        "+ zot-ci gains delete on blumeops/private:v1.0.0",
    ]
    assert config == changed(inherit)


def test_configuration_without_inherit_is_left_alone(changed: Changed) -> None:
    config = changed(None)
    assert with_flat_policy(config) is config
    assert examined(config).result["access_control"] == config["http"]["accessControl"]


def test_questions_are_answered(changed: Changed) -> None:
    done = examined(changed(None), questions=[{"subject": "erich", "action": "delete", "image": "a/b:v1"}])
    (answer,) = done.result["answers"]
    assert answer["answer"] == "allow"
    assert answer["sentence"] == "erich (in admins) may delete a/b:v1: repositories['**'].policies[1] grants it."
    assert done.result["lines"][-1] == answer["sentence"]


def test_passwords_bring_groups_of_the_configuration(changed: Changed) -> None:
    def by_password(config: Config) -> None:
        config["http"]["auth"] = {"htpasswd": {"path": "/etc/zot/htpasswd"}}
        config["http"]["accessControl"]["groups"] = {"admins": {"users": ["ana"]}}

    asked = {"subject": "ana", "action": "delete", "image": "a"}
    assert examined(changed(by_password), questions=[asked]).result["answers"][0]["answer"] == "allow"
    by_key = {**asked, "via": "apikey"}
    assert examined(changed(by_password), questions=[by_key]).result["answers"][0]["answer"] == "deny"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"zot_version": "new"}, "zot_version 'new' is no version"),
        ({"declared_groups": "admins"}, "declared_groups must be"),
        ({"immutable_writers": ["zot-cl"]}, "immutable_writers: The subject 'zot-cl'"),
        ({"break_glass": ["nobody"]}, "break_glass: The subject 'nobody'"),
        ({"gates": ["no_change"]}, "The gate 'no_change'"),
        ({"accepted": ["ZP1"]}, "'ZP1' in accepted"),
        (
            {"tests": [{"subject": "zot-cl", "action": "read", "image": "a", "expect": "deny"}]},
            "Policy test 1: The subject",
        ),
        ({"questions": [{"subject": "zot-ci", "action": "read"}]}, "Question 1 has no image"),
    ],
)
def test_option_that_cannot_be_right_is_one_sentence(options: dict[str, Any], said: str, changed: Changed) -> None:
    with pytest.raises(InvalidInput) as caught:
        examined(changed(None), **options)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_result_is_plain_data(changed: Changed) -> None:
    result = examined(changed(forget_admins), live_config=changed(None)).result
    assert json.loads(json.dumps(result)) == result
