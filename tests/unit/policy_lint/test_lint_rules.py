"""Every rule of lint: a configuration that it catches, and the nearest one that is right."""

from __future__ import annotations

import copy
import json
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.facts import Facts
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import CODES, Finding
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.lint import lint
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.versions import ZotVersion

Config = dict[str, Any]
Changed = Callable[[Callable[[Config], object] | None], Config]
CONTRACTS = pathlib.Path(__file__).parents[2] / "contracts" / "zot"
GROUPS = {"admins": (), "artifact-workloads": ("zot-ci",)}
KNOWN = Facts(version=ZotVersion.parse("2.1.20"), groups=GROUPS)
ALL = ["read", "create", "update", "delete"]


def facts(**told: Any) -> Facts:
    version = ZotVersion.parse(told.pop("version", "2.1.20"))
    return Facts(version=version, groups=told.pop("groups", GROUPS), **told)


def access(config: Config) -> Config:
    found: Config = config["http"]["accessControl"]
    return found


def root(config: Config) -> Config:
    found: Config = access(config)["repositories"]["**"]
    return found


def auth(config: Config) -> Config:
    found: Config = config["http"]["auth"]
    return found


def provider(config: Config) -> Config:
    found: Config = auth(config)["openid"]["providers"]["oidc"]
    return found


def blocks(**added: Any) -> Callable[[Config], object]:
    return lambda config: access(config)["repositories"].update(added)


def block(pattern: str, **says: Any) -> Callable[[Config], object]:
    def change(config: Config) -> None:
        whole = copy.deepcopy(root(config))
        whole.update(says)
        access(config)["repositories"][pattern] = {key: value for key, value in whole.items() if value is not None}

    return change


def only(pattern: str, **says: Any) -> Callable[[Config], object]:
    """One block, instead of all others."""

    def change(config: Config) -> None:
        whole = copy.deepcopy(root(config))
        whole.update(says)
        access(config)["repositories"] = {pattern: whole}

    return change


def policy(**rule: Any) -> Callable[[Config], object]:
    return lambda config: root(config)["policies"].append(rule)


def both(*changes: Callable[[Config], object]) -> Callable[[Config], object]:
    return lambda config: [change(config) for change in changes]


def setting(*path: str, to: Any) -> Callable[[Config], object]:
    """Set a value; ``None`` takes the key out."""

    def change(config: Config) -> None:
        here = config
        for key in path[:-1]:
            here = here.setdefault(key, {})
        if to is None:
            here.pop(path[-1], None)
        else:
            here[path[-1]] = to

    return change


def conditions(*expressions: str) -> Callable[[Config], object]:
    return policy(
        groups=["admins"], actions=["read"], conditions=[{"expression": text, "message": ""} for text in expressions]
    )


HTPASSWD = both(
    setting("http", "auth", "openid", to=None), setting("http", "auth", "htpasswd", to={"path": "/etc/zot/htpasswd"})
)
NOBODY = setting("http", "auth", to=None)


@dataclass(frozen=True)
class Case:
    """``wrong`` gives a finding of the code and severity that says ``reason`` at ``place``; ``right`` gives none."""

    code: str
    severity: str
    wrong: Callable[[Config], object]
    right: Callable[[Config], object] | None
    place: str
    reason: str
    told: Facts = KNOWN
    right_told: Facts | None = None
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.code} {self.name or self.severity}"


