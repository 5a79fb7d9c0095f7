# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What zot answers to a request, and why.

``decide(policy, request) -> Decision`` for requests to repositories, ``decide_metrics`` for ``/metrics``,
``decide_action`` for one action without a request around it. Rules as measured (contract "zot", accessControl):

* the longest matching pattern alone decides, in bytes; equal lengths are chosen between at random for each request;
* in its block: rules naming the user, rules naming one of its groups, ``defaultPolicy`` for anybody with a name,
  ``anonymousPolicy`` for callers without one; then ``adminPolicy``, whatever the pattern;
* a rule with CEL conditions grants only where they hold: they are not evaluated here, the answer is ``conditional``.

The values are named tuples, not frozen dataclasses: they are made for each of a hundred thousand requests a second.
"""

from __future__ import annotations

import operator
import re
from typing import Final, Literal, NamedTuple

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.inherit import flatten
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import (
    PatternSet,
    compile_pattern,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import (
    Action,
    Block,
    Condition,
    Policy,
    Rule,
    rule_place,
)

Outcome = Literal["allow", "deny", "random", "conditional"]
Via = Literal["apikey", "password", "login"]


class Identity(NamedTuple):
    """Who a request comes from, as zot sees it. No name: anonymous.

    ``groups`` are the ones that came with the credential: for an API key those stored at its owner's last interactive
    login, for a login those of the provider. ``via="password"`` (htpasswd, LDAP) adds the groups that the policy's own
    ``groups`` list gives to the name; ``apikey`` and ``login`` never get those.
    """

    name: str = ""
    groups: tuple[str, ...] = ()
    via: Via = "apikey"

    @property
    def anonymous(self) -> bool:
        """Whether the caller has no name. A caller with ``users: [""]`` rules in its favour is still anonymous."""
        return not self.name

    def __str__(self) -> str:
        if self.anonymous:
            return "anonymous"
        return f"{self.name} ({', '.join(self.groups)})" if self.groups else self.name


ANONYMOUS: Final = Identity()

#: ``Check.rule`` where zot has no access control at all, see ``Policy.enabled``.
NO_ACCESS_CONTROL: Final = "no accessControl"

#: ``POST-UPLOAD`` is a POST that begins an upload or a mount: the same as ``POST`` without a reference.
METHODS: Final = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "POST-UPLOAD")


class Request(NamedTuple):
    """One request to a repository.

    ``reference`` is the tag or digest of a *manifest* request, empty for blobs, uploads, mounts and lists.
    ``existing_tags`` are the tags that the repository has; they decide between create and update.
    ``query_tags`` are the values of ``?tag=`` of a manifest write by digest.
    """

    identity: Identity
    method: str
    repository: str
    reference: str = ""
    existing_tags: tuple[str, ...] = ()
    query_tags: tuple[str, ...] = ()


Ways = tuple[tuple[Condition, ...], ...]


class Choice(NamedTuple):
    """What one of several blocks of equal length says, if it is the one that zot takes."""

    outcome: Outcome
    ways: Ways


class Check(NamedTuple):
    """One action that a request needs, and what the policy says to it.

    ``blocks`` are the patterns that decide: one, none where no pattern matches, several where equal lengths are
    chosen between at random. ``rule`` is the place of what granted it (``repositories['**'].policies[0]``,
    ``repositories['**'].defaultPolicy``, ``adminPolicy``), empty where nothing did. ``ways`` are the rules that grant
    under conditions, where the outcome is ``conditional``: all conditions of one of them must hold.
    ``choices`` has what each of ``blocks`` says, where there are several.
    """

    action: str
    reference: str
    outcome: Outcome
    blocks: tuple[str, ...]
    rule: str = ""
    ways: Ways = ()
    choices: tuple[Choice, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions in the way, each once."""
        return tuple(dict.fromkeys(condition for way in self.ways for condition in way))

    def __str__(self) -> str:
        return f"{self.action} {self.reference}" if self.reference else self.action


