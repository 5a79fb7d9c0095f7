# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""The test plan of a live registry: what was observed, judged check by check. No network and no clock here.

Each check has passed, has failed, or is unknown: not asked, or the answer does not settle it. A disagreement names its
likely cause; where the observations do not tell two causes apart, the sentence names both.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ansible_collections.blumeops.registry.plugins.module_utils._zot.client import Login, Mgmt
from ansible_collections.blumeops.registry.plugins.module_utils._zot.questions import Action

Result = Literal["passed", "failed", "unknown"]
Cause = Literal[
    "",
    "unreachable",
    "not_the_registry",
    "key_refused",
    "stale_groups",
    "older_zot",
    "proxy_strips_authorization",
    "proxy_adds_credentials",
    "read_only",
    "storage",
    "other_configuration",
    "issuer",
]
WRITES: tuple[Action, ...] = ("create", "update", "delete")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the rendered configuration promises. An empty ``issuer`` or ``metrics_path`` leaves those checks out."""

    url: str
    callback: str = ""
    issuer: str = ""
    client_id: str = ""
    scopes: tuple[str, ...] = ()
    provider: str = "oidc"
    ci: str = ""
    admin: str = ""
    metrics_path: str = "/metrics"
    push: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request's outcome: zot's ``status`` and whether that means "may", or the sentence of what went wrong."""

    status: int = 0
    may: bool | None = None
    problem: str = ""
    cause: Cause = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """The parts of an issuer's discovery document that a login needs."""

    issuer: str
    authorization_endpoint: str
    scopes: tuple[str, ...] | None
    response_types: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen. ``asked`` holds one entry for each request that was made, by the names that the checks use."""

    asked: Mapping[str, Asked] = field(default_factory=dict)
    repository: str = ""
    tag: str = ""
    login: Login | None = None
    discovery: Discovery | None = None
    mgmt: Mgmt | None = None
    pushed: bool = False
    probe: str = ""

    @property
    def strips(self) -> bool:
        """Whether a credential that never was made is answered like none: zot itself answers 401 to it always."""
        seen = self.asked.get("bad_credential")
        return seen is not None and seen.status == 200


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table. ``message`` is one sentence; ``cause`` is set where the check failed."""

    name: str
    title: str
    result: Result
    message: str
    cause: Cause = ""


def judge(expected: Expected, observed: Observed) -> tuple[Check, ...]:
    """All checks, in the order of the table.

    Where the registry itself was not reached, that one has failed and the others are unknown, but for its issuer's.
    """
    plan = _plan(expected)
    reach = observed.asked.get("reachable", Asked(problem="the registry was not asked", cause="unreachable"))
    if reach.problem:
        first = Check("reachable", "the registry answers", "failed", reach.problem, reach.cause or "unreachable")
        rest = []
        for name, title, check in plan:
            found: Judgement = ("unknown", "not asked: the registry does not answer", "")
            rest.append(Check(name, title, *(check(expected, observed) if name == "discovery" else found)))
        return (first, *rest)
    checks = [Check("reachable", "the registry answers", "passed", f"{expected.url} answers as a registry")]
    for name, title, check in plan:
        result, message, cause = check(expected, observed)
        checks.append(Check(name, title, result, message, cause))
    return tuple(checks)


def failures(checks: Iterable[Check]) -> str:
    """One sentence for everything that failed; empty where nothing did."""
    failed = [check for check in checks if check.result == "failed"]
    if len(failed) <= 1:
        return "".join(check.message for check in failed)
    return f"{len(failed)} checks failed: " + "; ".join(f"{check.name}: {check.message}" for check in failed)


def table(checks: Iterable[Check]) -> tuple[str, ...]:
    """The checks as lines of text, in columns."""
    rows = [(check.title, check.result, check.message) for check in checks]
    width = max((len(title) for title, _, _ in rows), default=0)
    return tuple(f"{title:<{width}}  {result:<7}  {message}" for title, result, message in rows)


Judgement = tuple[Result, str, Cause]
Judge = Callable[[Expected, Observed], Judgement]


