"""What bad input gets: one sentence that names what is wrong and what to do, before anything is written."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lab.running import ROOT
from lab.up import CONNECT_TOKEN, Lab, lab

ZOT_CI = "op://blumeops/Forgejo Secrets/zot-ci-api"
PLAY = ("ansible-playbook", "playbooks/indri.yml")
THREE_TIERS = {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]}
TIERS = [
    {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
    {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
]


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    with lab() as one:
        yield one


def refused(running: Lab, tag: str, cases: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Run one tag of the playbook, with a host for each case; all must fail with nothing written.

    Returns the sentence that each got.
    """
    stored = running.folder / "forgejo.json"
    before = stored.read_bytes() if stored.exists() else b""
    own = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    folder = running.folder / "cases"
    folder.mkdir(exist_ok=True)
    if not (folder / "group_vars").exists():
        (folder / "group_vars").symlink_to(ROOT / "inventory" / "lab" / "group_vars")
    hosts = {name: {**own, **variables} for name, variables in cases.items()}
    (folder / "inventory.json").write_text(json.dumps({"indri": {"hosts": hosts}}))
    done = running.run(*PLAY, "-i", str(folder / "inventory.json"), "--tags", tag)
    text = done.stdout + done.stderr
    assert done.returncode == 2, text
    assert not running.zot_config.exists(), "a configuration was written"
    assert (stored.read_bytes() if stored.exists() else b"") == before, "Forgejo was written to"
    for secret in (running.secret("Forgejo Secrets", "zot-ci-api"), running.secret("Forgejo Secrets", "credential")):
        assert secret not in text
    said = {}
    for host, result in re.findall(r"^fatal: \[(\S+?)(?: -> \S+)?\]: FAILED! => (\{.*\})$", text, re.MULTILINE):
        assert host not in said, f"{host} failed twice"
        said[host] = json.loads(result)["msg"]
    assert said.keys() == cases.keys(), text
    return said


#: Variables beside the lab's, and words of the sentence.
ZOT: list[tuple[dict[str, Any], list[str]]] = [
    ({"zot_htpp_port": 5050}, ["zot_htpp_port", "no variable of role zot", "ansible-doc", "nothing was written"]),
    ({"zot_http_port": "five"}, ["zot_http_port", "int"]),
    ({"zot_service_manager": "upstart"}, ["zot_service_manager", "launchd, systemd, command"]),
    ({"zot_install": "release"}, ["zot_release_version", "zot_release_checksum"]),
    ({"zot_install": "binary", "zot_binary_source": "/no/zot"}, ["there is no file /no/zot", "zot_binary_source"]),
    ({"zot_oidc_client_secret": ""}, ["zot_oidc_client_secret is empty", "op://vault/item/field"]),
    ({"zot_binary": "/nonexistent/zot"}, ["/nonexistent/zot", "zot_binary", "zot_install"]),
    (
        {"zot_access_control": {"repositories": {"**": {**THREE_TIERS, "policies": [*TIERS, {"groups": ["admins"]}]}}}},
        ["repositories['**'].policies[2]", "actions"],
    ),
    (
        {"zot_access_control": {"repositories": {"/blumeops/**": THREE_TIERS}}},
        ["/blumeops/**", "slash", "Write 'blumeops/**'"],
    ),
    ({"zot_access_control": ["read"]}, ["zot_access_control", "dict"]),
    (
        {"zot_policy_tests": [{"subject": "anonymous", "action": "create", "image": "app", "expect": "allow"}]},
        ["Test 1 expects allow: anonymous may not create app", "the block '**' decides"],
    ),
    ({"zot_extra_config": {"http": {"bogus": 1}}}, ["bogus"]),
    ({"zot_extra_config": {"log": {"level": "loud"}}}, ["zot verify refuses", "loud", "nothing was written"]),
    ({"zot_oidc_client_secret": "op://Private/Zot OIDC/credential"}, ["'Private'", "not granted", "blumeops"]),
    ({"zot_oidc_client_secret": "op://blumeops/Zot OIDC/nothing"}, ["Zot OIDC", "no field 'nothing'"]),
    ({"zot_oidc_client_secret": "op://blumeops"}, ["op://blumeops", "op://vault/item/[section/]field"]),
    ({"onepassword_connect_token": "two\nlines"}, ["connect_token", "line breaks"]),
    ({"onepassword_connect_token": "wrong"}, ["Connect refused the token", "401"]),
    ({"onepassword_connect_host": "http://127.0.0.1:1"}, ["127.0.0.1:1", "refused"]),
]
SECRETS: list[tuple[dict[str, Any], list[str]]] = [
    ({"forgejo_actions_secrets_tokn": "x"}, ["forgejo_actions_secrets_tokn", "no variable of role"]),
    ({"forgejo_actions_secrets_token": "two\nlines"}, ["forgejo_token", "line breaks"]),
    ({"forgejo_actions_secrets_token": "wrong"}, ["does not accept forgejo_token", "make a new one"]),
    ({"forgejo_actions_secrets_url": "forge.eblu.me"}, ["forge.eblu.me", "https://host"]),
    ({"forgejo_actions_secrets_token": "op://blumeops/Forgejo Secrets/nothing"}, ["no field 'nothing'"]),
]


