# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""May SUBJECT do ACTION on REPOSITORY[:TAG], and why; and the whole table of subjects by repositories."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import (
    Check,
    Identity,
    Outcome,
    decide_action,
    explain,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.findings import listed, shown
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import REPOSITORY_NAME
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import ACTIONS, Policy
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.subjects import People, Subject

_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST: Final = re.compile(r"[a-z0-9]+:[a-f0-9]{32,128}")
_KEYS: Final = ("subject", "action", "image", "groups", "via")
_VIAS: Final = ("apikey", "login", "password")


@dataclass(frozen=True, slots=True)
class Image:
    """``reference`` is a tag or a digest, or empty; zot decides by the repository alone."""

    repository: str
    reference: str = ""

    def __str__(self) -> str:
        separator = "@" if ":" in self.reference else ":"
        return f"{self.repository}{separator}{self.reference}" if self.reference else self.repository


@dataclass(frozen=True, slots=True)
class Question:
    """May ``subject`` do ``action`` on ``image``?"""

    subject: Subject
    action: str
    image: Image


@dataclass(frozen=True, slots=True)
class Answer:
    """``sentence`` says it in one line, ``why`` goes through the blocks and rules in zot's order."""

    question: Question
    outcome: Outcome
    sentence: str
    why: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For a module's result."""
        return {
            "subject": self.question.subject.label,
            "action": self.question.action,
            "image": str(self.question.image),
            "answer": self.outcome,
            "sentence": self.sentence,
            "explanation": list(self.why),
        }


def parse_image(text: object, where: str) -> Image:
    """``blumeops/navidrome``, with ``:TAG`` or ``@DIGEST``. Raises InvalidInput for what is no name of zot's."""
    if not isinstance(text, str) or not text:
        raise InvalidInput(f"{where} has no image: write it as blumeops/navidrome:v1.0.0.")
    repository, at, digest = text.partition("@")
    tag = ""
    if not at:
        repository, colon, tag = text.rpartition(":") if ":" in text.rsplit("/", 1)[-1] else (text, "", "")
        if colon and not _TAG.fullmatch(tag):
            raise InvalidInput(f"{where} asks for the tag {shown(tag)!r}: a tag has letters, digits, . _ and - only.")
    elif not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{where} asks for {shown(digest)!r}, which is no digest: write it as sha256:….")
    if not REPOSITORY_NAME.fullmatch(repository):
        raise InvalidInput(
            f"{where} asks for {shown(repository)!r}, which is no repository name: write it in lower case and without "
            "the registry's address, as blumeops/navidrome."
        )
    return Image(repository, digest or tag)


def parse_question(entry: object, people: People, where: str, more_keys: tuple[str, ...] = ()) -> Question:
    """A question from a mapping with ``subject``, ``action``, ``image`` and perhaps ``groups`` and ``via``.

    ``where`` names the entry in messages. Raises InvalidInput for anything that is missing, unknown or misspelt.
    """
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"{where} must be a mapping with subject, action and image.")
    known = (*_KEYS, *more_keys)
    unknown = [str(key) for key in entry if key not in known]
    if unknown:
        raise InvalidInput(f"{where} has the unknown key {shown(unknown[0])!r}: known are {listed(known, 9)}.")
    subject = entry.get("subject")
    if not isinstance(subject, str) or not subject.strip():
        raise InvalidInput(
            f"{where} has no subject: write anonymous, authenticated, user:NAME, group:NAME or a known name."
        )
    action = entry.get("action")
    if action not in ACTIONS:
        raise InvalidInput(f"{where} asks for the action {shown(str(action))!r}: use {listed(ACTIONS)}.")
    groups, via = entry.get("groups"), entry.get("via")
    if groups is not None and not (isinstance(groups, (list, tuple)) and all(isinstance(name, str) for name in groups)):
        raise InvalidInput(f"{where} has groups that are no list of names.")
    if via is not None and via not in _VIAS:
        raise InvalidInput(f"{where} comes in via {shown(str(via))!r}: use {listed(_VIAS)}.")
    image = parse_image(entry.get("image"), where)
    try:
        who = people.subject(subject, None if groups is None else tuple(groups), via)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
    return Question(who, action, image)


