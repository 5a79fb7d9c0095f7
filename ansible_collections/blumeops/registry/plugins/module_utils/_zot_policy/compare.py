# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What a change of policy gives and takes away: who, which action, where, with a request that shows it.

The comparison is about access, not text, and exact over all repository names (``regions.py``). It is exact over all
callers too, though there are infinitely many: what a caller may do is what anybody logged in may do, and what its name
may do, and what each of its groups may do. So anonymous, somebody logged in whom no rule names, every name and every
group are asked by themselves; a caller with a name and several groups gains or loses nothing that none of these does.
Only where patterns of equal length are chosen between at random is that not so: there every two of them are asked
together as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Final, Literal

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import (
    ANONYMOUS,
    Check,
    Choice,
    Identity,
    Outcome,
    Request,
    Via,
    decide_action,
    decide_metrics,
    effective_groups,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.inherit import ROOT, flatten
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import (
    ACTIONS,
    Block,
    Condition,
    Policy,
    Rule,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.regions import Region, find_regions

#: The tag that witnesses are about.
TAG: Final = "v1.0.0"
#: ``Change.repository`` where it is about ``/metrics``.
METRICS: Final = "/metrics"
WRITES: Final = ("create", "update", "delete")
Direction = Literal["gains", "loses", "unclear"]
_WORTH: Final[dict[Outcome, int]] = {"deny": 0, "random": 1, "conditional": 1, "allow": 2}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is compared. ``names`` are what a gate may call it; ``label`` is how it is shown."""

    label: str
    identity: Identity
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.label


ANYBODY: Final = "anybody logged in"


@dataclass(frozen=True, slots=True)
class Change:
    """One caller, one action, one region of names, another answer than before.

    ``direction`` is ``unclear`` where it is another condition, or chance instead of one: nobody can say who gains.
    ``repository`` is the witness, or METRICS. ``before_blocks`` and ``after_blocks`` are the patterns that decide
    there. ``except_for`` names whom it does not concern though the caller is "anybody logged in".
    """

    caller: Caller
    action: str
    repository: str
    direction: Direction
    before: Outcome
    after: Outcome
    before_blocks: tuple[str, ...] = ()
    after_blocks: tuple[str, ...] = ()
    except_for: tuple[Caller, ...] = ()

    @property
    def request(self) -> Request | None:
        """The request that shows it: ``decide`` answers it with ``before`` and with ``after``. None for metrics."""
        return None if self.repository == METRICS else witness(self.caller.identity, self.action, self.repository)

    @property
    def place(self) -> str:
        """Where the witness is: ``blumeops/navidrome:v1.0.0``, or ``/metrics``."""
        return METRICS if self.repository == METRICS else f"{self.repository}:{TAG}"

    def __str__(self) -> str:
        return f"{self.caller} {_verb(self)} {self.action} on {self.place}{_manner(self)}"


def _verb(change: Change) -> str:
    return "may get another answer to" if change.direction == "unclear" else change.direction


def _manner(change: Change) -> str:
    """What is not plain about the change."""
    words = {"random": "at random", "conditional": "under a condition"}
    if change.before == change.after:
        said = f" ({words[change.after]}, another one than before)"
    elif change.direction == "unclear":
        said = f" ({words[change.before]} before, {words[change.after]} after)"
    elif change.after in words:
        said = f" ({words[change.after]} still)" if change.direction == "loses" else f" ({words[change.after]})"
    elif change.before in words:
        said = f" (before: {words[change.before]})"
    else:
        said = ""
    if change.except_for:
        said += f", except {', '.join(map(str, change.except_for))}"
    return said


@dataclass(frozen=True, slots=True)
class Grant:
    """An action that a caller may do in the new policy, with a repository that shows it."""

    caller: Caller
    action: str
    repository: str
    outcome: Outcome
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes of access, and what anonymous may write after them; ordered by caller, action and witness."""

    changes: tuple[Change, ...]
    public_writes: tuple[Grant, ...]
    callers: tuple[Caller, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def gains(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.direction == "gains")

    @property
    def losses(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.direction == "loses")

    @property
    def unclear(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.direction == "unclear")

    def lines(self, places: int = 3) -> tuple[str, ...]:
        """The changes for a person: one line for each caller, set of actions and manner, with a few witnesses."""
        in_one_place: dict[Change, list[str]] = {}
        for change in self.changes:
            # What makes two changes of one place the same line: everything but the action.
            in_one_place.setdefault(replace(change, action=""), []).append(change.action)
        in_one_line: dict[Change, list[str]] = {}
        for change, actions in in_one_place.items():
            manner = replace(change, action=", ".join(actions), repository="", before_blocks=(), after_blocks=())
            in_one_line.setdefault(manner, []).append(change.place)
        lines = []
        for change, found in in_one_line.items():
            more = f" and {len(found) - places} more places" if len(found) > places else ""
            where = ", ".join(found[:places]) + more
            lines.append(f"{change.caller} {_verb(change)} {change.action} on {where}{_manner(change)}")
        return tuple(lines)


def witness(identity: Identity, action: str, repository: str) -> Request:
    """A request that needs exactly this action: reading, writing a new or an existing tag, deleting a tag."""
    if action == "read":
        return Request(identity, "GET", repository, TAG)
    if action == "delete":
        return Request(identity, "DELETE", repository, TAG)
    return Request(identity, "PUT", repository, TAG, existing_tags=(TAG,) if action == "update" else ())


def compare(
    before: Policy,
    after: Policy,
    *,
    members: Mapping[str, Sequence[str]] | None = None,
    names: Iterable[str] = (),
) -> Comparison:
    """Who gains and who loses what between two policies.

    Args:
        before: The policy in force. Blocks that inherit count as compiled, here and in ``after``.
        after: The policy to come.
        members: Users with the groups that their credential carries, to tell of them by name.
        names: Repositories that exist: preferred as witnesses.

    Raises InvalidInput where the patterns are too much work to be compared exactly.
    """
    before, after = flatten(before), flatten(after)
    everybody = _Everybody(before, after, members or {})
    changes: list[Change] = []
    public: list[Grant] = []
    patterns = [[block.pattern for block in policy.blocks] for policy in (before, after)]
    sides = tuple(_Side(policy) for policy in (before, after))
    for region in find_regions(patterns, names):
        changes += _changes_in(region, sides, everybody)
        for action in WRITES:
            check = decide_action(after, ANONYMOUS, action, region.witness)
            if check.outcome != "deny":
                public.append(Grant(everybody.anonymous, action, region.witness, check.outcome, check.blocks))
    changes += _changes_of_metrics(before, after, everybody)
    last = len(everybody.place)
    changes.sort(key=lambda change: (everybody.place.get(change.caller, last), change.caller.label))
    return Comparison(tuple(changes), tuple(public), everybody.all())


class _Side:
    """One policy, and what its blocks say apart from their pattern."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.blocks = {block.pattern: block for block in policy.blocks}
        self.rest = (policy.admin, policy.enabled, policy.admits_anonymous, frozenset(policy.groups))

    def said(self, patterns: Iterable[str]) -> frozenset[tuple[object, ...]]:
        found = (self.blocks[pattern] for pattern in patterns)
        return frozenset((block.rules, block.default_actions, block.anonymous_actions) for block in found)

    def named(self, patterns: Iterable[str]) -> Iterable[Rule]:
        yield self.policy.admin
        for pattern in patterns:
            yield from self.blocks[pattern].rules


class _Everybody:
    """All callers that can differ: see the head of this file."""

    def __init__(self, before: Policy, after: Policy, members: Mapping[str, Sequence[str]]) -> None:
        users: dict[str, None] = {}
        groups: dict[str, None] = {}
        by_password: dict[str, None] = {}
        for policy in (before, after):
            for rule in (policy.admin, *(rule for block in policy.blocks for rule in block.rules)):
                users.update(dict.fromkeys(rule.users))
                groups.update(dict.fromkeys(rule.groups))
            users.update(dict.fromkeys(policy.metrics_users))
            for group in policy.groups:
                by_password.update(dict.fromkeys(group.users))
        users.pop("", None)
        by_password.pop("", None)
        self.stranger = "somebody"
        while self.stranger in users or self.stranger in by_password or self.stranger in members:
            self.stranger += "-else"
        self.anonymous = Caller("anonymous", ANONYMOUS, ("anonymous",))
        self.anybody = Caller(ANYBODY, Identity(self.stranger), ("authenticated",))
        self.users = {
            name: Caller(name, Identity(name, tuple(members.get(name, ()))), (name, f"user:{name}"))
            for name in sorted({*users, *members})
        }
        self.groups = {
            name: Caller(f"group {name}", Identity(self.stranger, (name,)), (name, f"group:{name}"))
            for name in sorted(groups)
        }
        self.by_password = {
            name: Caller(
                f"{name} (by password)",
                Identity(name, tuple(members.get(name, ())), "password"),
                (name, f"user:{name}"),
            )
            for name in sorted(by_password)
        }
        # Users by a group that they are in, one way or another: named where the group is.
        self.in_group: dict[str, dict[Caller, None]] = {}
        for caller in (*self.users.values(), *self.by_password.values()):
            for policy in (before, after):
                for name in effective_groups(policy, caller.identity):
                    self.in_group.setdefault(name, {})[caller] = None

        #: Where each comes in what is told: the same, whatever the order of rules.
        self.place = {caller: at for at, caller in enumerate(self.all())}

    def all(self) -> tuple[Caller, ...]:
        """Every caller, in the order in which they are told of."""
        return (
            self.anonymous,
            self.anybody,
            *self.groups.values(),
            *self.users.values(),
            *self.by_password.values(),
        )

    def named_by(self, rules: Iterable[Rule]) -> tuple[Caller, ...]:
        """Who can get another answer under these rules than anybody logged in."""
        found: dict[Caller, None] = {}
        for rule in rules:
            for name in rule.groups:
                found[self.groups[name]] = None
                found.update(self.in_group.get(name, {}))
            for name in rule.users:
                if name:
                    found[self.users[name]] = None
                    if name in self.by_password:
                        found[self.by_password[name]] = None
        return tuple(sorted(found, key=self.place.__getitem__))


def _changes_in(region: Region, sides: tuple[_Side, ...], everybody: _Everybody) -> Iterable[Change]:
    before, after = sides
    first, second = region.winners
    if before.rest == after.rest and before.said(first) == after.said(second):
        return
    special = everybody.named_by((*before.named(first), *after.named(second)))

    def ask(side: _Side, caller: Caller, action: str) -> Check:
        return decide_action(side.policy, caller.identity, action, region.witness)

    for action in ACTIONS:
        yield from _changes_for(action, region.witness, partial(ask, before), partial(ask, after), special, everybody)


def _together(pair: tuple[Caller, Caller], stranger: str) -> Caller:
    """A caller with what both have: where a block is chosen at random, the two together may have it for sure."""
    one, other = (caller.identity for caller in pair)
    name = next((identity.name for identity in (one, other) if identity.name != stranger), stranger)
    via: Via = "password" if "password" in (one.via, other.via) else "apikey"
    groups = tuple(dict.fromkeys((*one.groups, *other.groups)))
    return Caller(f"{pair[0]} with what {pair[1]} has", Identity(name, groups, via))


def _changes_for(
    action: str,
    place: str,
    ask_before: Callable[[Caller, str], Check],
    ask_after: Callable[[Caller, str], Check],
    special: Iterable[Caller],
    everybody: _Everybody,
) -> Iterable[Change]:
    """The changes of one action in one region. Those of anybody logged in are told once, with who is excepted."""

    def differ(old: Check, new: Check, caller: Caller) -> Change | None:
        direction = _direction(old, new)
        if direction is None:
            return None
        return Change(caller, action, place, direction, old.outcome, new.outcome, old.blocks, new.blocks)

    def asked(caller: Caller) -> tuple[Check, Check, Caller]:
        return ask_before(caller, action), ask_after(caller, action), caller

    anonymous = differ(*asked(everybody.anonymous))
    if anonymous is not None:
        yield anonymous
    anybody = differ(*asked(everybody.anybody))
    answers = [asked(caller) for caller in special]
    at_random: dict[tuple[object, object], Caller] = {}
    for old, new, caller in answers:
        if "random" in (old.outcome, new.outcome):
            at_random.setdefault(((old.outcome, old.choices), (new.outcome, new.choices)), caller)
    answers += [asked(_together(pair, everybody.stranger)) for pair in combinations(at_random.values(), 2)]
    apart: list[Caller] = []
    own: list[Change] = []
    for old, new, caller in answers:
        change = differ(old, new, caller)
        if anybody is not None and change is not None and _manner_of(change) == _manner_of(anybody):
            continue
        if anybody is not None:
            apart.append(caller)
        if change is not None:
            own.append(change)
    if anybody is not None:
        yield replace(anybody, except_for=tuple(apart))
    yield from own


def _manner_of(change: Change) -> tuple[str, str, str]:
    return change.direction, change.before, change.after


def _direction(old: Check, new: Check) -> Direction | None:
    """Whether the new answer gives more or less than the old one; None where it is the same."""
    if _WORTH[old.outcome] != _WORTH[new.outcome]:
        return "gains" if _WORTH[old.outcome] < _WORTH[new.outcome] else "loses"
    if old.outcome != new.outcome:
        return "unclear"
    if old.outcome == "random":
        # How often each is chosen is zot's affair: the same answers may come, so nothing is known to change.
        return None if set(map(_meaning, old.choices)) == set(map(_meaning, new.choices)) else "unclear"
    wider, narrower = _implied(old, new), _implied(new, old)
    if wider and narrower:
        return None
    return "gains" if wider else "loses" if narrower else "unclear"


def _implied(old: Check, new: Check) -> bool:
    """Whether every way that granted in ``old`` grants in ``new``: under the same conditions, or fewer of them."""
    ways = [_expressions(way) for way in new.ways]
    return all(any(way <= _expressions(former) for way in ways) for former in old.ways)


def _expressions(way: tuple[Condition, ...]) -> frozenset[str]:
    # The message of a condition changes no access, and neither does the order.
    return frozenset(condition.expression for condition in way)


def _meaning(choice: Choice) -> tuple[Outcome, frozenset[frozenset[str]]]:
    return choice.outcome, frozenset(map(_expressions, choice.ways))


def _changes_of_metrics(before: Policy, after: Policy, everybody: _Everybody) -> Iterable[Change]:
    listed = sorted({*before.metrics_users, *after.metrics_users} - {""})
    return _changes_for(
        "read",
        METRICS,
        lambda caller, _: decide_metrics(before, caller.identity),
        lambda caller, _: decide_metrics(after, caller.identity),
        [everybody.users[name] for name in listed],
        everybody,
    )


def broken_gates(
    comparison: Comparison,
    *,
    no_new_access: bool = False,
    no_public_write: bool = False,
    no_lost_access_for: Iterable[str] = (),
) -> tuple[str, ...]:
    """What the comparison breaks of what was promised, a sentence each; empty where all gates hold.

    ``no_new_access``: nobody may gain anything, not even perhaps. ``no_public_write``: anonymous may write nothing
    under the new policy, whatever the old one said. ``no_lost_access_for``: these may lose nothing, not even perhaps: a
    user or group by name (``user:NAME``, ``group:NAME`` where both exist), ``anonymous``, ``authenticated``. A name
    that no policy knows is a broken gate too: it would hold whatever is lost.
    """
    broken: list[str] = []
    if no_new_access:
        broken += [f"no_new_access: {change}." for change in comparison.changes if change.direction != "loses"]
    if no_public_write:
        broken += [
            f"no_public_write: anonymous may {grant.action} {grant.repository}:{TAG}"
            + ("." if grant.outcome == "allow" else f" ({grant.outcome}).")
            for grant in comparison.public_writes
        ]
    for name in no_lost_access_for:
        if not any(name in caller.names for caller in comparison.callers):
            broken.append(
                f"no_lost_access_for: {name} is no user or group of either policy, so nothing can be promised."
            )
        for change in comparison.changes:
            if change.direction != "gains" and _concerns(change, name, comparison.callers):
                broken.append(f"no_lost_access_for {name}: {change}.")
    return tuple(broken)


def _concerns(change: Change, name: str, callers: tuple[Caller, ...]) -> bool:
    """Whether the change is one of the named caller's: its own, or anybody's where it is not excepted."""
    if name in change.caller.names:
        return True
    if change.caller.label != ANYBODY:
        return False
    meant = [caller for caller in callers if name in caller.names and not caller.identity.anonymous]
    return any(caller not in change.except_for for caller in meant)


def lost_by_inheritance(policy: Policy) -> tuple[Change, ...]:
    """What the blocks that inherit take away from what would hold without them: nothing, if compiling is right.

    The proof of ``inherit: true``: the compiled policy is compared with one in which ``**`` alone decides under the
    patterns of those blocks.
    """
    inheriting = {block.pattern for block in policy.blocks if block.inherit and block.pattern != ROOT}
    flat = flatten(policy)
    reference = Policy(
        blocks=tuple(_only_root(block, flat) if block.pattern in inheriting else block for block in flat.blocks),
        admin=flat.admin,
        groups=flat.groups,
        metrics_users=flat.metrics_users,
        metrics_anonymous_actions=flat.metrics_anonymous_actions,
        enabled=flat.enabled,
    )
    return tuple(change for change in compare(reference, flat).changes if change.direction != "gains")


def _only_root(block: Block, policy: Policy) -> Block:
    root = policy.block(ROOT) or Block(ROOT)
    return Block(block.pattern, root.rules, root.default_actions, root.anonymous_actions)
