"""Runs modules in processes of their own that need not import everything anew: a fork of this one for each run.

Reads one JSON line a run from stdin (``module``, ``arguments``, ``output`` a file, ``env``, ``group`` a file or ""),
answers nothing, and writes the exit status to ``output`` + ".status" when the run has ended, however it ended; what
the run wrote to stderr is in ``output`` + ".err".
This process has one thread and touches no module's state, so every run finds what a fresh process would.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import select
import sys
import tempfile
from typing import Any

PLUGINS = "ansible_collections.blumeops.registry.plugins.modules"
PRELOADED = ("ansible.module_utils.basic", "requests", f"{PLUGINS}.forgejo_actions_secrets")


def run(order: dict[str, Any]) -> None:
    """In the child: become the module's process and run it."""
    if order["group"]:
        os.setsid()
        with open(order["group"], "w", encoding="utf-8") as file:
            file.write(str(os.getpgid(0)))
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = [order["module"]]
    sys.stdin = io.TextIOWrapper(io.BytesIO(json.dumps({"ANSIBLE_MODULE_ARGS": order["arguments"]}).encode()))
    for stream, path in ((1, order["output"]), (2, order["output"] + ".err")):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    importlib.import_module(f"{PLUGINS}.{order['module']}").main()


def start(order: dict[str, Any]) -> int:
    """Fork a run; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        run(order)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def reap(running: dict[int, str]) -> None:
    """Write down the status of every run that has ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        path = running.pop(pid) + ".status"
        with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(path), delete=False) as file:
            file.write(str(os.waitstatus_to_exitcode(status)))
        os.replace(file.name, path)


def main() -> None:
    """Serve until stdin ends."""
    for name in PRELOADED:
        importlib.import_module(name)
    running: dict[int, str] = {}
    # Unbuffered: a line that was read ahead would not wake the select.
    orders = io.FileIO(0, closefd=False)
    while True:
        readable, _, _ = select.select([orders], [], [], 0.005 if running else 0.5)
        reap(running)
        if readable:
            line = orders.readline()
            if not line:
                return
            order = json.loads(line)
            running[start(order)] = order["output"]


if __name__ == "__main__":
    main()
