"""What ``lab/op`` prints and how it exits, each with the mark of the fact in contracts/onepassword.md."""

from __future__ import annotations

import json
import pathlib
import re
import signal
import subprocess
import time

import pytest

from lab.running import ROOT

from .conftest import TOKEN, WORLD, Connect, Op

ERROR = re.compile(r"(?m)^\[ERROR\] (\d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2}) (.+)$")  # [S]
SERVICE = {"OP_SERVICE_ACCOUNT_TOKEN": "ops_LAB-service-account"}


def error(done: object, status: int = 1) -> str:
    found = ERROR.search(done.stderr.decode())  # type: ignore[attr-defined]
    assert found
    assert done.returncode == status  # type: ignore[attr-defined]
    assert done.stdout == b""  # type: ignore[attr-defined]
    return found[2]


def test_read_adds_one_newline(op: Op) -> None:  # [D][S]
    assert op("read", "op://blumeops/Zot OIDC/credential").stdout == b"LAB-zot-oidc-client-secret\n"
    pem = op("read", "op://blumeops/Signing Key/private key").stdout
    assert pem.endswith(b"-----END PRIVATE KEY-----\n\n")
    assert op("read", "--no-newline", "op://blumeops/Signing Key/private key").stdout == pem[:-1]


def test_names_know_no_case(op: Op) -> None:  # [D]
    assert op("read", "op://BLUMEOPS/zot oidc/CREDENTIAL").stdout == b"LAB-zot-oidc-client-secret\n"


def test_ids_do_as_well(op: Op, ids: dict[str, str]) -> None:  # [D]
    assert op("read", f"op://{ids['blumeops']}/{ids['Zot OIDC']}/credential").returncode == 0


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (
            "op://Nothing/Forge API/x",
            "could not read secret 'op://Nothing/Forge API/x': could not get item Nothing/Forge API: \"Nothing\" isn't "
            "a vault in this account. Specify the vault with its ID or name.",
        ),
        (
            "op://blumeops/Nothing/x",
            "could not read secret 'op://blumeops/Nothing/x': could not get item blumeops/Nothing: \"Nothing\" isn't "
            'an item in the "blumeops" vault. Specify the item with its UUID, name, or domain.',
        ),
        (
            "op://blumeops/Forge API/nothing",
            "could not read secret 'op://blumeops/Forge API/nothing': item 'blumeops/Forge API' does not have a field "
            "'nothing'",
        ),
        (
            "op://blumeops/Old Key/password",
            "could not find item Old Key in vault blumeops, because it has been deleted or archived.",
        ),
        (
            "op://a/b",
            "invalid secret reference 'op://a/b': too few '/': secret references should have at least vault, item and "
            "field specified",
        ),
        (
            "op://a/b/c/d/e",
            "invalid secret reference 'op://a/b/c/d/e': too many '/': secret references should match "
            "op://<vault>/<item>[/<section>]/<field>",
        ),
        ("op://blumeops/Odd (1)/password", "invalid character in secret reference: '('"),
    ],
)
def test_texts_of_read(op: Op, reference: str, text: str) -> None:  # [X]
    assert error(op("read", reference)) == text


def test_two_items_of_one_title(op: Op, world: dict[str, object]) -> None:  # [S]
    done = op("read", "op://blumeops/Twice/password")
    assert error(done).startswith('More than one item matches "Twice". Try again and specify the item by its ID: ')
    assert (
        len(re.findall(r'(?m)^\t\* for the item "Twice" in vault blumeops: [a-z0-9]{26}$', done.stderr.decode())) == 2
    )


def test_attributes(op: Op) -> None:  # [D]
    read = lambda query: op("read", f"op://blumeops/Forge API/one-time password?{query}").stdout.decode().strip()  # noqa: E731
    assert re.fullmatch(r"\d{6}", read("attribute=otp"))
    assert read("attr=type") == "OTP"
    assert read("attribute=value").startswith("otpauth://")


def test_ssh_format(op: Op) -> None:  # [D]
    shown = op("read", "op://blumeops/Signing Key/private key?ssh-format=openssh").stdout
    assert shown.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")


def test_bytes_of_a_file_through_a_pipe(op: Op) -> None:  # [X]: to a regular file they are mangled
    assert op("read", "-n", "op://blumeops/Forge API/blob.bin").stdout == bytes.fromhex("00ff80c328e228a100ff")


