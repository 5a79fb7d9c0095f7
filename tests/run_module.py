"""Run a module of the collection as Ansible does: a process of its own, arguments on stdin, one JSON result."""

from __future__ import annotations

import atexit
import functools
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from lab.running import ROOT, environment

#: Seconds until a module that does not end fails its test.
PATIENCE = 120


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


@dataclass(frozen=True, slots=True)
class Running:
    """A module that was started."""

    output: pathlib.Path

    def wait(self) -> Outcome:
        """What it answered; ``died`` in the result where it was killed."""
        status, errors = (self.output.with_name(self.output.name + end) for end in (".status", ".err"))
        end = time.monotonic() + PATIENCE
        while not status.exists():
            assert time.monotonic() < end, f"the module has not ended within {PATIENCE} s"
            time.sleep(0.005)
        code, text = int(status.read_text()), self.output.read_text(encoding="utf-8")
        printed = text + (errors.read_text(encoding="utf-8") if errors.exists() else "")
        for path in (status, errors, self.output):
            path.unlink(missing_ok=True)
        try:
            return Outcome(json.loads(text), printed)
        except ValueError:
            return Outcome({"failed": True, "msg": f"no result, exit status {code}", "died": code < 0}, printed)


@functools.cache
def _server() -> tuple[subprocess.Popen[bytes], pathlib.Path]:
    """The process that runs are forked from (see module_server), and a directory for what they print."""
    # No TemporaryDirectory: a fork of this process (multiprocessing of Python 3.13) would remove it at its start.
    folder = tempfile.mkdtemp(prefix="modules-")
    command = [sys.executable, "-m", "tests.module_server"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment(), cwd=ROOT)

    def stop() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return process, pathlib.Path(folder)


def start_module(
    name: str, arguments: dict[str, Any], *, check: bool = False, env: dict[str, str] | None = None, group: str = ""
) -> Running:
    """Start ``blumeops.registry.NAME``; ``group`` is a file that gets the id of its own process group."""
    process, folder = _server()
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        output = pathlib.Path(file.name)
    given = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
    clean = {key: value for key, value in environment(env).items() if not key.startswith(("FORGEJO_", "ANSIBLE_"))}
    order = {"module": name, "arguments": given, "output": str(output), "env": {**clean, **(env or {})}, "group": group}
    assert process.stdin is not None
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.flush()
    return Running(output)


def run_module(
    name: str, arguments: dict[str, Any], *, check: bool = False, env: dict[str, str] | None = None, group: str = ""
) -> Outcome:
    """Run ``blumeops.registry.NAME`` to its end."""
    return start_module(name, arguments, check=check, env=env, group=group).wait()
