"""zot_policy_check as Ansible runs it: a process of its own, and in a play."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.run_module import Outcome, run_module

ROOT = pathlib.Path(__file__).resolve().parents[3]
SECRET = "correct-horse-battery-staple"
TELL: dict[str, Any] = {
    "zot_version": "2.1.20",
    "declared_groups": {"admins": ["erich"], "artifact-workloads": ["zot-ci"]},
    "immutable_writers": ["group:artifact-workloads"],
    "repositories": ["blumeops/navidrome"],
}
OVERWRITE = {"subject": "zot-ci", "action": "update", "image": "blumeops/navidrome:v1.0.0", "expect": "deny"}


def configuration(*ci: str) -> dict[str, Any]:
    """The estate's configuration as it was recorded, where CI may do ``ci``."""
    lines = (ROOT / "tests" / "contracts" / "zot" / "verify.jsonl").read_text(encoding="utf-8").splitlines()
    config: dict[str, Any] = next(entry["config"] for entry in map(json.loads, lines) if entry["name"] == "as it is")
    config["http"]["accessControl"]["repositories"]["**"]["policies"][0]["actions"] = list(ci)
    return config


GOOD = configuration("read", "create")
BAD = configuration("read", "create", "update")


def check(config: Any, *, in_check_mode: bool = False, **more: Any) -> Outcome:
    return run_module("zot_policy_check", {"config": config, **TELL, **more}, check=in_check_mode)


def test_good_policy_passes_and_changes_nothing(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "policy.html"
    first = check(GOOD, live_config=GOOD, tests=[OVERWRITE], report_path=str(page))
    assert not first.failed, first.msg
    assert (first.changed, first.result["passed"], first.result["findings"]) == (False, True, [])
    assert first.result["report_path"] == str(page)
    written = page.read_bytes()
    again = check(GOOD, live_config=GOOD, tests=[OVERWRITE], report_path=str(page), in_check_mode=True)
    assert again.result["lines"] == first.result["lines"]
    assert page.read_bytes() == written
    assert page.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy.html"]


def test_bad_policy_fails_with_everything_that_was_found(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "policy.html"
    done = check(BAD, live_config=GOOD, tests=[OVERWRITE], gates=["no_new_access"], report_path=str(page))
    assert done.failed
    assert done.msg.startswith("The policy must not go live like this:\n- ZP208 error at http.accessControl")
    assert "\n- Test 1 expects deny: zot-ci (in artifact-workloads) may update blumeops/navidrome:v1.0.0" in done.msg
    assert "\n- Gate no_new_access is broken: zot-ci gains update on blumeops/navidrome:v1.0.0." in done.msg
    assert done.result["comparison"]["lines"] == [
        "+ group artifact-workloads gains update on blumeops/navidrome:v1.0.0",
        "+ zot-ci gains update on blumeops/navidrome:v1.0.0",
    ]
    assert len(done.result["problems"]) == 4
    assert "Not to go live like this" in page.read_text(encoding="utf-8")


def test_warnings_are_ansibles() -> None:
    config = configuration("read", "create")
    del config["http"]["accessControl"]["repositories"]["**"]["defaultPolicy"]
    done = check(config)
    assert not done.failed
    (warning,) = done.result["warnings"]
    said = warning if isinstance(warning, str) else json.dumps(warning)
    assert "ZP108 warning at http.accessControl.repositories['**']: Logging in takes read away" in said


def test_never_failing_tells_all_the_same() -> None:
    done = check(BAD, fail_on="never", tests=[OVERWRITE])
    assert not done.failed
    assert done.result["tests"][0]["passed"] is False
    assert done.result["findings"][0]["code"] == "ZP208"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tests": [{**OVERWRITE, "expect": "no"}]}, "allow, deny, conditional, random"),
        ({"tests": [{**OVERWRITE, "subjekt": "x"}]}, "subjekt"),
        ({"tests": [{key: value for key, value in OVERWRITE.items() if key != "image"}]}, "image"),
        ({"questions": [{"subject": "zot-ci", "action": "push", "image": "a"}]}, "read, create, update, delete"),
        ({"fail_on": "errors"}, "error, warning, never"),
        ({"zot_version": "latest"}, "zot_version 'latest' is no version"),
        ({"tests": [{**OVERWRITE, "subject": "zot-cl"}]}, "did you mean zot-ci?"),
        (
            {"report_path": "/nonexistent/folder/page.html"},
            "The report cannot be written to /nonexistent/folder/page.html",
        ),
    ],
)
def test_bad_option_is_one_clear_sentence(options: dict[str, Any], said: str) -> None:
    done = check(GOOD, **options)
    assert done.failed
    assert said in done.msg
    assert "\n" not in done.msg
    assert "Traceback" not in done.output