def test_inject_from_a_pipe(op: Op) -> None:  # [S op-js]: --in-file /dev/stdin since 2.6.2
    template = (
        b"a={{ op://blumeops/Zot OIDC/credential }} b=op://blumeops/zot-ci/password # {{op://blumeops/zot-ci/username}}"
    )
    done = op("inject", "--in-file", "/dev/stdin", input=template)
    assert done.stdout == b"a=LAB-zot-oidc-client-secret b=LAB-password-of-zot-ci # zot-ci"


def test_inject_fails_as_a_whole(op: Op, ids: dict[str, str]) -> None:  # [X]
    template = b"{{ op://blumeops/zot-ci/password }} # op://blumeops/Nothing/x"
    text = error(op("inject", "--in-file", "/dev/stdin", input=template, **SERVICE))
    assert (
        text == f"could not resolve item UUID for item Nothing: could not find item Nothing in vault {ids['blumeops']}"
    )


def test_item_get_as_json_is_in_clear(op: Op) -> None:  # [X]; keys of 3.2 [S]
    item = json.loads(op("item", "get", "Forge API", "--vault", "blumeops", "--format", "json").stdout)
    assert item["created_at"].endswith("Z")
    fields = {field.get("label", field["id"]): field for field in item["fields"]}
    assert fields["credential"]["value"] == "LAB-credential"
    assert fields["credential"]["reference"] == "op://blumeops/Forge API/credential"
    assert fields["label-without-value"]["reference"] == "op://blumeops/Forge API/add more/label-without-value"
    assert fields["one-time password"]["reference"].endswith("?attribute=otp")
    assert fields["one-time password"]["totp"]
    same = [f["reference"] for f in item["fields"] if f.get("label") == "pair"]
    assert same == ["op://blumeops/Forge API/dev/pair"] * 2  # [S v2_out_03]


def test_a_service_account_needs_the_vault(op: Op) -> None:  # [D][S]; the words are ours
    assert op("item", "get", "Forge API", "--format", "json", **SERVICE).returncode == 1
    assert op("item", "get", "Forge API", "--vault", "blumeops", "--format", "json", **SERVICE).returncode == 0


def test_a_service_account_sees_its_vaults_only(op: Op) -> None:  # [X]: no right and not there look the same
    assert "isn't a vault in this account" in error(op("read", "op://Shared/Guest Wifi/x", **SERVICE))
    assert [vault["name"] for vault in json.loads(op("vault", "list", "--format", "json", **SERVICE).stdout)] == [
        "blumeops"
    ]


def test_a_wrong_service_token(op: Op) -> None:  # [X]
    text = error(op("read", "op://blumeops/zot-ci/password", OP_SERVICE_ACCOUNT_TOKEN="nonsense"))
    assert text.startswith("error initializing client: Validation: (failed to session.DecodeSACredentials)")


def test_connect_wins_over_a_service_account(op: Op, connect: Connect, tmp_path: pathlib.Path) -> None:  # [D]
    client = connect()
    environment = {"OP_CONNECT_HOST": client.url, "OP_CONNECT_TOKEN": TOKEN, **SERVICE}
    assert op("read", "op://blumeops/zot-ci/password", **environment).stdout == b"LAB-password-of-zot-ci\n"
    asked = [json.loads(line)["path"] for line in (tmp_path / "connect.jsonl").read_text().splitlines()]
    assert asked[0] == "/v1/vaults"
    assert op("read", "-n", "op://blumeops/Forge API/ca.pem", **environment).stdout.startswith(b"-----BEGIN CERT")


def test_what_op_refuses_with_connect(op: Op, connect: Connect) -> None:  # [X]
    environment = {"OP_CONNECT_HOST": connect().url, "OP_CONNECT_TOKEN": TOKEN}
    assert error(op("item", "create", **environment)) == '"op item create" doesn\'t work with Connect'
    assert (
        error(op("item", "get", "zot-ci", "--vault", "blumeops", **environment))
        == "Connect can only be used in combination with the JSON output format"
    )
    assert (
        error(op("item", "get", "zot-ci", "--format", "json", **environment))
        == "When using 1Password CLI with Connect, a vault has to be specified"
    )
    missing = op("read", "op://blumeops/Forge API/label-without-value", **environment)
    assert error(missing) == "could not find field or file label-without-value on item Forge API in vault blumeops"


