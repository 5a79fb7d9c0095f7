"""Values by way of Connect: which, in how many requests, and what every fault becomes."""

from __future__ import annotations

import base64
import pathlib
import re
import socket
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils import _errors as errors
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword import resolve
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.reference import build
from lab.running import free_port

from .conftest import IDS, SECRETS, Ask, World

ONE = "op://blumeops/Zot OIDC/credential"
PEM = "op://blumeops/Signing Key/private key"


def refused(kind: type[Exception], ask: Ask, *terms: Any, **how: Any) -> str:
    """The one sentence that a failing call ends with; it holds no secret and one line."""
    with pytest.raises(kind) as caught:
        ask(*terms, **how)
    said = str(caught.value)
    assert "\n" not in said
    assert not [secret for secret in SECRETS if secret in said]
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return said


def test_values_in_the_order_of_the_terms(ask_connect: Ask) -> None:
    terms = (ONE, "op://blumeops/Forge API/prod/api-key", "op://blumeops/Forge API/dev/api-key", ONE)
    expected = ["LAB-zot-oidc-client-secret", "LAB-api-key-prod", "LAB-api-key-dev", "LAB-zot-oidc-client-secret"]
    assert ask_connect(*terms) == expected


def test_a_pem_keeps_its_last_newline(ask_connect: Ask) -> None:
    assert ask_connect(PEM)[0].endswith("-----END PRIVATE KEY-----\n")
    assert ask_connect(f"{PEM}?ssh-format=openssh")[0].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")


def test_ten_items_with_ten_fields_each(ask_connect: Ask, world: World) -> None:
    for number in range(10):
        world.add(f"Item {number}", **{f"field{i}": f"LAB-{number}-{i}" for i in range(10)})
    terms = [f"op://blumeops/Item {number}/field{i}" for i in range(10) for number in range(10)]
    assert ask_connect(*terms) == [f"LAB-{number}-{i}" for i in range(10) for number in range(10)]
    asked = world.requests()
    assert asked.count("GET /v1/vaults") == 1
    assert len(asked) == 1 + 1 + 10  # vaults, items of the one vault, each item


def test_by_ids_there_is_no_list_of_items(ask_connect: Ask, world: World) -> None:
    vault, item = IDS["blumeops"], IDS["Zot OIDC"]
    assert ask_connect(f"op://{vault}/{item}/credential") == ["LAB-zot-oidc-client-secret"]
    assert world.requests() == ["GET /v1/vaults", f"GET /v1/vaults/{vault}/items/{item}"]


def test_a_title_that_looks_like_an_id(ask_connect: Ask, world: World) -> None:
    world.add("a" * 26, password="LAB-looks-like")["id"] = "b" * 26
    world.write()
    assert ask_connect(f"op://blumeops/{'a' * 26}/password") == ["LAB-looks-like"]


@pytest.mark.parametrize("title", ["A & B", "100%", "x#y", "a+b", 'say "hi"', "back\\slash", "Ü", "%41", "日本"])
def test_titles_with_any_character(ask_connect: Ask, world: World, title: str) -> None:  # [T] 1.3
    world.add(title, password="LAB-odd-title")
    world.content["vaults"][0]["items"][-1]["id"] = "q" * 26
    world.write()
    assert ask_connect(build("blumeops", title, "password")) == ["LAB-odd-title"]


def test_names_given_one_by_one(ask_connect: Ask) -> None:
    assert ask_connect(build("blumeops", "Odd / Name (1)", "schlüssel?")) == ["LAB-odd-field"]
    assert ask_connect("op://blumeops/Odd %2F Name (1)/schl%C3%BCssel%3F") == ["LAB-odd-field"]


def test_one_time_passwords(ask_connect: Ask) -> None:
    field = "op://blumeops/Forge API/one-time password"
    assert re.fullmatch(r"\d{6}", ask_connect(f"{field}?attribute=otp")[0])
    assert ask_connect(f"{field}?attribute=value")[0].startswith("otpauth://")
    assert "add ?attribute=otp" in refused(errors.InvalidInput, ask_connect, field)


def test_files(ask_connect: Ask) -> None:
    assert ask_connect("op://blumeops/Forge API/ca.pem")[0].endswith("-----END CERTIFICATE-----\n")
    assert ask_connect("op://blumeops/Forge API/ca.pem?attribute=size") == ["71"]
    blob = "op://blumeops/Forge API/blob.bin"
    assert "is no UTF-8 text: set encoding=base64" in refused(errors.InvalidInput, ask_connect, blob)
    assert base64.b64decode(ask_connect(blob, encoding="base64")[0]).hex() == "00ff80c328e228a100ff"


def test_a_file_that_is_not_synced_yet(ask_connect: Ask) -> None:
    assert ask_connect("op://blumeops/Forge API/ca.pem", start=("--unsynced-files", "5"))


