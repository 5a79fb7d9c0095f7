"""Names, values and places that Forgejo takes (contracts/forgejo.md sections 1, 4, 5)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import (
    Scope,
    check_name,
    check_value,
    scope_of,
    short_value_warning,
)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("alpha", "ALPHA"),
        ("_u", "_U"),
        ("A1_b", "A1_B"),
        ("forgejo_x", "FORGEJO_X"),
        ("ci", "CI"),
        ("GITHUB", "GITHUB"),
    ],
)
def test_names_of_secrets(name: str, stored: str) -> None:
    assert check_name(name) == stored


@pytest.mark.parametrize(
    ("name", "what", "says"),
    [
        ("", "secret", "letters, digits and underscores"),
        ("1X", "secret", "no digit first"),
        ("A-B", "secret", "letters, digits and underscores"),
        ("A\n", "secret", "letters, digits and underscores"),
        ("É", "secret", "letters, digits and underscores"),
        ("github_x", "secret", "reserved"),
        ("GITEA_X", "variable", "reserved"),
        ("ci", "variable", "Forgejo sets it itself"),
        ("R" * 256, "secret", "longer than 255"),
    ],
)
def test_names_that_are_refused(name: str, what: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        check_name(name, what=what)


@pytest.mark.parametrize("name", ["S3KRET+value", "S3KRET-" * 10, "S3KRET" * 50, "GITEA_" + "S3KRET" * 10])
def test_what_may_be_a_value_is_not_shown_as_a_name(name: str) -> None:
    with pytest.raises(
        InvalidInput, match=f"^a text of {len(name)} characters cannot be the name of a secret"
    ) as caught:
        check_name(name)
    assert "S3KRET" not in str(caught.value)


@given(st.text(max_size=12))
def test_a_name_is_taken_exactly_where_the_server_takes_it(name: str) -> None:
    server = re.fullmatch(r"(?i)[A-Z_][A-Z0-9_]*", name, re.ASCII) and not re.match(r"(?i)GIT(EA|HUB)_", name)
    try:
        assert check_name(name) == name.upper()
    except InvalidInput:
        assert not server
    else:
        assert server


@pytest.mark.parametrize("value", [" ", "a\r\nb\r\n", "-----BEGIN KEY-----\n", "\0", "é\u2028\U0001f600", "x" * 70_000])
def test_values_are_left_as_they_are(value: str) -> None:
    assert check_value(value, "the secret X") == value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "is empty"),
        ("", "is empty"),
        ("a\udcff", "not valid UTF-8"),
        ("op://vault/item/field", "secret reference.*the field in 1Password seems to hold a reference itself"),
    ],
)
def test_values_that_are_refused(value: str | None, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        check_value(value, "the secret X")
    assert "the secret X" in str(caught.value)
    assert "a\udcff" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([], None),
        ([("the secret A", "four"), ("the secret B", None)], None),
        (
            [("the secret A", "four"), ("the secret B", "zqj")],
            "the value of the secret B has fewer than 4 characters: ",
        ),
        ([("the secret A", "z"), ("the secret B", "zqj"), ("the secret C", "q")], "the secret A (and of 2 more) has"),
    ],
)
def test_values_too_short_to_be_hidden_well(values: list[tuple[str, str | None]], says: str | None) -> None:
    warning = short_value_warning(values)
    assert (warning is None) if says is None else (says in str(warning))


@pytest.mark.parametrize(
    ("given_options", "path"),
    [
        ({"repository": "eblume/cv"}, "/repos/eblume/cv/actions"),
        ({"repository": "eb lume/c%v"}, None),
        ({"repository": "eblume/c%v"}, "/repos/eblume/c%25v/actions"),
        ({"organization": "acme"}, "/orgs/acme/actions"),
        ({"user": True}, "/user/actions"),
        ({"organization": "acme", "user": False}, "/orgs/acme/actions"),
        ({}, None),
        ({"user": False}, None),
        ({"repository": "eblume"}, None),
        ({"repository": "a/b/c"}, None),
        ({"organization": "a/b"}, None),
        ({"organization": "acme", "user": True}, None),
    ],
)
def test_places(given_options: dict[str, str | bool], path: str | None) -> None:
    if path is None:
        with pytest.raises(InvalidInput):
            scope_of(**given_options)  # type: ignore[arg-type]
    else:
        assert scope_of(**given_options).path == path  # type: ignore[arg-type]


def test_places_have_no_case() -> None:
    assert Scope("repository", "EBlume/CV").key == Scope("repository", "eblume/cv").key
    assert Scope("organization", "eblume").key != Scope("repository", "eblume").key
