from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._zot import verify
from ansible_collections.blumeops.registry.plugins.module_utils._zot.client import Login, Mgmt
from ansible_collections.blumeops.registry.plugins.module_utils._zot.verify import Asked, Discovery, Expected, Observed

ISSUER = "https://authentik.ops.eblu.me/application/o/zot/"
AUTHORIZE = "https://authentik.ops.eblu.me/application/o/authorize/"
CALLBACK = "https://registry.ops.eblu.me/zot/auth/callback/oidc"

EXPECTED = Expected(
    url="https://registry.ops.eblu.me",
    callback=CALLBACK,
    issuer=ISSUER,
    client_id="zot",
    scopes=("openid", "email", "profile"),
    ci="zot-ci",
    admin="erich",
    push=True,
)
GOOD = Observed(
    asked={
        "reachable": Asked(200),
        "catalog": Asked(200),
        "pull": Asked(200, True),
        "anonymous_push": Asked(401, False),
        "discovery": Asked(200),
        "login": Asked(302),
        "ci_key": Asked(200),
        "ci_create": Asked(415, True),
        "ci_update": Asked(403, False),
        "ci_delete": Asked(403, False),
        "admin_key": Asked(200),
        "admin_create": Asked(415, True),
        "admin_update": Asked(415, True),
        "admin_delete": Asked(404, True),
        "metrics": Asked(200),
        "push": Asked(200, True),
    },
    repository="blumeops/navidrome",
    tag="v1.0.0-abc1234",
    login=Login(AUTHORIZE, "zot", CALLBACK, ("openid", "email", "profile"), "code"),
    discovery=Discovery(ISSUER, AUTHORIZE, ("openid", "email", "profile"), ("code",)),
    mgmt=Mgmt("v2.1.20", True, ("oidc",)),
    probe="blumeops/probe:v1",
)
DENIED, MAY = Asked(403, False), Asked(415, True)


def seen(asked: dict[str, Asked | None] | None = None, **changes: Any) -> Observed:
    """What was seen, differing from GOOD; None takes an entry away."""
    merged = {name: said for name, said in {**GOOD.asked, **(asked or {})}.items() if said is not None}
    return dataclasses.replace(GOOD, asked=merged, **changes)


def not_passed(observed: Observed, expected: Expected = EXPECTED) -> dict[str, tuple[str, str]]:
    return {
        check.name: (check.result, check.cause)
        for check in verify.judge(expected, observed)
        if check.result != "passed"
    }


def message(observed: Observed, name: str, expected: Expected = EXPECTED) -> str:
    return next(check.message for check in verify.judge(expected, observed) if check.name == name)


def test_a_registry_as_it_should_be() -> None:
    checks = verify.judge(EXPECTED, GOOD)
    assert {check.result for check in checks} == {"passed"}
    assert [check.name for check in checks] == [
        "reachable", "catalog", "pull", "anonymous_push", "discovery", "login", "key_route", "ci_key", "ci_create",
        "ci_update", "ci_delete", "admin_key", "admin_create", "admin_update", "admin_delete", "metrics", "push",
    ]  # fmt: skip
    assert verify.failures(checks) == ""


