# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""The ways to log in that a configuration opens, and which of them bring groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.reading import dig, mapping, texts

#: Scopes whose claims the OpenID Connect standard fixes, none of them groups. ``profile`` is not among them: Authentik
#: puts the groups there (contracts/authentik.md), so it may bring them. Any other scope is the provider's own.
_WITHOUT_GROUPS: Final = frozenset({"openid", "email", "address", "phone", "offline_access"})
#: GitHub tells organisations and teams under these.
_GITHUB_GROUPS: Final = frozenset({"read:org", "user", "admin:org", "write:org"})


@dataclass(frozen=True, slots=True)
class Provider:
    """One entry of ``openid.providers``: ``oidc``, ``github``, ``gitlab`` or ``google``."""

    key: str
    scopes: tuple[str, ...]
    username_claim: str
    groups_claim: str

    @property
    def may_bring_groups(self) -> bool:
        """Whether a login there can come with groups at all, as far as its scopes tell."""
        if self.key == "google":
            return False
        if self.key == "github":
            return not _GITHUB_GROUPS.isdisjoint(self.scopes)
        if self.key == "gitlab":
            return True
        return any(scope.lower() not in _WITHOUT_GROUPS for scope in self.scopes)


@dataclass(frozen=True, slots=True)
class Logins:
    """What ``http.auth`` opens."""

    providers: tuple[Provider, ...]
    htpasswd: bool
    ldap: bool
    mtls: bool
    bearer: bool
    bearer_groups: bool
    apikey: bool

    @classmethod
    def of(cls, config: Mapping[Any, Any]) -> Logins:
        """Read them from the whole configuration."""
        auth = dig(config, "http", "auth")
        providers = [
            Provider(
                key=str(key).lower(),
                scopes=texts(dig(raw, "scopes")),
                username_claim=str(dig(raw, "claimMapping", "username") or ""),
                groups_claim=str(dig(raw, "claimMapping", "groups") or ""),
            )
            for key, raw in mapping(dig(auth, "openid", "providers")).items()
        ]
        workloads = dig(auth, "bearer", "oidc")
        return cls(
            providers=tuple(providers),
            htpasswd=bool(dig(auth, "htpasswd", "path")),
            ldap=bool(mapping(dig(auth, "ldap"))),
            mtls=dig(auth, "mtls") is not None,
            bearer=bool(mapping(dig(auth, "bearer"))),
            bearer_groups=bool(dig(auth, "bearer", "cert") or dig(auth, "bearer", "awsSecretsManager"))
            or any(dig(raw, "claimMapping", "groups") for raw in (workloads if isinstance(workloads, list) else ())),
            apikey=dig(auth, "apikey") is True,
        )

    @property
    def interactive(self) -> bool:
        """Whether anybody can log in at all otherwise than by a key."""
        return bool(self.providers) or self.htpasswd or self.ldap or self.mtls

    @property
    def any(self) -> bool:
        """Whether there is any way not to be anonymous."""
        return self.interactive or self.bearer or self.apikey

    @property
    def may_bring_groups(self) -> bool:
        """Whether some login can come with groups that the configuration does not list."""
        return self.ldap or self.bearer_groups or any(provider.may_bring_groups for provider in self.providers)
