# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Checks an API key on a live registry: asks here, decides in :mod:`.apikeys`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    Refused,
    RegistryError,
    Unreachable,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot.apikeys import (
    ApiKey,
    Assessment,
    Identification,
    assess,
    identify,
    refused,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot.client import Caller, Mgmt, Zot
from ansible_collections.blumeops.registry.plugins.module_utils._zot.observe import (
    choose,
    strips_authorization,
    together,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot.questions import (
    ACTIONS,
    Action,
    absent_tag,
    present_tag,
)


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What is known about a key: the assessment, which entry it is, and what its owner may do where (None: unknown)."""

    assessment: Assessment
    found: Identification | None = None
    repository: str = ""
    may: tuple[tuple[Action, bool | None], ...] = ()

    @property
    def entry(self) -> ApiKey | None:
        """The entry of the list that is the key, where that is known."""
        return self.found.entry if self.found else None


def check_key(
    zot: Zot,
    identity: str,
    api_key: str,
    *,
    label: str | None,
    warn_days: float,
    fail_days: float,
    repository: str = "",
) -> KeyCheck:
    """Ask with the key what it is and what it may do. Nothing is stored or made, ``lastUsed`` moves.

    Whether it authenticates is told by the list of its owner's keys: ``/v2/`` answers anybody (contracts of zot).
    No RegistryError is raised: a registry that does not answer is an assessment too.
    """
    caller = (identity, api_key)
    try:
        before = zot.keys(caller)
        after = zot.keys(caller)
    except RegistryError as error:
        return KeyCheck(_assess_error(zot, identity, error))
    found = identify(before, after, label)
    assessment = assess(found, identity, datetime.now(UTC), warn_days=warn_days, fail_days=fail_days)
    where, may = _what_else(zot, caller, repository)
    return KeyCheck(assessment, found, where, may)


def _what_else(zot: Zot, caller: Caller, repository: str) -> tuple[str, tuple[tuple[Action, bool | None], ...]]:
    catalog: tuple[str, ...] = ()
    if not repository:
        with contextlib.suppress(RegistryError):
            catalog = zot.catalog(caller)
    where, tags = choose(zot, caller, repository, catalog)
    about = {"create": absent_tag(tags), "update": present_tag(tags)}

    def ask(action: Action) -> bool | None:
        if about.get(action) == "":
            return None
        try:
            return zot.ask(caller, action, where, about.get(action, "")).may
        except RegistryError:
            return None

    answers = together({action: partial(ask, action) for action in ACTIONS})
    return where, tuple((action, answers[action]) for action in ACTIONS)


def _assess_error(zot: Zot, identity: str, error: RegistryError) -> Assessment:
    """Why the list of keys was not answered, by what the registry tells anybody about itself.

    500 is also zot's answer to a caller without credentials (measured). Where API keys are off the route is gone: 404,
    or the page of the UI.
    """
    if isinstance(error, Unreachable):
        return Assessment("unreachable", True, None, str(error))
    settings: Mgmt | None = None
    strips = False
    with contextlib.suppress(RegistryError):
        settings = zot.mgmt()
    with contextlib.suppress(RegistryError):
        strips = strips_authorization(zot, settings)
    if strips:
        message = (
            f"the API key of {identity} does not reach the registry at {zot.url}, which takes any credential for none: "
            "have the proxy in front pass the Authorization header on"
        )
        return Assessment("unreachable", True, None, message)
    if settings is not None and not settings.apikey:
        message = (
            f"the registry at {zot.url} refuses the API key of {identity} because API keys are off there "
            "(http.auth.apikey): turn them on"
        )
        return Assessment("refused", True, None, message)
    if not isinstance(error, Refused):
        return Assessment("unreachable", True, None, str(error))
    return Assessment("refused", True, None, refused(identity, zot.url) if error.status == 401 else str(error))
