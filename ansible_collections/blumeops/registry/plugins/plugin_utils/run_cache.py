# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""``cache: run``: what one fork has fetched serves all forks, hosts and tasks of the same ansible-playbook.

Ansible evaluates a lookup anew at every use, each time in a fork that ends with its task. So what is to outlast a
task has to live in another process: a broker (run_broker.py) that the first fork starts and all forks ask over a
Unix socket. Whoever finds nothing there takes the lock file of that entry, looks again, fetches, and hands the
result in. docs/onepassword.md has the threat model, and what else was considered.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import multiprocessing
import os
import pathlib
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.plugin_utils import run_broker

#: The longest path of a Unix socket that every system takes, with its final zero (macOS: 104, Linux: 108).
LONGEST_PATH = 103
#: Seconds to wait for the broker, which answers within milliseconds unless the machine is very busy.
PATIENCE = 20.0
#: What a Python needs of the environment to start; the rest may hold secrets and is not handed over.
_NEEDED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "PYTHONHOME")

#: What the broker has told this fork, by name of the entry. Never filled in the main process.
_told: dict[str, Any] = {}

_brokers: list[subprocess.Popen[bytes]] = []  # kept, so that Python does not complain that they still run


class RunMemory:
    """A memory (see ``CallMemory`` in onepassword.py) that all forks of one ansible-playbook share.

    Args:
        credentials: Everything that decides who is asked, and as whom; entries of others are never seen.
        run: Process id of the ansible-playbook; by default the one that this process belongs to.

    Raises:
        InvalidInput: There is no safe place for the socket, or the run has ended.
    """

    shared = True

    def __init__(self, credentials: object, run: int | None = None) -> None:
        self._pid = run_process() if run is None else run
        self._begun, self._directory = _place(self._pid)
        self._socket = str(self._directory / "s")
        self._credentials = hashlib.sha256(json.dumps(credentials, sort_keys=True).encode()).hexdigest()
        # A fork ends with its task, so it may keep what it was told; the main process asks the broker each time.
        self._fork = _told if run is None and self._pid != os.getpid() else {}
        self._mine: dict[tuple[str, ...], Any] = {}
        self._old: set[tuple[str, ...]] = set()
        self._renewing = False

    def fetch(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """What any fork has fetched under ``key``, else what ``make`` gives; what it raises is not kept.

        Forks that ask for one key at once wait for the first of them. ``make`` may fetch other keys.
        """
        if key in self._mine:
            return self._mine[key]
        if not self._renewing and self._look(key):
            return self._mine[key]
        with self._lock(key):
            if self._renewing or not self._look(key):
                self._start()  # now, so that it starts while 1Password is asked
                self.keep(key, make())
        return self._mine[key]

    def _look(self, key: tuple[str, ...]) -> bool:
        name = self._name(key)
        if name not in self._fork:
            answer = self._ask({"get": name})
            if answer is None or "value" not in answer:
                return False
            self._fork[name] = json.loads(answer["value"])
        self._mine[key] = self._fork[name]
        self._old.add(key)
        return True

    def keep(self, key: tuple[str, ...], value: Any) -> None:
        """Hand a value in for all forks; codes of one-time passwords are taken out first."""
        name, kept = self._name(key), without_codes(value)
        self._mine[key], self._fork[name] = value, kept
        request = {"put": name, "value": json.dumps(kept)}
        if self._ask(request) is None:
            self._start()
            if self._ask(request) is None:
                raise InvalidInput("cache: run could not start the process that remembers: use cache: none")

    def renew(self) -> bool:
        """From now on ask 1Password again, and hand in what it says; False where nothing came from other forks.

        Called after a failure, which so is never one of something that was remembered and is not true any more.
        """
        if self._renewing or not self._old:
            return False
        self._renewing = True
        self._mine.clear()
        self._old.clear()
        return True

    def _name(self, key: tuple[str, ...]) -> str:
        """The key as the broker knows it: nothing can be read from it."""
        return hashlib.sha256(json.dumps([self._credentials, *key]).encode()).hexdigest()

    @contextlib.contextmanager
    def _lock(self, key: tuple[str, ...]) -> Iterator[None]:
        """One fork at a time, for one key; the system lets go of it when its holder ends in any way."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._directory / f"l{self._name(key)[:32]}", flags, 0o600)
        except OSError as error:
            raise _unusable(self._directory, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    # -- the broker -------------------------------------------------------------------------------------------------

    def _ask(self, request: dict[str, str]) -> dict[str, Any] | None:
        """The broker's answer to a request; None where none answers."""
        message = json.dumps({"run": f"{self._pid}:{self._begun}", **request}).encode()
        if len(message) > run_broker.LARGEST:
            return {}  # too large to be remembered
        with self._connection() as connection, contextlib.suppress(OSError, ValueError):
            if connection is not None:
                connection.sendall(message)
                connection.shutdown(socket.SHUT_WR)
                answer = json.loads(run_broker.receive(connection))
                return answer if isinstance(answer, dict) else None
        return None

    @contextlib.contextmanager
    def _connection(self) -> Iterator[socket.socket | None]:
        """A connection to a broker of this user; None where there is none."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            try:
                connection.connect(self._socket)
                trusted = run_broker.peer_uid(connection) == os.geteuid()
            except OSError:
                trusted = False
            yield connection if trusted else None

    def _start(self) -> None:
        """See to it that there is a broker."""
        with self._lock(("broker",)), self._connection() as connection:
            if connection is None:
                try:
                    self._start_broker()
                except OSError as error:
                    raise _unusable(self._directory, error) from None

    def _start_broker(self) -> None:
        """Start the broker as a program of its own: it has nothing of this process but the listening socket."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._socket)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._socket)
            os.chmod(self._socket, 0o600)
            listener.listen(128)
            descriptor = listener.fileno()
            command = [sys.executable, "-I", "-S", run_broker.__file__, str(descriptor), str(self._pid), self._begun]
            _brokers.append(
                subprocess.Popen(
                    [*command, str(self._directory)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[descriptor],
                    start_new_session=True,
                    cwd="/",
                    env={name: os.environ[name] for name in _NEEDED if name in os.environ},
                )
            )


def _unusable(directory: pathlib.Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"cache: run cannot use its directory {directory} ({error.strerror}): use cache: none")


@functools.cache
def _place(pid: int) -> tuple[str, pathlib.Path]:
    """When a run was started, and its directory; found once a process, for without /proc it costs a command."""
    start = run_broker.started(pid)
    if start is None:
        raise InvalidInput("cache: run has no ansible-playbook to belong to, for that has ended: use cache: none")
    return start, private_directory(f"{pid}:{start}")


def without_codes(value: Any) -> Any:
    """A fetched value as it may be remembered: without the codes of one-time passwords."""
    if not isinstance(value, dict) or not isinstance(value.get("fields"), list):
        return value
    fields = [
        {name: part for name, part in field.items() if name != "totp"} if isinstance(field, dict) else field
        for field in value["fields"]
    ]
    return value | {"fields": fields}


def run_process() -> int:
    """The process id of the ansible-playbook that this process is, or is a fork of."""
    from ansible.executor.process.worker import WorkerProcess

    parent = multiprocessing.parent_process()
    if isinstance(multiprocessing.current_process(), WorkerProcess) and parent is not None and parent.pid:
        return parent.pid
    return os.getpid()


def private_directory(run: str) -> pathlib.Path:
    """The directory of a run, made if need be: nobody else may look into it.

    Its name follows from the run, so that all forks find it. Whoever made one of that name before can therefore
    keep this run from having one, and no more: it must be a directory, this user's, and closed to all others.

    Raises:
        InvalidInput: It is not, or it cannot be made.
    """
    name = f"blumeops-{os.geteuid()}-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
    directory = _base(len(name) + len("//s")) / name
    try:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        found = directory.lstat()
    except OSError as error:
        raise _unusable(directory, error) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != 0o700:
        raise InvalidInput(
            f"cache: run does not trust {directory}, which is not a directory of this user that is closed to others: "
            "find out who made it and remove it, or use cache: none"
        )
    return directory


def _base(more: int) -> pathlib.Path:
    """Where the directory stands: memory of the login session where there is such, else where temporary files are."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and len(runtime.encode()) + more <= LONGEST_PATH:
        with contextlib.suppress(OSError):
            found = os.stat(runtime)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o700:
                return pathlib.Path(runtime)
    temporary = tempfile.gettempdir()
    return pathlib.Path(temporary if len(temporary.encode()) + more <= LONGEST_PATH else "/tmp")
