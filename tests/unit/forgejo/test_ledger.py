"""The ledger's format, its seal, and what cannot be read (docs/ledger.md)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import (
    LARGEST,
    LARGEST_FILE,
    Entry,
    Key,
    LaterFormat,
    Ledger,
    Unreadable,
    dump,
    load,
    matches,
)
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import Scope

KEY, OTHER = Key("k" * 16), Key("o" * 16)
REPO, ORG = Scope("repository", "eblume/cv"), Scope("organization", "eblume")
LEDGER = Ledger(
    {
        "A": Entry(KEY.fingerprint(REPO, "A", "value-a"), True, "2026-11-22T01:34:47Z", 1_795_000_000, "7"),
        "B": Entry(KEY.fingerprint(REPO, "B", "value-b"), False, "", 1_795_000_000),
    }
)


def test_a_ledger_comes_back_as_it_was() -> None:
    assert load(dump(LEDGER, REPO, KEY), REPO, KEY) == LEDGER


def test_the_text_is_one_line_and_holds_no_value() -> None:
    text = dump(LEDGER, REPO, KEY)
    assert "\n" not in text
    assert "\r" not in text
    assert "value-a" not in text
    body = json.loads(text)
    assert (body["format"], body["scope"]) == (1, "repository:eblume/cv")
    assert body["entries"]["B"]["pending"] is True


def test_a_fingerprint_is_no_plain_hash_and_no_hash_under_the_key_itself() -> None:
    fingerprint = base64.b64decode(KEY.fingerprint(REPO, "A", "v"))
    assert fingerprint != hashlib.sha256(b"v").digest()
    assert fingerprint != hmac.digest(b"k" * 16, b"v", "sha256")
    assert len(fingerprint) == 32


def test_the_documented_fingerprint() -> None:
    """docs/ledger.md describes it; another implementation must come to the same."""
    root = hmac.digest(b"k" * 16, b"blumeops.registry ledger 1 fingerprints", "sha256")
    parts = b"".join(len(part).to_bytes(8, "big") + part for part in (b"repository:eblume/cv", b"A", b"v"))
    assert KEY.fingerprint(REPO, "A", "v") == base64.b64encode(hmac.digest(root, parts, "sha256")).decode()


TEXT = st.text(max_size=8)


@given(TEXT, TEXT, TEXT, TEXT)
def test_fingerprints_tell_every_part_apart(name: str, value: str, other_name: str, other_value: str) -> None:
    same = (name, value) == (other_name, other_value)
    assert (KEY.fingerprint(REPO, name, value) == KEY.fingerprint(REPO, other_name, other_value)) is same
    assert KEY.fingerprint(REPO, name, value) != KEY.fingerprint(ORG, name, value)
    assert KEY.fingerprint(REPO, name, value) != OTHER.fingerprint(REPO, name, value)


def test_case_of_a_scope_does_not_matter() -> None:
    assert KEY.fingerprint(Scope("repository", "EBlume/CV"), "A", "v") == KEY.fingerprint(REPO, "A", "v")


def _edited(**changes: Any) -> str:
    return json.dumps({**json.loads(dump(LEDGER, REPO, KEY)), **changes})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "edited or cut"),
        ("null", "edited or cut"),
        ("[]", "edited or cut"),
        (dump(LEDGER, REPO, KEY)[:-4], "edited or cut"),
        (_edited(format="1"), "edited or cut"),
        (_edited(seal="x"), "another ledger_key"),
        (_edited(seal=None), "another ledger_key"),
        (_edited(entries={}), "another ledger_key"),
        (_edited(format=0), "another ledger_key"),
        (dump(LEDGER, REPO, OTHER), "another ledger_key"),
        (dump(LEDGER, ORG, KEY), "was made for organization:eblume"),
        (" " * (LARGEST + 1), "larger than any"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says) as caught:
        load(text, REPO, KEY)
    assert str(caught.value).startswith("the ledger of repository eblume/cv cannot be used")
    assert "unknown" in str(caught.value)


@given(st.integers(0, 500), st.characters(codec="ascii"))
def test_no_single_character_can_be_changed(position: int, char: str) -> None:
    text = dump(LEDGER, REPO, KEY)
    position %= len(text)
    changed = text[:position] + char + text[position + 1 :]
    if changed == text:
        return
    try:
        read = load(changed, REPO, KEY)
    except (Unreadable, LaterFormat):
        return
    assert read == LEDGER  # white space and the like between the parts


def test_a_later_format_is_left_alone() -> None:
    with pytest.raises(LaterFormat, match="has format 2, this version of the collection knows 1: upgrade"):
        load(_edited(format=2), REPO, KEY)


def test_a_ledger_that_would_be_too_large_is_refused() -> None:
    entries = {f"NAME_{number:04}": Entry("f" * 44, True, "2026-11-22T01:34:47Z", 1) for number in range(1000)}
    with pytest.raises(InvalidInput, match=r"more than the 60000 .* ledger_dir"):
        dump(Ledger(entries), REPO, KEY)
    assert load(dump(Ledger(entries), REPO, KEY, LARGEST_FILE), REPO, KEY, LARGEST_FILE) == Ledger(entries)
    assert len(dump(Ledger(dict(list(entries.items())[:300])), REPO, KEY)) < LARGEST


def test_a_short_key_is_refused() -> None:
    with pytest.raises(InvalidInput, match="shorter than 16"):
        Key("k" * 15)


def test_a_ledger_without_format_one_entries_is_empty() -> None:
    assert load(dump(Ledger(), REPO, KEY), REPO, KEY) == Ledger()
    assert matches(LEDGER.entries["A"], KEY.fingerprint(REPO, "A", "value-a"))
    assert not matches(LEDGER.entries["A"], KEY.fingerprint(REPO, "A", "value-b"))