NAMED = {f"{next(iter(case[0]))}-{number}": case for number, case in enumerate(ZOT)}


@pytest.fixture(scope="module")
def said(running: Lab) -> dict[str, str]:
    """The sentence of each case of ZOT, by its name."""
    return refused(running, "zot", {name: variables for name, (variables, _) in NAMED.items()})


@pytest.mark.parametrize("case", NAMED)
def test_role_zot(said: dict[str, str], case: str) -> None:
    assert not [word for word in NAMED[case][1] if word not in said[case]], said[case]
    assert "two" not in said[case]


@pytest.mark.parametrize(("variables", "words"), SECRETS, ids=[next(iter(variables)) for variables, _ in SECRETS])
def test_role_forgejo_actions_secrets(running: Lab, variables: dict[str, Any], words: list[str]) -> None:
    # One at a time: the role runs once for all hosts of a play.
    message = refused(running, "forgejo_actions_secrets", {"case": variables})["case"]
    assert not [word for word in words if word not in message], message


def test_a_port_that_is_taken(running: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = refused(running, "zot", {"port": {"zot_http_port": port}})["port"]
    assert f"127.0.0.1:{port} (address already in use)" in message
    assert "set another zot_http_port" in message


@pytest.mark.parametrize("server", ["connect", "forgejo"])
def test_a_reply_that_is_html(server: str) -> None:
    with lab(arguments={server: ["--fault", "html"]}) as running:
        message = refused(running, "forgejo_actions_secrets", {"html": {}})["html"]
    assert "HTML" in message or "text/html" in message, message
    assert running.addresses[server] in message or server.capitalize() in message, message


def test_the_lab_s_own_token_is_not_shown(running: Lab) -> None:
    done = running.run(*PLAY, "--check", "-vvv", "--tags", "forgejo_actions_secrets")
    assert CONNECT_TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ([{"name": "X", "vaule": "S3KRET-typo"}], "secrets.vaule. Supported parameters include: name"),
        ({"X": "S3KRET-mapping"}, "'secrets' is of type dict"),
        ("X=S3KRET-text", "secrets.X. Supported parameters include: name"),
        ([{"name": ZOT_CI, "value": ZOT_CI}], f"a text of {len(ZOT_CI)} characters cannot be the name of a secret"),
    ],
    ids=["typo", "mapping", "text", "name"],
)
def test_misdeclared_secrets_are_not_shown(running: Lab, secrets: object, said: str) -> None:
    extra = running.folder / "extra.json"
    extra.write_text(json.dumps({"forgejo_actions_secrets_scopes": [{"repository": "eblume/cv", "secrets": secrets}]}))
    done = running.run(*PLAY, "-vvv", "--tags", "forgejo_actions_secrets", "--extra-vars", f"@{extra}")
    text = done.stdout + done.stderr
    assert done.returncode == 2, text
    assert said in text
    assert "S3KRET" not in text
    assert running.secret("Forgejo Secrets", "zot-ci-api") not in text
