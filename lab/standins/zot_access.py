"""Who may do what: the collection's own evaluator, asked the way zot asks.

The evaluator leaves CEL conditions open; here, where the request is known, they are evaluated and the rules that
they close are taken out before it is asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import (
    Check,
    Identity,
    Request,
    decide_action,
    effective_groups,
    needed_actions,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import (
    Condition,
    Policy,
    Rule,
    parse_policy,
)
from lab.standins import zot_conditions

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a request is allowed; ``reason`` is the message of the condition that stood in the way."""

    allowed: bool
    reason: str = ""


class Access:
    """A policy, ready to be asked about requests; without one, it allows nothing."""

    def __init__(self, document: Mapping[str, Any] | None) -> None:
        self.policy = Policy() if document is None else parse_policy(document).policy
        self._unconditional = _keep_rules(self.policy, lambda rule: replace(rule, conditions=()))

    def is_admin(self, identity: Identity) -> bool:
        admin = self.policy.admin
        groups = effective_groups(self.policy, identity)
        return identity.name in admin.users or any(group in admin.groups for group in groups)

    def may_list(self, identity: Identity, repository: str, action: str = "read") -> bool:
        """Whether the repository is shown in lists: conditions do not count, admins see everything."""
        if self.is_admin(identity):
            return action != "detectManifestCollision"
        return _granted(decide_action(self._unconditional, identity, action, repository))

    def answer(self, request: Request, facts: Facts) -> Answer:
        """What zot answers to a request; ``facts`` is what conditions know about it besides the policy."""
        for action, reference in needed_actions(request):
            check = decide_action(self.policy, request.identity, action, request.repository)
            if check.outcome == "conditional":
                known = self._facts(request, facts, action, reference)
                check = decide_action(self._resolved(known), request.identity, action, request.repository)
                if not _granted(check):
                    return Answer(False, _reason(self.policy, request, action, known))
            elif not _granted(check):
                return Answer(False)
        return Answer(True)

    def _resolved(self, known: Facts) -> Policy:
        def rule(rule: Rule) -> Rule | None:
            met = all(zot_conditions.holds(condition.expression, known) for condition in rule.conditions)
            return replace(rule, conditions=()) if met else None

        return _keep_rules(self.policy, rule)

    def _facts(self, request: Request, facts: Facts, action: str, reference: str) -> Facts:
        """The value of ``req``. The reference of a request that writes no manifest is not in its checks."""
        reference = reference or request.reference
        kind = "" if not reference else "digest" if ":" in reference else "tag"
        return {
            **facts,
            "action": action,
            "repository": request.repository,
            "reference": reference,
            "referenceType": kind,
            "tag": reference if kind == "tag" else "",
            "digest": reference if kind == "digest" else "",
            "user": {
                "username": request.identity.name,
                "groups": list(effective_groups(self.policy, request.identity)),
            },
            "auth": {"anonymous": request.identity.anonymous, "admin": self.is_admin(request.identity)},
            "claims": {},
        }


def _granted(check: Check) -> bool:
    """Whether zot would allow it this time: patterns of equal length are chosen between at random."""
    return check.outcome == "allow" or (check.outcome == "random" and random.random() < 0.5)


def _reason(policy: Policy, request: Request, action: str, known: Facts) -> str:
    """The message of the last condition that said no."""
    check = decide_action(policy, request.identity, action, request.repository)
    messages = ""
    for condition in check.conditions:
        if _says_no(condition, known):
            messages = condition.message or messages
    return messages


def _says_no(condition: Condition, known: Facts) -> bool:
    return zot_conditions.holds(condition.expression, known) is False


def _keep_rules(policy: Policy, keep: Callable[[Rule], Rule | None]) -> Policy:
    """``policy`` with its conditional rules as ``keep`` has them; None takes a rule out."""

    def kept(rule: Rule) -> Rule | None:
        return keep(rule) if rule.conditions else rule

    blocks = tuple(
        replace(block, rules=tuple(new for rule in block.rules if (new := kept(rule)) is not None))
        for block in policy.blocks
    )
    return replace(policy, blocks=blocks, admin=kept(policy.admin) or Rule())
