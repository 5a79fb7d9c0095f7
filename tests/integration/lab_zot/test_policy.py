"""Who may do what, as far as it is more than the evaluator's answer: conditions, lists, metrics, older versions."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import Identity, Request
from lab.standins import zot_login
from lab.standins.zot_access import Access
from tests.integration.lab_zot.conftest import EVERYTHING, Registry
from tests.replay.zot import BLOB, digest, manifest


def test_conditions_open_and_close_a_rule(zot: Registry) -> None:
    """One that is false tells its message to whom it denies; one that cannot be evaluated denies without a word."""

    def when(expression: str) -> dict[str, Any]:
        condition = {"expression": expression, "message": "only the apps"}
        rule = {"users": ["bob"], "actions": EVERYTHING, "conditions": [condition]}
        return {"policies": [rule], "anonymousPolicy": ["read"]}

    apps, broken = when("req.repository.startsWith('app/')"), when("req.nowhere == 1")
    zot.write({"repositories": {"**": apps, "broken/**": broken}})
    zot.start()
    assert zot.ask("POST", "/v2/app/one/blobs/uploads/", "bob").status_code == 202
    denied = zot.ask("POST", "/v2/other/blobs/uploads/", "bob")
    assert denied.status_code == 403
    assert denied.json()["errors"][0]["detail"]["reason"] == "only the apps"
    silent = zot.ask("POST", "/v2/broken/one/blobs/uploads/", "bob")
    assert (silent.status_code, "reason" in silent.json()["errors"][0]["detail"]) == (403, False)


def test_a_condition_sees_the_tag_and_the_action() -> None:
    tags = {"expression": "req.action == 'create' && req.tag.startsWith('v')", "message": ""}
    rule = {"users": ["ci"], "actions": ["create", "update"], "conditions": [tags]}
    access = Access({"repositories": {"**": {"policies": [rule]}}})

    def allowed(reference: str, existing: tuple[str, ...] = ()) -> bool:
        request = Request(Identity("ci"), "PUT", "app", reference, existing)
        return access.answer(request, {"method": "PUT"}).allowed

    assert allowed("v1")
    assert not allowed("main")
    assert not allowed("v1", ("v1",))


def test_lists_show_what_may_be_read(zot: Registry) -> None:
    """And to an admin everything, whatever adminPolicy lets him do (measured)."""
    block = {"policies": [{"users": ["bob"], "actions": EVERYTHING}], "anonymousPolicy": ["create"]}
    private = {"policies": [{"users": ["ann"], "actions": ["read", "create"]}]}
    zot.write({"repositories": {"**": block, "private/**": private}, "adminPolicy": {"users": ["eve"], "actions": []}})
    zot.start()
    zot.push_blob("open", BLOB)
    zot.push_blob("private/one", BLOB, "ann")
    lists = {who: zot.ask("GET", "/v2/_catalog", who).json()["repositories"] for who in ("", "bob", "ann", "eve")}
    assert lists == {"": [], "bob": ["open"], "ann": ["private/one"], "eve": ["open", "private/one"]}
    assert zot.ask("GET", "/v2/open/tags/list", "eve").status_code == 403


def test_groups_of_the_policy_count_for_passwords(zot: Registry) -> None:
    rule = {"groups": ["writers"], "actions": EVERYTHING}
    groups = {"Writers": {"users": ["ann"]}}
    zot.write({"repositories": {"**": {"policies": [rule], "anonymousPolicy": ["read"]}}, "groups": groups})
    zot.start()
    assert zot.ask("POST", "/v2/app/blobs/uploads/", "ann").status_code == 202
    assert zot.ask("POST", "/v2/app/blobs/uploads/", "bob").status_code == 403


@pytest.mark.parametrize(
    ("metrics", "statuses"),
    [
        ({"anonymousPolicy": ["read"]}, {"": 200, "bob": 403}),
        ({"users": ["bob"]}, {"": 401, "bob": 200, "ann": 403}),
        ({"users": [""]}, {"": 401, "bob": 403}),
    ],
)
def test_metrics(zot: Registry, metrics: dict[str, Any], statuses: dict[str, int]) -> None:
    zot.write({"repositories": {"**": {"anonymousPolicy": ["read"]}}, "metrics": metrics})
    zot.start()
    answers = {who: zot.ask("GET", "/metrics", who) for who in statuses}
    assert {who: answer.status_code for who, answer in answers.items()} == statuses
    text = (
        next(answer.text for answer in answers.values() if answer.status_code == 200)
        if 200 in statuses.values()
        else ""
    )
    assert ("zot_info{" in text) == (200 in statuses.values())


def test_an_older_zot_opens_its_metrics_by_an_empty_name(zot: Registry) -> None:
    zot.write({"repositories": {"**": {"anonymousPolicy": ["read"]}}, "metrics": {"users": [""]}})
    zot.start("--as-version", "2.1.17")
    assert (zot.ask("GET", "/metrics").status_code, zot.ask("GET", "/metrics", "bob").status_code) == (200, 403)


@pytest.mark.parametrize(("version", "status"), [("2.1.18", 201), ("2.1.19", 403)])
def test_an_older_zot_lets_a_push_by_digest_move_a_tag(zot: Registry, version: str, status: int) -> None:
    rule = {"users": ["ann"], "actions": ["read", "create"]}
    zot.write({"repositories": {"**": {"policies": [rule, {"users": ["bob"], "actions": EVERYTHING}]}}})
    zot.start("--as-version", version)
    zot.push_blob("app", BLOB)
    assert zot.push("app", "v1", manifest("one")).status_code == 201
    other = manifest("two")
    assert zot.push("app", f"{digest(other)}?tag=v1", other, "ann").status_code == status


@pytest.mark.parametrize(
    ("mapping", "info", "claims", "expected"),
    [
        (None, {"email": "a@x.test", "groups": ["g"]}, {"groups": ["h", "g"]}, ("a@x.test", ["g", "h"])),
        ({"username": "preferred_username"}, {"preferred_username": "ann", "email": "a"}, {}, ("ann", [])),
        ({"username": "preferred_username"}, {"email": "a@x.test"}, {}, ("a@x.test", [])),
        ({"username": "sub", "groups": "roles"}, {"sub": "1", "roles": "one", "groups": ["no"]}, {}, ("1", ["one"])),
        ({"groups": "roles"}, {"email": "a", "roles": [1, None, ""]}, {}, ("a", ["1"])),
        (None, {"preferred_username": "ann"}, {}, None),
    ],
)
def test_who_logs_in(mapping: Any, info: Any, claims: Any, expected: tuple[str, list[str]] | None) -> None:
    assert zot_login.identity(mapping, info, claims) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("", ""),
        ("/v2/", "/v2/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://ui.example/page", "https://ui.example/page"),
        ("https://ui.example:444/", "/"),
        ("javascript:alert(1)", "/"),
        ("relative", "/"),
    ],
)
def test_where_a_login_may_end(target: str, expected: str) -> None:
    assert zot_login.safe_return(target, ["https://ui.example:443"]) == expected
