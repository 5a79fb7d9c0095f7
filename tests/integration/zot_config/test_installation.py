"""Module zot_config against a running registry: what is written, taken, refused, and what a kill leaves behind."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from ansible_collections.blumeops.registry.plugins.module_utils._errors import RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._zot import installation
from lab.running import ROOT, free_port, wait_until_answers

ZOT = os.environ.get("ZOT_BIN") or str(ROOT / "lab" / "zot")
OPEN = {"repositories": {"**": {"anonymousPolicy": ["read"]}}}
CLOSED = {"repositories": {"**": {"anonymousPolicy": ["read"]}, "private/**": {"anonymousPolicy": []}}}
#: Nothing for anybody without a login.
SHUT = {"repositories": {"**": {"anonymousPolicy": []}}}


class Module:
    """What installation uses of AnsibleModule."""

    def __init__(self, folder: pathlib.Path, check_mode: bool = False, **params: Any) -> None:
        self.tmpdir, self.check_mode = str(folder), check_mode
        self.no_log_values: set[str] = set()
        self.params = {
            "binary": ZOT,
            "oidc_credentials_path": None,
            "owner": None,
            "group": None,
            "mode": "0640",
            "restart_for": [],
            "reload_timeout": 5.0,
            **params,
        }

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def set_mode_if_different(self, path: str, mode: str, changed: bool) -> bool:
        differs = os.stat(path).st_mode & 0o777 != int(mode, 8)
        if differs and not self.check_mode:
            os.chmod(path, int(mode, 8))
        return differs or changed

    def set_owner_if_different(self, path: str, owner: str | None, changed: bool) -> bool:
        return changed

    set_group_if_different = set_owner_if_different


class Registry:
    """A configuration in a folder, and the zot that runs on it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.path = folder, folder / "zot" / "config.json"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def config(self, control: dict[str, Any], **http: Any) -> dict[str, Any]:
        (self.folder / "htpasswd").touch()
        listen = {"address": "127.0.0.1", "port": str(self.port)}
        auth = {"failDelay": 0, "htpasswd": {"path": str(self.folder / "htpasswd")}}
        return {
            "storage": {"rootDirectory": str(self.folder / "data"), "gc": False},
            "http": {**listen, "auth": auth, "accessControl": copy.deepcopy(control), **http},
            "log": {"level": "error"},
        }

    def module(self, config: dict[str, Any], **params: Any) -> Module:
        running = self.process is not None
        return Module(self.folder, path=str(self.path), config=config, running=running, url=self.url, **params)

    def install(self, config: dict[str, Any], **params: Any) -> dict[str, Any]:
        return installation.install(self.module(config, **params))  # type: ignore[arg-type]

    def start(self) -> None:
        self.process = subprocess.Popen(
            [ZOT, "serve", str(self.path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until_answers(self.url + "/v2/")

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def readable(self, repository: str) -> bool:
        answer = requests.head(f"{self.url}/v2/{repository}/blobs/{installation.NO_BLOB}", timeout=5)
        assert answer.status_code in {401, 404}
        return answer.status_code == 404

    def written(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.path.read_text())
        return config

    @property
    def pending(self) -> bool:
        return (self.path.parent / ".config.json.reload" / "pending.json").exists()


@pytest.fixture
def registry(tmp_path: pathlib.Path) -> Iterator[Registry]:
    one = Registry(tmp_path)
    yield one
    one.stop()


@pytest.fixture
def running(registry: Registry) -> Registry:
    registry.install(registry.config(OPEN))
    registry.start()
    return registry


def test_a_first_configuration_is_written_and_zot_starts_on_it(registry: Registry) -> None:
    result = registry.install(registry.config(OPEN))
    assert (result["changed"], result["reload"], result["restart_required"]) == (True, "none", False)
    assert registry.path.stat().st_mode & 0o777 == 0o640
    registry.start()
    assert registry.readable("private/app")
    assert not registry.install(registry.config(OPEN))["changed"]


def test_a_policy_is_taken_without_a_restart_again_and_again(running: Registry) -> None:
    for control, readable in ((CLOSED, False), (OPEN, True), (SHUT, False), (CLOSED, False), (SHUT, False)):
        result = running.install(running.config(control))
        assert (result["changed"], result["reload"]) == (True, "taken"), control
        assert result["reasons"] == ["http.accessControl"]
        assert running.readable("private/app") is readable
        assert running.written() == running.config(control)
        assert not running.pending
    assert not running.install(running.config(SHUT))["changed"]


def test_a_policy_is_taken_after_zot_was_restarted_by_others(running: Registry) -> None:
    running.install(running.config(CLOSED))
    running.stop()
    running.start()
    assert running.install(running.config(OPEN))["reload"] == "taken"
    assert running.readable("private/app")


def test_what_cannot_be_reloaded_asks_for_a_restart_until_it_is_done(running: Registry) -> None:
    realm = running.config(OPEN, realm="other")
    result = running.install(realm)
    assert (result["reload"], result["restart_required"], result["reasons"]) == ("restart", True, ["http.realm"])
    # Killed before the restart: the next run knows, though the file is as declared.
    again = running.install(realm)
    assert (again["changed"], again["restart_required"], again["reasons"]) == (True, True, ["http.realm"])


def test_check_mode_tells_and_writes_nothing(running: Registry) -> None:
    before = running.path.stat()
    for config, told in (
        (running.config(CLOSED), "would reload"),
        (running.config(OPEN, realm="other"), "would restart"),
    ):
        result = running.install(config, check_mode=True)
        assert (result["changed"], result["reload"]) == (True, told)
        assert result["diff"][0]["before"] != result["diff"][0]["after"]
    after = running.path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert [path.name for path in running.path.parent.iterdir() if path.is_dir()] in ([], [".config.json.reload"])
    assert running.readable("private/app")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"bogus": 1}, "bogus"),
        ({"port": "70000"}, "70000"),
        ({"accessControl": {"repositories": {"a{b": {"anonymousPolicy": ["read"]}}}}, "pattern"),
    ],
)
def test_what_zot_verify_refuses_never_lands(running: Registry, broken: dict[str, Any], words: str) -> None:
    before = running.path.read_bytes()
    config = running.config(OPEN)
    config["http"].update(broken)
    with pytest.raises(RegistryError, match=words) as refused:
        running.install(config)
    assert str(refused.value).startswith(f"zot verify refuses the configuration for {running.path}")
    assert "\n" not in str(refused.value)
    assert running.path.read_bytes() == before
    assert running.readable("private/app")


