"""Role zot with launchd and systemd, whose commands are stood in for: they keep a state and run the lab's service."""

from __future__ import annotations

import json
import pathlib
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


class Host:
    """A lab whose host has a service manager."""

    def __init__(self, running: Lab, folder: pathlib.Path, manager: str) -> None:
        self.lab, self.folder, self.manager = running, folder, manager
        self.calls = folder / "calls"
        name, text = ("launchctl", LAUNCHCTL) if manager == "launchd" else ("systemctl", SYSTEMCTL)
        program = folder / "bin" / name
        program.parent.mkdir()
        call = " ".join(f"'{part}'" for part in service.COMMAND)
        program.write_text(
            text.format(calls=self.calls, loaded=folder / "loaded", service=call, config=running.zot_config)
        )
        program.chmod(0o755)

    def play(self, **variables: object) -> tuple[list[str], str]:
        """Run role zot; returns the calls that changed something, and the output."""
        self.calls.write_text("")
        own = {"zot_service_manager": self.manager, "zot_service_name": "test.blumeops.zot", **variables}
        template = {"launchd": "launchd.plist.j2", "systemd": "zot.service.j2"}[self.manager]
        path = self.folder / ("agents/definition" if self.manager == "launchd" else "definition")
        own["__zot_definitions"] = {self.manager: {"template": template, "path": str(path)}}
        extra = self.folder / "extra.json"
        extra.write_text(json.dumps(own))
        env = {"PATH": f"{self.folder / 'bin'}:{environment()['PATH']}"}
        done = self.lab.run("ansible-playbook", "playbooks/indri.yml", "--tags", "zot", "-e", f"@{extra}", env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        asked = self.calls.read_text().split()
        return [call for call in asked if call not in {"print", "is-active", "daemon-reload"}], done.stdout


@pytest.fixture
def running() -> Iterator[Lab]:
    with lab() as one:
        yield one


@pytest.mark.parametrize(
    ("manager", "start", "restart", "redefine", "recover"),
    [
        ("launchd", ["bootstrap"], ["kickstart"], ["bootout", "bootstrap"], ["kickstart"]),
        ("systemd", ["enable"], ["stop", "enable"], ["stop", "enable"], ["enable"]),
    ],
)
def test_it_is_started_restarted_redefined_and_recovered(
    running: Lab,
    tmp_path: pathlib.Path,
    manager: str,
    start: list[str],
    restart: list[str],
    redefine: list[str],
    recover: list[str],
) -> None:
    host = Host(running, tmp_path, manager)
    assert host.play()[0] == start
    calls, output = host.play()
    assert calls == []
    assert "changed=0" in output
    if restart != redefine:  # else the next line shows it
        assert host.play(zot_http_realm="other")[0] == restart
    assert host.play(zot_http_realm="other", zot_service_environment={"X": "1"})[0] == redefine
    # It ended by itself: the next run brings it back.
    running.run(*service.COMMAND, "stop", str(running.zot_config))
    assert host.play(zot_http_realm="other", zot_service_environment={"X": "1"})[0] == recover