def _plan(expected: Expected) -> list[tuple[str, str, Judge]]:
    plan: list[tuple[str, str, Judge]] = [
        ("catalog", "the catalog is open to anybody", _catalog),
        ("pull", "anybody may pull", _pull),
        ("anonymous_push", "nobody pushes without credentials", _anonymous_push),
    ]
    if expected.issuer:
        plan.append(("discovery", "the issuer's discovery agrees", _discovery))
        plan.append(("login", "a login goes to the issuer", _login))
    plan.append(("key_route", "API keys are on", _key_route))
    if expected.ci:
        plan.append(("ci_key", "the CI key authenticates", _caller("ci")))
        plan += [
            ("ci_create", "the CI key may add a tag", _may("ci", "create", True)),
            ("ci_update", "the CI key may not overwrite", _may("ci", "update", False)),
            ("ci_delete", "the CI key may not delete", _may("ci", "delete", False)),
        ]
    if expected.admin:
        plan.append(("admin_key", "the admin's key authenticates", _caller("admin")))
    plan += [
        ("admin_create", "admins may add a tag", _may("admin", "create", True)),
        ("admin_update", "admins may overwrite", _may("admin", "update", True)),
        ("admin_delete", "admins may delete", _may("admin", "delete", True)),
    ]
    if expected.metrics_path:
        plan.append(("metrics", "metrics answer a scrape", _metrics))
    if expected.push:
        plan.append(("push", "the CI key pushes, anybody pulls it", _push))
    return plan


_OTHER = "the registry runs another configuration than the rendered one: roll it out with role zot"


def _trouble(asked: Asked | None, unasked: str) -> Judgement | None:
    """The judgement where nothing was asked, or where the question itself went wrong."""
    if asked is None:
        return "unknown", f"not asked: {unasked}", ""
    if asked.problem:
        return "failed", asked.problem, asked.cause
    return None


def _unclear(asked: Asked) -> Judgement:
    return "unknown", f"the answer {asked.status} settles nothing: look into the registry's log", ""


def _catalog(expected: Expected, observed: Observed) -> Judgement:
    asked = observed.asked.get("catalog")
    if trouble := _trouble(asked, "the catalog"):
        return trouble
    assert asked is not None
    if asked.status == 200:
        return "passed", f"{expected.url} shows its catalog", ""
    if asked.status in (401, 403):
        return "failed", f"the catalog is closed to anonymous callers ({asked.status}): {_OTHER}", "other_configuration"
    return _unclear(asked)


def _pull(_expected: Expected, observed: Observed) -> Judgement:
    asked = observed.asked.get("pull")
    if trouble := _trouble(asked, "the catalog is closed"):
        return trouble
    assert asked is not None
    image = f"{observed.repository}:{observed.tag}"
    if asked.may and asked.status == 200:
        return "passed", f"{image} was pulled without credentials", ""
    if asked.may:
        return "passed", "reading is open to anybody; there is no image yet to pull", ""
    if asked.may is False:
        return "failed", f"anonymous pulls are refused ({asked.status}): {_OTHER}", "other_configuration"
    return _unclear(asked)


def _anonymous_push(_expected: Expected, observed: Observed) -> Judgement:
    asked = observed.asked.get("anonymous_push")
    if trouble := _trouble(asked, "the question"):
        return trouble
    assert asked is not None
    if asked.status == 401:
        return "passed", "a push without credentials is refused (401)", ""
    if asked.status == 403:
        message = (
            "a push without credentials is refused as somebody's (403): "
            "something in front of the registry adds credentials to requests"
        )
        return "failed", message, "proxy_adds_credentials"
    if asked.may:
        return "failed", f"anybody may push without credentials: {_OTHER} at once", "other_configuration"
    if asked.status == 405:
        return "failed", "pushes are refused to everybody (405): a proxy in front makes it read-only", "read_only"
    return _unclear(asked)