CASES = [
    pytest.param({"catalog": Asked(401, False)}, {}, {"catalog": ("failed", "other_configuration")}, id="closed"),
    pytest.param(
        {"catalog": Asked(200, problem="HTML", cause="not_the_registry")},
        {},
        {"catalog": ("failed", "not_the_registry")},
        id="a catalog that is HTML",
    ),
    pytest.param({"catalog": Asked(418)}, {}, {"catalog": ("unknown", "")}, id="an answer that settles nothing"),
    pytest.param({"pull": Asked(401, False)}, {}, {"pull": ("failed", "other_configuration")}, id="no anonymous pull"),
    pytest.param({"pull": Asked(404, True)}, {"tag": ""}, {}, id="nothing to pull, reading is open"),
    pytest.param(
        {"anonymous_push": MAY}, {}, {"anonymous_push": ("failed", "other_configuration")}, id="anybody may push"
    ),
    pytest.param(
        {"anonymous_push": DENIED},
        {},
        {"anonymous_push": ("failed", "proxy_adds_credentials")},
        id="a proxy that adds credentials",
    ),
    pytest.param(
        {"anonymous_push": Asked(405), "ci_create": Asked(405)},
        {},
        {"anonymous_push": ("failed", "read_only"), "ci_create": ("failed", "read_only")},
        id="a proxy that lets nothing but reads through",
    ),
    pytest.param(
        {},
        {"discovery": dataclasses.replace(GOOD.discovery, issuer="https://elsewhere.example/")},
        {"discovery": ("failed", "issuer")},
        id="another issuer",
    ),
    pytest.param(
        {},
        {"discovery": dataclasses.replace(GOOD.discovery, issuer=ISSUER.rstrip("/"))},
        {"discovery": ("failed", "issuer")},
        id="an issuer without the slash at its end",
    ),
    pytest.param(
        {},
        {"discovery": dataclasses.replace(GOOD.discovery, scopes=("openid", "email"))},
        {"discovery": ("failed", "issuer")},
        id="a scope that is not offered",
    ),
    pytest.param(
        {},
        {"discovery": dataclasses.replace(GOOD.discovery, response_types=("token",))},
        {"discovery": ("failed", "issuer")},
        id="no code flow",
    ),
    pytest.param(
        {}, {"discovery": dataclasses.replace(GOOD.discovery, scopes=None, response_types=None)}, {}, id="silent issuer"
    ),
    pytest.param(
        {"discovery": Asked(problem="refuses connections", cause="unreachable")},
        {"discovery": None},
        {"discovery": ("failed", "unreachable")},
        id="the issuer is away, the login goes to its host",
    ),
    pytest.param(
        {"discovery": Asked(problem="away", cause="unreachable")},
        {"discovery": None, "login": dataclasses.replace(GOOD.login, endpoint="https://elsewhere.example/authorize")},
        {"discovery": ("failed", "unreachable"), "login": ("failed", "other_configuration")},
        id="the issuer is away, the login goes elsewhere",
    ),
    *(
        pytest.param(
            {},
            {"login": dataclasses.replace(GOOD.login, **change)},
            {"login": ("failed", "other_configuration")},
            id=f"login with another {next(iter(change))}",
        )
        for change in (
            {"client_id": "other"},
            {"redirect_uri": "http://127.0.0.1:5050/zot/auth/callback/oidc"},
            {"scopes": ("openid",)},
            {"endpoint": "https://authentik.ops.eblu.me/other/"},
        )
    ),
    pytest.param(
        {}, {"login": dataclasses.replace(GOOD.login, scopes=("profile", "openid", "email"))}, {}, id="order of scopes"
    ),
    pytest.param(
        {"login": Asked(400, problem="knows no OpenID provider", cause="other_configuration")},
        {"login": None},
        {"login": ("failed", "other_configuration")},
        id="no such provider",
    ),
    pytest.param({"login": Asked(403, False)}, {"login": None}, {"login": ("failed", "not_the_registry")},
                 id="somebody else answers the login"),
    pytest.param(
        {"ci_key": Asked(401, False), "ci_create": None, "ci_update": None, "ci_delete": None, "push": None,
         "bad_credential": Asked(401)},
        {},
        {
            "ci_key": ("failed", "key_refused"),
            "ci_create": ("unknown", ""),
            "ci_update": ("unknown", ""),
            "ci_delete": ("unknown", ""),
            "push": ("unknown", ""),
        },
        id="a refused key",
    ),
    pytest.param(
        {"ci_key": Asked(401, False), "admin_key": Asked(401, False), "bad_credential": Asked(401),
         "ci_create": None, "ci_update": None, "ci_delete": None, "push": None,
         "admin_create": None, "admin_update": None, "admin_delete": None},
        {"mgmt": Mgmt("", False, ("oidc",))},
        {
            "key_route": ("failed", "other_configuration"),
            "ci_key": ("failed", "other_configuration"),
            "admin_key": ("failed", "other_configuration"),
            **{f"{who}_{action}": ("unknown", "") for who in ("ci", "admin") for action in verify.WRITES},
            "push": ("unknown", ""),
        },
        id="API keys are off",
    ),
    pytest.param(
        {"ci_key": Asked(500, problem="answered 500"), "admin_key": None, "bad_credential": Asked(200),
         "ci_create": None, "ci_update": None, "ci_delete": None, "push": None,
         "admin_create": None, "admin_update": None, "admin_delete": None},
        {"mgmt": None},
        {
            "key_route": ("unknown", ""),
            "ci_key": ("failed", "proxy_strips_authorization"),
            "admin_key": ("unknown", ""),
            **{f"{who}_{action}": ("unknown", "") for who in ("ci", "admin") for action in verify.WRITES},
            "push": ("unknown", ""),
        },
        id="a proxy that strips the Authorization header",
    ),
    pytest.param(
        {"ci_key": Asked(500, problem="answered 500: look into its log"), "ci_create": None, "ci_update": None,
         "ci_delete": None, "push": None, "bad_credential": Asked(401)},
        {},
        {"ci_key": ("failed", ""), "ci_create": ("unknown", ""), "ci_update": ("unknown", ""),
         "ci_delete": ("unknown", ""), "push": ("unknown", "")},
        id="a registry that fails on its keys",
    ),
    pytest.param({"ci_create": DENIED}, {}, {"ci_create": ("failed", "stale_groups")}, id="stale groups of CI"),
    pytest.param(
        {"ci_create": DENIED, "admin_create": DENIED, "admin_update": DENIED, "admin_delete": DENIED},
        {},
        {
            "ci_create": ("failed", "other_configuration"),
            "admin_create": ("failed", "stale_groups"),
            "admin_update": ("failed", "stale_groups"),
            "admin_delete": ("failed", "stale_groups"),
        },
        id="nobody may write",
    ),
    pytest.param(
        {"ci_update": MAY, "ci_delete": Asked(404, True)},
        {},
        {"ci_update": ("failed", "stale_groups"), "ci_delete": ("failed", "stale_groups")},
        id="CI is treated as an admin",
    ),
    pytest.param(
        {"ci_update": MAY}, {}, {"ci_update": ("failed", "other_configuration")}, id="CI may overwrite, not delete"
    ),
    pytest.param(
        {"ci_delete": Asked(404, True)}, {}, {"ci_delete": ("failed", "other_configuration")}, id="CI may delete"
    ),
    pytest.param(
        {"ci_update": MAY},
        {"tag": "latest", "mgmt": Mgmt("v2.1.14", True, ())},
        {"ci_update": ("failed", "older_zot")},
        id="latest on a zot before 2.1.15",
    ),
    pytest.param(
        {"ci_update": MAY},
        {"tag": "latest", "mgmt": Mgmt("", True, ())},
        {"ci_update": ("failed", "older_zot")},
        id="latest on a zot that does not say its version",
    ),
    pytest.param(
        {"ci_update": MAY},
        {"tag": "latest"},
        {"ci_update": ("failed", "other_configuration")},
        id="latest on a newer zot",
    ),
    pytest.param(
        {"admin_delete": DENIED}, {}, {"admin_delete": ("failed", "other_configuration")}, id="admins may not delete"
    ),
    pytest.param({"ci_update": None, "admin_update": None}, {"tag": ""},
                 {"ci_update": ("unknown", ""), "admin_update": ("unknown", "")}, id="no tag to ask about"),
    pytest.param({"metrics": Asked(401, False)}, {}, {"metrics": ("failed", "older_zot")}, id="metrics closed"),
    pytest.param({"metrics": Asked(404)}, {}, {"metrics": ("failed", "other_configuration")}, id="no metrics"),
    pytest.param(
        {"metrics": Asked(200, problem="HTML", cause="not_the_registry")},
        {},
        {"metrics": ("failed", "not_the_registry")},
        id="metrics that are HTML",
    ),
    pytest.param({"push": Asked(200, False)}, {}, {"push": ("failed", "other_configuration")}, id="another probe"),
    pytest.param({"push": Asked()}, {}, {"push": ("unknown", "")}, id="check mode"),
    pytest.param(
        {"push": Asked(500, problem="could not store the push", cause="storage")},
        {},
        {"push": ("failed", "storage")},
        id="full",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "changes", "differences"), CASES)
