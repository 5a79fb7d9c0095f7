"""Role zot with launchd and systemd, whose commands are stood in for: they keep a state and run the lab's service."""

from __future__ import annotations

import json
import pathlib
import shlex
from collections.abc import Iterator

import pytest

from lab import service
from lab.running import environment
from lab.up import Lab, lab

LAUNCHCTL = """#!/bin/sh
echo "$1" >>{calls}
case $1 in
  print) [ -e {loaded} ] || exit 113
    if {service} status {config}; then echo "state = running"; else echo "state = not running"; fi ;;
  bootstrap) [ ! -e {loaded} ] || exit 5
    touch {loaded}; {service} start {config} ;;
  bootout) {service} stop {config}; rm {loaded} ;;
  kickstart) [ -e {loaded} ] || exit 3
    {service} stop {config}; {service} start {config} ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "$1" >>{calls}
case $1 in
  is-active) {service} status {config} ;;
  stop) {service} stop {config} ;;
  enable) {service} start {config} ;;
esac
"""


def plays(running: Lab, folder: pathlib.Path, manager: str, steps: list[dict[str, object]]) -> list[dict[str, object]]:
    """A play of role zot for each step, on a host with that service manager.

    A step is variables of the role; with ``ended`` zot is stopped behind the manager's back before it.
    """
    template = {"launchd": "launchd.plist.j2", "systemd": "zot.service.j2"}[manager]
    path = folder / ("agents/definition" if manager == "launchd" else "definition")
    own = {
        "zot_service_manager": manager,
        "zot_service_name": "test.blumeops.zot",
        "__zot_definitions": {manager: {"template": template, "path": str(path)}},
    }
    note = f"echo step >>{shlex.quote(str(folder / 'calls'))}"
    stop = shlex.join([*service.COMMAND, "stop", str(running.zot_config)])
    found: list[dict[str, object]] = []
    for step in steps:
        first = f"{stop}; {note}" if step.get("ended") else note
        found.append(
            {
                "hosts": "indri",
                "gather_facts": False,
                "vars": {**own, **step},
                "pre_tasks": [
                    {"ansible.builtin.debug": {"msg": f"{{{{ lookup('ansible.builtin.pipe', {first!r}) }}}}"}}
                ],
                "roles": ["blumeops.registry.zot"],
            }
        )
    return found


def asked(running: Lab, folder: pathlib.Path, manager: str, steps: list[dict[str, object]]) -> list[list[str]]:
    """Run role zot for each step, in one process; returns what changed: the calls of the service manager, by step."""
    name, text = ("launchctl", LAUNCHCTL) if manager == "launchd" else ("systemctl", SYSTEMCTL)
    program = folder / "bin" / name
    program.parent.mkdir()
    call = " ".join(f"'{part}'" for part in service.COMMAND)
    calls = folder / "calls"
    program.write_text(text.format(calls=calls, loaded=folder / "loaded", service=call, config=running.zot_config))
    program.chmod(0o755)
    playbook = folder / "play.yml"
    playbook.write_text(json.dumps(plays(running, folder, manager, steps)))
    env = {"PATH": f"{program.parent}:{environment()['PATH']}"}
    done = running.run("ansible-playbook", str(playbook), env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    reading = {"print", "is-active", "daemon-reload"}
    _, *by_step = calls.read_text().split("step\n")
    found = [[call for call in part.split() if call not in reading] for part in by_step]
    changed = ["\nchanged: " in part for part in done.stdout.split("\nPLAY [")[1:]]
    assert changed == [bool(step) for step in found], "a play that called nobody changed something, or the reverse"
    return found


@pytest.fixture
def running() -> Iterator[Lab]:
    with lab() as one:
        yield one


OTHER: dict[str, object] = {"zot_http_realm": "other"}
REDEFINED: dict[str, object] = {**OTHER, "zot_service_environment": {"X": "1"}}
ENDED: dict[str, object] = {**REDEFINED, "ended": True}  # it ended by itself: the next run brings it back


@pytest.mark.parametrize(
    ("manager", "steps"),
    [
        (
            "launchd",
            [
                ({}, ["bootstrap"]),
                ({}, []),
                (OTHER, ["kickstart"]),
                (REDEFINED, ["bootout", "bootstrap"]),
                (ENDED, ["kickstart"]),
            ],
        ),
        ("systemd", [({}, ["enable"]), ({}, []), (REDEFINED, ["stop", "enable"]), (ENDED, ["enable"])]),
    ],
    ids=["launchd", "systemd"],
)
def test_it_is_started_restarted_redefined_and_recovered(
    running: Lab, tmp_path: pathlib.Path, manager: str, steps: list[tuple[dict[str, object], list[str]]]
) -> None:
    assert asked(running, tmp_path, manager, [step for step, _ in steps]) == [calls for _, calls in steps]