def _discovery(expected: Expected, observed: Observed) -> Judgement:
    asked = observed.asked.get("discovery")
    if trouble := _trouble(asked, "no issuer was given"):
        return trouble
    found = observed.discovery
    if found is None:
        return "unknown", "the issuer was not asked", ""
    if found.issuer != expected.issuer:
        near = found.issuer.rstrip("/") == expected.issuer.rstrip("/")
        hint = " (only the slash at the end differs, which counts)" if near else ""
        message = (
            f"the discovery at {expected.issuer} names another issuer, {found.issuer!r}{hint}: "
            "zot does not start a login with it; set the issuer to what the discovery names"
        )
        return "failed", message, "issuer"
    missing = [scope for scope in expected.scopes if found.scopes is not None and scope not in found.scopes]
    if missing:
        message = f"the issuer {expected.issuer} does not offer the scope {missing[0]!r}: add its scope mapping there"
        return "failed", message, "issuer"
    if found.response_types is not None and "code" not in found.response_types:
        message = f"the issuer {expected.issuer} does not offer the authorization code flow that zot uses"
        return "failed", message, "issuer"
    return "passed", f"{expected.issuer} names itself and offers what zot asks for", ""


def _login(expected: Expected, observed: Observed) -> Judgement:
    asked = observed.asked.get("login")
    if trouble := _trouble(asked, "the login"):
        return trouble
    assert asked is not None
    found = observed.login
    if found is None:
        message = f"the login route is answered with {asked.status}: something in front of the registry answers for it"
        return "failed", message, "not_the_registry"
    if found.client_id != expected.client_id:
        return _differs("the client id", found.client_id, expected.client_id)
    if found.redirect_uri != expected.callback:
        return _differs("the callback", found.redirect_uri, expected.callback)
    if set(found.scopes) != set(expected.scopes):
        return _differs("the scopes", " ".join(found.scopes), " ".join(expected.scopes))
    endpoint = observed.discovery.authorization_endpoint if observed.discovery else ""
    if endpoint and endpoint != found.endpoint:
        return _differs("the authorization endpoint", found.endpoint, endpoint)
    if not endpoint and urllib.parse.urlsplit(found.endpoint).netloc != urllib.parse.urlsplit(expected.issuer).netloc:
        return _differs("the issuer's host", found.endpoint, expected.issuer)
    return "passed", f"a login is sent to {found.endpoint} as client {found.client_id}", ""


def _differs(what: str, found: str, wanted: str) -> Judgement:
    return "failed", f"{what} of a login is {found!r} instead of {wanted!r}: {_OTHER}", "other_configuration"


def _key_route(_expected: Expected, observed: Observed) -> Judgement:
    for caller in ("ci", "admin"):
        asked = observed.asked.get(f"{caller}_key")
        if asked is not None and asked.status == 200:
            return "passed", "a list of API keys was answered", ""
    if observed.mgmt is None:
        return "unknown", "no key was accepted, and the registry does not show its settings (no mgmt route)", ""
    if observed.mgmt.apikey:
        return "passed", "the registry's settings say that API keys are on", ""
    return "failed", f"http.auth.apikey is off, so every key is refused: {_OTHER}", "other_configuration"


def _caller(who: Literal["ci", "admin"]) -> Judge:
    def check(expected: Expected, observed: Observed) -> Judgement:
        identity = expected.ci if who == "ci" else expected.admin
        asked = observed.asked.get(f"{who}_key")
        if asked is None:
            return "unknown", f"not asked: no key of {identity} was given", ""
        if asked.status == 200:
            return "passed", f"the registry knows {identity} by its key", ""
        if observed.strips:
            message = (
                f"the key of {identity} does not reach the registry, which takes any credential for none: "
                "a proxy in front strips the Authorization header"
            )
            return "failed", message, "proxy_strips_authorization"
        if observed.mgmt is not None and not observed.mgmt.apikey:
            message = f"the key of {identity} is refused because http.auth.apikey is off: {_OTHER}"
            return "failed", message, "other_configuration"
        if asked.status == 401:
            message = (
                f"the key of {identity} is refused: it is wrong, ended, revoked or another identity's, which zot's "
                "answer does not tell apart; make a new key and store it"
            )
            return "failed", message, "key_refused"
        return "failed", asked.problem or f"the list of {identity}'s keys is answered with {asked.status}", asked.cause

    return check


