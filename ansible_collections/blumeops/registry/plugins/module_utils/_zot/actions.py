# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What the modules that ask a zot registry do between their options and their result."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._transport import Transport, split_url
from ansible_collections.blumeops.registry.plugins.module_utils._zot import apikeys, verify
from ansible_collections.blumeops.registry.plugins.module_utils._zot.client import Caller, Zot
from ansible_collections.blumeops.registry.plugins.module_utils._zot.keycheck import check_key
from ansible_collections.blumeops.registry.plugins.module_utils._zot.observe import CONCURRENT, Asking, observe


class CheckFailed(RegistryError):
    """A check has failed; ``result`` is returned beside the sentence."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result


def connect(params: dict[str, Any]) -> Transport:
    """The transport to the registry that the options of ``_argspec.ZOT`` describe."""
    return Transport(
        params["registry_url"],
        name="zot",
        timeout=params["timeout"],
        ca_path=params["ca_path"],
        validate_certs=params["validate_certs"],
        retries=params["retries"],
        pool_size=CONCURRENT,
    )


def check_api_key(module: AnsibleModule) -> dict[str, Any]:
    """The action of module ``zot_apikey_check``."""
    params = module.params
    api_key = apikeys.check_api_key(params["api_key"], "api_key")
    if not 0 <= params["fail_days"] <= params["warn_days"]:
        raise InvalidInput(
            f"fail_days is {params['fail_days']} and warn_days is {params['warn_days']}: "
            "give warn_days at least as many, so that a warning comes before a failure"
        )
    with connect(params) as transport:
        seen = check_key(
            Zot(transport),
            params["identity"],
            api_key,
            label=params["label"],
            warn_days=params["warn_days"],
            fail_days=params["fail_days"],
            repository=params["repository"],
        )
    assessment, entry = seen.assessment, seen.entry
    result = {
        "changed": False,
        "status": assessment.status,
        "authenticated": seen.found is not None,
        "key": None
        if entry is None
        else {
            "uuid": entry.uuid,
            "label": entry.label,
            "created": _text(entry.created),
            "ends": _text(entry.ends),
            "last_used": _text(entry.last_used),
        },
        "identified_by": seen.found.by if seen.found else "unknown",
        "days_left": assessment.days_left,
        "repository": seen.repository,
        "may": dict(seen.may),
    }
    if assessment.failing and params["fail"]:
        raise CheckFailed(assessment.message, result)
    if assessment.status == "expiring" or (seen.found is not None and entry is None):
        module.warn(assessment.message)
    return {**result, "msg": assessment.message}


def check_registry(module: AnsibleModule) -> dict[str, Any]:
    """The action of module ``zot_registry_check``."""
    params = module.params
    callers: dict[str, Caller] = {}
    for who in ("ci", "admin"):
        key, identity = params[f"{who}_key"], params[f"{who}_identity"]
        callers[who] = (identity, apikeys.check_api_key(key, f"{who}_key")) if key else None
    external = split_url(params["external_url"] or params["registry_url"], "external_url")
    issuer = params["issuer"] or ""
    expected = verify.Expected(
        url=split_url(params["registry_url"], "registry_url"),
        callback=f"{external}/zot/auth/callback/{params['provider']}",
        issuer=issuer,
        client_id=params["client_id"],
        scopes=tuple(params["scopes"]),
        provider=params["provider"],
        ci=params["ci_identity"] or "",
        admin=params["admin_identity"] or "",
        metrics_path=params["metrics_path"],
        push=params["push"],
    )
    asking = Asking(
        ci=callers["ci"],
        admin=callers["admin"],
        repository=params["repository"],
        probe_repository=params["probe_repository"],
        probe_tag=params["probe_tag"],
        dry_run=module.check_mode,
    )
    at_issuer = None
    if issuer:
        at_issuer = Transport(
            split_url(issuer, "issuer"),
            name="the issuer",
            timeout=params["timeout"],
            ca_path=params["issuer_ca_path"],
            validate_certs=params["validate_certs"],
            retries=params["retries"],
        )
    try:
        with connect(params) as transport:
            observed = observe(Zot(transport), at_issuer, expected, asking)
    finally:
        if at_issuer is not None:
            at_issuer.close()
    checks = verify.judge(expected, observed)
    counts = Counter(check.result for check in checks)
    result = {
        "changed": observed.pushed or (expected.push and asking.dry_run and _would_push(observed)),
        "checks": [asdict(check) for check in checks],
        "table": list(verify.table(checks)),
        "counts": {name: counts[name] for name in ("passed", "failed", "unknown")},
    }
    message = verify.failures(checks)
    if message and params["fail"]:
        raise CheckFailed(message, result)
    return {**result, "msg": message}


def _would_push(observed: verify.Observed) -> bool:
    asked = observed.asked.get("push")
    return asked is not None and asked.may is None and not asked.problem


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