def test_a_file_too_large(ask_connect: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.blumeops.registry.plugins.module_utils._onepassword import connect

    monkeypatch.setattr(connect, "LARGEST_FILE", 70)
    assert "has 71 bytes" in refused(errors.InvalidInput, ask_connect, "op://blumeops/Forge API/ca.pem")


def test_a_value_that_is_no_text(ask_connect: Ask, world: World) -> None:
    world.add("Broken", password="LAB-\ud800")
    said = refused(errors.InvalidInput, ask_connect, "op://blumeops/Broken/password")
    assert said == "op://blumeops/Broken/password is no UTF-8 text: set encoding=base64"


EMPTY = "op://blumeops/Forge API/label-without-value"


def test_empty(ask_connect: Ask) -> None:
    assert "is empty: fill it in 1Password, or set allow_empty" in refused(resolve.Empty, ask_connect, EMPTY)
    assert ask_connect(EMPTY, allow_empty=True) == [""]


def test_default_is_for_what_is_not_there_only(ask_connect: Ask) -> None:
    terms = (ONE, "op://blumeops/None/x", "op://blumeops/Zot OIDC/none", "op://blumeops/Zot OIDC/none/x")
    assert ask_connect(*terms, default="") == ["LAB-zot-oidc-client-secret", "", "", ""]
    refused(resolve.VaultNotFound, ask_connect, "op://None/x/y", default="")
    refused(resolve.Empty, ask_connect, EMPTY, default="")
    refused(resolve.Ambiguous, ask_connect, "op://blumeops/Twice/password", default="")
    refused(errors.InvalidInput, ask_connect, "op://blumeops/Old Key/password", default="")
    refused(errors.Refused, ask_connect, ONE, default="", connect_token="nobody")


@pytest.mark.parametrize(
    ("term", "kind", "said"),
    [
        ("op://Shared/Guest Wifi/x", resolve.VaultNotFound, "it can read: blumeops"),
        ("op://blumeops/None/x", resolve.Missing, "item 'None' not found in vault 'blumeops'"),
        ("op://blumeops/Twice/password", resolve.Ambiguous, "2 items titled 'Twice'"),
        ("op://blumeops/Old Key/password", errors.InvalidInput, "is archived"),
        ("op://blumeops/Forge API/api-key", resolve.Ambiguous, "occurs in sections 'prod', 'dev'"),
        ("op://blumeops/Forge API/none", resolve.Missing, "has no field 'none'"),
    ],
)
def test_what_is_not_there(ask_connect: Ask, term: str, kind: type[Exception], said: str) -> None:
    text = refused(kind, ask_connect, term)
    assert said in text
    assert term in text


@pytest.mark.parametrize(
    ("fault", "kind", "said", "requests"),
    [
        ("401", errors.Refused, "refused the token (401: Authentication: (Invalid bearer token)): expired, revoked", 1),
        ("403:path=*/items", errors.Refused, "denied access to vault 'blumeops' (403", 3),
        ("404:path=*/items", errors.NotFound, "does not have the items of vault 'blumeops'", 2),
        ("400:path=*/items", errors.ServiceError, "is the id right?", 2),
        ("409", errors.Conflict, "try again", 1),
        ("429:retry_after=0", errors.RateLimited, "too many requests", 2),
        ("429:retry_after=11", errors.RateLimited, "too many requests", 1),
        ("500", errors.ServerError, "answered 500 (Something went wrong) for the list of vaults: GET http://", 4),
        ("503", errors.ServerError, "answered 503", 4),
        ("301", errors.UnexpectedAnswer, "redirects (301), which is not followed", 1),
        ("html", errors.UnexpectedAnswer, "did not answer like a Connect server (200, content type text/html", 1),
        ("empty", errors.UnexpectedAnswer, "did not answer like a Connect server", 1),
        ("cut", errors.UnexpectedAnswer, "did not answer like a Connect server", 1),
        ("reset", errors.Unreachable, "broke the connection before its answer was complete", 2),
        ("reset-body", errors.Unreachable, "broke the connection before its answer was complete", 2),
        ("delay:seconds=5", errors.Unreachable, "no answer from Connect at http://", 2),
        ("slow-body:seconds=5", errors.Unreachable, "no answer from Connect at http://", 2),
    ],
)
def test_faults(ask_connect: Ask, world: World, fault: str, kind: type[Exception], said: str, requests: int) -> None:
    text = refused(kind, ask_connect, ONE, start=("--fault", fault), timeout=0.5)
    assert said in text
    # A request that was given up is in the log when the server notices, which may be later.
    assert len(world.requests()) == requests or "delay" in fault or "slow" in fault


@pytest.mark.parametrize(
    "fault",
    [
        "403:path=*/items,times=1",  # sporadic up to 1.7 [I connect#82]
        "429:times=1,retry_after=0",
        "500:times=3",
        "502:times=1",
        "reset:times=1",
        "reset-body:times=1",
        "delay:times=1,seconds=5",
    ],
)
def test_what_passes_is_waited_for(ask_connect: Ask, fault: str) -> None:
    assert ask_connect(ONE, start=("--fault", fault), timeout=1) == ["LAB-zot-oidc-client-secret"]


def test_retries_can_be_turned_off(ask_connect: Ask, world: World) -> None:
    refused(errors.ServerError, ask_connect, ONE, start=("--fault", "500"), retries=0)
    assert len(world.requests()) == 1


def test_nobody_listens(ask_connect: Ask) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    said = refused(errors.Unreachable, ask_connect, ONE, connect_host=address)
    assert said == f"cannot reach Connect at {address}: connection refused; is it running?"


def test_a_name_that_does_not_resolve(ask_connect: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert "does not resolve" in refused(errors.Unreachable, ask_connect, ONE, connect_host="http://connect.example")


def test_no_such_proxy(ask_connect: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert refused(errors.Unreachable, ask_connect, ONE, connect_host="http://connect.example")


@pytest.mark.parametrize(
    ("fault", "with_ca", "said"),
    [
        ("tls", True, "set ca_path"),
        ("tls", False, "set ca_path"),
        ("tls-host", True, "its certificate is for another host"),
    ],
)
def test_tls_that_does_not_verify(
    ask_connect: Ask, tmp_path: pathlib.Path, fault: str, with_ca: bool, said: str
) -> None:
    ca = tmp_path / "ca.pem"
    start = ("--fault", fault, "--tls", str(ca))
    text = refused(errors.TlsError, ask_connect, ONE, start=start, ca_path=str(ca) if with_ca else None)
    assert "TLS to https://127.0.0.1:" in text
    assert said in text


def test_tls_with_its_ca(ask_connect: Ask, tmp_path: pathlib.Path) -> None:
    ca = tmp_path / "ca.pem"
    assert ask_connect(ONE, start=("--tls", str(ca)), ca_path=str(ca)) == ["LAB-zot-oidc-client-secret"]


def test_http_asked_for_with_tls(ask_connect: Ask, connect: Any) -> None:
    url = connect().url.replace("http:", "https:")
    assert "does not speak TLS" in refused(errors.TlsError, ask_connect, ONE, connect_host=url)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"connect_token": "LAB-connect\ntoken"}, "connect_token contains a blank, a control character"),
        ({"connect_token": "LAB-tökén"}, "connect_token contains a blank, a control character"),
        ({"connect_token": "  "}, "connect_token is empty"),
        ({"connect_token": None}, "connect_host and connect_token are required together"),
        ({"connect_host": None}, "connect_host and connect_token are required together"),
        ({"connect_host": "connect:8080"}, "connect_host must be an address"),
        ({"connect_host": "http://user:LAB-password@connect:8080"}, "connect_host must not hold a user name"),
        ({"ca_path": "/does/not/exist.pem"}, "the CA file /does/not/exist.pem cannot be read"),
        ({"ca_path": __file__}, "holds no PEM certificate"),
        ({"timeout": 0.0}, "timeout must be more than 0"),
        ({"retries": -1}, "retries must be 0 or more"),
    ],
)
def test_settings_that_cannot_be(ask_connect: Ask, world: World, settings: dict[str, Any], said: str) -> None:
    text = refused(errors.InvalidInput, ask_connect, ONE, **settings)
    assert said in text
    assert "LAB-" not in text
    assert world.requests() == []


