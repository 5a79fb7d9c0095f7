"""Start the parts of the lab as processes, know their addresses, and stop every one of them by its id."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

ROOT = pathlib.Path(__file__).resolve().parent.parent
LISTENING = re.compile(r"^\S+ listening on (\S+)$", re.MULTILINE)


class LabError(Exception):
    """A part of the lab did not start; the message ends with what it printed."""


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_answers(url: str, seconds: float = 20.0) -> None:
    """Return when ``url`` answers, whatever it says; raises LabError where time runs out."""
    import requests  # here, for `lab.service status` is asked by every play and has no use for it

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(requests.ConnectionError):
            requests.get(url, timeout=5)
            return
        time.sleep(0.03)
    raise LabError(f"nothing answers at {url} after {seconds:g} s")


@dataclass(slots=True)
class Part:
    """A running process of the lab, and the file of what it prints; ``with`` stops the one and removes the other."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    output: pathlib.Path

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help within 5 s."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.output.unlink(missing_ok=True)

    def __enter__(self) -> Part:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a part: this one's, the checkout importable, loopback past every proxy."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        **(extra or {}),
    }


def standin(name: str, *arguments: str, env: Mapping[str, str] | None = None, seconds: float = 20.0) -> Part:
    """Start ``lab/NAME ARGUMENTS`` and return when it has printed its address.

    It ends with the process that called this, however that ends. Raises LabError with its output otherwise.
    """
    handle, path = tempfile.mkstemp(prefix=f"lab-{name}-", suffix=".log")
    output = pathlib.Path(path)
    command = [sys.executable, "-m", f"lab.standins.{name}", *arguments, "--with-parent"]
    process = subprocess.Popen(
        command, stdout=handle, stderr=handle, stdin=subprocess.DEVNULL, env=environment(env), cwd=ROOT
    )
    os.close(handle)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = LISTENING.search(output.read_text(errors="replace"))
        if found:
            return Part(name, found[1], process, output)
        if process.poll() is not None:
            break
        time.sleep(0.03)
    process.kill()
    process.wait()
    told = output.read_text(errors="replace").strip()[-2000:]
    output.unlink()
    raise LabError(f"lab/{name} did not start: {told}")


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise SystemExit like Ctrl-C does, so that ``with`` blocks stop their parts."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
