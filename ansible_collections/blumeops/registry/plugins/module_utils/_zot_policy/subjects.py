# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Who a question is about: ``anonymous``, ``authenticated``, ``user:NAME``, ``group:NAME``, or a name that is known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import ANONYMOUS, Identity, Via
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import listed, shown
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import Policy

Kind = Literal["anonymous", "authenticated", "user", "group"]


@dataclass(frozen=True, slots=True)
class Subject:
    """``label`` is how it is shown: ``zot-ci``, ``group artifact-workloads``, ``anonymous``, ``anybody logged in``."""

    kind: Kind
    name: str
    label: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class People:
    """The names that a policy and the declared groups know.

    ``groups`` maps each declared group to the members that were told; ``declared`` is False where none were declared.
    """

    users: frozenset[str] = frozenset()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    declared: bool = False
    via: Via = "apikey"

    @classmethod
    def of(
        cls, policies: Iterable[Policy], declared: Mapping[str, tuple[str, ...]] | None, via: Via = "apikey"
    ) -> People:
        """Everybody who is named anywhere."""
        groups: dict[str, tuple[str, ...]] = dict(declared or {})
        users: set[str] = {member for members in groups.values() for member in members}
        for policy in policies:
            for group in policy.groups:
                groups.setdefault(group.name, ())
                users.update(group.users)
            for rule in (policy.admin, *(rule for block in policy.blocks for rule in block.rules)):
                users.update(rule.users)
                for name in rule.groups:
                    groups.setdefault(name, ())
            users.update(policy.metrics_users)
        return cls(frozenset(users - {""}), groups, declared is not None, via)

    def stranger(self) -> str:
        """A user name that nobody has: who logs in and is named nowhere."""
        name = "somebody"
        while name in self.users:
            name += "-else"
        return name

    def groups_of(self, user: str) -> tuple[str, ...]:
        """The declared groups that the user is a member of."""
        return tuple(group for group, members in self.groups.items() if user in members)

    def subject(self, text: str, groups: tuple[str, ...] | None = None, via: Via | None = None) -> Subject:
        """Who ``text`` means.

        Args:
            text: See the module's text. A bare name must be a known user or a known group, and not both.
            groups: What a user is in, where it is not the declared membership.
            via: How the caller comes in, where it is not the usual way.

        Raises InvalidInput for a name that is unknown, ambiguous or empty.
        """
        text = text.strip()
        via = via or self.via
        if text in ("anonymous", "authenticated") and groups:
            raise InvalidInput(f"{text} has no groups: leave them out, or ask about user:NAME.")
        if text == "anonymous":
            return Subject("anonymous", "", "anonymous", ANONYMOUS)
        if text == "authenticated":
            return Subject("authenticated", "", "anybody logged in", Identity(self.stranger(), (), via))
        kind, _, name = text.partition(":")
        if kind == "user" and name:
            return self._user(name, groups, via)
        if kind == "group" and name:
            if groups:
                raise InvalidInput(f"{shown(text)!r} is a group already: leave groups out, or ask about user:NAME.")
            return self._group(name, via)
        is_user, is_group = text in self.users, text in self.groups
        if is_user and is_group and groups is None:
            raise InvalidInput(
                f"{shown(text)!r} is a user and a group: write user:{shown(text)} or group:{shown(text)}."
            )
        if is_group and groups is None:
            return self._group(text, via)
        if is_user or (text and groups is not None):
            return self._user(text, groups, via)
        near = difflib.get_close_matches(text, [*self.users, *self.groups, "anonymous", "authenticated"], 3)
        hint = f"did you mean {listed(near)}? " if near else ""
        raise InvalidInput(
            f"The subject {shown(text)!r} is no user and no group of the policy or of the declared groups: {hint}"
            f"write user:{shown(text) or 'NAME'} to ask about somebody who is named nowhere."
        )

    def _user(self, name: str, groups: tuple[str, ...] | None, via: Via) -> Subject:
        held = self.groups_of(name) if groups is None else groups
        return Subject("user", name, name, Identity(name, held, via))

    def _group(self, name: str, via: Via) -> Subject:
        return Subject("group", name, f"group {name}", Identity(self.stranger(), (name,), via))
