"""The service manager of the lab's zot: ``python -m lab.service start|stop|status CONFIG``.

``start`` returns when the program runs; a supervisor beside it ends the program when the lab ends, whichever way
that happens. The program is ``lab/zot``, or the real one at ZOT_BIN.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import click

from lab.running import ROOT, environment

#: How it is called from anywhere.
COMMAND = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "lab.service"]


def program() -> str:
    """Path of the zot that the lab runs."""
    return os.environ.get("ZOT_BIN") or str(ROOT / "lab" / "zot")


def alive(pid: int) -> bool:
    """Whether the process runs (one that ended and was not waited for does not)."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:  # no /proc here, as on macOS
        return True


def pid_of(config: pathlib.Path) -> int | None:
    """The running program's process id; None where there is none."""
    try:
        pid = int(config.with_suffix(".pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if alive(pid) else None


@click.group()
def main() -> None:
    """Start, stop and ask for the zot of the lab."""


CONFIG = click.argument("config", type=click.Path(path_type=pathlib.Path))


@main.command()
@CONFIG
@click.option("--lab-pid", type=int, default=lambda: int(os.environ.get("LAB_PID", 0)), help="End when this one ends.")
def start(config: pathlib.Path, lab_pid: int) -> None:
    """Start zot; an error where it ends at once."""
    if pid_of(config):
        return
    log = config.with_suffix(".log").open("ab")
    command = [sys.executable, "-m", "lab.service", "supervise", str(config), "--lab-pid", str(lab_pid)]
    supervisor = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(), cwd=ROOT, start_new_session=True
    )
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if pid_of(config):
            return
        if supervisor.poll() is not None:
            break
        time.sleep(0.05)
    raise click.ClickException(f"zot did not start; its log is {config.with_suffix('.log')}")


@main.command(hidden=True)
@CONFIG
@click.option("--lab-pid", type=int, required=True)
def supervise(config: pathlib.Path, lab_pid: int) -> None:
    """Run zot until it ends, or the lab does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    options = [] if os.environ.get("ZOT_BIN") else shlex.split(os.environ.get("LAB_ZOT_OPTIONS", ""))
    zot = subprocess.Popen([program(), "serve", str(config), *options], env=environment())
    config.with_suffix(".pid").write_text(str(zot.pid))
    while zot.poll() is None and (not lab_pid or alive(lab_pid)):
        time.sleep(0.2)
    if zot.poll() is None:
        zot.terminate()
        try:
            zot.wait(5)
        except subprocess.TimeoutExpired:
            zot.kill()
            zot.wait()


@main.command()
@CONFIG
def stop(config: pathlib.Path) -> None:
    """Stop zot and return when it has ended."""
    pid = pid_of(config)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    if alive(pid):
        os.kill(pid, signal.SIGKILL)


@main.command()
@CONFIG
def status(config: pathlib.Path) -> None:
    """Exit with 0 where zot runs, with 3 where it does not."""
    sys.exit(0 if pid_of(config) else 3)


if __name__ == "__main__":
    main()
