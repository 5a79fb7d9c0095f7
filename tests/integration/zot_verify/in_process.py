"""Run a module's options and action in this process: a hundred calls would take minutes as processes."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.blumeops.registry.plugins.module_utils._errors import RegistryError
from tests.run_module import Outcome

MODULES = "ansible_collections.blumeops.registry.plugins.modules"


def call(name: str, arguments: dict[str, Any], *, check: bool = False) -> Outcome:
    """What the module answers; ``output`` is the result as text. What ``_run`` scrubs is not scrubbed here."""
    module = importlib.import_module(f"{MODULES}.{name}")
    wired: dict[str, Any] = {}
    with patch.object(module, "run", lambda spec, action: wired.update(spec=spec, action=action)):
        module.main()
    validated = ArgumentSpecValidator(
        wired["spec"]["argument_spec"], required_by=wired["spec"].get("required_by")
    ).validate(arguments)
    assert not validated.error_messages, validated.error_messages
    warnings: list[str] = []
    this = SimpleNamespace(params=validated.validated_parameters, check_mode=check, warn=warnings.append)
    try:
        result = wired["action"](this)
    except RegistryError as error:
        result = {"failed": True, "msg": str(error), **getattr(error, "result", {})}
    result["warnings"] = warnings
    return Outcome(result, json.dumps(result))