ROOT = "http.accessControl.repositories['**']"
CASES = [
    Case("ZP001", "error", setting("http", to="text"), None, "http", "mapping"),
    Case("ZP001", "error", setting("http", "accessControl", to=[]), None, "http.accessControl", "mapping", name="list"),
    Case(
        "ZP001",
        "error",
        setting("http", "accessControl", "repositories", to=["**"]),
        None,
        "http.accessControl.repositories",
        "mapping",
        name="repositories",
    ),
    Case(
        "ZP001",
        "error",
        policy(groups=["admins"], actions=["read", True]),
        policy(groups=["admins"], actions=["read"]),
        f"{ROOT}.policies[2].actions[1]",
        "string",
        name="boolean",
    ),
    Case(
        "ZP002", "error", setting("http", "fooBar", to=1), setting("http", "REALM", to="zot"), "http.fooBar", "'fooBar'"
    ),
    Case(
        "ZP002",
        "error",
        setting("http", "accessControl", "repositories", "**", "anonPolicy", to=["read"]),
        setting("http", "accessControl", "repositories", "**", "anonymouspolicy", to=["read"]),
        f"{ROOT}.anonPolicy",
        "refuses to start",
        name="block",
    ),
    Case("ZP002", "warning", setting("extensions", "foo", to={}), None, "extensions.foo", "does nothing"),
    Case(
        "ZP002",
        "error",
        block("a/**", inherit=True),
        None,
        "http.accessControl.repositories['a/**'].inherit",
        "'inherit'",
        name="inherit that was not compiled away",
    ),
    Case("ZP003", "error", block("{a"), block("{a,b}"), "http.accessControl.repositories['{a']", "malformed"),
    Case(
        "ZP003",
        "error",
        block("a[]"),
        block("a[b]"),
        "http.accessControl.repositories['a[]']",
        "malformed",
        name="class",
    ),
    Case("ZP003", "error", block("a::b"), block("a/b"), "http.accessControl.repositories['a::b']", "::", name="colons"),
    Case(
        "ZP004",
        "error",
        block("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}/**"),
        block("{a,b}{a,b}/**"),
        "http.accessControl.repositories[",
        "slow",
    ),
    Case(
        "ZP101",
        "error",
        both(block("a/*", policies=[]), block("*/b")),
        block("a/*"),
        "['*/b']",
        "match a/b: zot takes one",
    ),
    Case(
        "ZP101",
        "error",
        block("ci", policies=[]),
        block("cid", policies=[]),
        "['**']",
        "'ci'",
        name="** and a short name",
    ),
    Case(
        "ZP101",
        "error",
        both(block("ab/**", policies=[]), block("ab/cd")),
        both(block("ab/**"), block("ab/cde")),
        "['ab/**']",
        "match ab/cd: zot",
        name="tree and name",
    ),
    Case(
        "ZP101",
        "warning",
        both(block("a/*"), block("*/b")),
        block("*/b"),
        "['*/b']",
        "say the same",
        name="equal rules",
    ),
    Case(
        "ZP101",
        "error",
        both(block("abc/*", policies=[]), block("*/bcd"), block("abd/*")),
        both(block("abc/*", policies=[]), block("*/bcd"), block("abc/bcd")),
        "['*/bcd']",
        "abc/bcd",
        name="a longer block that decides the overlap",
    ),
    Case("ZP102", "error", block("/blumeops/**"), block("blumeops/**"), "['/blumeops/**']", "begins with a slash"),
    Case(
        "ZP103",
        "warning",
        block("blumeops/*"),
        block("blumeops/**"),
        "['blumeops/*']",
        "blumeops/team/navidrome is not matched here and falls under '**'",
        told=facts(repositories=("blumeops/team/navidrome",)),
    ),
    Case(
        "ZP103",
        "warning",
        block("docker.io/*"),
        block("docker.io/**"),
        "['docker.io/*']",
        "docker.io/library/alpine",
        name="a mirror's names have folders",
    ),
    Case(
        "ZP103",
        "warning",
        block("private/*", anonymousPolicy=[]),
        block("private/**", anonymousPolicy=[]),
        "['private/*']",
        "falls under '**'",
        name="what lies deeper is open",
    ),
    Case("ZP103", "info", block("a/*"), block("a/**"), "['a/*']", "ends at the next slash", name="info"),
    Case("ZP103", "warning", only("*"), only("**"), "['*']", "no block at all", name="alone"),
    Case(
        "ZP103", "warning", block("blumeops**"), block("blumeops/**"), "['blumeops**']", "the same as *", name="inside"
    ),
    Case("ZP104", "error", block("blumeops/"), block("blumeops"), "['blumeops/']", "do not end in a slash"),
    Case("ZP104", "error", block("a//b"), block("a/b"), "['a//b']", "two slashes", name="two slashes"),
    Case("ZP104", "error", block("a b/**"), block("a-b/**"), "['a b/**']", "no repository", name="space"),
    Case(
        "ZP104",
        "error",
        block("*"),
        block("*/*"),
        "['*']",
        "matched by a longer pattern too, as '**'",
        name="** is longer than *",
    ),
    Case(
        "ZP104",
        "error",
        both(block("a/*"), block("a/?*"), block("a/*/?*")),
        both(block("a/*"), block("a/??*")),
        "['a/*']",
        "as 'a/?*'",
        name="hidden by two",
    ),
    Case(
        "ZP105",
        "warning",
        block("a/**", policies=[]),
        block("a/**"),
        "['a/**']",
        "group admins may do everything; here that is lost, as on a.",
    ),
    Case(
        "ZP105",
        "warning",
        block("a/**", policies=[]),
        both(
            block("a/**", policies=[]),
            setting("http", "accessControl", "adminPolicy", to={"groups": ["admins"], "actions": ALL}),
        ),
        "['a/**']",
        "adminPolicy",
        name="adminPolicy counts everywhere",
    ),
    Case(
        "ZP105",
        "error",
        block("a/**", policies=[{"groups": ["admins"], "actions": ["read", "create", "delete"]}]),
        block("a/**"),
        "['a/**']",
        "may not update here",
        told=facts(break_glass=("admins",)),
        name="declared",
    ),
    Case(
        "ZP106",
        "warning",
        block("a/**", anonymousPolicy=None),
        block("a/**"),
        "['a/**']",
        "anonymous callers may read; here they may not",
    ),
    Case(
        "ZP106",
        "info",
        block("a/**", anonymousPolicy=[]),
        block("a/**"),
        "['a/**']",
        "anonymous callers may read",
        name="said on purpose",
    ),
    Case(
        "ZP107", "warning", block("a/**", defaultPolicy=None), block("a/**"), "['a/**']", "everybody logged in may read"
    ),
    Case("ZP107", "info", block("a/**", defaultPolicy=[]), block("a/**"), "['a/**']", "everybody", name="on purpose"),
    Case(
        "ZP108",
        "warning",
        setting("http", "accessControl", "repositories", "**", "defaultPolicy", to=None),
        None,
        ROOT,
        "takes read away",
    ),
    Case(
        "ZP108",
        "warning",
        setting("http", "accessControl", "repositories", "**", "defaultPolicy", to=[]),
        both(NOBODY, only("**", policies=[], defaultPolicy=[])),
        ROOT,
        "Logging in",
        name="nobody can log in",
    ),
    Case(
        "ZP109", "error", setting("http", "accessControl", "repositories", to={}), None, "repositories", "nobody may do"
    ),
    Case(
        "ZP110",
        "error",
        setting("http", "accessControl", to={"repositories": {}}),
        None,
        "http.accessControl",
        "zot reads as none: everybody who logs in",
        name="empty repositories alone",
    ),
    Case(
        "ZP110",
        "warning",
        setting("http", "accessControl", to=None),
        None,
        "http.accessControl",
        "everybody who logs in",
    ),
    Case(
        "ZP110",
        "error",
        setting("http", to={"port": "5000"}),
        None,
        "http.accessControl",
        "reaches the port",
        name="open",
    ),
    Case("ZP111", "warning", block("Blumeops/**"), block("blumeops/**"), "['Blumeops/**']", "lower case"),
    Case("ZP112", "warning", blocks(**{"a/**": {}}), block("a/**"), "['a/**']", "absent"),
    Case(
        "ZP201",
        "error",
        policy(groups=["artifact-workload"], actions=["read"]),
        policy(groups=["artifact-workloads"], actions=["read"]),
        f"{ROOT}.policies[2].groups",
        "'artifact-workload' is defined nowhere",
    ),
    Case(
        "ZP201",
        "error",
        HTPASSWD,
        both(
            HTPASSWD,
            setting(
                "http",
                "accessControl",
                "groups",
                to={"admins": {"users": ["erich"]}, "artifact-workloads": {"users": ["zot-ci"]}},
            ),
        ),
        f"{ROOT}.policies[0].groups",
        "no login brings groups",
        told=facts(groups=None),
        name="passwords bring no groups",
    ),
    Case(
        "ZP201",
        "warning",
        policy(groups=["Admins"], actions=["read"]),
        policy(groups=["developers"], actions=["read"]),
        f"{ROOT}.policies[2].groups",
        "'Admins' looks like a slip",
        told=facts(groups=None),
        name="nothing declared, and two that look alike",
    ),
    Case(
        "ZP202",
        "warning",
        setting("http", "accessControl", "groups", to={"devs": {"users": []}}),
        setting("http", "accessControl", "groups", to={"devs": {"users": ["erich"]}}),
        "http.accessControl.groups['devs']",
        "no members",
    ),
    Case("ZP202", "error", policy(groups=[""], actions=["read"]), None, f"{ROOT}.policies[2].groups", "without a name"),
    Case(
        "ZP203",
        "error",
        policy(actions=["read"]),
        policy(users=["erich"], actions=["read"]),
        f"{ROOT}.policies[2]",
        "names no user and no group",
    ),
    Case(
        "ZP204",
        "error",
        policy(groups=["admins"], actions=["raed"]),
        policy(groups=["admins"], actions=["read", "detectManifestCollision"]),
        f"{ROOT}.policies[2].actions",
        "'raed'",
    ),
    Case(
        "ZP204", "error", block("a/**", defaultPolicy=["pull"]), block("a/**"), "defaultPolicy", "'pull'", name="pull"
    ),
    Case(
        "ZP204",
        "error",
        setting("http", "accessControl", "metrics", "anonymousPolicy", to=["read", "update"]),
        None,
        "http.accessControl.metrics.anonymousPolicy",
        "'update'",
        name="metrics",
    ),
    Case(
        "ZP205",
        "warning",
        block("a/**", defaultPolicy=[], policies=[{"groups": ["artifact-workloads"], "actions": ["create"]}]),
        block("a/**", policies=[{"groups": ["artifact-workloads"], "actions": ["create"]}]),
        "http.accessControl.repositories['a/**'].policies[0]",
        "group artifact-workloads may create, but not read",
    ),
    Case(
        "ZP205",
        "warning",
        block("a/**", defaultPolicy=["update"]),
        block("a/**", defaultPolicy=["read", "create"]),
        "['a/**'].defaultPolicy",
        "Everybody logged in may update",
        name="default",
    ),
    Case(
        "ZP205",
        "warning",
        block("a/**", defaultPolicy=[], policies=[{"users": ["zot-ci"], "actions": ["create"]}]),
        block(
            "a/**",
            defaultPolicy=[],
            policies=[
                {"users": ["zot-ci"], "actions": ["create"]},
                {"groups": ["artifact-workloads"], "actions": ["read"]},
            ],
        ),
        "['a/**'].policies[0]",
        "zot-ci may create, but not read",
        name="read by a declared group",
    ),
    Case(
        "ZP205",
        "warning",
        both(
            setting("http", "accessControl", "adminPolicy", to={"users": ["erich"], "actions": ["delete"]}),
            block("a/**", defaultPolicy=[]),
        ),
        setting("http", "accessControl", "adminPolicy", to={"users": ["erich"], "actions": ["delete"]}),
        "http.accessControl.adminPolicy",
        "erich may delete",
        name="admin",
    ),
    Case(
        "ZP206",
        "error",
        block("a/**", anonymousPolicy=["read", "create"]),
        block("a/**"),
        "anonymousPolicy",
        "may create",
    ),
    Case(
        "ZP206",
        "error",
        policy(users=[""], actions=["read", "update"]),
        policy(users=["erich"], actions=["read", "update"]),
        f"{ROOT}.policies[2].users",
        "may update",
        name="by the empty name",
    ),
    Case(
        "ZP206",
        "error",
        both(only("**", anonymousPolicy=[]), policy(users=[""], actions=["read", "update"])),
        both(only("**", anonymousPolicy=[]), policy(users=["erich"], actions=["read", "update"])),
        f"{ROOT}.policies[2].users",
        "as soon as any block has an anonymousPolicy",
        name="by the empty name, behind a closed door",
    ),
    Case(
        "ZP106",
        "warning",
        both(block("a/**", anonymousPolicy=None), policy(users=[""], actions=["read"])),
        both(only("**", anonymousPolicy=None), policy(users=[""], actions=["read"]), blocks(a={"defaultPolicy": []})),
        "['a/**']",
        "anonymous callers may read; here they may not",
        name="nothing to lose behind a closed door",
    ),
    Case(
        "ZP206",
        "error",
        setting("http", "accessControl", "adminPolicy", to={"users": [""], "actions": ALL}),
        setting("http", "accessControl", "adminPolicy", to={"users": ["erich"], "actions": ALL}),
        "http.accessControl.adminPolicy.users",
        "create, update and delete",
        name="admin",
    ),
    Case(
        "ZP207",
        "error",
        setting("http", "accessControl", "adminPolicy", to={"groups": ["admins"]}),
        setting("http", "accessControl", "adminPolicy", to={"groups": ["admins"], "actions": ALL}),
        "http.accessControl.adminPolicy",
        "admins may do nothing through it",
    ),
    Case(
        "ZP208",
        "error",
        policy(groups=["artifact-workloads"], actions=["read", "update"]),
        policy(groups=["admins"], actions=["read", "update"]),
        f"{ROOT}.policies[2]",
        "group artifact-workloads may update here",
        told=facts(immutable_writers=("group:artifact-workloads",)),
    ),
    Case(
        "ZP208",
        "error",
        block("a/**", defaultPolicy=["read", "update"]),
        block("a/**", defaultPolicy=["read", "create"]),
        "['a/**'].defaultPolicy",
        "zot-ci may update",
        told=facts(immutable_writers=("zot-ci",)),
        name="as everybody",
    ),
    Case(
        "ZP208",
        "error",
        policy(groups=["artifact-workloads"], actions=["read", "update"]),
        policy(groups=["artifact-workloads"], actions=["read", "create"]),
        f"{ROOT}.policies[2]",
        "zot-ci may update",
        told=facts(immutable_writers=("zot-ci",)),
        name="as a member",
    ),
    Case(
        "ZP208",
        "error",
        policy(users=["zot-ci"], actions=["read", "update"]),
        policy(users=["erich"], actions=["read", "update"]),
        f"{ROOT}.policies[2]",
        "zot-ci may update",
        told=facts(immutable_writers=("zot-ci",)),
        name="by name",
    ),
    Case(
        "ZP209",
        "error",
        policy(groups=["admins"]),
        policy(groups=["admins"], actions=["read"]),
        "policies[2]",
        "no actions",
    ),
    Case(
        "ZP210",
        "warning",
        policy(users=[""], actions=["read"]),
        policy(users=["erich"], actions=["read"]),
        "users",
        "anonymous",
    ),
    Case(
        "ZP211",
        "error",
        conditions("req.user.name == 'erich'"),
        conditions(
            "req.user.username == 'erich' && req.repository.startsWith('req.user.name') && req.claims.sub != ''"
        ),
        f"{ROOT}.policies[2].conditions[0]",
        "req.user.name, which does not exist",
    ),
    Case(
        "ZP211",
        "error",
        conditions("req.repo == 'x'"),
        conditions(
            'req.time < timestamp("2099-12-31T23:59:59Z")',
            "req.client.forwardedFor[0] == '10.0.0.1'",
            "req.tls.enabled",
        ),
        "conditions[0]",
        "req.repo,",
        name="top",
    ),
    Case(
        "ZP211", "error", conditions(""), conditions("req.tls.enabled"), "conditions[0]", "no expression", name="empty"
    ),
    Case(
        "ZP301",
        "info",
        lambda c: None,
        lambda c: None,
        "zot_version",
        "not known",
        told=facts(version=""),
        right_told=KNOWN,
    ),
    Case(
        "ZP301",
        "info",
        lambda c: None,
        lambda c: None,
        "zot_version",
        "only >=2.1.18 is known",
        told=facts(version=">=2.1.18"),
        right_told=facts(version=">=2.1.19"),
        name="a bound",
    ),
    Case(
        "ZP302",
        "warning",
        lambda c: None,
        lambda c: None,
        "zot_version",
        "?tag= can move any tag",
        told=facts(version="2.1.18"),
        right_told=facts(version="v2.1.19"),
    ),
    Case(
        "ZP302",
        "error",
        setting("http", "accessControl", "metrics", to={"users": [""]}),
        setting("http", "accessControl", "metrics", to={"users": [""]}),
        "zot_version",
        "the tag latest can be overwritten",
        told=facts(version="2.1.14", immutable_writers=("zot-ci",)),
        right_told=facts(version="2.1.19", immutable_writers=("zot-ci",)),
        name="latest",
    ),
    Case(
        "ZP303",
        "error",
        lambda c: None,
        setting("http", "accessControl", "metrics", to={"users": [""]}),
        "http.accessControl.metrics.anonymousPolicy",
        "came with 2.1.18",
        told=facts(version="<2.1.18"),
    ),
    Case(
        "ZP303",
        "error",
        both(setting("http", "accessControl", "metrics", to={"users": [""]}), conditions("req.tls.enabled")),
        both(setting("http", "accessControl", "metrics", to={"users": [""]}), conditions("req.tls.enabled")),
        f"{ROOT}.policies[2].conditions",
        "2.1.17",
        told=facts(version="2.1.16"),
        right_told=facts(version="2.1.17"),
        name="conditions",
    ),
    Case(
        "ZP304",
        "warning",
        setting("http", "accessControl", "metrics", to={"users": []}),
        setting("http", "accessControl", "metrics", to={"users": ["prometheus"]}),
        "http.accessControl.metrics",
        "nobody may scrape",
    ),
    Case(
        "ZP304",
        "warning",
        setting("http", "accessControl", "metrics", to=None),
        both(
            setting("http", "accessControl", "metrics", to=None), setting("extensions", "metrics", "enable", to=False)
        ),
        "http.accessControl.metrics",
        "nobody may scrape",
        name="extension off",
    ),
    Case(
        "ZP305",
        "error",
        setting("http", "accessControl", "metrics", to={"users": [""]}),
        lambda c: None,
        "http.accessControl.metrics.users",
        "opens nothing",
    ),
    Case(
        "ZP305",
        "warning",
        setting("http", "accessControl", "metrics", to={"users": [""]}),
        lambda c: None,
        "http.accessControl.metrics.users",
        "from zot 2.1.18 on",
        told=facts(version=""),
        name="unknown version",
    ),
    Case(
        "ZP305",
        "info",
        setting("http", "accessControl", "metrics", to={"users": [""]}),
        setting("http", "accessControl", "metrics", to={"users": ["prometheus"]}),
        "http.accessControl.metrics.users",
        "an upgrade closes them",
        told=facts(version="2.1.17"),
        name="old zot",
    ),
    Case(
        "ZP401",
        "warning",
        lambda c: provider(c).update(scopes=["openid", "email"]),
        lambda c: provider(c).update(scopes=["openid", "email", "groups"]),
        "http.auth.openid.providers.oidc.scopes",
        "none of the scopes openid and email carries groups",
    ),
    Case(
        "ZP401",
        "warning",
        lambda c: auth(c)["openid"].update(providers={"github": {"clientid": "x", "scopes": ["repo"]}}),
        lambda c: auth(c)["openid"].update(providers={"github": {"clientid": "x", "scopes": ["read:org"]}}),
        "http.auth.openid.providers.github.scopes",
        "read:org",
        name="github",
    ),
    Case(
        "ZP402",
        "warning",
        lambda c: provider(c).pop("claimMapping"),
        lambda c: provider(c).update(claimMapping={"username": "sub"}),
        "http.auth.openid.providers.oidc.claimMapping.username",
        "The claim email, which zot takes",
    ),
    Case(
        "ZP402",
        "warning",
        lambda c: provider(c).update(claimMapping={"username": "name"}),
        None,
        "http.auth.openid.providers.oidc.claimMapping.username",
        "not unique",
        name="name",
    ),
    Case(
        "ZP402",
        "warning",
        policy(users=["erich"], actions=["read"]),
        policy(groups=["admins"], actions=["read"]),
        "http.auth.openid.providers.oidc.claimMapping.username",
        "trusts the names erich",
        name="preferred_username matters where names are trusted",
    ),
    Case(
        "ZP403",
        "warning",
        setting("http", "accessControl", "groups", to={"admins": {"users": ["erich"]}}),
        setting("http", "accessControl", "groups", to={"unused": {"users": ["erich"]}}),
        "http.accessControl.groups['admins']",
        "logins by password only",
    ),
    Case(
        "ZP403",
        "info",
        both(HTPASSWD, setting("http", "accessControl", "groups", to={"admins": {"users": ["erich"]}})),
        both(
            HTPASSWD,
            setting("http", "auth", "apikey", to=False),
            setting("http", "accessControl", "groups", to={"admins": {"users": ["erich"]}}),
        ),
        "http.accessControl.groups['admins']",
        "owner's last login",
        name="passwords",
    ),
    Case(
        "ZP404",
        "error",
        setting("http", "auth", "openid", to=None),
        HTPASSWD,
        "http.auth.apikey",
        "nobody can make a key",
    ),
    Case(
        "ZP405",
        "error",
        setting("http", "auth", "bearer", to={"realm": "x", "service": "x", "cert": "x"}),
        setting("http", "auth", to={"bearer": {"realm": "x", "service": "x", "cert": "x"}}),
        "http.auth.bearer",
        "apikey and openid beside it do nothing",
    ),
    Case("ZP406", "warning", setting("http", "externalUrl", to=None), None, "http.externalUrl", "TLS ends at a proxy"),
    Case(
        "ZP406",
        "error",
        setting("http", "externalUrl", to="registry.ops.eblu.me"),
        setting("http", "externalUrl", to="https://registry.ops.eblu.me"),
        "http.externalUrl",
        "no URL",
        name="no scheme",
    ),
    Case(
        "ZP406",
        "warning",
        setting("http", "externalUrl", to=None),
        both(setting("http", "externalUrl", to=None), HTPASSWD),
        "http.externalUrl",
        "missing",
        name="only browsers are sent back",
    ),
    Case(
        "ZP407",
        "error",
        lambda c: provider(c).update(clientid="zot", clientsecret="hunter2hunter2"),
        lambda c: provider(c).update(clientid="zot"),
        "http.auth.openid.providers.oidc.clientsecret",
        "A secret stands",
    ),
    Case(
        "ZP407",
        "warning",
        setting("storage", "storageDriver", to={"name": "s3", "accesskey": "a", "secretkey": "hunter2hunter2"}),
        setting("storage", "storageDriver", to={"name": "s3", "region": "eu"}),
        "storage.storageDriver.secretkey",
        "A secret stands",
        name="s3",
    ),
    Case(
        "ZP407",
        "warning",
        setting("storage", "cacheDriver", to={"name": "redis", "url": "redis://u:hunter2hunter2@h:6379"}),
        setting("storage", "cacheDriver", to={"name": "redis", "url": "redis://h:6379"}),
        "storage.cacheDriver.url",
        "A secret stands",
        name="in a URL",
    ),
    Case(
        "ZP408",
        "error",
        NOBODY,
        both(NOBODY, only("**", policies=[], defaultPolicy=[])),
        "http.auth",
        "no way to log in",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule_catches_what_is_wrong(case: Case, changed: Changed) -> None:
    findings = [f for f in lint(changed(case.wrong), case.told) if f.code == case.code and f.severity == case.severity]
    said = [f for f in findings if case.place in f.place and case.reason in f"{f.reason} {f.fix}"]
    assert said, findings or lint(changed(case.wrong), case.told)


@pytest.mark.parametrize("case", [case for case in CASES if case.right is not None], ids=str)
def test_rule_is_silent_on_what_is_right(case: Case, changed: Changed) -> None:
    told = case.right_told or case.told
    same = [f for f in lint(changed(case.right), told) if f.code == case.code and f.severity == case.severity]
    assert same == []


def test_every_code_has_a_case() -> None:
    assert {case.code for case in CASES} == set(CODES)


def test_estate_has_no_finding(changed: Changed) -> None:
    assert lint(changed(None), KNOWN) == ()
    assert lint(changed(None), facts(immutable_writers=("artifact-workloads",), break_glass=("admins",))) == ()
    assert lint(changed(None), facts(groups=None)) == ()


def test_recorded_estate_has_no_finding() -> None:
    lines = (CONTRACTS / "verify.jsonl").read_text(encoding="utf-8").splitlines()
    as_it_is = next(entry["config"] for entry in map(json.loads, lines) if entry["name"] == "as it is")
    assert lint(as_it_is, KNOWN) == ()


#: What contracts/zot.md says that ``zot verify`` accepts, each as small as it can be.
ACCEPTED_BY_VERIFY = {
    "a pattern with a leading slash": (block("/blumeops/**"), "ZP102"),
    "a group that is defined nowhere": (policy(groups=["nobody-knows"], actions=["read"]), "ZP201"),
    "misspelt actions": (policy(groups=["admins"], actions=["reed"]), "ZP204"),
    "equal-length overlapping patterns": (both(block("a/*"), block("*/b", policies=[])), "ZP101"),
    "a policy without subject": (policy(actions=["read"]), "ZP203"),
    "create without read": (
        block("a/**", defaultPolicy=[], policies=[{"groups": ["artifact-workloads"], "actions": ["create"]}]),
        "ZP205",
    ),
    "anonymous create, update or delete": (block("a/**", anonymousPolicy=["read", "delete"]), "ZP206"),
    "adminPolicy without actions": (setting("http", "accessControl", "adminPolicy", to={"users": ["erich"]}), "ZP207"),
    'metrics.users: [""]': (setting("http", "accessControl", "metrics", to={"users": [""]}), "ZP305"),
    "empty repositories": (setting("http", "accessControl", "repositories", to={}), "ZP109"),
    "a CEL condition on a field that does not exist": (conditions("req.user.role == 'admin'"), "ZP211"),
}


@pytest.mark.parametrize("name", ACCEPTED_BY_VERIFY)
def test_what_verify_accepts_is_caught(name: str, changed: Changed) -> None:
    change, code = ACCEPTED_BY_VERIFY[name]
    found = [finding for finding in lint(changed(change), KNOWN) if finding.code == code]
    assert found
    assert found[0].severity in ("error", "warning")


def test_eleven_of_eleven() -> None:
    assert len(ACCEPTED_BY_VERIFY) == 11


def test_no_secret_is_told(changed: Changed) -> None:
    def change(config: Config) -> None:
        provider(config).update(clientsecret="hunter2hunter2")
        config["storage"]["cacheDriver"] = {"url": "redis://u:hunter2hunter2@h:6379", "password": "hunter2hunter2"}

    findings = lint(changed(change), KNOWN)
    assert [f.code for f in findings].count("ZP407") == 3
    assert "hunter2" not in "".join(map(str, findings))


def test_errors_come_first(changed: Changed) -> None:
    findings = lint(
        changed(both(block("a/**", anonymousPolicy=[]), block("/b"), policy(users=[""], actions=["read"]))), KNOWN
    )
    ranks = [("error", "warning", "info").index(finding.severity) for finding in findings]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


def test_many_of_one_kind_are_summed_up(changed: Changed) -> None:
    findings = lint(changed(blocks(**{f"a{i}/**": {"anonymousPolicy": ["read"]} for i in range(100)})), KNOWN)
    lost = [finding for finding in findings if finding.code == "ZP105"]
    assert len(lost) == 26
    assert "as the last of 75 more places" in lost[-1].place


def test_finding_reads_as_one_line() -> None:
    finding = Finding("ZP102", "error", "http", "Reason.", "Fix.")
    assert str(finding) == "ZP102 error at http: Reason. Fix."