@pytest.mark.parametrize("access", [[], "**", {"repositories": ["**"]}, {"repositories": {"{a": {}, "b": 3}}, None, {}])
def test_policy_that_makes_no_sense_is_told_not_a_traceback(access: Any) -> None:
    config = configuration("read")
    config["http"]["accessControl"] = access
    done = check(config)
    assert "Traceback" not in done.output
    assert done.result.get("findings"), done.msg


def test_no_secret_is_in_findings_page_or_message(tmp_path: pathlib.Path) -> None:
    config = configuration("read", "create", "update")
    config["http"]["auth"]["openid"]["providers"]["oidc"]["clientsecret"] = SECRET
    config["storage"]["cacheDriver"] = {"name": "redis", "url": f"redis://zot:{SECRET}@127.0.0.1:6379"}
    page = tmp_path / "policy.html"
    done = check(config, live_config=GOOD, report_path=str(page))
    told = {key: value for key, value in done.result.items() if key != "invocation"}
    assert sum(finding["code"] == "ZP407" for finding in told["findings"]) == 2
    assert SECRET not in json.dumps(told)
    assert SECRET not in page.read_text(encoding="utf-8")


PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Know what the policy grants
      blumeops.registry.zot_policy_check:
        config: "{{ lookup('ansible.builtin.file', 'config.json') | from_json }}"
        live_config: "{{ lookup('ansible.builtin.file', 'live.json') | from_json }}"
        zot_version: 2.1.20
        declared_groups: {admins: [erich], artifact-workloads: [zot-ci]}
        tests: "{{ policy_tests }}"
        gates:
          - no_public_write
          - no_lost_access_for: [admins, anonymous]
      register: policy
    - name: Who gains and who loses what
      ansible.builtin.debug:
        var: policy.comparison.lines
    - name: Write
      ansible.builtin.copy:
        dest: written.json
        content: "{{ lookup('ansible.builtin.file', 'config.json') }}"
        mode: "0600"
"""


def play(folder: pathlib.Path, config: dict[str, Any], tests: list[dict[str, str]], *options: str) -> tuple[int, str]:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "live.json").write_text(json.dumps(GOOD), encoding="utf-8")
    plays = yaml.safe_load(PLAY)
    plays[0]["vars"] = {"policy_tests": tests, "ansible_python_interpreter": sys.executable}
    (folder / "play.yml").write_text(yaml.safe_dump(plays, sort_keys=False), encoding="utf-8")
    done = subprocess.run(
        [
            pathlib.Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            "localhost,",
            "-c",
            "local",
            "play.yml",
            *options,
        ],
        cwd=folder,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
            "COLUMNS": "1000",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_play_shows_who_gains_what_before_the_diff_of_the_text(tmp_path: pathlib.Path) -> None:
    status, output = play(tmp_path, BAD, [], "--check", "--diff")
    assert status == 0, output
    access = output.index("+ zot-ci gains update on")
    assert access < output.index("+++ after")
    assert not (tmp_path / "written.json").exists()


@pytest.mark.parametrize("options", [(), ("--check", "--diff")], ids=["for real", "check mode"])
def test_failing_test_stops_the_play_before_anything_is_written(
    tmp_path: pathlib.Path, options: tuple[str, ...]
) -> None:
    status, output = play(tmp_path, BAD, [OVERWRITE], *options)
    assert status == 2
    assert "Test 1 expects deny: zot-ci (in artifact-workloads) may update blumeops/navidrome:v1.0.0" in output
    assert "repositories['**'].policies[0] grants update to group artifact-workloads." in output
    assert "TASK [Write]" not in output
    assert not (tmp_path / "written.json").exists()