class Decision(NamedTuple):
    """The answer to a request: every needed action must be allowed.

    ``deny`` if one is denied; else ``random`` if one is chosen at random; else ``conditional``; else ``allow``.
    """

    outcome: Outcome
    checks: tuple[Check, ...]
    policy: Policy
    identity: Identity
    repository: str

    @property
    def allowed(self) -> bool:
        """True for ``allow`` only: what is random or conditional is not granted for sure."""
        return self.outcome == "allow"

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that the request needs, each with its tag or digest: ``create latest``."""
        return tuple(str(check) for check in self.checks)

    @property
    def deciding(self) -> Check:
        """The check that made the outcome: the first that has it."""
        return next(check for check in self.checks if check.outcome == self.outcome)

    def explanation(self) -> tuple[str, ...]:
        """Sentences: which block decides, what grants, and why each other rule and block does not."""
        return explain(self.policy, self.identity, self.deciding, self.repository)


def decide(policy: Policy, request: Request, *, at_door: bool = True) -> Decision:
    """What zot answers to the request.

    ``at_door``: zot turns callers without credentials away before it looks at the policy, unless some block has an
    ``anonymousPolicy`` (``Policy.admits_anonymous``). False leaves that out and asks the policy alone, as the recorded
    decisions did. Raises InvalidInput for an unknown method or a pattern made to be slow.
    """
    index = _index(policy)
    identity, repository = request.identity, request.repository
    groups = effective_groups(policy, identity)
    needed = needed_actions(request)
    if not index.controls(identity.name, at_door):
        checks = tuple(index.uncontrolled(identity.name, action, reference) for action, reference in needed)
        return Decision(checks[0].outcome, checks, policy, identity, repository)
    blocks = index.blocks_for(repository)
    if len(needed) == 1:
        action, reference = needed[0]
        check = _check(index, blocks, identity.name, groups, action, reference)
        return Decision(check.outcome, (check,), policy, identity, repository)
    checks = tuple(_check(index, blocks, identity.name, groups, action, reference) for action, reference in needed)
    outcome = max((check.outcome for check in checks), key=_WEIGHT.__getitem__)
    return Decision(outcome, checks, policy, identity, repository)


def decide_action(policy: Policy, identity: Identity, action: str, repository: str, *, at_door: bool = True) -> Check:
    """Whether the identity may do this one action on the repository; else as :func:`decide`."""
    index = _index(policy)
    if not index.controls(identity.name, at_door):
        return index.uncontrolled(identity.name, action, "")
    return _check(index, index.blocks_for(repository), identity.name, effective_groups(policy, identity), action, "")


def decide_metrics(policy: Policy, identity: Identity) -> Check:
    """Whether the identity may read ``/metrics``, on zot 2.1.18 and newer; ``blocks`` is empty.

    Anonymous callers need ``metrics.anonymousPolicy: [read]``, named ones must be listed in ``metrics.users``. Groups
    and ``adminPolicy`` do not count here.
    """
    if not policy.enabled:
        return _index(policy).uncontrolled(identity.name, "read", "")
    if identity.anonymous:
        allowed, place = "read" in policy.metrics_anonymous_actions, "metrics.anonymousPolicy"
    else:
        allowed, place = identity.name in policy.metrics_users, "metrics.users"
    return Check("read", "", "allow" if allowed else "deny", (), place if allowed else "")


def needed_actions(request: Request) -> tuple[tuple[Action, str], ...]:
    """The actions that zot checks for the request, in its order, each with the tag or digest it is checked for.

    A manifest written under a tag needs ``create``, or ``update`` where the tag exists (also with equal content). By
    digest: each valid ``?tag=`` by its name, updates first, then the digest itself: ``create`` where a tag is new or
    none is given, ``update`` where one exists. Uploads and mounts need ``create``. Raises InvalidInput otherwise.
    """
    method, reference = request.method, request.reference
    if method in {"GET", "HEAD"}:
        return _READ
    if method == "DELETE":
        return _DELETE
    if method not in METHODS:
        raise InvalidInput(f"{method!r} is no method of a registry request: use one of {', '.join(METHODS)}.")
    if method == "POST-UPLOAD" or not reference:
        return _CREATE
    if not is_digest(reference):
        return (("update" if reference in request.existing_tags else "create", reference),)
    tags = dict.fromkeys(tag for tag in map(str.strip, request.query_tags) if _TAG.fullmatch(tag))
    moved = [tag for tag in tags if tag in request.existing_tags]
    added = [tag for tag in tags if tag not in request.existing_tags]
    needed: list[tuple[Action, str]] = [("update", tag) for tag in moved]
    needed += [("create", tag) for tag in added]
    if added or not moved:
        needed.append(("create", reference))
    if moved:
        needed.append(("update", reference))
    return tuple(needed)


def is_digest(reference: str) -> bool:
    """Whether zot takes the reference for a digest; anything else is a tag."""
    return _DIGEST.fullmatch(reference) is not None


_READ: Final[tuple[tuple[Action, str], ...]] = (("read", ""),)
_CREATE: Final[tuple[tuple[Action, str], ...]] = (("create", ""),)
_DELETE: Final[tuple[tuple[Action, str], ...]] = (("delete", ""),)
_DIGEST: Final = re.compile(r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}")
_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_WEIGHT: Final[dict[Outcome, int]] = {"allow": 0, "conditional": 1, "random": 2, "deny": 3}


def effective_groups(policy: Policy, identity: Identity) -> tuple[str, ...]:
    """The groups that zot sees for the identity: those it came with and, by password only, the policy's own."""
    if identity.via != "password" or identity.anonymous:
        return identity.groups
    own = (group.name for group in policy.groups if identity.name in group.users)
    return tuple(dict.fromkeys((*identity.groups, *own)))


