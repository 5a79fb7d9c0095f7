"""The documentation of Forgejo's modules says what their options are."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml

PLUGINS = "ansible_collections.blumeops.registry.plugins"
MODULES = [
    "forgejo_actions_secret",
    "forgejo_actions_secrets",
    "forgejo_actions_secrets_info",
    "forgejo_actions_variable",
]


def documented(module: str) -> dict[str, Any]:
    """Options of a module's documentation, with those of its fragments."""
    text = importlib.import_module(f"{PLUGINS}.modules.{module}").DOCUMENTATION
    body = yaml.safe_load(text)
    options: dict[str, Any] = dict(body["options"])
    for fragment in body["extends_documentation_fragment"]:
        name = fragment.removeprefix("blumeops.registry.")
        source = importlib.import_module(f"{PLUGINS}.doc_fragments.{name}").ModuleDocFragment.DOCUMENTATION
        options |= yaml.safe_load(source).get("options", {})
    return options


def shape(option: dict[str, Any], below: str) -> dict[str, Any]:
    """What an option says of itself, wherever it says it."""
    return {
        "type": option.get("type", "str"),
        "elements": option.get("elements"),
        "required": option.get("required", False),
        "default": option.get("default"),
        "choices": option.get("choices"),
        "below": {name: shape(each, below) for name, each in (option.get(below) or {}).items()},
    }


@pytest.mark.parametrize("module", MODULES)
def test_options_are_documented_as_they_are(module: str) -> None:
    spec = importlib.import_module(f"{PLUGINS}.modules.{module}").SPEC["argument_spec"]
    told = {name: shape(option, "suboptions") for name, option in documented(module).items()}
    assert told == {name: shape(option, "options") for name, option in spec.items()}


@pytest.mark.parametrize("module", MODULES)
def test_whatever_holds_a_credential_is_not_logged(module: str) -> None:
    spec = importlib.import_module(f"{PLUGINS}.modules.{module}").SPEC["argument_spec"]
    secret = {"forgejo_token", "ledger_key"} | ({"value"} if module == "forgejo_actions_secret" else set())
    assert {name for name, option in spec.items() if option.get("no_log")} == secret & set(spec)
    if "scopes" in spec:
        element = spec["scopes"]["options"]["secrets"]["options"]
        assert [name for name, option in element.items() if option.get("no_log")] == ["value"]
        assert importlib.import_module(f"{PLUGINS}.modules.{module}").SPEC["no_log"] is True
