"""The estate's configuration, and how a test changes it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

Config = dict[str, Any]
Change = Callable[[Config], object]

ESTATE: Config = {
    "distSpecVersion": "1.1.1",
    "storage": {"rootDirectory": "/Users/eblume/zot", "gc": True, "gcDelay": "1h", "gcInterval": "24h"},
    "http": {
        "address": "0.0.0.0",
        "port": "5050",
        "externalUrl": "https://registry.ops.eblu.me",
        "realm": "zot",
        "auth": {
            "failDelay": 1,
            "apikey": True,
            "openid": {
                "providers": {
                    "oidc": {
                        "name": "Authentik",
                        "issuer": "https://authentik.ops.eblu.me/application/o/zot/",
                        "credentialsFile": "/Users/eblume/.config/zot/oidc-credentials.json",
                        "scopes": ["openid", "email", "profile"],
                        "claimMapping": {"username": "preferred_username"},
                    }
                }
            },
        },
        "accessControl": {
            "metrics": {"users": [], "anonymousPolicy": ["read"]},
            "repositories": {
                "**": {
                    "anonymousPolicy": ["read"],
                    "defaultPolicy": ["read"],
                    "policies": [
                        {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
                        {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
                    ],
                }
            },
        },
    },
    "extensions": {
        "metrics": {"enable": True, "prometheus": {"path": "/metrics"}},
        "search": {"enable": True},
        "ui": {"enable": True},
        "sync": {
            "enable": True,
            "registries": [
                {
                    "urls": ["https://registry-1.docker.io"],
                    "onDemand": True,
                    "tlsVerify": True,
                    "content": [{"prefix": "**", "destination": "/docker.io"}],
                }
            ],
        },
    },
    "log": {"level": "info"},
}


def estate(change: Change | None = None) -> Config:
    """A copy of the estate's configuration, changed in place by ``change``."""
    config = copy.deepcopy(ESTATE)
    if change is not None:
        change(config)
    return config


@pytest.fixture
def changed() -> Callable[[Change | None], Config]:
    return estate
