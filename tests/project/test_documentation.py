"""What is documented is what there is: roles, modules, lookups and their shared options."""

from __future__ import annotations

import copy
import functools
import importlib
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "ansible_collections" / "blumeops" / "registry"
PLUGINS = "ansible_collections.blumeops.registry.plugins"
ROLES = sorted(path.parent.parent.name for path in COLLECTION.glob("roles/*/tasks/main.yml"))
MODULES = sorted(path.stem for path in COLLECTION.glob("plugins/modules/*.py"))
OTHERS = sorted(
    (path.parent.name, path.stem) for kind in ("lookup", "filter") for path in COLLECTION.glob(f"plugins/{kind}/*.py")
)


def ansible_doc(*arguments: str) -> Any:
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / "ansible-doc", "--json", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT)},
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr, done.stderr
    return json.loads(done.stdout)


@functools.cache
def documented_modules() -> Any:
    return ansible_doc("--type", "module", *(f"blumeops.registry.{name}" for name in MODULES))


@pytest.mark.parametrize("name", MODULES)
def test_module_is_documented_whole(name: str) -> None:
    told = documented_modules()[f"blumeops.registry.{name}"]
    assert told["doc"]["short_description"]
    assert told["doc"]["version_added"]
    assert {"check_mode", "diff_mode", "idempotent"} <= set(told["doc"]["attributes"])
    assert f"blumeops.registry.{name}:" in told["examples"]
    assert isinstance(told["return"], dict)
    assert all(entry.get("description") and entry.get("type") for entry in told["return"].values())


@pytest.mark.parametrize("name", MODULES)
def test_module_takes_what_it_documents(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    taken: dict[str, Any] = {}

    def catch(self: object, **spec: Any) -> None:
        taken.update(spec)
        raise Stop

    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.__init__", catch)
    with pytest.raises(Stop):
        importlib.import_module(f"{PLUGINS}.modules.{name}").main()
    compare(documented_modules()[f"blumeops.registry.{name}"]["doc"].get("options", {}), taken["argument_spec"], name)


def compare(documented: dict[str, Any], taken: dict[str, Any], where: str) -> None:
    assert set(documented) == set(taken), where
    for option, spec in taken.items():
        told = documented[option]
        assert told.get("description"), f"{where}.{option}"
        assert told.get("type", "str") == spec.get("type", "str"), f"{where}.{option}: type"
        assert bool(told.get("required")) == bool(spec.get("required")), f"{where}.{option}: required"
        assert told.get("default") == spec.get("default"), f"{where}.{option}: default"
        assert list(told.get("choices") or []) == list(spec.get("choices") or []), f"{where}.{option}: choices"
        assert told.get("elements") == spec.get("elements"), f"{where}.{option}: elements"
        if spec.get("type") != "bool" and any(word in option for word in ("token", "secret", "password", "apikey")):
            assert "no_log" in spec or spec.get("type") in {"dict", "list", "path"}, f"{where}.{option}: no_log"
        if spec.get("type") in {"dict", "list"}:
            assert not spec.get("no_log"), f"{where}.{option}: no_log on a whole {spec['type']}"
        if "options" in spec:
            compare(told["suboptions"], spec["options"], f"{where}.{option}")


@pytest.mark.parametrize(("kind", "name"), OTHERS)
def test_plugin_is_documented_whole(kind: str, name: str) -> None:
    (told,) = ansible_doc("--type", kind, f"blumeops.registry.{name}").values()
    assert told["doc"]["short_description"]
    assert told["examples"]
    assert told["return"]
    for option, about in told["doc"].get("options", {}).items():
        assert about["description"], option
        secret = any(word in option for word in ("token", "secret", "password"))
        assert not (secret and about.get("ini")), f"{option} could be read from an ini file"


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_the_documented_ones(role: str) -> None:
    folder = COLLECTION / "roles" / role
    options = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    defaults_file = folder / "defaults" / "main.yml"
    defaults = yaml.safe_load(defaults_file.read_text()) if defaults_file.exists() else {}
    assert {name: spec["default"] for name, spec in options.items() if "default" in spec} == defaults
    for name, spec in options.items():
        assert name.startswith(f"{role}_"), name
        assert spec["description"], name
        unset = any("If not set" in sentence for sentence in spec["description"])
        assert "default" in spec or spec.get("required") or unset, f"{name} has no default, and nothing says what then"


@pytest.mark.parametrize("role", ROLES)
def test_role_is_documented_whole(role: str) -> None:
    (told,) = ansible_doc("--type", "role", f"blumeops.registry.{role}").values()
    assert told["entry_points"]["main"]["short_description"]


def test_role_takes_the_scopes_that_the_module_takes() -> None:
    """A misspelt suboption is refused by the role before a reference is fetched, and its value is not shown."""
    path = COLLECTION / "roles" / "forgejo_actions_secrets" / "meta" / "argument_specs.yml"
    options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]

    def described(spec: dict[str, Any]) -> dict[str, Any]:
        inner = {name: described(option) for name, option in spec.pop("options", {}).items()}
        return {**{key: value for key, value in spec.items() if key != "description"}, "inner": inner}

    module = importlib.import_module(f"{PLUGINS}.module_utils._forgejo.options").scopes(required=True)
    assert described(options["forgejo_actions_secrets_scopes"])["inner"] == described(copy.deepcopy(module))["inner"]