def test_a_disagreement_names_its_likely_cause(
    asked: dict[str, Asked | None], changes: dict[str, Any], differences: dict[str, tuple[str, str]]
) -> None:
    assert not_passed(seen(asked, **changes)) == differences


@pytest.mark.parametrize(
    ("asked", "changes", "name", "words"),
    [
        ({"ci_create": DENIED}, {}, "ci_create", "log in as zot-ci once"),
        ({"metrics": Asked(401, False)}, {}, "metrics", "metrics.anonymousPolicy"),
        ({}, {"discovery": dataclasses.replace(GOOD.discovery, issuer=ISSUER[:-1])}, "discovery", "only the slash"),
        ({"ci_key": Asked(401, False)}, {}, "ci_key", "wrong, ended, revoked or another identity's"),
        ({"anonymous_push": MAY}, {}, "anonymous_push", "anybody may push"),
        ({"ci_update": MAY}, {"tag": "latest", "mgmt": Mgmt("", True, ())}, "ci_update", "does not say its version"),
        ({"push": Asked()}, {}, "push", "blumeops/probe:v1 would be pushed"),
    ],
)  # fmt: skip
def test_the_sentence_says_what_to_do(
    asked: dict[str, Asked | None], changes: dict[str, Any], name: str, words: str
) -> None:
    text = message(seen(asked, **changes), name)
    assert words in text
    assert "expired" not in text


