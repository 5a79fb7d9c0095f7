"""``cache: run``: each property that it is safe by, and that forks share what one of them has fetched."""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils import _errors as errors
from ansible_collections.blumeops.registry.plugins.plugin_utils import run_broker, run_cache
from ansible_collections.blumeops.registry.plugins.plugin_utils.run_cache import RunMemory

KEY = ("item", "v", "i")
FORK = multiprocessing.get_context("fork")


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether something becomes true in time, which is far more than it needs."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    return run_broker.started(pid) is not None


@pytest.fixture
def run(temporary: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for an ansible-playbook, with directories for temporary files of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(temporary))
    process = subprocess.Popen(["sleep", "600"])
    known = len(run_cache._brokers)
    yield process
    process.kill()
    process.wait()
    for broker in run_cache._brokers[known:]:
        assert broker.wait(20) is not None


def directory(process: subprocess.Popen[bytes]) -> pathlib.Path:
    return run_cache.private_directory(f"{process.pid}:{run_broker.started(process.pid)}")


def boom() -> Any:
    raise AssertionError("this was to be remembered")


def broker() -> subprocess.Popen[bytes]:
    return run_cache._brokers[-1]


# -- sharing ---------------------------------------------------------------------------------------------------------


def test_what_one_has_fetched_serves_the_others(run: subprocess.Popen[bytes]) -> None:
    value = {"id": "i", "fields": [{"id": "f", "value": "LAB-ü\n"}]}
    assert RunMemory("me", run.pid).fetch(KEY, lambda: value) == value
    assert RunMemory("me", run.pid).fetch(KEY, boom) == value


def ask_at_once(credentials: str, pid: int, counter: Any, barrier: Any, results: Any) -> None:
    def make() -> str:
        with counter.get_lock():
            counter.value += 1
        time.sleep(0.5)
        return "LAB-value"

    memory = RunMemory(credentials, pid)
    barrier.wait()
    results.put(memory.fetch(KEY, make))


def test_forks_that_ask_at_once_make_one_request(run: subprocess.Popen[bytes]) -> None:
    counter, barrier, results = FORK.Value("i", 0), FORK.Barrier(6), FORK.Queue()
    forks = [FORK.Process(target=ask_at_once, args=("me", run.pid, counter, barrier, results)) for _ in range(6)]
    for fork in forks:
        fork.start()
    assert [results.get(timeout=30) for _ in forks] == ["LAB-value"] * 6
    for fork in forks:
        fork.join()
    assert counter.value == 1


def test_a_fork_that_dies_while_it_fetches_holds_nobody_up(run: subprocess.Popen[bytes]) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    fork = FORK.Process(target=lambda: RunMemory("me", run.pid).fetch(KEY, die))
    fork.start()
    fork.join()
    assert fork.exitcode == -signal.SIGKILL
    assert RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value") == "LAB-value"


def test_fetching_may_fetch(run: subprocess.Popen[bytes]) -> None:
    memory = RunMemory("me", run.pid)
    assert memory.fetch(("asked",), lambda: memory.fetch(KEY, lambda: "LAB-value")) == "LAB-value"
    assert RunMemory("me", run.pid).fetch(KEY, boom) == "LAB-value"


# -- not kept --------------------------------------------------------------------------------------------------------


def test_failures_are_not_kept(run: subprocess.Popen[bytes]) -> None:
    def fail() -> None:
        raise errors.Unreachable("no answer")

    with pytest.raises(errors.Unreachable):
        RunMemory("me", run.pid).fetch(KEY, fail)
    assert RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value") == "LAB-value"


def test_what_is_not_true_any_more_is_asked_again(run: subprocess.Popen[bytes]) -> None:
    RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-old")
    memory = RunMemory("me", run.pid)
    assert memory.fetch(KEY, boom) == "LAB-old"
    assert memory.renew()
    assert memory.fetch(KEY, lambda: "LAB-new") == "LAB-new"
    assert not memory.renew()  # what this call has fetched itself is as new as can be
    assert RunMemory("me", run.pid).fetch(KEY, boom) == "LAB-new"