def _may(who: Literal["ci", "admin"], action: Action, wanted: bool) -> Judge:
    def check(expected: Expected, observed: Observed) -> Judgement:
        identity = expected.ci if who == "ci" else expected.admin
        asked = observed.asked.get(f"{who}_{action}")
        key = observed.asked.get(f"{who}_key")
        if asked is None:
            if not identity or key is None:
                return "unknown", f"not asked: no {who} key was given", ""
            if key.status != 200:
                return "unknown", f"not asked: the key of {identity} is not accepted", ""
            return "unknown", "not asked: there is no repository with a tag to ask about", ""
        if asked.problem:
            return "failed", asked.problem, asked.cause
        where = {
            "create": f"add a tag to {observed.repository}",
            "update": f"overwrite {observed.repository}:{observed.tag}",
        }.get(action, f"delete from {observed.repository}")
        what = f"{identity} {'may' if asked.may else 'may not'} {where} ({asked.status})"
        if asked.may is wanted:
            return "passed", what, ""
        if asked.status == 405:
            return "failed", f"nobody may {action} (405): a proxy in front makes the registry read-only", "read_only"
        if asked.may is None:
            return _unclear(asked)
        reason, cause = _why(who, action, wanted, identity, observed)
        return "failed", f"{what}: {reason}", cause

    return check


def _why(who: str, action: Action, wanted: bool, identity: str, observed: Observed) -> tuple[str, Cause]:
    """Why an authenticated caller may what it may not, or the other way round."""
    stale = f"the groups of a key are those of its owner's last login; log in as {identity} once, then ask again"
    answers = {other: observed.asked.get(f"{who}_{other}", Asked()).may for other in WRITES}
    if who == "ci" and wanted:
        others = [observed.asked.get(f"admin_{other}", Asked()).may for other in WRITES]
        if others == [False] * len(WRITES):
            return f"admins may not either, so {_OTHER}", "other_configuration"
        return stale, "stale_groups"
    if who == "ci":
        if action == "update" and observed.tag == "latest" and not answers["delete"]:
            older = _older(observed, (2, 1, 15))
            if older:
                return f"{older}, and before 2.1.15 'latest' could be overwritten without the right to", "older_zot"
        if answers["update"] and answers["delete"]:
            return f"it is treated as an admin: {stale}", "stale_groups"
        return _OTHER, "other_configuration"
    if not any(answers.values()):
        return stale, "stale_groups"
    return _OTHER, "other_configuration"


def _metrics(expected: Expected, observed: Observed) -> Judgement:
    asked = observed.asked.get("metrics")
    if trouble := _trouble(asked, "the metrics"):
        return trouble
    assert asked is not None
    if asked.status == 200:
        return "passed", f"{expected.metrics_path} answers without credentials", ""
    if asked.status in (401, 403):
        version = observed.mgmt.version if observed.mgmt else ""
        message = (
            f"a scrape of {expected.metrics_path} is refused ({asked.status}): the configuration opens metrics in the "
            f"form of another zot than the one that runs{f' ({version})' if version else ''} (up to 2.1.17 "
            'metrics.users [""], from 2.1.18 metrics.anonymousPolicy); run role zot with the installed zot'
        )
        return "failed", message, "older_zot"
    if asked.status == 404:
        return "failed", f"there are no metrics at {expected.metrics_path} (404): {_OTHER}", "other_configuration"
    return _unclear(asked)


def _push(expected: Expected, observed: Observed) -> Judgement:
    asked = observed.asked.get("push")
    if trouble := _trouble(asked, "the CI key is not accepted"):
        return trouble
    assert asked is not None
    if asked.may is None:
        return "unknown", f"{observed.probe} would be pushed", ""
    if not asked.may:
        message = f"{observed.probe} holds another image than the probe: choose another probe repository or tag"
        return "failed", message, "other_configuration"
    how = "was pushed and" if observed.pushed else "is there since an earlier push and"
    return "passed", f"{observed.probe} {how} is pulled without credentials", ""


def _older(observed: Observed, threshold: tuple[int, ...]) -> str:
    """Words for a zot that is, or may be, older than ``threshold``; empty where it is known not to be."""
    text = observed.mgmt.version.lstrip("v") if observed.mgmt else ""
    numbers = text.partition("-")[0].split(".")
    if not all(number.isdigit() for number in numbers):
        return "the zot that runs does not say its version"
    version = tuple(map(int, numbers))
    return f"zot {text} runs" if version < threshold else ""
