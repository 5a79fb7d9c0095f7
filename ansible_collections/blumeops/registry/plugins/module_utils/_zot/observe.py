# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Asks a registry and its issuer everything that the test plan needs; what it means is decided in :mod:`.verify`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    NotFound,
    Refused,
    RegistryError,
    ServerError,
    ServiceError,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.blumeops.registry.plugins.module_utils._transport import Transport
from ansible_collections.blumeops.registry.plugins.module_utils._zot.client import (
    MGMT,
    Caller,
    Login,
    Mgmt,
    Zot,
    minimal_image,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot.questions import (
    ABSENT_REPOSITORY,
    Action,
    absent_tag,
    present_tag,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot.verify import (
    WRITES,
    Asked,
    Cause,
    Discovery,
    Expected,
    Observed,
)

#: Requests that are under way at the same time; a refused one may take zot's failDelay, five seconds in its examples.
CONCURRENT = 8
#: A credential that never was made: whoever answers it like none does not see credentials.
NEVER_MADE = ("blumeops-registry-question", "zak_" + "0" * 32)
WELL_KNOWN = "/.well-known/openid-configuration"
#: Repositories that are looked through for one that has a tag.
LOOKED_THROUGH = 10

T = TypeVar("T")
_Ask = Callable[[], Asked]


@dataclass(frozen=True, slots=True)
class Asking:
    """What to ask with: keys of the callers (None: not asked), where, and whether the probe may be pushed."""

    ci: Caller = None
    admin: Caller = None
    repository: str = ""
    probe_repository: str = ""
    probe_tag: str = ""
    dry_run: bool = False


def observe(zot: Zot, issuer: Transport | None, expected: Expected, asking: Asking) -> Observed:
    """Ask everything of the test plan; an error becomes part of what was seen, none is raised.

    Nothing is stored or made, unless ``expected.push`` and not ``asking.dry_run``: then one fixed image is pushed where
    it is not there yet.
    """
    return _Look(zot, issuer, expected, asking).look()


def discover(issuer: Transport) -> Discovery:
    """The issuer's discovery document.

    Raises:
        UnexpectedAnswer: HTML, no JSON, or one without issuer and authorization endpoint.
        ServiceError: Any other status than 200.
    """
    answer = issuer.request("GET", WELL_KNOWN, auth=None)
    if answer.status != 200:
        raise ServiceError(
            f"{answer.where} answered {answer.status}: check the issuer's address and the slug of its application",
            status=answer.status,
        )
    raw = answer.json()
    needed = ("issuer", "authorization_endpoint")
    if not isinstance(raw, Mapping) or not all(isinstance(raw.get(key), str) for key in needed):
        raise UnexpectedAnswer(f"{answer.where} answered without {' and '.join(needed)}: is it an OIDC issuer?")
    return Discovery(
        raw["issuer"],
        raw["authorization_endpoint"],
        _strings(raw.get("scopes_supported")),
        _strings(raw.get("response_types_supported")),
    )


def own_repositories(catalog: tuple[str, ...]) -> tuple[str, ...]:
    """The repositories to ask about: none under a registry's host name (``docker.io/…``), whose pulls zot may check
    with that registry each time."""
    return tuple(name for name in catalog if "." not in name.partition("/")[0])


def choose(zot: Zot, caller: Caller, given: str, catalog: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The repository to ask about, and its tags: the one that was given, else the first that has a tag."""
    for name in (given,) if given else own_repositories(catalog)[:LOOKED_THROUGH]:
        try:
            tags = zot.tags(caller, name)
        except RegistryError:
            tags = ()
        if tags or given:
            return name, tags
    return ABSENT_REPOSITORY, ()


def together(calls: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """The calls' results by name, made side by side; the first error is raised when all have ended."""
    with ThreadPoolExecutor(CONCURRENT) as pool:
        started = {name: pool.submit(call) for name, call in calls.items()}
    return {name: call.result() for name, call in started.items()}


def strips_authorization(zot: Zot, mgmt: Mgmt | None) -> bool:
    """Whether something in front of the registry takes credentials away.

    zot answers a credential that never was made with 401, also where anonymous callers are let in. So it is asked where
    they are: the mgmt route shows itself to anybody, else the catalog, where that is open.
    """
    return zot.status(NEVER_MADE, MGMT if mgmt is not None else "/v2/_catalog") == 200


class _Look:
    """One look at a registry. Requests run side by side, each leaves its outcome under its own name in ``asked``."""

    def __init__(self, zot: Zot, issuer: Transport | None, expected: Expected, asking: Asking) -> None:
        self.zot, self.issuer, self.expected, self.asking = zot, issuer, expected, asking
        self.asked: dict[str, Asked] = {}
        self.catalog: tuple[str, ...] = ()
        self.login: Login | None = None
        self.discovery: Discovery | None = None
        self.mgmt: Mgmt | None = None
        self.pushed = False

    def look(self) -> Observed:
        begin: dict[str, _Ask] = {"reachable": self._reach}
        if self.issuer is not None:
            begin["discovery"] = partial(self._discovery, self.issuer)
        self._together(begin)
        if self.asked["reachable"].problem:
            return Observed(self.asked, discovery=self.discovery)
        callers = {who: key for who, key in (("ci", self.asking.ci), ("admin", self.asking.admin)) if key is not None}
        first: dict[str, _Ask] = {"catalog": self._catalog, "mgmt": self._mgmt}
        first |= {f"{who}_key": partial(self._key, caller) for who, caller in callers.items()}
        if self.expected.issuer:
            first["login"] = self._login
        if self.expected.metrics_path:
            first["metrics"] = self._metrics
        self._together(first)
        known = {who: caller for who, caller in callers.items() if self.asked[f"{who}_key"].status == 200}
        if len(known) < len(callers):
            self._note("bad_credential", self._bad_credential)
        if self.expected.push and "ci" in known:
            self._note("push", partial(self._push, known["ci"]))
        if known and self.asked["catalog"].may is False:
            self._note("catalog_seen", partial(self._known_catalog, next(iter(known.values()))))
        repository, tags = choose(self.zot, next(iter(known.values()), None), self.asking.repository, self.catalog)
        tag = present_tag(tags)
        self._together(self._questions(known, repository, absent_tag(tags), tag))
        probe = f"{self.asking.probe_repository}:{self.asking.probe_tag}"
        return Observed(
            self.asked, repository, tag, self.login, self.discovery, self.mgmt, pushed=self.pushed, probe=probe
        )

    def _note(self, name: str, ask: _Ask) -> None:
        try:
            self.asked[name] = ask()
        except Refused as error:
            self.asked[name] = Asked(status=error.status, may=False)
        except RegistryError as error:
            self.asked[name] = Asked(getattr(error, "status", 0), problem=str(error), cause=_cause(error))

    def _together(self, asks: Mapping[str, _Ask]) -> None:
        together({name: partial(self._note, name, ask) for name, ask in asks.items()})

    def _reach(self) -> Asked:
        return Asked(self.zot.reach())

    def _catalog(self) -> Asked:
        self.catalog = self.zot.catalog(None)
        return Asked(200)

    def _known_catalog(self, caller: Caller) -> Asked:
        """What somebody with a key sees, to have something to ask about where anonymous callers see nothing."""
        self.catalog = self.zot.catalog(caller)
        return Asked(200)

    def _mgmt(self) -> Asked:
        self.mgmt = self.zot.mgmt()
        return Asked(200 if self.mgmt else 404)

    def _key(self, caller: Caller) -> Asked:
        try:
            self.zot.keys(caller)
        except ServerError as error:
            return Asked(error.status, problem=str(error), cause="storage" if error.status == 500 else "")
        return Asked(200)

    def _login(self) -> Asked:
        try:
            self.login = self.zot.login(self.expected.provider)
        except NotFound as error:
            return Asked(error.status, problem=str(error), cause="other_configuration")
        return Asked(302)

    def _discovery(self, issuer: Transport) -> Asked:
        try:
            self.discovery = discover(issuer)
        except (ServiceError, UnexpectedAnswer) as error:
            return Asked(getattr(error, "status", 0), problem=str(error), cause="issuer")
        return Asked(200)

    def _metrics(self) -> Asked:
        try:
            self.zot.metrics(self.expected.metrics_path)
        except NotFound as error:
            return Asked(error.status)
        return Asked(200)

    def _bad_credential(self) -> Asked:
        return Asked(200 if strips_authorization(self.zot, self.mgmt) else 401)

    def _push(self, ci: Caller) -> Asked:
        """Push the probe where it is not there, and pull it without credentials; ``may``: it is the probe."""
        repository, tag = self.asking.probe_repository, self.asking.probe_tag
        manifest, blobs = minimal_image("blumeops.registry probe")
        if tag not in self.zot.tags(ci, repository):
            if self.asking.dry_run:
                return Asked()
            try:
                self.zot.push(ci, repository, tag, manifest, blobs)
            except ServerError as error:
                return Asked(error.status, problem=str(error), cause="storage")
            except Refused as error:
                return Asked(error.status, problem=str(error))
            self.pushed = True
            self.catalog = tuple(sorted({*self.catalog, repository}))
        try:
            digest = self.zot.manifest_digest(None, repository, tag)
        except Refused as error:
            return Asked(error.status, problem=f"the probe is there and cannot be pulled by anybody: {error}")
        return Asked(200, may=digest == "sha256:" + hashlib.sha256(manifest).hexdigest())

    def _questions(self, known: Mapping[str, Caller], repository: str, new: str, tag: str) -> dict[str, _Ask]:
        asks: dict[str, _Ask] = {
            "anonymous_push": partial(self._ask, None, "create", repository, new),
            "pull": partial(self._pull, repository, tag),
        }
        for who, caller in known.items():
            for action in WRITES:
                about = tag if action == "update" else new
                if about:
                    asks[f"{who}_{action}"] = partial(self._ask, caller, action, repository, about)
        return asks

    def _ask(self, caller: Caller, action: Action, repository: str, tag: str) -> Asked:
        said = self.zot.ask(caller, action, repository, tag)
        return Asked(said.status, said.may)

    def _pull(self, repository: str, tag: str) -> Asked:
        if not tag:
            return self._ask(None, "read", repository, "")
        try:
            self.zot.manifest_digest(None, repository, tag)
        except ServerError as error:
            # A pull is counted: a zot that cannot write answers it with 500, as it does the use of a key.
            return Asked(error.status, problem=str(error), cause="storage" if error.status == 500 else "")
        return Asked(200, may=True)


def _strings(value: Any) -> tuple[str, ...] | None:
    return tuple(map(str, value)) if isinstance(value, list) else None


def _cause(error: RegistryError) -> Cause:
    if isinstance(error, Unreachable):
        return "unreachable"
    if isinstance(error, UnexpectedAnswer):
        return "not_the_registry"
    return "read_only" if isinstance(error, ServiceError) and error.status == 405 else ""
