# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What zot's ``http.accessControl`` says, as frozen values.

:func:`parse_policy` reads the mapping and never gives up half way: whatever has an unknown key or a wrong type is left
out of the model and told as a :class:`Problem`, so that a lint can name all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput

Action = Literal["read", "create", "update", "delete"]
#: The actions that a request to a repository can need.
ACTIONS: Final[tuple[Action, ...]] = ("read", "create", "update", "delete")
#: Every action that zot knows. The last is no request's own: it changes how zot answers, and grants nothing.
KNOWN_ACTIONS: Final = (*ACTIONS, "detectManifestCollision")


@dataclass(frozen=True, slots=True)
class Condition:
    """A CEL expression that must hold for a rule to grant (zot 2.1.17 and newer). Kept as text, never evaluated."""

    expression: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``policies``, or ``adminPolicy``: these users and groups may do these actions.

    ``""`` among the users is the anonymous caller.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """What stands under one pattern of ``repositories``. ``inherit`` is this collection's own, see ``inherit.py``."""

    pattern: str
    rules: tuple[Rule, ...] = ()
    default_actions: tuple[str, ...] = ()
    anonymous_actions: tuple[str, ...] = ()
    inherit: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """One entry of ``groups``: given to users that log in with a password, never to an API key by itself."""

    name: str
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole ``accessControl``. Equal policies are equal values; the order of blocks has no meaning to zot."""

    blocks: tuple[Block, ...] = ()
    admin: Rule = field(default_factory=Rule)
    groups: tuple[Group, ...] = ()
    metrics_users: tuple[str, ...] = ()
    metrics_anonymous_actions: tuple[str, ...] = ()
    #: False where zot, reading the file, finds no value at all in ``accessControl``: then nothing is controlled.
    enabled: bool = True
    #: Where decide.py keeps what it computed from this policy; no part of its value.
    cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def admits_anonymous(self) -> bool:
        """Whether zot looks at the policy at all for a caller without credentials.

        It does where at least one block, whichever, has an ``anonymousPolicy`` that is not empty; else it answers 401
        before, also where a rule names ``""`` as a user (zot 2.1.20, ``pkg/api/authn.go``).
        """
        return any(block.anonymous_actions for block in self.blocks)

    def block(self, pattern: str) -> Block | None:
        """The block under this very pattern text, or None."""
        return next((block for block in self.blocks if block.pattern == pattern), None)


ProblemCode = Literal["unknown_key", "wrong_type", "changed_key", "no_value"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that zot refuses, or reads as other than it is written.

    ``place`` is a path: ``repositories['**'].policies[0]``. Codes: ``unknown_key`` and ``wrong_type`` (``zot verify``
    refuses most; where it does not, the text says what zot makes of the value), ``changed_key`` (a pattern or group
    name that zot reads in lower case, or that meets another one there), ``no_value`` (something empty that zot takes
    for absent).
    """

    code: ProblemCode
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A policy, and everything in its source that is not in it."""

    policy: Policy
    problems: tuple[Problem, ...] = ()


def parse_policy(access_control: object, *, as_file: bool = True) -> Parsed:
    """The model of an ``accessControl`` mapping.

    ``as_file``: as zot has it after reading it from its configuration file, which is not quite what is written
    (measured on 2.1.20 by loading files): patterns and names of ``groups`` are put in lower case (``Admins`` becomes
    ``admins``, but ``Admins`` in a rule stays), a block or mapping without any value is dropped (so it shadows nothing,
    and an ``accessControl`` without any value **switches authorization off**), a single string stands for a list of it,
    and a number for its text. False: the mapping as it is, which is what the recorded decisions were made with.

    Keys are found whatever their case, as zot finds them. Raises InvalidInput where there is nothing to read at all:
    the value, or its ``repositories``, is no mapping.
    """
    if not isinstance(access_control, Mapping):
        raise InvalidInput(
            f"accessControl must be a mapping, not {_kind(access_control)}: give the mapping that stands under "
            "http.accessControl of the zot configuration."
        )
    return _Reader(as_file).policy(access_control)


def rule_place(pattern: str | None, index: int) -> str:
    """Where a rule stands: ``repositories['**'].policies[0]``, or ``adminPolicy`` without a pattern."""
    return "adminPolicy" if pattern is None else f"repositories[{pattern!r}].policies[{index}]"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", tuple: "a list"}
    return names.get(type(value), "a mapping" if isinstance(value, Mapping) else f"a {type(value).__name__}")


class _Reader:
    """Collects problems while it reads; one use."""

    def __init__(self, as_file: bool) -> None:
        self.as_file = as_file
        self.problems: list[Problem] = []

    def policy(self, source: Mapping[Any, Any]) -> Parsed:
        keys = self._keys(source, "", ("repositories", "adminPolicy", "groups", "metrics"))
        repositories = keys.get("repositories")
        if repositories is not None and not isinstance(repositories, Mapping):
            raise InvalidInput(
                f"accessControl.repositories must be a mapping of patterns, not {_kind(repositories)}: "
                "write each pattern as a key."
            )
        blocks = tuple(
            self._block(pattern, value)
            for pattern, value in self._named(repositories or {}, "repositories", "a pattern").items()
        )
        metrics = self._mapping(keys.get("metrics"), "metrics", ("users", "anonymousPolicy"))
        policy = Policy(
            blocks=blocks,
            admin=self._rule(keys.get("adminPolicy"), "adminPolicy"),
            groups=self._groups(keys.get("groups")),
            metrics_users=self._names(metrics.get("users"), "metrics.users"),
            metrics_anonymous_actions=self._names(metrics.get("anonymousPolicy"), "metrics.anonymousPolicy"),
            enabled=not self.as_file or _has_value(source),
        )
        if not policy.enabled:
            text = "has no value in it, so zot reads none and controls nothing: whoever can log in may do everything."
            self.problems.append(Problem("no_value", "accessControl", text))
        return Parsed(policy, tuple(self.problems))

    def _block(self, pattern: str, value: object) -> Block:
        place = f"repositories[{pattern!r}]"
        keys = self._mapping(value, place, ("policies", "defaultPolicy", "anonymousPolicy", "inherit"))
        rules = self._list(keys.get("policies"), f"{place}.policies")
        inherit = keys.get("inherit")
        if inherit is not None and not isinstance(inherit, bool):
            self._wrong(f"{place}.inherit", "true or false", inherit)
        return Block(
            pattern=pattern,
            rules=tuple(self._rule(rule, rule_place(pattern, index)) for index, rule in enumerate(rules)),
            default_actions=self._names(keys.get("defaultPolicy"), f"{place}.defaultPolicy"),
            anonymous_actions=self._names(keys.get("anonymousPolicy"), f"{place}.anonymousPolicy"),
            inherit=inherit is True,
        )

    def _rule(self, value: object, place: str) -> Rule:
        keys = self._mapping(value, place, ("users", "groups", "actions", "conditions"))
        conditions: list[Condition] = []
        for index, item in enumerate(self._list(keys.get("conditions"), f"{place}.conditions")):
            parts = self._mapping(item, f"{place}.conditions[{index}]", ("expression", "message"))
            conditions.append(
                Condition(
                    self._text(parts.get("expression"), f"{place}.conditions[{index}].expression"),
                    self._text(parts.get("message"), f"{place}.conditions[{index}].message"),
                )
            )
        return Rule(
            users=self._names(keys.get("users"), f"{place}.users"),
            groups=self._names(keys.get("groups"), f"{place}.groups"),
            actions=self._names(keys.get("actions"), f"{place}.actions"),
            conditions=tuple(conditions),
        )

    def _groups(self, value: object) -> tuple[Group, ...]:
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            self._wrong("groups", "a mapping of group names", value)
            return ()
        groups: list[Group] = []
        for name, entry in self._named(value, "groups", "a group name").items():
            place = f"groups[{name!r}]"
            keys = self._mapping(entry, place, ("users",))
            groups.append(Group(name, self._names(keys.get("users"), f"{place}.users")))
        return tuple(groups)

    def _named(self, source: Mapping[Any, Any], place: str, what: str) -> dict[str, object]:
        """The entries under names that the user chose: patterns, groups."""
        found: dict[str, object] = {}
        for key, value in source.items():
            where = f"{place}[{key!r}]"
            if not isinstance(key, str):
                self._wrong(where, f"{what} (a string)", key)
                continue
            if not self.as_file:
                found[key] = value
                continue
            if not _has_value(value):
                self.problems.append(
                    Problem("no_value", where, "has no value in it: zot reads it as if it were absent.")
                )
                continue
            name = key.lower()
            if name != key:
                self.problems.append(Problem("changed_key", where, f"is read by zot in lower case, as {name!r}."))
            if name in found:
                self.problems.append(
                    Problem(
                        "changed_key",
                        where,
                        f"is written twice once zot reads it in lower case: only one {name!r} is kept.",
                    )
                )
            # Of two that differ in case, the one that is in lower case already is overwritten.
            if name not in found or name != key:
                found[name] = value
        return found

    def _mapping(self, value: object, place: str, known: tuple[str, ...]) -> Mapping[str, object]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self._wrong(place, "a mapping", value)
            return {}
        return self._keys(value, place, known)

    def _keys(self, source: Mapping[Any, Any], place: str, known: tuple[str, ...]) -> Mapping[str, object]:
        spelled = {name.lower(): name for name in known}
        found: dict[str, object] = {}
        for key, value in source.items():
            name = spelled.get(key.lower()) if isinstance(key, str) else None
            if name is None:
                where = f"{place}.{key}" if place else str(key)
                self.problems.append(
                    Problem(
                        "unknown_key", where, f"{key!r} is not a key here; zot refuses it. Known: {', '.join(known)}."
                    )
                )
            elif value is not None:
                found[name] = value
        return found

    def _list(self, value: object, place: str) -> tuple[object, ...]:
        if value is None:
            return ()
        if isinstance(value, list | tuple):
            return tuple(value)
        if self.as_file and isinstance(value, str | int | Mapping):
            self._wrong(place, "a list", value, "zot takes it for a list of this one")
            return (value,)
        self._wrong(place, "a list", value)
        return ()

    def _names(self, value: object, place: str) -> tuple[str, ...]:
        names: list[str] = []
        for index, item in enumerate(self._list(value, place)):
            if isinstance(item, str):
                names.append(item)
                continue
            text = _as_text(item) if self.as_file else None
            if text is None:
                self._wrong(f"{place}[{index}]", "a string", item)
            else:
                self._wrong(f"{place}[{index}]", "a string", item, f"zot takes it for {text!r}")
                names.append(text)
        return tuple(names)

    def _text(self, value: object, place: str) -> str:
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        self._wrong(place, "a string", value)
        return ""

    def _wrong(self, place: str, wanted: str, value: object, taken: str = "") -> None:
        text = f"must be {wanted}, not {_kind(value)}" + (f"; {taken}." if taken else ".")
        self.problems.append(Problem("wrong_type", place, text))


def _has_value(value: object) -> bool:
    """Whether zot's reader of files finds anything: empty mappings and nulls are as if they were not there."""
    if isinstance(value, Mapping):
        return any(_has_value(item) for item in value.values())
    return value is not None


def _as_text(value: object) -> str | None:
    """What zot makes of a value where it wants a string; None where it refuses it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, int) else None