class _Grant(NamedTuple):
    """One rule that grants an action to a subject: its place in the block's list, and what stands in the way."""

    order: int
    place: str
    conditions: tuple[Condition, ...]


class _Grants:
    """Who is granted one action by a list of rules, in the order of the rules."""

    __slots__ = ("by_group", "by_user")

    def __init__(self) -> None:
        self.by_user: dict[str, list[_Grant]] = {}
        self.by_group: dict[str, list[_Grant]] = {}

    def find(self, name: str, groups: tuple[str, ...]) -> tuple[_Grant | None, tuple[_Grant, ...]]:
        """The first rule that grants without a condition, and those before it that grant under one.

        Rules that name the user come before all that name a group.
        """
        found = self.by_user.get(name, ())
        if found and not found[0].conditions:
            return found[0], ()
        grants = [*found]
        by_group = [grant for group in groups if group in self.by_group for grant in self.by_group[group]]
        if len(by_group) > 1:
            by_group.sort(key=_order)
        grants += by_group
        for at, grant in enumerate(grants):
            if not grant.conditions:
                return grant, tuple(dict.fromkeys(grants[:at]))
        return None, tuple(dict.fromkeys(grants))


_order = operator.itemgetter(0)


def _grants_by_action(rules: tuple[Rule, ...], pattern: str | None) -> dict[str, _Grants]:
    table: dict[str, _Grants] = {}
    for order, rule in enumerate(rules):
        grant = _Grant(order, rule_place(pattern, order), rule.conditions)
        for action in dict.fromkeys(rule.actions):
            grants = table.setdefault(action, _Grants())
            for user in dict.fromkeys(rule.users):
                grants.by_user.setdefault(user, []).append(grant)
            for group in dict.fromkeys(rule.groups):
                grants.by_group.setdefault(group, []).append(grant)
    return table


class _CompiledBlock:
    __slots__ = ("anonymous", "default", "pattern", "patterns", "rules")

    def __init__(self, block: Block) -> None:
        self.pattern = block.pattern
        self.patterns = (block.pattern,)
        self.rules = _grants_by_action(block.rules, block.pattern)
        #: Action to the place that grants it.
        place = f"repositories[{block.pattern!r}]"
        self.default = dict.fromkeys(block.default_actions, f"{place}.defaultPolicy")
        self.anonymous = dict.fromkeys(block.anonymous_actions, f"{place}.anonymousPolicy")


class Index:
    """A policy made ready to be asked: blocks found by name, by parent folder, or by pattern, longest first."""

    def __init__(self, policy: Policy) -> None:
        policy = flatten(policy)
        self._enabled = policy.enabled
        self._admits_anonymous = policy.admits_anonymous
        self.admin = _grants_by_action((policy.admin,), None)
        self._blocks = PatternSet((block.pattern, _CompiledBlock(block)) for block in policy.blocks)
        self.blocks_for = self._blocks.longest

    def controls(self, name: str, at_door: bool) -> bool:
        """Whether the policy is what decides for this caller."""
        return self._enabled and (not at_door or self._admits_anonymous or name != "")

    def uncontrolled(self, name: str, action: str, reference: str) -> Check:
        """The answer where the policy does not decide: without credentials no, else (nothing is controlled) yes."""
        if name:
            return Check(action, reference, "allow", (), NO_ACCESS_CONTROL)
        return Check(action, reference, "deny", ())


def _index(policy: Policy) -> Index:
    index: Index | None = policy.cache.get("index")
    if index is None:
        index = policy.cache["index"] = Index(policy)
    return index


def _check(
    index: Index, blocks: list[_CompiledBlock], name: str, groups: tuple[str, ...], action: str, reference: str
) -> Check:
    """One action, under the blocks that may be chosen."""
    if len(blocks) == 1:
        outcome, place, ways = _answer(index, blocks[0], name, groups, action)
        return Check(action, reference, outcome, blocks[0].patterns, place, ways)
    if not blocks:
        outcome, place, ways = _answer(index, None, name, groups, action)
        return Check(action, reference, outcome, (), place, ways)
    answers = [_answer(index, block, name, groups, action) for block in blocks]
    outcome, place, ways = answers[0]
    choices = tuple(Choice(outcome, ways) for outcome, _, ways in answers)
    if any(choice != choices[0] for choice in choices):
        outcome, place, ways = "random", "", ()
    return Check(action, reference, outcome, tuple(block.pattern for block in blocks), place, ways, choices)


