"""Run a module of the collection as Ansible does: a process of its own, arguments on stdin, one JSON result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from lab.running import ROOT, environment


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a module answered, and everything it printed."""

    result: dict[str, Any]
    output: str

    @property
    def failed(self) -> bool:
        return bool(self.result.get("failed"))

    @property
    def changed(self) -> bool:
        return bool(self.result.get("changed"))

    @property
    def msg(self) -> str:
        return str(self.result.get("msg", ""))


def run_module(
    name: str, arguments: dict[str, Any], *, check: bool = False, env: dict[str, str] | None = None, group: str = ""
) -> Outcome:
    """Run ``blumeops.registry.NAME``; ``group`` is a file that gets the id of its own process group."""
    process = start_module(name, arguments, check=check, env=env, group=group)
    out, err = process.communicate(timeout=120)
    try:
        result = json.loads(out)
    except ValueError:
        result = {"failed": True, "msg": f"no result, exit status {process.returncode}", "died": True}
    return Outcome(result, out + err)


def start_module(
    name: str, arguments: dict[str, Any], *, check: bool = False, env: dict[str, str] | None = None, group: str = ""
) -> subprocess.Popen[str]:
    """Start a module; it has read its arguments when this returns."""
    extra = {"_ansible_check_mode": check, "_ansible_diff": True}
    clean = {key: value for key, value in environment(env).items() if not key.startswith(("FORGEJO_", "ANSIBLE_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", f"ansible_collections.blumeops.registry.plugins.modules.{name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, **(env or {})},
        cwd=ROOT,
        start_new_session=bool(group),
    )
    if group:
        with open(group, "w", encoding="utf-8") as file:
            file.write(str(os.getpgid(process.pid)))
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **extra}}))
    process.stdin.close()
    process.stdin = None
    return process