def test_a_registry_that_does_not_answer_leaves_everything_else_unknown() -> None:
    problem = "TLS to the registry failed: its certificate has expired; renew it"
    checks = verify.judge(EXPECTED, Observed({"reachable": Asked(problem=problem, cause="unreachable")}))
    assert [check.result for check in checks] == ["failed", *["unknown"] * (len(checks) - 1)]
    assert verify.failures(checks) == problem


def test_what_is_not_expected_is_not_in_the_table() -> None:
    names = {check.name for check in verify.judge(Expected(url="http://127.0.0.1:1", metrics_path=""), GOOD)}
    assert names & {"login", "discovery", "metrics", "push", "ci_key", "ci_create", "admin_key"} == set()


def test_without_keys_nothing_about_them_is_known() -> None:
    asked = {name: None for name in GOOD.asked if name.startswith(("ci_", "admin_"))}
    differences = not_passed(seen({**asked, "push": None}))
    assert {result for result, _ in differences.values()} == {"unknown"}
    assert set(differences) == {*asked, "push"}


def test_several_failures_are_one_sentence() -> None:
    checks = verify.judge(EXPECTED, seen({"catalog": Asked(401, False), "metrics": Asked(404)}))
    text = verify.failures(checks)
    assert text.startswith("2 checks failed: catalog: ")
    assert "; metrics: " in text
    assert "\n" not in text


def test_the_table_has_a_line_for_each_check() -> None:
    checks = verify.judge(EXPECTED, seen({"metrics": Asked(404)}))
    lines = verify.table(checks)
    assert len(lines) == len(checks)
    assert all(check.result in line and check.message in line for check, line in zip(checks, lines, strict=True))
    assert len({line.index(check.result) for check, line in zip(checks, lines, strict=True)}) == 1


@given(
    st.dictionaries(
        st.sampled_from([*sorted(GOOD.asked), "bad_credential"]),
        st.one_of(
            st.none(),
            st.builds(Asked, st.sampled_from([0, 200, 302, 400, 401, 403, 404, 405, 415, 500]), st.booleans()),
            st.builds(Asked, problem=st.just("broken"), cause=st.sampled_from(["unreachable", "not_the_registry", ""])),
        ),
    ),
    st.fixed_dictionaries(
        {
            "tag": st.sampled_from(["", "latest", "v1"]),
            "login": st.sampled_from([None, GOOD.login]),
            "discovery": st.sampled_from([None, GOOD.discovery]),
            "mgmt": st.sampled_from([None, GOOD.mgmt, Mgmt("", False, ())]),
        }
    ),
)
def test_every_observation_has_a_judgement(asked: dict[str, Asked | None], changes: dict[str, Any]) -> None:
    """No combination of answers crashes; a failed check always says something, a passed one has no cause."""
    for check in verify.judge(EXPECTED, seen(asked, **changes)):
        assert check.message
        assert "\n" not in check.message
        assert check.result == "failed" or check.cause == ""
