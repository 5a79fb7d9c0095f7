# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""The keys that zot knows in its configuration, and finding the ones it does not.

zot refuses to start on an unknown key, except directly under ``extensions``, where it is silently without effect
(contracts/zot.md, verify.jsonl "unknown key in extensions"). Upper and lower case are the same to zot in keys. The
table is what ``zot schema`` of 2.1.20 says; a test compares the two.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

#: A value of any shape: scalars, lists of them, and settings that zot hands on to drivers as they are.
ANY: Final = None
#: The key of a table whose keys are the user's own names.
EACH: Final = "*"

Keys = dict[str, Any]

_TLS: Final[Keys] = {"cert": ANY, "key": ANY, "cacert": ANY}
_CONDITIONS: Final = [{"expression": ANY, "message": ANY}]
_POLICY: Final[Keys] = {"users": ANY, "groups": ANY, "actions": ANY, "conditions": _CONDITIONS}
_KEEP: Final[Keys] = {
    "mostRecentlyPulledCount": ANY,
    "mostRecentlyPushedCount": ANY,
    "pulledWithin": ANY,
    "pushedWithin": ANY,
}
_RETENTION: Final[Keys] = {
    "delay": ANY,
    "dryRun": ANY,
    "policies": [
        {
            "repositories": ANY,
            "deleteReferrers": ANY,
            "deleteUntagged": ANY,
            "keepTags": [{"patterns": ANY, **_KEEP}],
            "keepUntagged": _KEEP,
        }
    ],
}
_STORE: Final[Keys] = {
    "rootDirectory": ANY,
    "dedupe": ANY,
    "commit": ANY,
    "gc": ANY,
    "gcDelay": ANY,
    "gcInterval": ANY,
    "gcTimeWindow": ANY,
    "maxRepos": ANY,
    "redirectBlobURL": ANY,
    "remoteCache": ANY,
    "cacheDriver": ANY,
    "storageDriver": ANY,
    "retention": _RETENTION,
}
#: ``http.accessControl``.
ACCESS_CONTROL: Final[Keys] = {
    "repositories": {EACH: {"policies": [_POLICY], "defaultPolicy": ANY, "anonymousPolicy": ANY}},
    "adminPolicy": _POLICY,
    "groups": {EACH: {"users": ANY}},
    "metrics": {"users": ANY, "anonymousPolicy": ANY},
}
_AUTH: Final[Keys] = {
    "apikey": ANY,
    "failDelay": ANY,
    "secureSession": ANY,
    "sessionDriver": ANY,
    "sessionKeysFile": ANY,
    "htpasswd": {"path": ANY},
    "mtls": {
        "identityAttributes": ANY,
        "dnsSanIndex": ANY,
        "emailSanIndex": ANY,
        "uriSanIndex": ANY,
        "uriSanPattern": ANY,
    },
    "ldap": {
        "address": ANY,
        "port": ANY,
        "baseDN": ANY,
        "cacert": ANY,
        "credentialsFile": ANY,
        "insecure": ANY,
        "skipVerify": ANY,
        "startTLS": ANY,
        "subtreeSearch": ANY,
        "userAttribute": ANY,
        "userFilter": ANY,
        "userGroupAttribute": ANY,
    },
    "openid": {
        "callbackAllowOrigins": ANY,
        "providers": {
            EACH: {
                "name": ANY,
                "issuer": ANY,
                "clientid": ANY,
                "clientsecret": ANY,
                "credentialsFile": ANY,
                "keypath": ANY,
                "scopes": ANY,
                "authURL": ANY,
                "tokenURL": ANY,
                "claimMapping": {"username": ANY, "groups": ANY},
            }
        },
    },
    "bearer": {
        "realm": ANY,
        "service": ANY,
        "cert": ANY,
        "awsSecretsManager": {"region": ANY, "secretName": ANY, "refreshInterval": ANY},
        "upstreamTokenEndpoint": {"realm": ANY, "service": ANY, "allowInsecureHttp": ANY},
        "oidc": [
            {
                "issuer": ANY,
                "audiences": ANY,
                "certificateAuthority": ANY,
                "certificateAuthorityFile": ANY,
                "skipIssuerVerification": ANY,
                "claimMapping": {
                    "username": ANY,
                    "groups": ANY,
                    "validations": _CONDITIONS,
                    "variables": [{"name": ANY, "expression": ANY}],
                },
            }
        ],
    },
}
_EXTENSIONS: Final[Keys] = {
    "apikey": {"enable": ANY},
    "events": {"enable": ANY, "sinks": ANY},
    "lint": {"enable": ANY, "mandatoryAnnotations": ANY},
    "metrics": {"enable": ANY, "prometheus": {"path": ANY}},
    "mgmt": {"enable": ANY},
    "scrub": {"enable": ANY, "interval": ANY},
    "search": {
        "enable": ANY,
        "cve": {
            "updateInterval": ANY,
            "trivy": {
                "dbRepository": ANY,
                "javaDBRepository": ANY,
                "sbom": {"enable": ANY, "format": ANY},
                "vulnSeveritySources": ANY,
            },
        },
    },
    "sync": {
        "enable": ANY,
        "credentialsFile": ANY,
        "downloadDir": ANY,
        "registries": [
            {
                "urls": ANY,
                "onDemand": ANY,
                "pollInterval": ANY,
                "tlsVerify": ANY,
                "certDir": ANY,
                "credentialHelper": ANY,
                "oauth2CredentialHelper": ANY,
                "disableHTTP2": ANY,
                "manifestCheckInterval": ANY,
                "maxIdleConnsPerHost": ANY,
                "maxRetries": ANY,
                "maxRetryDelay": ANY,
                "retryDelay": ANY,
                "onlySigned": ANY,
                "preserveDigest": ANY,
                "reqConcurrent": ANY,
                "reqPerSec": ANY,
                "syncLegacyCosignTags": ANY,
                "syncTimeout": ANY,
                "content": [
                    {
                        "prefix": ANY,
                        "destination": ANY,
                        "stripPrefix": ANY,
                        "tags": {"regex": ANY, "excludeRegex": ANY, "semver": ANY},
                    }
                ],
            }
        ],
    },
    "trust": {"enable": ANY, "cosign": ANY, "notation": ANY},
    "ui": {"enable": ANY},
}
#: The whole configuration.
CONFIG: Final[Keys] = {
    "distSpecVersion": ANY,
    "goVersion": ANY,
    "commit": ANY,
    "releaseTag": ANY,
    "binaryType": ANY,
    "storage": {**_STORE, "fastRestart": ANY, "subPaths": {EACH: _STORE}},
    "http": {
        "address": ANY,
        "port": ANY,
        "externalUrl": ANY,
        "allowOrigin": ANY,
        "realm": ANY,
        "compat": ANY,
        "readTimeout": ANY,
        "writeTimeout": ANY,
        "tls": _TLS,
        "ratelimit": {"rate": ANY, "methods": [{"method": ANY, "rate": ANY}]},
        "auth": _AUTH,
        "accessControl": ACCESS_CONTROL,
    },
    "log": {"level": ANY, "output": ANY, "audit": ANY},
    "extensions": _EXTENSIONS,
    "scheduler": {"numWorkers": ANY},
    "cluster": {"members": ANY, "hashKey": ANY, "tls": _TLS},
}


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """``path`` of the mapping that holds ``key``; ``near`` is the known key that was probably meant, or empty."""

    path: tuple[str | int, ...]
    key: str
    near: str


