"""Values by way of ``op``: exact, in one process, and what every failure becomes."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils import _errors as errors
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword import resolve
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.cli import Op
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.reference import build, parse

from .conftest import OP, SECRETS, SERVICE, Ask, World

ONE = "op://blumeops/Zot OIDC/credential"
TWO = "op://blumeops/Forge API/prod/api-key"


def refused(kind: type[Exception], ask: Ask, *terms: Any, **how: Any) -> str:
    """The one sentence that a failing call ends with; it holds no secret and one line."""
    with pytest.raises(kind) as caught:
        ask(*terms, **how)
    said = str(caught.value)
    assert "\n" not in said
    assert not [secret for secret in SECRETS if secret in said]
    return said


def test_a_hundred_references_are_one_process(ask_op: Ask, world: World) -> None:
    for number in range(10):
        world.add(f"Item {number}", **{f"field{i}": f"LAB-{number}-{i}" for i in range(10)})
    terms = [f"op://blumeops/Item {number}/field{i}" for i in range(10) for number in range(10)]
    assert ask_op(*terms, *terms) == [f"LAB-{number}-{i}" for i in range(10) for number in range(10)] * 2
    assert [process["argv"] for process in world.processes()] == [["inject", "--in-file", "/dev/stdin"]]


def test_one_reference_is_one_process(ask_op: Ask, world: World) -> None:
    assert ask_op(ONE) == ["LAB-zot-oidc-client-secret"]
    assert [process["argv"] for process in world.processes()] == [["read", "--no-newline", ONE]]
    assert world.processes()[0]["stdin"] == "null"


@pytest.mark.parametrize("beside", [(), (ONE,)])
def test_a_pem_keeps_its_last_newline(ask_op: Ask, beside: tuple[str, ...]) -> None:
    assert ask_op("op://blumeops/Signing Key/private key", *beside)[0].endswith("-----END PRIVATE KEY-----\n")


NASTY = [
    "line one\nline two\n",
    "\n",
    "\r\n",
    "{{ op://blumeops/Zot OIDC/credential }}",
    "op://blumeops/Zot OIDC/credential",
    "}} {{",
    " blanks at the ends ",
    "$HOME ${HOME}",
    "\\n \\ \" '",
    "0123456789abcdef" * 4,
    "ünïcödé 日本 \U0001f511",
    "[ERROR] 2026/11/22 03:00:00 not really",
    "\x00\x01\x7f",
]


def test_values_are_exact_whatever_they_look_like(ask_op: Ask, world: World) -> None:
    world.add("Nasty", **{f"f{number}": value for number, value in enumerate(NASTY)})
    terms = [f"op://blumeops/Nasty/f{number}" for number in range(len(NASTY))]
    assert ask_op(*terms) == NASTY
    assert len(world.processes()) == 1
    assert [ask_op(term)[0] for term in terms[:4]] == NASTY[:4]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=2, max_size=20))
def test_any_values_are_exact(ask_op: Ask, world: World, values: list[str]) -> None:
    world.content["vaults"][0]["items"] = []
    world.add("Any", **{f"f{number}": value for number, value in enumerate(values)})
    assert ask_op(*(f"op://blumeops/Any/f{number}" for number in range(len(values)))) == values


def test_the_one_that_failed_is_named(ask_op: Ask, world: World) -> None:
    world.add("Many", **{f"f{number}": "x" for number in range(100)})
    terms = [f"op://blumeops/Many/f{number}" for number in range(100)]
    terms[61] = "op://blumeops/Many/none"
    said = refused(resolve.Missing, ask_op, *terms)
    assert said == ("op cannot read op://blumeops/Many/none: item 'blumeops/Many' does not have a field 'none'")
    assert len(world.processes()) <= 9  # the batch, then halves: not a hundred


@pytest.mark.parametrize("bad", [{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}, {3, 6}, set(range(7))])
def test_each_that_is_missing_gets_the_default(ask_op: Ask, world: World, bad: set[int]) -> None:
    world.add("Many", **{f"f{number}": f"LAB-{number}" for number in range(7)})
    terms = [f"op://blumeops/Many/{'none' if number in bad else 'f'}{number}" for number in range(7)]
    expected = ["-" if number in bad else f"LAB-{number}" for number in range(7)]
    assert ask_op(*terms, default="-") == expected
    if bad == {0}:
        assert len(world.processes()) == 5  # all; 0 to 2; 0; 1 and 2; 3 to 6


def test_a_passing_failure_costs_no_value(ask_op: Ask, world: World) -> None:
    assert ask_op(ONE, TWO, env={"LAB_OP_FAULT": "bad-request@1"}) == ["LAB-zot-oidc-client-secret", "LAB-api-key-prod"]


@pytest.mark.parametrize(
    ("term", "kind", "said"),
    [
        ("op://Nothing/i/f", resolve.VaultNotFound, '"Nothing" isn\'t a vault in this account'),
        ("op://blumeops/None/f", resolve.Missing, 'isn\'t an item in the "blumeops" vault'),
        ("op://blumeops/Twice/password", resolve.Ambiguous, 'More than one item matches "Twice"'),
        ("op://blumeops/Old Key/password", errors.InvalidInput, "has been deleted or archived"),
        ("op://blumeops/Zot OIDC/none", resolve.Missing, "does not have a field 'none'"),
        ("op://blumeops/Forge API/label-without-value", resolve.Empty, "is empty"),
        ("op://blumeops/Forge API/blob.bin", errors.InvalidInput, "set encoding=base64"),
        ("op://blumeops/Forge API/one-time password", errors.InvalidInput, "add ?attribute=otp"),
    ],
)
@pytest.mark.parametrize("beside", [(), (ONE,)])
def test_what_is_not_there(ask_op: Ask, term: str, kind: type[Exception], said: str, beside: tuple[str, ...]) -> None:
    text = refused(kind, ask_op, term, *beside)
    assert said in text
    assert term in text


@pytest.mark.parametrize(
    ("fault", "kind", "said", "processes"),
    [
        (
            "rate-limit",
            errors.RateLimited,
            "1Password rate limit for the references of this lookup; retry in 58 ",
            1,
        ),
        ("signed-out", errors.Refused, "op is not signed in (You are not currently signed in.", 1),
        ("no-accounts", errors.Refused, "no 1Password credentials: set connect_host and connect_token, or", 1),
        ("authorization-timeout", errors.Refused, "op is not signed in (authorization timeout)", 1),
        ("revoked", errors.Refused, "has been deleted.", 1),
        ("conflict", errors.ServerError, "(409) Conflict", 1),
        ("server-error", errors.ServerError, "(500) Internal Server Error", 1),
        ("panic", errors.ServerError, "panic: runtime error", 1),
        ("garbled", errors.UnexpectedAnswer, "did not give its template back", 1),
        ("bad-request", errors.InvalidInput, f"op could not read {ONE}: (400) Bad Request", 3),  # and --version
    ],
)
def test_faults_are_not_asked_again(
    ask_op: Ask, world: World, fault: str, kind: type[Exception], said: str, processes: int
) -> None:
    assert said in refused(kind, ask_op, ONE, TWO, env={"LAB_OP_FAULT": fault})
    assert len(world.processes()) == processes


def test_an_error_that_exits_0_is_one(ask_op: Ask) -> None:  # [X] before 2.32.1
    old = {"LAB_OP_FAULT": "server-error", "LAB_OP_VERSION": "2.32.0"}
    assert "(500)" in refused(errors.ServerError, ask_op, ONE, env=old)


def test_an_old_op_is_named_after_an_unknown_failure(ask_op: Ask) -> None:
    old = {"LAB_OP_FAULT": "bad-request", "LAB_OP_VERSION": "2.6.2"}
    assert "(op 2.6.2 is older than 2.24: update it)" in refused(errors.InvalidInput, ask_op, ONE, env=old)


def test_a_warning_on_stderr_is_no_failure(ask_op: Ask) -> None:
    assert ask_op(ONE, env={"LAB_OP_WARNING": "A new version of op is available."}) == ["LAB-zot-oidc-client-secret"]


def test_op_that_waits_for_a_person(ask_op: Ask) -> None:
    said = refused(errors.Unreachable, ask_op, ONE, TWO, timeout=1.0, env={"LAB_OP_FAULT": "hang"})
    assert said.startswith("op did not answer within 1 s: it may be waiting for Touch ID")


def test_no_op(ask_op: Ask) -> None:
    said = refused(errors.InvalidInput, ask_op, ONE, op_path="no-such-op")
    assert said.startswith("no 1Password credentials: set connect_host and connect_token")
    assert "there is no command 'no-such-op' here" in said


def test_an_op_that_cannot_run(ask_op: Ask, tmp_path: pathlib.Path) -> None:
    (tmp_path / "op").write_bytes(b"\x7fnot a program")
    (tmp_path / "op").chmod(0o755)
    assert "cannot be run" in refused(errors.InvalidInput, ask_op, ONE, op_path=str(tmp_path / "op"))


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("op://blumeops/Odd (1)/password", "contains '(', which op does not accept: use the 26-character id"),
        ("op://blumeops/Odd %2F Name (1)/password", "contains '/', which op does not accept"),
        ("op://blumeops/Zot OIDC/$HOME", "contains '$', which op does not accept"),
    ],
)
def test_what_op_does_not_take_is_said_before_it_runs(ask_op: Ask, world: World, term: str, said: str) -> None:
    assert said in refused(errors.InvalidInput, ask_op, ONE, term)
    assert world.processes() == []


def test_names_given_one_by_one_may_hold_anything(ask_op: Ask, world: World) -> None:
    assert ask_op(build("blumeops", "Odd / Name (1)", "schlüssel?")) == ["LAB-odd-field"]
    assert ask_op(build("blumeops", "zot-ci", "password")) == ["LAB-password-of-zot-ci"]
    assert [process["argv"][0] for process in world.processes()] == ["item", "read"]
    refused(resolve.Missing, ask_op, build("blumeops", "None (1)", "x"))


def test_an_item_that_op_found_by_something_else(ask_op: Ask, tmp_path: pathlib.Path) -> None:
    fake = tmp_path / "op"
    fake.write_text('#!/bin/sh\necho \'{"id": "x", "title": "forge.example", "fields": []}\'\n')
    fake.chmod(0o755)
    said = refused(resolve.Missing, ask_op, build("blumeops", "Forge (1)", "x"), op_path=str(fake))
    assert "item 'Forge (1)' not found in vault 'blumeops'" in said
    fake.write_text("#!/bin/sh\necho 'no JSON'\n")
    refused(errors.UnexpectedAnswer, ask_op, build("blumeops", "Forge (1)", "x"), op_path=str(fake))


def test_a_service_account(ask_op: Ask, world: World) -> None:
    assert ask_op(ONE, TWO, service_account_token=f"{SERVICE}\n")
    process = world.processes()[0]
    assert process["env"] == ["NO_COLOR", "OP_DEBUG", "OP_SERVICE_ACCOUNT_TOKEN"]
    assert not [word for word in process["argv"] for secret in SECRETS if secret in word]
    assert "isn't a vault" in refused(
        resolve.VaultNotFound, ask_op, "op://Shared/Guest Wifi/x", service_account_token=SERVICE
    )
    assert "DecodeSACredentials" in refused(errors.Refused, ask_op, ONE, service_account_token="LAB-nonsense")


def test_what_op_gets_of_the_environment() -> None:
    own = {"PATH": "/bin", "OP_CONNECT_HOST": "h", "OP_CONNECT_TOKEN": "t", "OP_SERVICE_ACCOUNT_TOKEN": "s"}
    own |= {"OP_FORMAT": "json", "OP_DEBUG": "true", "OP_SESSION_x": "y"}
    app = {"PATH": "/bin", "OP_SESSION_x": "y", "OP_DEBUG": "false", "NO_COLOR": "1"}
    assert Op(environ=own).environment() == app
    assert Op(environ=own, account="a").environment() == app | {"OP_ACCOUNT": "a"}
    assert Op(environ=own, service_account_token="o").environment() == app | {"OP_SERVICE_ACCOUNT_TOKEN": "o"}


def test_connect_in_the_environment_does_not_reach_op(ask_op: Ask, world: World) -> None:
    env = {"OP_CONNECT_HOST": "http://127.0.0.1:1", "OP_CONNECT_TOKEN": "LAB-connect-token"}
    assert ask_op(ONE, backend="op", env=env) == ["LAB-zot-oidc-client-secret"]
    assert world.processes()[0]["env"] == ["NO_COLOR", "OP_DEBUG"]


def test_a_token_in_what_op_says_is_hidden(tmp_path: pathlib.Path) -> None:
    fake = tmp_path / "op"
    fake.write_text('#!/bin/sh\necho "[ERROR] 2026/11/22 03:00:00 bad token $OP_SERVICE_ACCOUNT_TOKEN" >&2\nexit 1\n')
    fake.chmod(0o755)
    with pytest.raises(errors.RegistryError) as caught:
        Op(path=str(fake), service_account_token="LAB-very-secret", environ=dict(os.environ)).read([parse(ONE)])
    assert "LAB-very-secret" not in str(caught.value)
    assert "***" in str(caught.value)


def test_nothing_asked_is_nothing_run(ask_op: Ask, world: World) -> None:
    assert ask_op() == []
    assert world.processes() == []
    assert pathlib.Path(OP).exists()