def test_nothing_is_renewed_that_is_new(run: subprocess.Popen[bytes]) -> None:
    memory = RunMemory("me", run.pid)
    memory.fetch(KEY, lambda: "LAB-value")
    assert not memory.renew()


def test_codes_are_not_kept(run: subprocess.Popen[bytes]) -> None:
    item = {"id": "i", "fields": [{"id": "TOTP_x", "type": "OTP", "value": "seed", "totp": "123456"}, "odd"]}
    assert RunMemory("me", run.pid).fetch(KEY, lambda: item) == item
    kept = RunMemory("me", run.pid).fetch(KEY, boom)
    assert kept["fields"] == [{"id": "TOTP_x", "type": "OTP", "value": "seed"}, "odd"]


def test_entries_of_other_credentials_are_not_seen(run: subprocess.Popen[bytes]) -> None:
    RunMemory(["connect", "h", "LAB-one"], run.pid).fetch(KEY, lambda: "LAB-value")
    with pytest.raises(AssertionError, match="to be remembered"):
        RunMemory(["connect", "h", "LAB-two"], run.pid).fetch(KEY, boom)


def test_the_broker_knows_neither_names_nor_credentials(run: subprocess.Popen[bytes]) -> None:
    memory = RunMemory(["connect", "h", "LAB-token"], run.pid)
    asked: list[str] = []
    ask = memory._ask
    memory._ask = lambda request: (asked.append(json.dumps(request)), ask(request))[1]  # type: ignore[method-assign]
    memory.fetch(("asked", "blumeops", "Forgejo Secrets"), lambda: {"id": "x"})
    said = "".join(asked)
    assert "put" in said
    assert not [word for word in ("LAB-token", "blumeops", "Forgejo") if word in said]


def test_too_much_is_not_remembered_and_works(run: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_broker, "LARGEST", 1000)
    memory = RunMemory("me", run.pid)
    assert memory.fetch(KEY, lambda: "x" * 2000) == "x" * 2000
    assert memory.fetch(KEY, boom) == "x" * 2000
    store = run_broker.Store("r")
    monkeypatch.setattr(run_broker, "MOST", 10)
    assert store.answer({"run": "r", "put": "a", "value": "12345678"}) == {"kept": True}
    assert store.answer({"run": "r", "put": "b", "value": "123"}) == {"kept": False}
    assert store.answer({"run": "r", "put": "a", "value": "123456789"}) == {"kept": True}
    assert store.answer({"run": "r", "get": "b"}) == {}


# -- who may ask -----------------------------------------------------------------------------------------------------


def test_the_directory_is_private_and_the_socket_has_a_path(run: subprocess.Popen[bytes]) -> None:
    RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value")
    folder = directory(run)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.stat().st_uid == os.geteuid()
    assert {stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_ISSOCK((folder / "s").stat().st_mode)
    sockets = [line for line in pathlib.Path("/proc/net/unix").read_text().splitlines() if folder.name in line]
    assert sockets
    assert all(line.split()[-1] == str(folder / "s") for line in sockets)  # an abstract one begins with @


@pytest.mark.parametrize("kind", ["open", "link", "file", "other user"])
def test_a_directory_that_is_not_safe_is_refused(
    run: subprocess.Popen[bytes], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = directory(run)
    if kind == "open":
        folder.chmod(0o750)
    elif kind == "other user":
        known = folder.name
        uid = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
        folder.rename(folder.with_name(known.replace(f"-{uid}-", f"-{uid + 1}-")))
    else:
        folder.rmdir()
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere") if kind == "link" else folder.write_text("")
    with pytest.raises(errors.InvalidInput, match="does not trust"):
        RunMemory("me", run.pid)


def test_no_place_for_the_directory(run: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_cache, "_base", lambda _: pathlib.Path("/proc/none"))
    with pytest.raises(errors.InvalidInput, match="cannot use its directory"):
        RunMemory("me", run.pid)


def test_a_directory_that_goes_away(run: subprocess.Popen[bytes]) -> None:
    memory = RunMemory("me", run.pid)
    directory(run).rmdir()
    with pytest.raises(errors.InvalidInput, match=r"cannot use its directory .* \(No such file or directory\)"):
        memory.fetch(KEY, lambda: "LAB-value")


def test_where_the_directory_stands(temporary: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, open_to_all = temporary / "private", temporary / "open"
    private.mkdir(mode=0o700)
    open_to_all.mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(temporary))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(private))
    assert run_cache._base(30) == private
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(open_to_all))
    assert run_cache._base(30) == temporary
    monkeypatch.setattr(tempfile, "gettempdir", lambda: f"/{'long' * 30}")
    assert run_cache._base(30) == pathlib.Path("/tmp")