def ask(policy: Policy, question: Question) -> Answer:
    """Decide, and say why. Raises InvalidInput for a policy with a pattern that is made to be slow."""
    identity, image = question.subject.identity, question.image
    check = decide_action(policy, identity, question.action, image.repository)
    check = check._replace(reference=image.reference)
    _, *why = explain(policy, identity, check, image.repository)
    what = f"{question.action} {image}"
    label = shown(question.subject.label)
    if question.subject.kind == "user" and identity.groups:
        label += f" (in {listed(map(shown, identity.groups))})"
    return Answer(question, check.outcome, f"{label} {_verdict(policy, identity, check, what)}", tuple(why))


def _verdict(policy: Policy, identity: Identity, check: Check, what: str) -> str:
    if not policy.enabled:
        return (
            f"may {what}: nothing controls it." if check.outcome == "allow" else f"may not {what} without logging in."
        )
    if check.outcome == "allow":
        return f"may {what}: {check.rule} grants it."
    if check.outcome == "random":
        return f"may {what} at some requests and not at others: {_quoted(check.blocks)} match and are equally long."
    if check.outcome == "conditional":
        return f"may {what} only while {listed(c.expression for c in check.conditions)} holds."
    if check.blocks:
        return f"may not {what}: the block {_quoted(check.blocks)} decides, and no rule there grants that."
    if identity.anonymous and not policy.admits_anonymous:
        return f"may not {what}: no block has an anonymousPolicy, so zot asks everybody to log in."
    return f"may not {what}: no pattern matches the name, and adminPolicy does not grant it."


def _quoted(patterns: Iterable[str]) -> str:
    return listed(repr(shown(pattern)) for pattern in sorted(patterns))


@dataclass(frozen=True, slots=True)
class Row:
    """One repository of the table: for each subject, in the table's order, the outcome of each action."""

    repository: str
    blocks: tuple[str, ...]
    cells: tuple[tuple[tuple[str, Outcome], ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Who may do what where."""

    subjects: tuple[Subject, ...]
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, dict[str, dict[str, str]]]:
        """``{repository: {subject: {action: outcome}}}``, for a module's result."""
        return {
            row.repository: {subject.label: dict(cell) for subject, cell in zip(self.subjects, row.cells, strict=True)}
            for row in self.rows
        }


def everybody(policies: Iterable[Policy], people: People) -> tuple[Subject, ...]:
    """The subjects of a table: anonymous, anybody logged in, every group, and every user that a rule names."""
    groups = list(people.groups)
    named = dict.fromkeys(
        user
        for policy in policies
        for rule in (policy.admin, *(rule for block in policy.blocks for rule in block.rules))
        for user in rule.users
        if user
    )
    names = ["anonymous", "authenticated", *(f"group:{name}" for name in groups if name)]
    return tuple(people.subject(name) for name in (*names, *(f"user:{name}" for name in named)))


def access_table(policy: Policy, subjects: tuple[Subject, ...], repositories: Iterable[str]) -> Table:
    """Every subject's rights on every repository. Raises InvalidInput for a pattern that is made to be slow."""
    rows = []
    for repository in dict.fromkeys(repositories):
        cells = []
        blocks: tuple[str, ...] = ()
        for subject in subjects:
            checks = [decide_action(policy, subject.identity, action, repository) for action in ACTIONS]
            blocks = blocks or tuple(sorted(checks[0].blocks))
            cells.append(tuple((check.action, check.outcome) for check in checks))
        rows.append(Row(repository, blocks, tuple(cells)))
    return Table(subjects, tuple(rows))


def letters(cell: Iterable[tuple[str, Outcome]]) -> str:
    """A cell as text: ``rcud``, ``-`` for what is denied, ``?`` for what is random or conditional."""
    return "".join(action[0] if outcome == "allow" else "-" if outcome == "deny" else "?" for action, outcome in cell)
