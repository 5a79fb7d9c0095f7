"""Logging in with OpenID Connect: zot as the relying party, by the authorization code flow."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

TIMEOUT = 10.0
#: How far zot's clock and the provider's may be apart.
LEEWAY = 5


class LoginFailed(Exception):
    """The provider did not confirm the login; ``str()`` is the answer to the browser."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as its discovery document describes it."""

    name: str
    settings: Mapping[str, Any]
    metadata: Mapping[str, Any]
    redirect_uri: str

    @classmethod
    def discover(cls, name: str, settings: Mapping[str, Any], origin: str) -> Provider:
        """Ask the issuer; raises ``ValueError`` where it does not answer, or as another issuer."""
        issuer = settings["issuer"]
        url = issuer.removesuffix("/") + "/.well-known/openid-configuration"
        try:
            answer = requests.get(url, timeout=TIMEOUT, verify=os.environ.get("SSL_CERT_FILE", True))
            metadata = answer.json()
        except (requests.RequestException, ValueError):
            raise ValueError(f"OpenID Provider Configuration Discovery has failed: {url}") from None
        if answer.status_code != 200 or not isinstance(metadata, dict):
            raise ValueError(f"OpenID Provider Configuration Discovery has failed: http status {answer.status_code}")
        if metadata.get("issuer") != issuer:
            raise ValueError("issuer does not match")
        return cls(name, settings, metadata, f"{origin}/zot/auth/callback/{name}")

    def authorization_url(self, state: str, challenge: str = "") -> str:
        scopes = list(self.settings.get("scopes") or [])
        if "openid" not in scopes:
            scopes.insert(0, "openid")
        query = {
            "client_id": self.settings.get("clientID", ""),
            **({"code_challenge": challenge, "code_challenge_method": "S256"} if challenge else {}),
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": " ".join(scopes),
            "state": state,
        }
        return f"{self.metadata['authorization_endpoint']}?{urlencode(query)}"

    @property
    def uses_pkce(self) -> bool:
        """Whether the exchange is protected by a challenge: without a client secret it is."""
        return not self.settings.get("clientSecret")

    async def exchange(self, code: str, verifier: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The claims of the user info and of the ID token. Raises :class:`LoginFailed`."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        client, secret = self.settings.get("clientID", ""), self.settings.get("clientSecret", "")
        headers = {}
        if secret:
            pair = f"{quote(client, safe='')}:{quote(secret, safe='')}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        else:
            form |= {"client_id": client, "code_verifier": verifier}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT)) as session:
            try:
                async with session.post(self.metadata["token_endpoint"], data=form, headers=headers) as answer:
                    tokens = await answer.json(content_type=None)
                    if answer.status != 200 or not isinstance(tokens, dict):
                        raise LoginFailed("failed to exchange token")
                async with session.get(self.metadata["jwks_uri"]) as answer:
                    keys = await answer.json(content_type=None)
                bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
                async with session.get(self.metadata["userinfo_endpoint"], headers=bearer) as answer:
                    if answer.status != 200:
                        raise LoginFailed("userinfo failed")
                    info = await answer.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
                raise LoginFailed("failed to exchange token") from None
        claims = self._verified(tokens.get("id_token", ""), keys)
        if info.get("sub") != claims.get("sub"):
            raise LoginFailed("userinfo failed: sub from userinfo does not match the sub from the id_token")
        return info, claims

    def _verified(self, token: str, keys: Any) -> dict[str, Any]:
        algorithms = self.metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        try:
            claims: dict[str, Any] = jwt.decode(token, KeySet.import_key_set(keys), algorithms=algorithms).claims
        except (JoseError, ValueError, KeyError, TypeError):
            raise LoginFailed("failed to exchange token: invalid signature") from None
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self.settings["issuer"] or self.settings.get("clientID") not in audiences:
            raise LoginFailed("failed to exchange token: issuer or audience does not match")
        if claims.get("exp", 0) + LEEWAY < time.time() or claims.get("iat", 0) - LEEWAY > time.time():
            raise LoginFailed("failed to exchange token: token has expired")
        return claims

    def end_session_url(self, origin: str) -> str:
        endpoint = str(self.metadata.get("end_session_endpoint", ""))
        if urlsplit(endpoint).scheme not in ("http", "https"):
            return ""
        query = {"client_id": self.settings.get("clientID", ""), "post_logout_redirect_uri": f"{origin}/login"}
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"


def challenge(verifier: str) -> str:
    """The PKCE challenge (S256) of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def new_verifier() -> str:
    return secrets.token_urlsafe(48)


def identity(
    mapping: Mapping[str, str] | None, info: Mapping[str, Any], claims: Mapping[str, Any]
) -> tuple[str, list[str]] | None:
    """Name and groups from the claims, by the provider's ``claimMapping``; None where there is no name.

    The name comes from the user info alone (``email`` where the mapped claim is missing), groups from both.
    """
    mapping = mapping or {}
    name = info.get(mapping.get("username") or "email") or info.get("email")
    if not isinstance(name, str) or not name:
        return None
    groups: set[str] = set()
    for source in (info, claims):
        found = source.get(mapping.get("groups") or "groups")
        if isinstance(found, str):
            groups.add(found)
        elif isinstance(found, list):
            groups |= {str(group) for group in found if group is not None}
    return name, sorted(groups - {""})


def safe_return(target: str, allowed: list[str]) -> str:
    """Where a browser may be sent after the login: a path of this server, or an address with an allowed origin."""
    if not target:
        return ""
    address = urlsplit(target)
    if target.startswith("/") and not target.startswith("//") and not set("\r\n\\") & set(target):
        return target
    origins = {_origin(entry) for entry in allowed}
    return target if address.scheme in ("http", "https") and _origin(target) in origins else "/"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    address = urlsplit(url.strip())
    return address.scheme, address.hostname, address.port or {"http": 80, "https": 443}.get(address.scheme)