def test_the_kernel_names_the_user_at_the_other_end() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert run_broker.peer_uid(one) == os.geteuid()


class MacSocket:
    """Answers getsockopt as macOS does: struct xucred, for level SOL_LOCAL and option LOCAL_PEERCRED."""

    def __init__(self, version: int, uid: int) -> None:
        self.answer = struct.pack("=IIhxx16I", version, uid, 1, *range(16))

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (0, 1)
        assert size == len(self.answer)
        return self.answer


def test_the_user_at_the_other_end_on_macos() -> None:
    assert run_broker.peer_uid(MacSocket(0, 501), platform="darwin") == 501  # type: ignore[arg-type]
    with pytest.raises(OSError, match="unknown form"):
        run_broker.peer_uid(MacSocket(1, 501), platform="darwin")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uid", "request_of", "answered"), [(0, "r", True), (1, "r", False), (0, "another", False), (0, None, False)]
)
def test_who_is_answered(monkeypatch: pytest.MonkeyPatch, uid: int, request_of: str | None, answered: bool) -> None:
    store = run_broker.Store("r")
    store.answer({"run": "r", "put": "k", "value": "LAB-value"})
    monkeypatch.setattr(run_broker, "peer_uid", lambda _: os.geteuid() + uid)
    client, server = socket.socketpair()
    with client:
        client.sendall(json.dumps({"run": request_of, "get": "k"}).encode() if request_of else b"no JSON")
        client.shutdown(socket.SHUT_WR)
        run_broker.serve_one(server, store)
        try:
            answer = client.recv(1000)
        except ConnectionResetError:  # closed without having read
            answer = b""
        assert (b"LAB-value" in answer) is answered


def test_an_answer_of_another_user_is_not_taken(run: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value")
    monkeypatch.setattr(run_broker, "peer_uid", lambda _: os.geteuid() + 1)
    sent: list[bytes] = []
    monkeypatch.setattr(socket.socket, "sendall", lambda _, data: sent.append(data))
    assert RunMemory("me", run.pid)._ask({"get": "anything"}) is None
    assert sent == []


def test_requests_that_make_no_sense_do_no_harm(run: subprocess.Popen[bytes]) -> None:
    memory = RunMemory("me", run.pid)
    memory.fetch(KEY, lambda: "LAB-value")
    name = f"{run.pid}:{run_broker.started(run.pid)}"
    for message in (b"", b"[]", b"\xff", b"[" * 5000, b'{"run": 1}', json.dumps({"run": name, "put": 1}).encode()):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(memory._socket)
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
            assert run_broker.receive(connection) == b""
    assert RunMemory("me", run.pid).fetch(KEY, boom) == "LAB-value"


# -- the end of it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_is_gone_when_the_run_is(run: subprocess.Popen[bytes], number: int) -> None:
    RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value")
    folder = directory(run)
    run.send_signal(number)
    assert broker().wait(20) == 0  # the run is not even waited for: it is a zombie, and that is enough
    assert not folder.exists()


def test_it_is_gone_where_the_kernel_tells_nothing(
    run: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = run_broker.started(run.pid)
    assert start
    monkeypatch.setattr(run_broker, "watch", lambda _: None)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory(run) / "s"))
        listener.listen()
        fork = FORK.Process(target=run_broker.serve, args=(listener, run.pid, start))
        fork.start()
        assert RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value") == "LAB-value"
        run.kill()
        fork.join(20)
        assert fork.exitcode == 0


