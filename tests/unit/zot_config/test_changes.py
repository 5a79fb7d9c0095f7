"""What a change of zot's configuration asks for, as a table."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._zot import config
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import ANONYMOUS, decide_action
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import parse_policy

OLD: dict[str, Any] = {
    "storage": {"rootDirectory": "/data", "gc": True},
    "http": {
        "port": "5050",
        "auth": {"apikey": True, "openid": {"providers": {"oidc": {"issuer": "https://a.example"}}}},
        "accessControl": {"repositories": {"**": {"anonymousPolicy": ["read"]}}},
    },
    "extensions": {"search": {"enable": True}},
}


@pytest.mark.parametrize(
    ("path", "value", "reload", "restart"),
    [
        ("http.accessControl.repositories", {"**": {"defaultPolicy": ["read"]}}, ["http.accessControl"], []),
        ("http.accessControl.metrics", {"anonymousPolicy": ["read"]}, ["http.accessControl"], []),
        ("http.accessControl", None, [], ["http.accessControl"]),
        ("http.auth.htpasswd", {"path": "/h"}, ["http.auth.htpasswd"], []),
        ("storage.gc", False, ["storage.gc"], []),
        ("storage.gcDelay", "2h", ["storage.gcDelay"], []),
        ("extensions.sync", {"registries": []}, ["extensions.sync"], []),
        ("extensions.search.cve", {"updateInterval": "2h"}, ["extensions.search.cve"], []),
        ("http.port", "5051", [], ["http.port"]),
        ("http.auth.apikey", False, [], ["http.auth.apikey"]),
        ("http.auth.openid.providers.oidc.issuer", "https://b.example", [], ["http.auth.openid.providers.oidc.issuer"]),
        ("storage.rootDirectory", "/other", [], ["storage.rootDirectory"]),
        ("storage.subPaths", {"/a": {"gc": True}}, [], ["storage.subPaths./a.gc"]),
        ("log", {"level": "debug"}, [], ["log.level"]),
        ("extensions.search.enable", False, [], ["extensions.search.enable"]),
        ("extensions.metrics", {"enable": True}, [], ["extensions.metrics.enable"]),
    ],
)
def test_change(path: str, value: Any, reload: list[str], restart: list[str]) -> None:
    new = copy.deepcopy(OLD)
    *parents, last = path.split(".")
    place = new
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    assert config.changes(OLD, new) == (tuple(reload), tuple(restart))
    assert [list(side) for side in config.changes(new, OLD)] == [reload, restart]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abhttpgc"), inner, max_size=3),
    max_leaves=12,
)
CONFIGS = st.dictionaries(st.sampled_from(["http", "storage", "log", "extensions"]), JSON, max_size=4)


@given(CONFIGS)
def test_nothing_changes_against_itself(one: dict[str, Any]) -> None:
    assert config.changes(one, copy.deepcopy(one)) == ((), ())


@given(CONFIGS)
def test_masking_keeps_everything_else(one: dict[str, Any]) -> None:
    assert config.masked(one) == one  # none of these keys is a secret's


def test_secrets_are_masked_wherever_they_stand() -> None:
    told = config.masked(
        {
            "http": {"auth": {"ldap": {"bindPassword": "p1", "bindDN": "cn"}}},
            "storage": {"storageDriver": {"secretkey": "p2", "accesskey": "p3", "bucket": "b"}},
            "list": [{"clientSecret": "p4"}],
        }
    )
    assert not any(secret in str(told) for secret in ("p1", "p2", "p3", "p4"))
    assert told["http"]["auth"]["ldap"]["bindDN"] == "cn"
    assert told["storage"]["storageDriver"]["bucket"] == "b"


@pytest.mark.parametrize("anonymous", [["read"], []])
def test_a_probe_is_told_apart_and_changes_nothing_else(anonymous: list[str]) -> None:
    probe = "blumeops-reload-probe-0123456789abcdef"
    bare = {"http": {"accessControl": {"repositories": {"**": {"anonymousPolicy": anonymous}}}}}
    old = parse_policy(bare["http"]["accessControl"]).policy
    new = parse_policy(config.with_probe(bare, probe)["http"]["accessControl"]).policy
    pair = (f"{probe}-open", f"{probe}-closed")
    assert [decide_action(new, ANONYMOUS, "read", name).outcome for name in pair] == ["allow", "deny"]
    assert len({decide_action(old, ANONYMOUS, "read", name).outcome for name in pair}) == 1
    for name in ("app", "a/b/c", probe, f"{probe}-opener", f"x/{probe}-open"):
        for action in ("read", "create", "update", "delete"):
            before, after = (decide_action(policy, ANONYMOUS, action, name).outcome for policy in (old, new))
            assert before == after, (name, action)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("Error: invalid server config: invalid port 70000\n", "invalid server config: invalid port 70000"),
        (
            '{"level":"error","message":"failed"}\nError: decoding failed due to the following error(s):\n\n'
            "'HTTP' has invalid keys: bla\n",
            "decoding failed due to the following error(s): 'HTTP' has invalid keys: bla",
        ),
        ("", "no reason was given"),
        ("panic: something", "panic: something"),
    ],
)
def test_the_reason_of_zot_verify(output: str, message: str) -> None:
    assert config.rest_of_message(output) == message