@pytest.mark.parametrize(
    ("fault", "status", "start"),
    [
        ("signed-out", 1, "You are not currently signed in."),  # [S]
        ("authorization-timeout", 1, "authorization timeout"),  # [X]
        ("rate-limit", 1, "(429) Too Many Requests: You've reached the maximum number"),  # [I pyonepassword#137]
        ("revoked", 1, "error initializing client: Authentication: (failed to auth.LookupAuth)"),  # [S]
        ("conflict", 1, "(409) Conflict: Internal server conflict"),  # [I terraform#108]
        ("bad-request", 4, "(400) Bad Request: "),  # [S pyonepassword]: status 4
    ],
)
def test_faults(op: Op, fault: str, status: int, start: str) -> None:
    assert error(op("read", "op://blumeops/zot-ci/password", LAB_OP_FAULT=fault), status).startswith(start)


def test_faults_without_an_error_line(op: Op) -> None:  # [X] rc 1, [S] rc 2
    none = op("read", "op://blumeops/zot-ci/password", LAB_OP_FAULT="no-accounts")
    assert (none.returncode, none.stderr.decode().splitlines()[0]) == (
        1,
        "No accounts configured for use with 1Password CLI.",
    )
    assert op("read", "op://blumeops/zot-ci/password", LAB_OP_FAULT="panic").returncode == 2


def test_before_2_32_1_a_server_error_exits_0(op: Op) -> None:  # [X]
    old = op("read", "op://blumeops/zot-ci/password", LAB_OP_FAULT="server-error", LAB_OP_VERSION="2.32.0")
    assert (old.returncode, old.stdout) == (0, b"")
    assert ERROR.search(old.stderr.decode())
    assert op("read", "op://blumeops/zot-ci/password", LAB_OP_FAULT="server-error").returncode == 1


def test_a_fault_can_strike_one_process(op: Op) -> None:
    done = [op("read", "op://blumeops/zot-ci/password", LAB_OP_FAULT="rate-limit@2").returncode for _ in range(3)]
    assert done == [0, 1, 0]


def test_whoami_is_no_sign_of_life(op: Op) -> None:  # [X][I community.general#7203]
    assert error(op("whoami")) == "account is not signed in"
    assert op("read", "op://blumeops/zot-ci/password").returncode == 0


def test_every_process_is_in_the_log(op: Op, tmp_path: pathlib.Path) -> None:
    op("--version")
    op("read", "op://blumeops/zot-ci/password", **SERVICE)
    op("inject", "--in-file", "/dev/stdin", input=b"op://blumeops/zot-ci/password")
    log = [json.loads(line) for line in (tmp_path / "op.jsonl").read_text().splitlines()]
    assert [(entry["argv"], entry["stdin"]) for entry in log] == [
        (["--version"], "null"),
        (["read", "op://blumeops/zot-ci/password"], "null"),
        (["inject", "--in-file", "/dev/stdin"], "pipe"),
    ]
    assert log[1]["env"] == ["OP_SERVICE_ACCOUNT_TOKEN"]
    assert len({entry["pid"] for entry in log}) == 3


def test_latency_is_of_commands_that_ask(op: Op) -> None:  # [X] 3.6: --version takes 14 ms
    begun = time.monotonic()
    op("read", "op://blumeops/zot-ci/password", LAB_OP_LATENCY="0.5")
    assert time.monotonic() - begun >= 0.5


@pytest.mark.parametrize(("at", "shown"), [("2", b""), ("2:before", b""), ("2:after", b"LAB-password-of-zot-ci\n")])
def test_a_process_group_can_be_killed_around_a_process(at: str, shown: bytes, tmp_path: pathlib.Path) -> None:
    group = tmp_path / "group"
    twice = 'echo $$ > "$0"; "$@" > /dev/null; "$@"; echo not reached'
    done = subprocess.run(
        ["sh", "-c", twice, group, ROOT / "lab/op", "read", "op://blumeops/zot-ci/password"],
        start_new_session=True,
        capture_output=True,
        timeout=30,
        env={
            "PATH": "/usr/bin:/bin",
            "LAB_OP_VAULTS": str(WORLD),
            "LAB_OP_LOG": str(tmp_path / "op.jsonl"),
            "LAB_OP_KILL_AT": at,
            "LAB_OP_KILL_GROUP": str(group),
        },
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == shown


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "LAB_OP_VAULTS is not set"),
        ("lab/worlds/none.json", "lab/worlds/none.json cannot be read"),
        (str(ROOT / "lab" / "_launch"), "is no vault file"),
    ],
)
def test_a_vault_file_that_is_none(op: Op, path: str, said: str) -> None:
    assert said in error(op("read", "op://x/y/z", LAB_OP_VAULTS=path))