def test_the_check_leaves_no_log_behind(registry: Registry) -> None:
    log = registry.folder / "zot.log"
    registry.install({**registry.config(OPEN), "log": {"level": "error", "output": str(log)}}, check_mode=True)
    assert not log.exists()


def test_a_port_that_is_taken_is_named_before_anything_is_written(registry: Registry) -> None:
    told = f"127.0.0.1:{registry.port}.*in use.*nothing was written"
    with socket.create_server(("127.0.0.1", registry.port)), pytest.raises(RegistryError, match=told):
        registry.install(registry.config(OPEN))
    assert not registry.path.exists()


def test_credentials_are_private_and_never_shown(registry: Registry) -> None:
    secret = "LAB-client-secret-1"
    path = registry.folder / "zot" / "oidc.json"
    provider = {"issuer": "http://127.0.0.1:9", "credentialsFile": str(path), "scopes": ["openid"]}
    config = registry.config(OPEN, auth={"openid": {"providers": {"oidc": provider}}})
    params = {"oidc_credentials_path": str(path), "oidc_client_id": "zot"}
    first = registry.install(config, oidc_client_secret=secret, **params)
    assert json.loads(path.read_text()) == {"clientid": "zot", "clientsecret": secret}
    assert path.stat().st_mode & 0o777 == 0o600
    assert not registry.install(config, oidc_client_secret=secret, **params)["changed"]
    registry.process = subprocess.Popen(["sleep", "60"])  # something runs: new credentials ask for a restart
    second = registry.install(config, oidc_client_secret="LAB-client-secret-2", **params)
    assert second["reasons"] == ["the OIDC credentials"]
    assert "LAB-client-secret" not in json.dumps([first, second])


