# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""The process behind ``cache: run``: a dictionary in memory, for the forks of one ansible-playbook and nobody else.

Started by the first fork that needs it (run_cache.py) as ``python -I -S run_broker.py FD PID START DIRECTORY``, with
the listening socket as file descriptor FD. It knows no credentials, asks nobody, and writes nothing to any file. It
ends when process PID, started at START, has ended, whatever ended that. docs/onepassword.md has the threat model.

Only the standard library without site-packages, for it runs as a program of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
from typing import Any

#: The largest request, and the most that is remembered, in bytes; what is beyond is simply not remembered.
LARGEST = 32 * 1024 * 1024
MOST = 128 * 1024 * 1024
#: Seconds for one request, so that a client that stopped does not keep the others waiting.
PATIENCE = 5.0

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_PT_DENY_ATTACH = 31  # sys/ptrace.h of macOS
_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_SIZE = 0, 1, 76  # sys/un.h and sys/ucred.h of macOS and the BSDs


def started(pid: int) -> str | None:
    """When a process was started, in a form that is only compared; None where there is none, or only a zombie.

    With its id this names a process for good: ids are used again, an id with a start time is not.
    """
    if sys.platform == "linux":
        try:
            content = pathlib.Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        except OSError:
            return None
        fields = content.rpartition(")")[2].split()  # the name before may hold blanks and brackets
        return None if fields[0] in {"Z", "X"} else fields[19]
    return started_by_ps(pid)


def started_by_ps(pid: int) -> str | None:
    """The same where there is no /proc: to the second, which is finer than ids come round."""
    command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, env={"LC_ALL": "C", "TZ": "UTC"}, check=False)
    state, _, when = done.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else " ".join(when.split())


def peer_uid(connection: socket.socket, platform: str = sys.platform) -> int:
    """The user at the other end of a Unix socket, as the kernel knows it.

    Raises:
        OSError: The kernel does not tell; nobody is to be trusted then.
    """
    if platform == "linux":
        size = struct.calcsize("3i")
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return int(uid)
    version, uid = struct.unpack("=II", connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_SIZE)[:8])
    if version != 0:
        raise OSError("this system describes the peer in an unknown form")
    return int(uid)


def no_core_dumps() -> None:
    """Keep what this process holds out of core dumps, and other processes of the user out of its memory.

    A limit of 0 is not enough on Linux, where a dump that goes through a pipe ignores it (core(5)).
    """
    import ctypes  # the forks import this file too, and have no use for it

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux":
        if library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
    elif sys.platform == "darwin":
        library.ptrace(_PT_DENY_ATTACH, 0, None, 0)


def watch(pid: int) -> Any:
    """Something to select on that becomes readable when a process ends; None where the system has nothing."""
    try:
        if sys.platform == "linux":
            return os.pidfd_open(pid)
        queue = select.kqueue()
        event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        queue.control([event], 0)
        return queue
    except OSError:
        return None  # it has ended already, or a kernel or sandbox knows no such thing: the start time tells


class Store:
    """What is remembered, by key."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._values: dict[str, str] = {}
        self._size = 0

    def answer(self, request: object) -> dict[str, object] | None:
        """The answer to a request; None for one that is not of this run or not understood.

        ``{"run": …, "get": KEY}`` gives ``{"value": …}`` or ``{}``; ``{"run": …, "put": KEY, "value": …}`` gives
        ``{"kept": true}``, or false where too much is remembered already.
        """
        if not isinstance(request, dict) or request.get("run") != self._run:
            return None
        key, put, value = request.get("get"), request.get("put"), request.get("value")
        if isinstance(key, str):
            return {"value": self._values[key]} if key in self._values else {}
        if not isinstance(put, str) or not isinstance(value, str):
            return None
        size = self._size - len(self._values.get(put, "")) + len(value)
        if size > MOST:
            return {"kept": False}
        self._values[put], self._size = value, size
        return {"kept": True}


def receive(connection: socket.socket, largest: int = LARGEST) -> bytes:
    """All that the other end sends until it closes its side.

    Raises:
        OSError: More than ``largest`` bytes, or nothing for too long.
    """
    parts, size = [], 0
    while part := connection.recv(65536):
        size += len(part)
        if size > largest:
            raise OSError("the message is too large")
        parts.append(part)
    return b"".join(parts)


def serve_one(connection: socket.socket, store: Store) -> None:
    """Answer one request of a process of the same user; everybody else gets nothing."""
    with connection, contextlib.suppress(OSError, ValueError, RecursionError):
        connection.settimeout(PATIENCE)
        if peer_uid(connection) != os.geteuid():
            return
        answer = store.answer(json.loads(receive(connection)))
        if answer is not None:
            connection.sendall(json.dumps(answer).encode())


def serve(listener: socket.socket, pid: int, start: str) -> None:
    """Answer requests until the run has ended."""
    store, handle = Store(f"{pid}:{start}"), watch(pid)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    if handle is not None:
        selector.register(handle, selectors.EVENT_READ)
    # Asked after the handle is open: from here on that stands for this process and for no later one with its id.
    while started(pid) == start:
        while ready := selector.select(None if handle is not None else 0.5):
            if any(key.fileobj is not listener for key, _ in ready):
                return
            with contextlib.suppress(OSError):
                serve_one(listener.accept()[0], store)
            if handle is None:
                break


def main() -> None:
    """See the head of this file."""
    no_core_dumps()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # the run ends in its own time, and this process with it
    descriptor, pid, start, directory = sys.argv[1:5]
    try:
        with socket.socket(fileno=int(descriptor)) as listener:
            serve(listener, int(pid), start)
    finally:
        folder = pathlib.Path(directory)
        with contextlib.suppress(OSError):
            for entry in folder.iterdir():
                entry.unlink()
            folder.rmdir()


if __name__ == "__main__":
    main()
