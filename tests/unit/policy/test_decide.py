"""What zot answers, rule by rule. The recordings hold the model to zot; here each rule stands by itself."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import (
    ANONYMOUS,
    Identity,
    Request,
    decide,
    decide_action,
    decide_metrics,
    effective_groups,
    is_digest,
    needed_actions,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import Policy, parse_policy

DIGEST = "sha256:" + "a" * 64
CI = Identity("zot-ci", ("artifact-workloads",))
ADMIN = Identity("erich", ("admins",))
NOBODY = Identity("somebody")


def policy(repositories: dict[str, Any], **rest: Any) -> Policy:
    return parse_policy({"repositories": repositories, **rest}).policy


ESTATE = policy(
    {
        "**": {
            "anonymousPolicy": ["read"],
            "defaultPolicy": ["read"],
            "policies": [
                {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
                {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
            ],
        }
    },
    metrics={"users": ["zot-ci"], "anonymousPolicy": ["read"]},
)


@pytest.mark.parametrize(
    ("identity", "actions"),
    [(ANONYMOUS, "read"), (NOBODY, "read"), (CI, "read create"), (ADMIN, "read create update delete")],
    ids=str,
)
def test_the_estate_grants_what_it_promises(identity: Identity, actions: str) -> None:
    granted = [
        action
        for action in ("read", "create", "update", "delete")
        if decide_action(ESTATE, identity, action, "blumeops/navidrome").outcome == "allow"
    ]
    assert granted == actions.split()


@pytest.mark.parametrize(
    ("why", "repositories", "rest", "identity", "outcome", "rule"),
    [
        (
            "the longest matching pattern alone decides; the rules of shorter ones do not add up",
            {"**": {"anonymousPolicy": ["read"]}, "a/**": {"defaultPolicy": ["read"]}},
            {},
            ANONYMOUS,
            "deny",
            "",
        ),
        (
            "with anonymousPolicy alone, logging in loses pull",
            {"**": {"anonymousPolicy": ["read"]}},
            {},
            NOBODY,
            "deny",
            "",
        ),
        (
            "policies naming the user come before those naming a group",
            {
                "**": {
                    "policies": [
                        {"groups": ["artifact-workloads"], "actions": ["read"]},
                        {"users": ["zot-ci"], "actions": ["read"]},
                    ]
                }
            },
            {},
            CI,
            "allow",
            "repositories['**'].policies[1]",
        ),
        (
            "of several policies naming its groups the first one grants",
            {
                "**": {
                    "policies": [
                        {"groups": ["b"], "actions": ["read"]},
                        {"groups": ["a"], "actions": ["read"]},
                    ]
                }
            },
            {},
            Identity("u", ("a", "b")),
            "allow",
            "repositories['**'].policies[0]",
        ),
        (
            "then defaultPolicy, for any authenticated user",
            {"**": {"defaultPolicy": ["read"]}},
            {},
            CI,
            "allow",
            "repositories['**'].defaultPolicy",
        ),
        (
            "adminPolicy grants whatever the pattern, and where none matches",
            {"b": {"anonymousPolicy": ["read"]}},
            {"adminPolicy": {"groups": ["admins"], "actions": ["read"]}},
            ADMIN,
            "allow",
            "adminPolicy",
        ),
        (
            "users: [''] in a repository policy means the anonymous caller",
            {"**": {"policies": [{"users": [""], "actions": ["read"]}], "anonymousPolicy": ["delete"]}},
            {},
            ANONYMOUS,
            "allow",
            "repositories['**'].policies[0]",
        ),
        (
            "but a caller without credentials is turned away where no block has an anonymousPolicy",
            {"**": {"policies": [{"users": [""], "actions": ["read"]}]}},
            {},
            ANONYMOUS,
            "deny",
            "",
        ),
        (
            "equal lengths are chosen between at random",
            {"a/*": {"defaultPolicy": ["read"]}, "*/b": {"defaultPolicy": ["create"]}},
            {},
            CI,
            "random",
            "",
        ),
        (
            "equal lengths that agree are no chance",
            {"a/*": {"defaultPolicy": ["read"]}, "*/b": {"policies": [{"users": ["zot-ci"], "actions": ["read"]}]}},
            {},
            CI,
            "allow",
            "repositories['a/*'].defaultPolicy",
        ),
        (
            "adminPolicy makes an end of chance",
            {"a/*": {"defaultPolicy": ["read"]}, "*/b": {"defaultPolicy": ["create"]}},
            {"adminPolicy": {"users": ["zot-ci"], "actions": ["read"]}},
            CI,
            "allow",
            "repositories['a/*'].defaultPolicy",
        ),
        (
            "a condition stands in the way",
            {
                "**": {
                    "policies": [{"users": ["zot-ci"], "actions": ["read"], "conditions": [{"expression": "x"}]}],
                }
            },
            {},
            CI,
            "conditional",
            "repositories['**'].policies[0]",
        ),
        (
            "a rule without a condition grants where another one would only perhaps",
            {
                "**": {
                    "policies": [{"users": ["zot-ci"], "actions": ["read"], "conditions": [{"expression": "x"}]}],
                    "defaultPolicy": ["read"],
                }
            },
            {},
            CI,
            "allow",
            "repositories['**'].defaultPolicy",
        ),
        (
            "the block under the empty pattern is taken where nothing matches",
            {"": {"anonymousPolicy": ["read"]}, "b": {"defaultPolicy": ["read"]}},
            {},
            ANONYMOUS,
            "allow",
            "repositories[''].anonymousPolicy",
        ),
        (
            "an accessControl without any value controls nothing: whoever can log in may do all",
            {"**": {}},
            {},
            NOBODY,
            "allow",
            "no accessControl",
        ),
        ("and who cannot log in may do nothing", {"**": {}}, {}, ANONYMOUS, "deny", ""),
        (
            "a block that is empty shadows nothing",
            {"**": {"anonymousPolicy": ["read"]}, "a/b": {}},
            {},
            ANONYMOUS,
            "allow",
            "repositories['**'].anonymousPolicy",
        ),
        (
            "a block that inherits keeps the rules of **",
            {"**": {"anonymousPolicy": ["read"]}, "a/b": {"inherit": True, "defaultPolicy": ["create"]}},
            {},
            ANONYMOUS,
            "allow",
            "repositories['a/b'].anonymousPolicy",
        ),
    ],
)
def test_rules(
    why: str, repositories: dict[str, Any], rest: dict[str, Any], identity: Identity, outcome: str, rule: str
) -> None:
    decision = decide(policy(repositories, **rest), Request(identity, "GET", "a/b"))
    assert (decision.outcome, decision.deciding.rule) == (outcome, rule), why
    assert decision.explanation(), why


@pytest.mark.parametrize(
    ("method", "reference", "existing", "query", "needed"),
    [
        ("GET", "v1", (), (), ["read"]),
        ("HEAD", DIGEST, (), (), ["read"]),
        ("DELETE", "v1", ("v1",), (), ["delete"]),
        ("DELETE", "", (), (), ["delete"]),
        ("POST-UPLOAD", "", (), (), ["create"]),
        ("POST", "", (), (), ["create"]),
        ("PATCH", "", (), (), ["create"]),
        ("PUT", "", (), (), ["create"]),
        ("PUT", "v1", (), (), ["create v1"]),
        ("PUT", "v1", ("v1",), (), ["update v1"]),
        ("PUT", "v1", ("v1",), ("v2",), ["update v1"]),
        ("PUT", DIGEST, ("v1",), (), [f"create {DIGEST}"]),
        ("PUT", DIGEST, ("v1",), ("v2",), ["create v2", f"create {DIGEST}"]),
        ("PUT", DIGEST, ("v1",), ("v1",), ["update v1", f"update {DIGEST}"]),
        (
            "PUT",
            DIGEST,
            ("v1",),
            ("v2", "v1", " v2 "),
            ["update v1", "create v2", f"create {DIGEST}", f"update {DIGEST}"],
        ),
        ("PUT", DIGEST, (), ("", "not a tag", "a/b"), [f"create {DIGEST}"]),
        ("PUT", "sha256:short", (), ("v1",), ["create sha256:short"]),
    ],
)
def test_actions_that_a_request_needs(
    method: str, reference: str, existing: tuple[str, ...], query: tuple[str, ...], needed: list[str]
) -> None:
    request = Request(CI, method, "a", reference, existing, query)
    assert list(decide(ESTATE, request).actions) == needed


def test_every_needed_action_must_be_allowed() -> None:
    request = Request(CI, "PUT", "a", DIGEST, ("v1",), ("v1", "v2"))
    decision = decide(ESTATE, request)
    assert (decision.outcome, decision.allowed, str(decision.deciding)) == ("deny", False, "update v1")


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [
        (("allow", "conditional"), "conditional"),
        (("conditional", "allow"), "conditional"),
        (("conditional", "deny"), "deny"),
    ],
)
def test_the_worst_of_several_actions_counts(outcomes: tuple[str, str], outcome: str) -> None:
    rules = [
        {"users": ["u"], "actions": [action], "conditions": [{"expression": "x"}] if kind == "conditional" else []}
        for action, kind in zip(("update", "create"), outcomes, strict=True)
        if kind != "deny"
    ]
    request = Request(Identity("u"), "PUT", "a", DIGEST, ("v1",), ("v1", "v2"))
    assert decide(policy({"**": {"policies": rules}}), request).outcome == outcome


@pytest.mark.parametrize("method", ["", "get", "OPTIONS", "COPY"])
def test_unknown_methods_are_refused(method: str) -> None:
    with pytest.raises(InvalidInput, match="no method of a registry request"):
        needed_actions(Request(CI, method, "a"))


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (DIGEST, True),
        ("sha512:" + "0" * 128, True),
        ("sha384:" + "0" * 96, True),
        ("sha256:" + "A" * 64, False),
        ("sha256:" + "a" * 63, False),
        ("md5:" + "a" * 32, False),
        ("latest", False),
    ],
)
def test_what_is_a_digest(text: str, digest: bool) -> None:
    assert is_digest(text) is digest


@pytest.mark.parametrize(
    ("via", "groups"), [("password", ("came", "own")), ("apikey", ("came",)), ("login", ("came",))]
)
def test_the_policys_own_groups_are_for_passwords(via: Any, groups: tuple[str, ...]) -> None:
    known = policy({"**": {"defaultPolicy": ["read"]}}, groups={"own": {"users": ["u"]}, "other": {"users": ["v"]}})
    assert effective_groups(known, Identity("u", ("came",), via)) == groups


@pytest.mark.parametrize(
    ("metrics", "identity", "outcome"),
    [
        ({"anonymousPolicy": ["read"]}, ANONYMOUS, "allow"),
        ({"anonymousPolicy": ["read"]}, CI, "deny"),
        ({"users": ["zot-ci"]}, CI, "allow"),
        ({"users": ["zot-ci"]}, ANONYMOUS, "deny"),
        # The way of 2.1.17 and older.
        ({"users": [""]}, ANONYMOUS, "deny"),
        ({}, ADMIN, "deny"),
    ],
)
def test_metrics(metrics: dict[str, Any], identity: Identity, outcome: str) -> None:
    known = policy(
        {"**": {"anonymousPolicy": ["read"]}},
        metrics=metrics,
        adminPolicy={"groups": ["admins"], "actions": ["read"]},
    )
    assert decide_metrics(known, identity).outcome == outcome


def test_metrics_without_access_control_want_a_login_only() -> None:
    assert [decide_metrics(policy({}), who).outcome for who in (ANONYMOUS, NOBODY)] == ["deny", "allow"]


def test_the_explanation_tells_what_decides_and_why_the_rest_does_not() -> None:
    known = policy(
        {
            "**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]},
            "blumeops/**": {
                "policies": [
                    {"groups": ["admins"], "actions": ["update"]},
                    {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
                ]
            },
        },
        groups={"admins": {"users": ["zot-ci"]}},
    )
    request = Request(CI, "PUT", "blumeops/navidrome", "v1.0.0", ("v1.0.0",))
    assert decide(known, request).explanation() == (
        "zot-ci (artifact-workloads) may not update blumeops/navidrome:v1.0.0.",
        "The block 'blumeops/**' decides: its pattern is the longest that matches blumeops/navidrome.",
        "Shorter patterns match and do not count: '**'.",
        "repositories['blumeops/**'].policies[0] names neither zot-ci nor one of its groups.",
        "repositories['blumeops/**'].policies[1] names group artifact-workloads, but not update.",
        "repositories['blumeops/**'].defaultPolicy is absent.",
        "repositories['blumeops/**'].anonymousPolicy is for callers without a user name.",
        "adminPolicy names neither zot-ci nor one of its groups.",
        "The policy's own groups admins list zot-ci, but count for password logins only.",
    )


def test_conditions_that_must_hold_together_are_told_apart() -> None:
    rules = [
        {"users": ["u"], "actions": ["read"], "conditions": [{"expression": "a"}, {"expression": "b"}]},
        {"groups": ["g"], "actions": ["read"], "conditions": [{"expression": "c"}]},
    ]
    check = decide_action(policy({"**": {"policies": rules}}), Identity("u", ("g",)), "read", "x")
    assert [[condition.expression for condition in way] for way in check.ways] == [["a", "b"], ["c"]]
    assert [condition.expression for condition in check.conditions] == ["a", "b", "c"]