def test_a_file_that_was_opened_up_is_closed_again(registry: Registry) -> None:
    registry.install(registry.config(OPEN))
    registry.path.chmod(0o666)
    assert registry.install(registry.config(OPEN), check_mode=True)["changed"]
    assert registry.path.stat().st_mode & 0o777 == 0o666
    assert registry.install(registry.config(OPEN))["changed"]
    assert registry.path.stat().st_mode & 0o777 == 0o640
    assert not registry.install(registry.config(OPEN))["changed"]


def test_another_address_on_the_port_of_the_running_zot_is_no_conflict(running: Registry) -> None:
    elsewhere = running.config(OPEN)
    elsewhere["http"]["address"] = "0.0.0.0"
    assert running.install(elsewhere, check_mode=True)["reasons"] == ["http.address"]


@pytest.mark.parametrize("broken", ["", "[1]", "{"])
def test_what_is_no_configuration_is_replaced(registry: Registry, broken: str) -> None:
    registry.path.parent.mkdir()
    registry.path.write_text(broken)
    assert registry.install(registry.config(OPEN))["changed"]
    assert registry.written() == registry.config(OPEN)


def test_a_folder_in_the_way_is_named(registry: Registry) -> None:
    registry.path.mkdir(parents=True)
    with pytest.raises(RegistryError, match=r"config\.json cannot be read or written"):
        registry.install(registry.config(OPEN))


def test_secrets_in_the_configuration_are_told_to_ansible(registry: Registry) -> None:
    session = {"sessionDriver": {"name": "redis", "url": "redis://zot:LAB-redis@127.0.0.1:6379"}}
    module = registry.module(registry.config(OPEN, auth={"htpasswd": {"path": "/x"}, **session}), check_mode=True)
    module.run_command = lambda *_: (0, "", "")  # type: ignore[method-assign,assignment]
    result = installation.install(module)  # type: ignore[arg-type]
    assert "LAB-redis" in module.no_log_values
    assert "LAB-redis" not in json.dumps(result)


def killed_at(number: int, action: Callable[[], object]) -> bool:
    """Run ``action`` in a child that is killed at its N-th change of the file system; False where it had fewer."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                nonlocal seen
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

            return wrapper

        try:
            for name in ("replace", "link", "unlink", "fsync", "makedirs"):
                setattr(os, name, deadly(getattr(os, name)))
            installation.Installation.poke = deadly(installation.Installation.poke)  # type: ignore[method-assign]
            action()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in {0, -signal.SIGKILL}
    return status != 0


def test_a_kill_anywhere_leaves_a_file_that_zot_starts_on_and_the_next_run_finishes(
    running: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills, left = 0, set()
    # `zot verify` changes no file, so it is not asked in each of these runs but of everything that they left behind.
    monkeypatch.setattr(Module, "run_command", lambda *_: (0, "", ""))
    for number in range(1, 60):
        target = CLOSED if number % 2 else OPEN
        if not killed_at(number, lambda target=target: running.install(running.config(target))):
            break
        kills += 1
        left.add(re.sub(r"(blumeops-reload-probe)-[0-9a-f]{16}", r"\1", running.path.read_text()))
        done = running.install(running.config(target))
        assert done["restart_required"] is False, number
        assert running.written() == running.config(target)
        assert running.readable("private/app") is (target is OPEN), number
        assert not running.pending
        assert not running.install(running.config(target))["changed"], number
        assert not list(running.path.parent.glob(".*.new")), number
    for text in left:
        running.path.write_text(text)
        assert subprocess.run([ZOT, "verify", str(running.path)], capture_output=True).returncode == 0, text
    assert any("blumeops-reload-probe" in text for text in left), "no kill between the probe and the final file"
    assert kills > 10, "the kills did not reach the steps"
    assert number < 59, "the last run was killed too"