def _answer(
    index: Index, block: _CompiledBlock | None, name: str, groups: tuple[str, ...], action: str
) -> tuple[Outcome, str, Ways]:
    """What one block and then ``adminPolicy`` say: the outcome, what granted, the conditional rules."""
    conditional: tuple[_Grant, ...] = ()
    if block is not None:
        grants = block.rules.get(action)
        if grants is not None:
            grant, conditional = grants.find(name, groups)
            if grant is not None:
                return "allow", grant.place, ()
        place = (block.default if name else block.anonymous).get(action)
        if place is not None:
            return "allow", place, ()
    grants = index.admin.get(action)
    if grants is not None:
        grant, by_admin = grants.find(name, groups)
        if grant is not None:
            return "allow", grant.place, ()
        conditional += by_admin
    if conditional:
        return "conditional", conditional[0].place, tuple(grant.conditions for grant in conditional)
    return "deny", "", ()


def explain(policy: Policy, identity: Identity, check: Check, repository: str) -> tuple[str, ...]:
    """Why a check came out as it did, sentence by sentence: the blocks that matched, then each rule in zot's order."""
    groups = effective_groups(policy, identity)
    lines = [_summary(check, identity, repository)]
    if not policy.enabled:
        lines.append("accessControl has no value in it: zot controls nothing, but wants a login.")
        return tuple(lines)
    if identity.anonymous and not policy.admits_anonymous:
        lines.append(
            "No block has an anonymousPolicy: zot turns callers without credentials away before it looks further."
        )
        return tuple(lines)
    policy = flatten(policy)
    matching = [
        (compiled.length, block.pattern)
        for block in policy.blocks
        if (compiled := compile_pattern(block.pattern)).matches(repository)
    ]
    if not check.blocks:
        lines.append(f"No pattern matches {repository}; only adminPolicy could grant.")
    elif len(check.blocks) > 1:
        names = " and ".join(map(repr, check.blocks))
        lines.append(f"The patterns {names} match and are equally long: zot takes one of them at random each time.")
    elif not matching:
        lines.append(f"No pattern matches {repository}, so the block under the empty pattern is taken.")
    else:
        lines.append(f"The block {check.blocks[0]!r} decides: its pattern is the longest that matches {repository}.")
    shadowed = [pattern for _, pattern in sorted(matching, reverse=True) if pattern not in check.blocks]
    if shadowed:
        lines.append(f"Shorter patterns match and do not count: {', '.join(map(repr, shadowed))}.")
    for pattern in check.blocks:
        block = policy.block(pattern)
        assert block is not None
        lines += _explain_block(block, identity, groups, check.action)
    lines.append(_explain_rule(policy.admin, "adminPolicy", identity, groups, check.action))
    if identity.via != "password" and not identity.anonymous:
        ignored = [g.name for g in policy.groups if identity.name in g.users and g.name not in groups]
        if ignored:
            lines.append(
                f"The policy's own groups {', '.join(ignored)} list {identity.name}, "
                "but count for password logins only."
            )
    return tuple(lines)


def _summary(check: Check, identity: Identity, repository: str) -> str:
    target = f"{repository}:{check.reference}" if check.reference and ":" not in check.reference else repository
    said = {
        "allow": f"may {check.action} {target}: granted by {check.rule}",
        "deny": f"may not {check.action} {target}",
        "random": f"may {check.action} {target} at some times and not at others",
        "conditional": (
            f"may {check.action} {target} only where a condition of {check.rule} holds: "
            + "; ".join(condition.expression for condition in check.conditions)
        ),
    }
    return f"{identity} {said[check.outcome]}."


def _explain_block(block: Block, identity: Identity, groups: tuple[str, ...], action: str) -> list[str]:
    lines = [
        _explain_rule(rule, rule_place(block.pattern, index), identity, groups, action)
        for index, rule in enumerate(block.rules)
    ]
    for name, actions, applies in (
        ("defaultPolicy", block.default_actions, not identity.anonymous),
        ("anonymousPolicy", block.anonymous_actions, identity.anonymous),
    ):
        place = f"repositories[{block.pattern!r}].{name}"
        if not applies:
            lines.append(
                f"{place} is for {'callers with' if name == 'defaultPolicy' else 'callers without'} a user name."
            )
        elif action in actions:
            lines.append(f"{place} grants {action}.")
        else:
            lines.append(f"{place} has no {action}." if actions else f"{place} is absent.")
    return lines


def _explain_rule(rule: Rule, place: str, identity: Identity, groups: tuple[str, ...], action: str) -> str:
    shared = [group for group in rule.groups if group in groups]
    if identity.name in rule.users:
        subject = "anonymous" if identity.anonymous else f"user {identity.name}"
    elif shared:
        subject = f"group {shared[0]}"
    else:
        return f"{place} names neither {identity.name or 'anonymous'} nor one of its groups."
    if action not in rule.actions:
        return f"{place} names {subject}, but not {action}."
    if rule.conditions:
        return f"{place} grants {action} to {subject} where {' and '.join(c.expression for c in rule.conditions)}."
    return f"{place} grants {action} to {subject}."