@dataclass(frozen=True, slots=True)
class WrongShape:
    """A value at ``path`` is not the ``wanted`` (``mapping`` or ``list``)."""

    path: tuple[str | int, ...]
    wanted: str


def check_keys(config: Mapping[Any, Any], known: Keys = CONFIG) -> Iterator[UnknownKey | WrongShape]:
    """Yield every unknown key and every mapping or list that is none. ``null`` stands for "not set", as in zot."""
    yield from _check(config, known, ())


def _check(value: Any, known: Any, path: tuple[str | int, ...]) -> Iterator[UnknownKey | WrongShape]:
    if known is ANY or value is None:
        return
    if isinstance(known, list):
        if not isinstance(value, (list, tuple)):
            yield WrongShape(path, "list")
            return
        for index, item in enumerate(value):
            yield from _check(item, known[0], (*path, index))
        return
    if not isinstance(value, Mapping):
        yield WrongShape(path, "mapping")
        return
    if EACH in known:
        for key, item in value.items():
            yield from _check(item, known[EACH], (*path, str(key)))
        return
    names = {name.lower(): name for name in known}
    for key, item in value.items():
        name = names.get(str(key).lower())
        if name is None:
            near = difflib.get_close_matches(str(key).lower(), names, 1)
            yield UnknownKey(path, str(key), names[near[0]] if near else "")
        else:
            yield from _check(item, known[name], (*path, str(key)))