@pytest.mark.parametrize("token", ["LAB-connect-token\n", " LAB-connect-token\r\n"])
def test_a_token_with_a_newline_at_its_end(ask_connect: Ask, token: str) -> None:
    assert ask_connect(ONE, connect_token=token) == ["LAB-zot-oidc-client-secret"]


@pytest.mark.parametrize("suffix", ["/", "/v1", "/v1/"])
def test_forms_of_the_address(ask_connect: Ask, connect: Any, suffix: str) -> None:
    assert ask_connect(ONE, connect_host=connect().url + suffix) == ["LAB-zot-oidc-client-secret"]


def test_connect_is_never_replaced_by_op(ask_connect: Ask, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from .conftest import OP

    monkeypatch.setenv("LAB_OP_VAULTS", str(world.vaults))
    monkeypatch.setenv("LAB_OP_LOG", str(world.folder / "op.jsonl"))
    refused(errors.Unreachable, ask_connect, ONE, connect_host=f"http://127.0.0.1:{free_port()}", op_path=OP)
    assert world.processes() == []


def test_an_item_of_another_shape(ask_connect: Ask, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    answers = {"/v1/vaults": [{"id": IDS["blumeops"], "name": "blumeops"}]}

    def get(self: object, method: str, path: str, body: object = None) -> httpx.Response:
        return httpx.Response(200, json=answers.get(path, ["text"]))

    monkeypatch.setattr("onepasswordconnectsdk.client.Client.build_request", get)
    assert "did not answer like a Connect server for the items" in refused(errors.UnexpectedAnswer, ask_connect, ONE)
    answers["/v1/vaults"] = [{"id": "../../elsewhere", "name": "blumeops"}]
    assert "named an id that is none of 1Password's" in refused(errors.UnexpectedAnswer, ask_connect, ONE)
