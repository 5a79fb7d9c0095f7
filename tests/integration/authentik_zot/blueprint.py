"""Reads an Authentik blueprint as Authentik does: resolves its YAML tags against what is known to be there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

#: Models whose primary key is a number; the others have UUIDs (contracts of Authentik: the types in its schema).
NUMBERED = {"authentik_core.user", "authentik_providers_oauth2.oauth2provider"}


class BlueprintError(Exception):
    """A tag that Authentik could not resolve."""


@dataclass(frozen=True)
class KeyOf:
    id: str


@dataclass(frozen=True)
class Find:
    model: str
    conditions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Env:
    name: str


@dataclass
class World:
    """What is in Authentik already, by model and field, and its environment."""

    objects: Mapping[tuple[str, str, str], int | str]
    environment: Mapping[str, str]
    made: dict[str, int | str] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    pass


def _find(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> Find:
    model, *conditions = loader.construct_sequence(node, deep=True)
    return Find(model, tuple((name, value) for name, value in conditions))


_Loader.add_constructor("!KeyOf", lambda loader, node: KeyOf(loader.construct_scalar(node)))
_Loader.add_constructor("!Env", lambda loader, node: Env(loader.construct_scalar(node)))
_Loader.add_constructor("!Find", _find)


def load(text: str) -> dict[str, Any]:
    """The document with its tags as values; any other tag is an error of PyYAML."""
    document: dict[str, Any] = yaml.load(text, Loader=_Loader)
    return document


def primary_key(model: str, name: str) -> int | str:
    """A stable primary key of the model's type."""
    made = uuid.uuid5(uuid.NAMESPACE_URL, f"{model}/{name}")
    return made.int % 10**6 if model in NUMBERED else str(made)


def resolve(document: dict[str, Any], world: World) -> dict[str, Any]:
    """Every tag replaced by its value, entry by entry, so that a KeyOf sees only what stands before it."""

    def value(node: Any) -> Any:
        if isinstance(node, KeyOf):
            if node.id not in world.made:
                raise BlueprintError(f"!KeyOf {node.id}: no such entry before")
            return world.made[node.id]
        if isinstance(node, Find):
            (condition,) = node.conditions
            if (node.model, *condition) not in world.objects:
                raise BlueprintError(f"!Find {node.model} {condition}: nothing found")
            return world.objects[node.model, *condition]
        if isinstance(node, Env):
            return world.environment[node.name]
        if isinstance(node, dict):
            return {key: value(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [value(inner) for inner in node]
        return node

    entries = []
    for entry in document["entries"]:
        entries.append(value(entry))
        if "id" in entry:
            world.made[entry["id"]] = primary_key(entry["model"], entry["id"])
    return {**document, "entries": entries}
