"""``cache: run`` in ansible-playbook: who shares what, and that nothing is left of it."""

from __future__ import annotations

import collections
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.plugin_utils import run_broker

from .conftest import SERVICE, TOKEN, Play, World

ONE = "op://blumeops/Zot OIDC/credential"


def brokers(temporary: pathlib.Path) -> list[int]:
    """Process ids of the brokers whose directory is in this test's TMPDIR."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"run_broker.py") for word in words) and str(temporary).encode() in b" ".join(words):
            found.append(int(process.name))
    return found


def environment(temporary: World, **more: str) -> dict[str, str]:
    return {
        "TMPDIR": str(temporary),
        "XDG_RUNTIME_DIR": "",
        "BLUMEOPS_ONEPASSWORD_CACHE": "run",
        **more,
    }


def gone(temporary: pathlib.Path) -> bool:
    """Whether broker and directory end."""
    return until(lambda: not brokers(temporary) and not list(temporary.glob("blumeops-*")))


def until(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether something becomes true in time, which is far more than it needs."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def estate(world: World, items: int, fields: int) -> dict[str, str]:
    """Variables with a lookup each, over these items."""
    for item in range(items):
        world.add(f"Item {item}", **{f"field{field}": f"LAB-{item}-{field}" for field in range(fields)})
    lookup = "{{{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Item {0}/field{1}') }}}}"
    return {f"secret_{item}_{field}": lookup.format(item, field) for item in range(items) for field in range(fields)}


USE = """
- ansible.builtin.assert:
    that: >-
      (query('varnames', '^secret_') | map('extract', vars) | join(' ')) is search('LAB-0-0 LAB-0-1')
  no_log: true
- ansible.builtin.copy:
    content: "{{ query('varnames', '^secret_') | map('extract', vars) | join(' ') }}"
    dest: "{{ playbook_dir }}/found-{{ inventory_hostname }}"
    mode: "0600"
  no_log: true
"""


@pytest.mark.parametrize("token", [None, SERVICE])
def test_many_uses_are_one_process_an_item(
    play: Play, world: World, temporary: pathlib.Path, token: str | None
) -> None:
    variables = estate(world, items=3, fields=4)
    env = environment(temporary) | ({"OP_SERVICE_ACCOUNT_TOKEN": token} if token else {})
    done = play(USE, hosts=6, variables=variables, env=env)
    assert done.returncode == 0, done.stdout
    assert collections.Counter(process["argv"][-1] for process in world.processes()) == {
        "Item 0": 1,
        "Item 1": 1,
        "Item 2": 1,
    }
    found = {path.read_text() for path in (world.folder / "play").glob("found-*")}
    assert found == {" ".join(f"LAB-{item}-{field}" for item in range(3) for field in range(4))}
    assert gone(temporary)


def test_with_connect_one_request_an_item(play: Play, world: World, temporary: pathlib.Path, connect: Any) -> None:
    variables = estate(world, items=3, fields=2)
    env = environment(temporary, OP_CONNECT_HOST=connect().url, OP_CONNECT_TOKEN=TOKEN)
    assert play(USE, hosts=4, variables=variables, env=env).returncode == 0
    asked = collections.Counter(path.rpartition("/")[2] for path in world.requests())
    assert set(asked.values()) == {1}
    assert len(asked) == 5  # vaults, items, and three items
    assert gone(temporary)


def test_the_main_process_shares_with_its_forks(play: Play, world: World, temporary: pathlib.Path) -> None:
    lookup = f"lookup('blumeops.registry.onepassword', '{ONE}')"
    tasks = f"- ansible.builtin.assert: {{that: \"{lookup} is search('LAB')\"}}"
    pattern = f"{{{{ 'all' if {lookup} else 'none' }}}}"  # evaluated before there is any fork
    assert play(tasks, hosts=2, pattern=pattern, env=environment(temporary)).returncode == 0
    assert len(world.processes()) == 1


def test_without_the_option_nothing_is_remembered(play: Play, world: World, temporary: pathlib.Path) -> None:
    tasks = f"- ansible.builtin.assert: {{that: \"lookup('blumeops.registry.onepassword', '{ONE}') is search('LAB')\"}}"
    assert play(tasks, hosts=3, env=environment(temporary, BLUMEOPS_ONEPASSWORD_CACHE="none")).returncode == 0
    assert len(world.processes()) == 3
    assert brokers(temporary) == []


def test_other_credentials_do_not_share(play: Play, world: World, temporary: pathlib.Path, connect: Any) -> None:
    tasks = f"""
    - ansible.builtin.assert: {{that: "lookup('blumeops.registry.onepassword', '{ONE}') is search('LAB')"}}
      vars:
        onepassword_connect_token: "{{{{ token }}}}"
      loop: [{TOKEN}, nobody]
      loop_control: {{loop_var: token}}
    """
    done = play(tasks, env=environment(temporary, OP_CONNECT_HOST=connect().url))
    assert done.returncode == 2
    assert "Connect refused the token (401" in done.stdout + done.stderr
    assert "All assertions passed" in done.stdout


def test_codes_are_fetched_each_time(play: Play, world: World, temporary: pathlib.Path) -> None:
    code = "lookup('blumeops.registry.onepassword', 'op://blumeops/Forge API/one-time password?attribute=otp')"
    tasks = f"- ansible.builtin.assert: {{that: \"{code} is match('^[0-9]{{6}}$')\"}}"
    assert play(f"{tasks}\n{tasks}", env=environment(temporary)).returncode == 0
    assert len(world.processes()) == 3  # the item, and each code


def test_what_was_missing_is_found_once_it_is_there(play: Play, world: World, temporary: pathlib.Path) -> None:
    before = world.vaults.read_text()
    world.add("Late", password="LAB-late")
    (world.folder / "after.json").write_text(world.vaults.read_text())
    world.vaults.write_text(before)
    tasks = f"""
    - ansible.builtin.assert: {{that: "late == '-'"}}
    - ansible.builtin.command: cp {world.folder}/after.json {world.vaults}
    - ansible.builtin.assert: {{that: "late == 'LAB-late'"}}
    """
    late = "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Late/password', default='-') }}"
    done = play(tasks, env=environment(temporary), variables={"late": late})
    assert done.returncode == 0, done.stdout


def test_nothing_is_left_when_the_run_is_killed(play: Play, world: World, temporary: pathlib.Path) -> None:
    tasks = f"""
    - ansible.builtin.assert: {{that: "lookup('blumeops.registry.onepassword', '{ONE}') is search('LAB')"}}
    - ansible.builtin.command: touch {world.folder}/ready
    - ansible.builtin.command: sleep 600
    """
    run = play(tasks, env=environment(temporary), start=True)
    try:
        assert until((world.folder / "ready").exists)
        [broker] = brokers(temporary)
        [folder] = temporary.glob("blumeops-*")
        held = [path for path in world.folder.rglob("*") if path.is_file() and path != world.vaults]
        assert not [path for path in held if "LAB-zot-oidc-client-secret" in path.read_text(errors="replace")]
        children = descendants(run.pid)
    finally:
        run.kill()
        run.wait()
    assert gone(temporary)
    assert until(lambda: run_broker.started(broker) is None)
    assert not folder.exists()
    for child in children:  # the forks that SIGKILL to the main process leaves behind are Ansible's
        with_id = pathlib.Path(f"/proc/{child}")
        if with_id.exists():
            os.kill(child, 9)


def descendants(pid: int) -> list[int]:
    """The processes under one, while it lives."""
    found: list[int] = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found
