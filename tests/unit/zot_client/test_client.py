"""What the client makes of answers that a running registry gives rarely or never; each is scripted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.blumeops.registry.plugins.module_utils import _errors as errors
from ansible_collections.blumeops.registry.plugins.module_utils._transport import Answer
from ansible_collections.blumeops.registry.plugins.module_utils._zot.client import MANIFEST_TYPE, Zot, minimal_image

CI = ("zot-ci", "zak_" + "ab" * 16)
JSON = {"Content-Type": "application/json"}
ENTRY = {
    "uuid": "u",
    "label": "ci",
    "createdAt": "2026-11-22T03:11:52Z",
    "expirationDate": "2027-02-20T03:11:52Z",
    "lastUsed": "0001-01-01T00:00:00Z",
    "scopes": [],
}


def says(status: int, body: Any = None, headers: Mapping[str, str] = JSON) -> Answer:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Answer(status, headers, raw, "zot at http://r (…)")


class Scripted:
    """A transport that gives the answers in their order and keeps what was asked."""

    base_url = "http://r"

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    def request(self, method: str, path: str, **options: Any) -> Answer:
        self.asked.append((method, path, options))
        return self.answers.pop(0)


def zot(*answers: Answer) -> tuple[Zot, Scripted]:
    transport = Scripted(*answers)
    return Zot(transport), transport  # type: ignore[arg-type]


HTML = says(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
CASES: list[tuple[Callable[[Zot], object], Answer, type[Exception], str]] = [
    (lambda z: z.keys(CI), HTML, errors.UnexpectedAnswer, "HTML instead of JSON"),
    (lambda z: z.keys(CI), says(200, {}), errors.UnexpectedAnswer, "without apiKeys"),
    (lambda z: z.keys(CI), says(200, [1]), errors.UnexpectedAnswer, "without apiKeys"),
    (lambda z: z.keys(CI), says(200, {"apiKeys": [{}]}), errors.UnexpectedAnswer, "without uuid"),
    (lambda z: z.keys(CI), says(401, {"code": "x"}), errors.Refused, "401: the credentials are not accepted"),
    (lambda z: z.keys(CI), says(500), errors.ServerError, "read-only or full"),
    (lambda z: z.keys(CI), says(404), errors.NotFound, "404"),
    (lambda z: z.keys(CI), says(302, None, {"Location": "/login"}), errors.UnexpectedAnswer, "a redirect"),
    (lambda z: z.keys(CI), says(204), errors.UnexpectedAnswer, "what answers there"),
    (lambda z: z.create_key(CI, "x", None), says(400), errors.ServiceError, "400"),
    (lambda z: z.create_key(CI, "x", None), says(201, {}), errors.UnexpectedAnswer, "without apiKey"),
    (lambda z: z.delete_key(CI, "u"), says(400), errors.ServiceError, "400"),
    (lambda z: z.catalog(None), says(200, {"tags": []}), errors.UnexpectedAnswer, "without repositories"),
    (lambda z: z.tags(None, "a"), says(404, {"errors": [{"code": "OTHER"}]}), errors.NotFound, "404 OTHER"),
    (lambda z: z.manifest_digest(None, "a", "v1"), says(404), errors.NotFound, "404"),
    (lambda z: z.ask(CI, "create", "a", "t"), says(201), errors.UnexpectedAnswer, "accepted with 201"),
    (lambda z: z.ask(CI, "create", "a", "t"), says(503), errors.ServerError, "503"),
    (lambda z: z.ask(CI, "create", "a", "t"), says(429), errors.RateLimited, "asked too often"),
    (
        lambda z: z.ask(CI, "delete", "a"),
        says(403, b"<html>", {"Content-Type": "text/html"}),
        errors.UnexpectedAnswer,
        "HTML",
    ),
    (lambda z: z.metrics(), says(200, {"status": "ok"}), errors.UnexpectedAnswer, "JSON instead of metrics"),
    (lambda z: z.metrics(), HTML, errors.UnexpectedAnswer, "HTML"),
    (lambda z: z.metrics(), says(403), errors.Refused, "403"),
    (lambda z: z.mgmt(), says(200, {"a": 1}), errors.UnexpectedAnswer, "without distSpecVersion"),
    (lambda z: z.login("oidc"), says(302, None, {"Location": "/zot/"}), errors.UnexpectedAnswer, "elsewhere"),
    (lambda z: z.login("oidc"), says(302, None, {"Location": "https://x/?a=b"}), errors.UnexpectedAnswer, "elsewhere"),
    (lambda z: z.login("oidc"), HTML, errors.UnexpectedAnswer, "200"),
    (lambda z: z.login("oidc"), says(404), errors.NotFound, "knows no OpenID provider 'oidc'"),
    (lambda z: z.reach(), HTML, errors.UnexpectedAnswer, "HTML"),
    (lambda z: z.reach(), says(502), errors.ServerError, "502"),
    (lambda z: z.reach(), says(404), errors.NotFound, "404"),
    (lambda z: z.push(CI, "a", "v1", b"{}", (b"x",)), says(405), errors.ServiceError, "read-only"),
    (lambda z: z.push(CI, "a", "v1", b"{}", (b"x",)), says(413), errors.ServiceError, "too large"),
    (lambda z: z.push(CI, "a", "v1", b"{}", (b"x",)), says(500), errors.ServerError, "full or read-only"),
    (lambda z: z.push(CI, "a", "v1", b"{}", (b"x",)), says(507), errors.ServerError, "full or read-only"),
    (lambda z: z.push(CI, "a", "v1", b"{}", (b"x",)), says(403), errors.Refused, "may not do this"),
]


@pytest.mark.parametrize(("call", "answer", "kind", "words"), CASES)
def test_an_answer_that_is_not_as_it_should_be(
    call: Callable[[Zot], object], answer: Answer, kind: type[Exception], words: str
) -> None:
    registry, _ = zot(answer)
    with pytest.raises(kind) as raised:
        call(registry)
    assert type(raised.value) is kind
    assert words in str(raised.value)
    assert CI[1] not in str(raised.value)


@pytest.mark.parametrize(
    ("call", "answer", "result"),
    [
        (lambda z: z.keys(CI), says(200, {"apiKeys": None}), ()),
        (lambda z: z.catalog(None), says(200, {"repositories": None}), ()),
        (lambda z: z.catalog(None), says(200, {"repositories": ["b", "a"]}), ("a", "b")),
        (lambda z: z.tags(None, "a"), says(404, {"errors": [{"code": "NAME_UNKNOWN"}]}), ()),
        (lambda z: z.tags(None, "a"), says(200, {"name": "a", "tags": None}), ()),
        (lambda z: z.mgmt(), says(404), None),
        (lambda z: z.reach(), says(401, {"code": "UNAUTHORIZED"}), 401),
        (lambda z: z.manifest_digest(None, "a", "v1"), says(200, {}), "sha256:" + hashlib.sha256(b"{}").hexdigest()),
    ],
)
def test_answers_with_nothing_in_them(call: Callable[[Zot], object], answer: Answer, result: object) -> None:
    registry, _ = zot(answer)
    assert call(registry) == result


@pytest.mark.parametrize(
    ("ends", "sent"),
    [
        (None, None),
        (datetime(2027, 1, 2, 3, 4, 5, 999999, tzinfo=UTC), "2027-01-02T03:04:05Z"),
        (datetime(2027, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2027-01-02T01:04:05Z"),
    ],
)
def test_a_key_is_made_once_and_not_shown(ends: datetime | None, sent: str | None) -> None:
    registry, transport = zot(says(201, {**ENTRY, "apiKey": CI[1]}))
    made = registry.create_key(CI, "ci", ends)
    method, path, options = transport.asked[0]
    assert (method, path, options["auth"], options["again"]) == ("POST", "/zot/auth/apikey", CI, False)
    assert options["json"].get("expirationDate") == sent
    assert (made.key, made.entry.label) == (CI[1], "ci")
    assert CI[1] not in repr(made)
    assert CI[1] not in f"{made}"


@pytest.mark.parametrize(
    "place", ["/v2/a/blobs/uploads/id?_state=x%2By", "https://r/v2/a/blobs/uploads/id?_state=x%2By"]
)
def test_a_push_goes_where_the_registry_says(place: str) -> None:
    registry, transport = zot(says(202, None, {"Location": place}), says(201), says(201))
    registry.push(CI, "a", "v1", b"{}", (b"x",))
    digest = hashlib.sha256(b"x").hexdigest()
    assert [(method, path) for method, path, _ in transport.asked] == [
        ("POST", "/v2/a/blobs/uploads/"),
        ("PUT", f"/v2/a/blobs/uploads/id?_state=x%2By&digest=sha256%3A{digest}"),
        ("PUT", "/v2/a/manifests/v1"),
    ]
    assert transport.asked[2][2]["headers"] == {"Content-Type": MANIFEST_TYPE}
    assert {options["auth"] for _, _, options in transport.asked} == {CI}


def test_a_question_has_no_content_type_and_no_other_headers() -> None:
    registry, transport = zot(says(415, {"errors": [{"code": "MANIFEST_INVALID"}]}))
    said = registry.ask(CI, "create", "a", "t")
    assert (said.may, said.status, said.code) == (True, 415, "MANIFEST_INVALID")
    assert transport.asked == [("PUT", "/v2/a/manifests/t", {"data": b"?", "auth": CI})]


def test_the_same_image_has_the_same_bytes() -> None:
    first, second = minimal_image("a"), minimal_image("a")
    assert first == second
    assert minimal_image("b") != first
    manifest = json.loads(first[0])
    assert manifest["config"]["digest"] == "sha256:" + hashlib.sha256(first[1][0]).hexdigest()
