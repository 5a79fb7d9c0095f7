"""The lookup in ansible-playbook: its options, what it returns, and that no secret is seen on the way."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import urllib.parse
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.plugin_utils.onepassword import Settings
from lab.running import ROOT

from .conftest import SECRETS, SERVICE, TOKEN, Play, World

SHOW = """
- ansible.builtin.copy:
    content: "{{ found | to_json }}"
    dest: "{{ playbook_dir }}/found.json"
    mode: "0600"
  no_log: true
"""


def found(world: World) -> Any:
    return json.loads((world.folder / "play/found.json").read_text())


def seen(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Secrets that stand in the output, as they are or in base64 or URL-encoded."""
    shown = done.stdout + done.stderr
    forms = {
        form: secret
        for secret in SECRETS
        for form in (secret, base64.b64encode(secret.encode()).decode(), urllib.parse.quote(secret, safe=""))
    }
    return sorted({secret for form, secret in forms.items() if form in shown})


def test_by_connect_from_the_environment(play: Play, world: World, connect: Any) -> None:
    env = {"OP_CONNECT_HOST": connect().url, "OP_CONNECT_TOKEN": f"{TOKEN}\n"}
    done = play(
        SHOW,
        "-vvv",
        env=env,
        variables={
            "found": "{{ query('blumeops.registry.onepassword', 'op://blumeops/Zot OIDC/credential', "
            "'op://blumeops/Signing Key/private key') }}"
        },
    )
    assert done.returncode == 0, done.stdout
    assert found(world)[0] == "LAB-zot-oidc-client-secret"
    assert found(world)[1].endswith("-----END PRIVATE KEY-----\n")
    assert not seen(done)
    assert world.processes() == []


def test_by_variables_and_by_arguments(play: Play, world: World, connect: Any) -> None:
    variables = {
        "onepassword_connect_host": connect().url,
        "onepassword_connect_token": "nobody",
        "good": TOKEN,
        "one": "op://blumeops/Zot OIDC/credential",
        "found": "{{ lookup('blumeops.registry.onepassword', one, connect_token=good) }}",
    }
    done = play(SHOW, variables=variables)
    assert done.returncode == 0, done.stdout
    assert found(world) == "LAB-zot-oidc-client-secret"


def test_by_op_with_lists_of_terms(play: Play, world: World) -> None:
    variables = {
        "wanted": {"oidc": "op://blumeops/Zot OIDC/credential", "key": "op://blumeops/Forgejo Secrets/zot-ci-api"},
        "found": "{{ dict(wanted.keys() | zip(query('blumeops.registry.onepassword', wanted.values() | list))) }}",
    }
    done = play(SHOW, env={"OP_SERVICE_ACCOUNT_TOKEN": SERVICE}, variables=variables)
    assert done.returncode == 0, done.stdout
    assert found(world) == {
        "oidc": "LAB-zot-oidc-client-secret",
        "key": "LAB-zak-0123456789abcdef0123456789abcdef",
    }
    assert [process["argv"][0] for process in world.processes()] == ["inject"]
    assert not seen(done)


def test_settings_by_ini_but_no_secrets(play: Play, world: World, connect: Any) -> None:
    (world.folder / "play").mkdir()
    (world.folder / "play/ansible.cfg").write_text(
        f"[onepassword_lookup]\nconnect_host={connect().url}\nconnect_token={TOKEN}\n"
    )
    variables = {"found": "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Zot OIDC/credential') }}"}
    done = play(SHOW, variables=variables)
    assert "connect_host and connect_token are required together" in done.stdout
    done = play(SHOW, variables=variables | {"onepassword_connect_token": TOKEN})
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("'op://blumeops/x'", "'op://blumeops/x' is not a secret reference: need op://vault/item/[section/]field"),
        ("vault='blumeops', item='x'", "field= missing: vault=, item=, field= go together"),
        ("'op://a/b/c', vault='blumeops', item='x', field='y'", "but not both in one call"),
        ("vault='blumeops', item='Odd / Name (1)', field='none'", "has no field 'none'"),
        ("'op://blumeops/Zot OIDC/none', 'op://blumeops/Zot OIDC/credential'", "does not have a field 'none'"),
    ],
)
def test_failures_are_one_sentence(play: Play, call: str, said: str) -> None:
    done = play(SHOW, "-vvv", variables={"found": f"{{{{ lookup('blumeops.registry.onepassword', {call}) }}}}"})
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    assert not seen(done)
    assert "Traceback" not in done.stdout + done.stderr


def test_errors_and_default(play: Play, world: World) -> None:
    lookup = "lookup('blumeops.registry.onepassword', 'op://blumeops/None/x'"
    variables = {"found": f"{{{{ [{lookup}, errors='ignore'), {lookup}, errors='warn'), {lookup}, default='-')] }}}}"}
    done = play(SHOW, variables=variables)
    assert done.returncode == 0, done.stdout
    assert found(world) == [None, None, "-"]
    assert "[WARNING]" in done.stdout + done.stderr


@pytest.mark.parametrize("fault", ["401", "500", "html", "cut", "reset", "403", "429:retry_after=60"])
def test_no_fault_shows_a_secret(play: Play, connect: Any, fault: str) -> None:
    env = {
        "OP_CONNECT_HOST": connect(
            "--fault", f"{fault},path=*/items/*" if ":" in fault else f"{fault}:path=*/items/*"
        ).url
    }
    env |= {"OP_CONNECT_TOKEN": TOKEN, "ANSIBLE_LOG_PATH": "ansible.log", "BLUMEOPS_ONEPASSWORD_RETRIES": "0"}
    variables = {"found": "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Zot OIDC/credential') }}"}
    done = play(SHOW, "-vvv", env=env, variables=variables)
    assert done.returncode == 2
    assert "failed: onepassword: " in done.stdout + done.stderr
    assert not seen(done)
    assert "Traceback" not in done.stdout + done.stderr


def test_a_run_leaves_nothing_behind(play: Play, world: World) -> None:
    variables = {"found": "{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Zot OIDC/credential') }}"}
    env = {"TMPDIR": str(world.folder / "tmp"), "ANSIBLE_LOG_PATH": str(world.folder / "ansible.log")}
    (world.folder / "tmp").mkdir()
    assert play(SHOW, "-vvv", env=env, variables=variables).returncode == 0
    (world.folder / "play/found.json").unlink()
    kept = [path for path in world.folder.rglob("*") if path.is_file() and path != world.vaults]
    assert [path for path in kept if "LAB-zot-oidc-client-secret" in path.read_text(errors="replace")] == []
    assert kept


def test_the_documentation_is_complete() -> None:
    done = subprocess.run(
        [ROOT / ".venv/bin/ansible-doc", "-t", "lookup", "--json", "blumeops.registry.onepassword"],
        capture_output=True,
        text=True,
        env={"ANSIBLE_COLLECTIONS_PATH": str(ROOT), "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        check=True,
    )
    doc = json.loads(done.stdout)["blumeops.registry.onepassword"]["doc"]
    options = doc["options"]
    assert all(option["description"] for option in options.values())
    # Secrets by environment and variable, never by ini (DESIGN, rule 9).
    for name in ("connect_token", "service_account_token"):
        assert options[name]["env"]
        assert options[name]["vars"]
        assert not options[name].get("ini")
    settings = {field.name: field.default for field in dataclasses.fields(Settings)}
    assert settings == {name: options[name].get("default") for name in settings}