def test_it_does_not_serve_a_later_process_of_the_same_id(run: subprocess.Popen[bytes]) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory(run) / "s"))
        listener.listen()
        run_broker.serve(listener, run.pid, "another time")  # returns at once


def test_a_memory_needs_a_run(run: subprocess.Popen[bytes]) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(errors.InvalidInput, match="that has ended"):
        RunMemory("me", gone.pid)


def test_a_broker_that_was_killed_is_replaced(run: subprocess.Popen[bytes]) -> None:
    RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value")
    broker().kill()
    broker().wait()
    assert RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-again") == "LAB-again"
    assert RunMemory("me", run.pid).fetch(KEY, boom) == "LAB-again"


def test_a_broker_that_cannot_start(run: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(errors.InvalidInput, match="could not start the process that remembers"):
        RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value")


def test_signals_of_the_terminal_do_not_end_it(run: subprocess.Popen[bytes]) -> None:
    RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value")
    pid = broker().pid
    assert os.getsid(pid) == pid  # a session of its own: Ctrl-C does not reach it
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGHUP)
    assert RunMemory("me", run.pid).fetch(KEY, boom) == "LAB-value"


def test_the_broker_has_nothing_of_the_process_that_started_it(
    run: subprocess.Popen[bytes], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OP_CONNECT_TOKEN", "LAB-connect-token")
    with open(tmp_path / "held", "w") as held:
        os.set_inheritable(held.fileno(), True)
        RunMemory(["LAB-connect-token"], run.pid).fetch(KEY, lambda: "LAB-value")
    process = pathlib.Path(f"/proc/{broker().pid}")
    shown = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    assert b"LAB-" not in shown
    assert os.readlink(process / "cwd") == "/"
    opened = {os.readlink(path) for path in (process / "fd").iterdir()}
    assert not [name for name in opened if str(tmp_path) in name]
    assert "/dev/null" in opened


def test_there_are_no_core_dumps(run: subprocess.Popen[bytes]) -> None:
    RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value")
    limits = pathlib.Path(f"/proc/{broker().pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core file size" in line).split()[4:6] == ["0", "0"]
    # What a limit does not forbid, a dump through a pipe, the kernel asks this flag for: PR_GET_DUMPABLE is 3.
    program = (
        f"import ctypes, sys; sys.path.insert(0, {os.path.dirname(run_broker.__file__)!r}); import run_broker; "
        "get = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0); before = get(); run_broker.no_core_dumps(); "
        "print(before, get())"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]


def test_a_crash_dumps_nothing(run: subprocess.Popen[bytes]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        RunMemory("me", run.pid).fetch(KEY, lambda: "LAB-value")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    started = broker()
    os.kill(started.pid, signal.SIGSEGV)
    _, status = os.waitpid(started.pid, 0)
    started.returncode = -signal.SIGSEGV
    assert os.WIFSIGNALED(status)
    assert not os.WCOREDUMP(status)


def test_a_start_time_names_a_process() -> None:
    first, second = subprocess.Popen(["sleep", "60"]), subprocess.Popen(["sleep", "60"])
    try:
        assert run_broker.started(first.pid) == run_broker.started(first.pid)
        assert alive(first.pid)
        assert run_broker.started_by_ps(first.pid) == run_broker.started_by_ps(first.pid)
        assert run_broker.started_by_ps(first.pid)
        first.kill()
        assert until(lambda: not alive(first.pid))  # a zombie is none
        assert until(lambda: run_broker.started_by_ps(first.pid) is None)
        first.wait()
        assert run_broker.started(first.pid) is None
        assert run_broker.started_by_ps(first.pid) is None
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
