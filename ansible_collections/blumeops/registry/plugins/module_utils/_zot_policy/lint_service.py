# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Lint of what surrounds the policy: the installed zot (codes ZP3xx), logins, addresses and secrets (ZP4xx)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy import versions
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.facts import Facts
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import (
    Finding,
    Path,
    listed,
    place,
    shown,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.lint_access import rules_of
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.logins import Logins
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import Policy
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.reading import (
    ACCESS_CONTROL,
    dig,
    mapping,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.versions import Version, dotted

AUTH: Final = "http.auth"


def lint_installed(config: Mapping[Any, Any], policy: Policy | None, facts: Facts) -> Iterator[Finding]:
    """What the version of the installed zot means for the configuration. ``policy`` is None without accessControl."""
    if policy is not None:
        yield from _immutability(policy, facts)
        yield from _metrics(config, policy, facts)
    yield from _too_old(config, policy, facts)


def _immutability(policy: Policy, facts: Facts) -> Iterator[Finding]:
    if facts.immutable_writers:
        who = listed(map(shown, facts.immutable_writers))
    else:
        adding = {
            name
            for _, rule in rules_of(policy)
            if "create" in rule.actions and "update" not in rule.actions
            for name in (*rule.groups, *rule.users)
        }
        if not adding:
            return
        who = listed(map(shown, sorted(adding)))
    version = facts.version
    if not version.known:
        yield Finding(
            "ZP301",
            "info",
            "zot_version",
            f"Whether {who} can overwrite images depends on zot's version, which is not known: without update they are "
            f"immutable from {dotted(versions.IMMUTABLE_BY_DIGEST)} on, in part from "
            f"{dotted(versions.IMMUTABLE_LATEST)}.",
            f"Set zot_version, to >={dotted(versions.METRICS_ANONYMOUS)} where only a bound is known.",
        )
        return
    for needed, hole in (
        (versions.IMMUTABLE_LATEST, "the tag latest can be overwritten without update"),
        (versions.IMMUTABLE_BY_DIGEST, "a push by digest with ?tag= can move any tag without update"),
    ):
        reached = version.reached(needed)
        if reached is False:
            yield Finding(
                "ZP302",
                "error" if facts.immutable_writers else "warning",
                "zot_version",
                f"On zot {version.text} {hole}: {who} can change what has been published.",
                f"Upgrade zot to {dotted(needed)} or newer.",
            )
        elif reached is None:
            yield Finding(
                "ZP301",
                "info",
                "zot_version",
                f"Of zot only {version.text} is known; before {dotted(needed)} {hole}, and {who} could do it.",
                "Set zot_version to what is installed.",
            )


def _metrics(config: Mapping[Any, Any], policy: Policy, facts: Facts) -> Iterator[Finding]:
    at = f"{ACCESS_CONTROL}.metrics"
    section = dig(config, "extensions", "metrics")
    enabled = section is not None and dig(section, "enable") is not False
    modern = facts.version.reached(versions.METRICS_ANONYMOUS)
    opened = "read" in policy.metrics_anonymous_actions
    since = dotted(versions.METRICS_ANONYMOUS)
    if "" in policy.metrics_users:
        if opened and modern:
            reason = "The user without a name does nothing any more; metrics.anonymousPolicy opens the metrics."
            severity = "info"
        elif modern is False:
            reason = f"A user without a name opens the metrics before zot {since} only: an upgrade closes them."
            severity = "info"
        else:
            reason = (
                f"Metrics are opened by a user without a name: from zot {since} on that opens nothing, and scrapes "
                "without credentials get 401."
            )
            severity = "error" if modern else "warning"
        yield Finding("ZP305", severity, f"{at}.users", reason, 'Write metrics.anonymousPolicy: ["read"].')  # type: ignore[arg-type]
    elif enabled and not opened and not policy.metrics_users:
        yield Finding(
            "ZP304",
            "warning",
            at,
            "The metrics extension is on, and nobody may scrape it: with accessControl the metrics are closed to "
            "everybody who is not listed, admins with them.",
            f'Write metrics.anonymousPolicy: ["read"] (zot {since} and newer), or name users in metrics.users.',
        )


def _too_old(config: Mapping[Any, Any], policy: Policy | None, facts: Facts) -> Iterator[Finding]:
    for needed, where, what in _features(config, policy):
        if facts.version.reached(needed) is False:
            yield Finding(
                "ZP303",
                "error",
                where,
                f"zot {facts.version.text} does not know {what} and refuses to start: it came with {dotted(needed)}.",
                f"Upgrade zot to {dotted(needed)} or newer, or take it out.",
            )


def _features(config: Mapping[Any, Any], policy: Policy | None) -> Iterator[tuple[Version, str, str]]:
    if policy is not None:
        if policy.metrics_anonymous_actions:
            yield (
                versions.METRICS_ANONYMOUS,
                f"{ACCESS_CONTROL}.metrics.anonymousPolicy",
                "metrics.anonymousPolicy",
            )
        for where, rule in rules_of(policy):
            if rule.conditions:
                yield versions.CONDITIONS, f"{ACCESS_CONTROL}.{where}.conditions", "conditions"
                break
    for name, provider in mapping(dig(config, "http", "auth", "openid", "providers")).items():
        base = f"{AUTH}.openid.providers.{name}.claimMapping"
        if dig(provider, "claimMapping", "username"):
            yield versions.CLAIM_USERNAME, f"{base}.username", "claimMapping.username"
        if dig(provider, "claimMapping", "groups"):
            yield versions.CLAIM_GROUPS, f"{base}.groups", "claimMapping.groups"
    if dig(config, "http", "auth", "bearer", "oidc"):
        yield versions.WORKLOAD_IDENTITY, f"{AUTH}.bearer.oidc", "OIDC workload identity"


def lint_logins(config: Mapping[Any, Any], policy: Policy | None, logins: Logins) -> Iterator[Finding]:
    """How people and keys come in, and whether the policy can see who they are."""
    if policy is not None:
        yield from _rules_without_login(policy, logins)
        yield from _groups_claim(policy, logins)
        yield from _own_groups(policy, logins)
    yield from _username_claim(policy, logins)
    yield from _keys(logins)
    yield from _external_url(config, logins)
    yield from _secrets(config, ())


def _rules_without_login(policy: Policy, logins: Logins) -> Iterator[Finding]:
    if logins.any:
        return
    named = any(any(rule.users) or rule.groups for _, rule in rules_of(policy))
    if named or any(block.default_actions for block in policy.blocks):
        yield Finding(
            "ZP408",
            "error",
            AUTH,
            "The policy has rules for users, and there is no way to log in: zot refuses such a configuration.",
            "Set up openid, htpasswd, ldap or mtls, or use anonymousPolicy alone.",
        )


def _groups_claim(policy: Policy, logins: Logins) -> Iterator[Finding]:
    if not logins.providers or logins.may_bring_groups:
        return
    own = {group.name for group in policy.groups}
    foreign = list(dict.fromkeys(group for _, rule in rules_of(policy) for group in rule.groups if group not in own))
    if not foreign:
        return
    for provider in logins.providers:
        if provider.key == "google":
            reason, fix = "a login with Google never brings groups", "Use a provider that has groups, or name users."
        elif provider.key == "github":
            reason, fix = "GitHub tells groups only under the scope read:org", "Add read:org to the scopes."
        else:
            asked = listed(map(shown, provider.scopes))
            reason = f"none of the scopes {asked} carries groups" if asked else "no scopes are asked for"
            fix = "Add the scope under which the provider tells groups: groups, or profile with Authentik."
        yield Finding(
            "ZP401",
            "warning",
            f"{AUTH}.openid.providers.{provider.key}.scopes",
            f"Policies are for {listed(map(shown, foreign))}, and {reason}: whoever logs in there is in no group.",
            fix,
        )


def _own_groups(policy: Policy, logins: Logins) -> Iterator[Finding]:
    used = {group for _, rule in rules_of(policy) for group in rule.groups}
    for group in policy.groups:
        if group.name not in used or not group.users:
            continue
        where = f"{ACCESS_CONTROL}.groups[{group.name!r}]"
        if logins.providers:
            yield Finding(
                "ZP403",
                "warning",
                where,
                f"The members of {shown(group.name)} are not in it when they come by OpenID or with an API key: "
                "groups of the configuration count for logins by password only.",
                "Give the group to its members at the identity provider.",
            )
        elif logins.apikey:
            yield Finding(
                "ZP403",
                "info",
                where,
                f"API keys carry {shown(group.name)} as it was at their owner's last login: a change here reaches a "
                "key only when its owner has logged in again.",
                "After taking somebody out, revoke the keys too.",
            )


#: Not unique, and set by the user: two people can have the same.
_NAMES_FOR_SHOW: Final = frozenset(
    {"name", "nickname", "given_name", "family_name", "middle_name", "profile", "website"}
)


def _username_claim(policy: Policy | None, logins: Logins) -> Iterator[Finding]:
    """``sub`` is the only claim that the standard calls stable. ``preferred_username`` is as good as the provider keeps
    it, so it is told only where the policy trusts a name: rules for groups do not look at it.
    """
    named = (
        () if policy is None else (*(u for _, rule in rules_of(policy) for u in rule.users if u), *policy.metrics_users)
    )
    users = listed(map(shown, dict.fromkeys(user for user in named if user)))
    for provider in logins.providers:
        if provider.key == "github":
            continue
        claim = provider.username_claim or "email"
        if claim in _NAMES_FOR_SHOW:
            reason = f"The claim {claim} is free text and not unique: two people with the same one are one user to zot"
        elif claim == "email":
            chosen = "" if provider.username_claim else ", which zot takes where claimMapping names no other,"
            reason = f"The claim email{chosen} changes hands: whoever has an address next is the same user to zot"
        elif claim == "preferred_username" and users:
            reason = f"The policy trusts the names {users}, and some providers let users change preferred_username"
        else:
            continue
        yield Finding(
            "ZP402",
            "warning",
            f"{AUTH}.openid.providers.{provider.key}.claimMapping.username",
            f"{reason}, with the API keys of that name.",
            "Map username to a claim that only the provider's admins can change, as sub; grant to groups, not names.",
        )


def _keys(logins: Logins) -> Iterator[Finding]:
    if logins.apikey and not logins.interactive:
        yield Finding(
            "ZP404",
            "error",
            f"{AUTH}.apikey",
            "API keys are on, and there is no other way to log in: nobody can make a key.",
            "Set up openid, htpasswd or ldap, or turn apikey off.",
        )
    basic = [
        name
        for name, on in (
            ("apikey", logins.apikey),
            ("htpasswd", logins.htpasswd),
            ("ldap", logins.ldap),
            ("openid", bool(logins.providers)),
        )
        if on
    ]
    if logins.bearer and basic:
        yield Finding(
            "ZP405",
            "error",
            f"{AUTH}.bearer",
            f"Where bearer is set, zot does not look at Basic credentials: {listed(basic)} beside it "
            f"{'does' if len(basic) == 1 else 'do'} nothing.",
            "Decide for bearer tokens or for the others; a registry serves one of them.",
        )


_URL: Final = re.compile(r"(?i:https?)://[^\s/?#@]+[^\s]*")


def _external_url(config: Mapping[Any, Any], logins: Logins) -> Iterator[Finding]:
    url = dig(config, "http", "externalUrl")
    if url:
        if not (isinstance(url, str) and _URL.fullmatch(url)):
            yield Finding(
                "ZP406",
                "error",
                "http.externalUrl",
                "externalUrl is no URL that a browser could be sent to.",
                "Write it in full, as https://registry.ops.eblu.me.",
            )
    elif logins.providers:
        behind = "zot itself serves TLS" if dig(config, "http", "tls") else "TLS ends at a proxy in front"
        yield Finding(
            "ZP406",
            "warning",
            "http.externalUrl",
            f"externalUrl is missing: zot sends browsers back to the address it listens on, so logins fail where "
            f"{behind} under a public name.",
            "Set it to the address that users open, as https://registry.ops.eblu.me.",
        )


#: Keys whose value is a credential, whatever stands around them; compared in lower case, without _ and -.
_SECRET_KEYS: Final = frozenset(
    {
        "clientsecret",
        "password",
        "bindpassword",
        "secretkey",
        "secretaccesskey",
        "accountkey",
        "sastoken",
        "token",
        "sessiontoken",
        "sentinelpassword",
        "secret",
        "authorization",
        "privatekey",
    }
)
_HAS_FILE: Final = {"clientsecret": "credentialsFile", "bindpassword": "credentialsFile"}
_USERINFO: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#\s@:]*:([^/?#\s@]+)@")
_SHAPES: Final = re.compile(
    r"zak_[0-9a-f]{32}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|ops_[\w-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def _secrets(value: Any, path: Path) -> Iterator[Finding]:
    # A stack, not recursion: a configuration may be nested deeper than Python's.
    left: list[tuple[Any, Path]] = [(value, path)]
    while left:
        value, path = left.pop()
        if len(path) > 60:
            continue
        if isinstance(value, Mapping):
            left.extend((item, (*path, str(key))) for key, item in reversed(list(value.items())))
        elif isinstance(value, (list, tuple)):
            left.extend((item, (*path, index)) for index, item in reversed(list(enumerate(value))))
        elif isinstance(value, str) and value and path:
            key = re.sub(r"[_-]", "", str(next((part for part in reversed(path) if isinstance(part, str)), "")).lower())
            if key in _SECRET_KEYS or _USERINFO.search(value) or _SHAPES.search(value):
                yield Finding(
                    "ZP407",
                    "error" if key in _HAS_FILE else "warning",
                    place(path),
                    "A secret stands in the configuration, where every diff, backup and error report of it shows it.",
                    f"Put it in a file of mode 0600 that {_HAS_FILE[key]} names."
                    if key in _HAS_FILE
                    else "Let zot take it from a file or its environment, or keep the whole file at mode 0600.",
                )


def open_to_all(config: Mapping[Any, Any], logins: Logins) -> Finding:
    """The finding where zot sees no accessControl at all."""
    written = dig(config, "http", "accessControl") is not None
    because = "accessControl has no value in it, which zot reads as none" if written else "There is no accessControl"
    who = "everybody who logs in" if logins.any else "everybody who reaches the port"
    return Finding(
        "ZP110",
        "error" if written or not logins.any else "warning",
        ACCESS_CONTROL,
        f"{because}: {who} may push, overwrite and delete everything.",
        'Grant what is meant under repositories, as "**": {anonymousPolicy: [read]}.',
    )
