"""Which vault, item, section, field or file a reference means, as tables; the rules are contracts 4.2."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.reference import build, parse
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.resolve import (
    Ambiguous,
    Empty,
    Missing,
    VaultNotFound,
    check_active,
    field_value,
    file_attribute,
    find,
    find_item,
    find_vault,
    to_openssh,
)

A, B, C = "a" * 26, "b" * 26, "c" * 26
#: Values that must never stand in a message.
SECRET = "LAB-s3cret-value"


def entry(name: str, entry_id: str, **more: Any) -> dict[str, Any]:
    return {"id": entry_id, "name": name, "title": name, **more}


VAULTS = [entry("Prod", A), entry("prod", B), entry("Automation", C)]


@pytest.mark.parametrize(
    ("name", "found"),
    [("Prod", A), ("prod", B), (A, A), ("Automation", C), ("AUTOMATION", C), ("automation", C)],
)
def test_vault(name: str, found: str) -> None:
    assert find_vault(VAULTS, build(name, "i", "f"), "Connect")["id"] == found


def test_a_vault_is_matched_in_any_form_of_unicode() -> None:
    assert find_vault([entry("Schlu\u0308ssel", A)], parse("op://Schlüssel/i/f"), "Connect")["id"] == A


@pytest.mark.parametrize(
    ("vaults", "name", "error", "said"),
    [
        (VAULTS, "PROD", Ambiguous, f"2 vaults are named 'PROD' for op://PROD/i/f: use one of the ids {A}, {B}"),
        (
            [entry("Automation", A), entry("Shared", B)],
            "Prod",
            VaultNotFound,
            "vault 'Prod' for op://Prod/i/f not found, or not granted to the credentials of Connect; it can read: "
            "Automation, Shared",
        ),
        ([], "Prod", VaultNotFound, "it can read no vault at all"),
    ],
)
def test_no_vault(vaults: list[dict[str, Any]], name: str, error: type[RegistryError], said: str) -> None:
    with pytest.raises(error) as caught:
        find_vault(vaults, build(name, "i", "f"), "Connect")
    assert said in str(caught.value)


ITEMS = [
    entry("Forge", A),
    entry("Twice", B),
    entry("Twice", C),
    entry("Old", "d" * 26, state="ARCHIVED"),
    entry("Back", "e" * 26, state="DELETED"),
    entry("Back", "f" * 26),
    entry("g" * 26, "h" * 26),
    {"id": "i" * 26},
]


@pytest.mark.parametrize(
    ("name", "found"), [("Forge", A), ("forge", A), (A, A), (B, B), ("Back", "f" * 26), ("g" * 26, "h" * 26)]
)
def test_item(name: str, found: str) -> None:
    assert find_item(ITEMS, build("v", name, "f"), "v")["id"] == found


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("None", Missing, "item 'None' not found in vault 'v'"),
        ("Twice", Ambiguous, f"2 items titled 'Twice' in vault 'v' for op://v/Twice/f: use one of the ids {B}, {C}"),
        ("Old", InvalidInput, "item 'Old' for op://v/Old/f is archived"),
    ],
)
def test_no_item(name: str, error: type[RegistryError], said: str) -> None:
    with pytest.raises(error) as caught:
        find_item(ITEMS, build("v", name, "f"), "v")
    assert said in str(caught.value)


def test_an_item_by_id_may_be_archived_too() -> None:
    with pytest.raises(InvalidInput, match="is deleted"):
        check_active({"state": "DELETED"}, build("v", "i", "f"))
    check_active({"id": A}, build("v", "i", "f"))


def field(label: str | None, field_id: str, section: str | None = None, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"id": field_id, "type": "CONCEALED", "value": SECRET, **more}
    if label is not None:
        made["label"] = label
    if section is not None:
        made["section"] = {"id": section}
    return made


ITEM: dict[str, Any] = {
    "id": A,
    "title": "Forge API",
    "sections": [
        {"id": "add more"},
        {"id": "s1", "label": "prod"},
        {"id": "s2", "label": "dev"},
        {"id": "s3", "label": "Dev"},
        {"id": "s3", "label": "Dev"},
        {"id": "empty", "label": "empty"},
    ],
    "fields": [
        field("username", "username", purpose="USERNAME", type="STRING"),
        field("Kennwort", "password", purpose="PASSWORD"),
        field("notesPlain", "notesPlain", purpose="NOTES", type="STRING"),
        field("api-key", "k1", "s1"),
        field("api-key", "k2", "s2"),
        field("pair", "p1", "s2"),
        field("pair", "p2", "s2"),
        field("both", "x1"),
        field("both", "x2", "s1"),
        field("loose", "m1", "add more"),
        field("same", "e1", "s1"),
        field("same", "e1", "s1"),
        field(None, "399BE6B606F64D04AEF7516C8CB286BA", "s1"),
        field("Case", "c1"),
        field("case", "c2"),
        field("twin", "t1", "s3"),
        field("password", "q1", "s1"),
        field("file.txt", "f0"),
        field("a/b", "slash"),
    ],
    "files": [
        {"id": "file1", "name": "ca.pem", "size": 3, "section": {"id": "s1"}},
        {"id": "file2", "name": "file.txt", "size": 4},
        {"id": "file3", "name": "doubled", "size": 4},
        {"id": "file4", "name": "doubled", "size": 4},
    ],
}


@pytest.mark.parametrize(
    ("section", "name", "found"),
    [
        (None, "username", "username"),
        (None, "Kennwort", "password"),
        (None, "kennwort", "password"),
        (None, "password", "password"),  # the id goes before a label elsewhere
        (None, "notes", "notesPlain"),  # by purpose
        ("prod", "api-key", "k1"),
        ("s2", "api-key", "k2"),  # a section by its id
        ("PROD", "api-key", "k1"),
        (None, "both", "x1"),  # outside of sections goes first
        ("prod", "both", "x2"),
        (None, "loose", "m1"),  # a section without a label is none
        ("add more", "loose", "m1"),  # as op prints it
        (None, "same", "e1"),  # the same field twice is one
        ("prod", "399BE6B606F64D04AEF7516C8CB286BA", "399BE6B606F64D04AEF7516C8CB286BA"),
        (None, "Case", "c1"),
        (None, "case", "c2"),
        ("Dev", "twin", "t1"),
        (None, "p2", "p2"),  # by id where the label is double
        ("prod", "password", "q1"),
        (None, "a/b", "slash"),
    ],
)
def test_field(section: str | None, name: str, found: str) -> None:
    match = find(ITEM, build("v", "Forge API", name, section=section))
    assert match.file is None
    assert match.field is not None
    assert match.field["id"] == found


@pytest.mark.parametrize(
    ("section", "name", "found"), [(None, "ca.pem", "file1"), ("prod", "CA.PEM", "file1"), (None, "file2", "file2")]
)
def test_file(section: str | None, name: str, found: str) -> None:
    match = find(ITEM, build("v", "Forge API", name, section=section))
    assert match.field is None
    assert match.file is not None
    assert match.file["id"] == found


@pytest.mark.parametrize(
    ("section", "name", "error", "said"),
    [
        (
            None,
            "api-key",
            Ambiguous,
            "field 'api-key' for op://v/Forge API/api-key occurs in sections 'prod', 'dev'; "
            "write op://v/Forge API/prod/api-key",
        ),
        (
            None,
            "pair",
            Ambiguous,
            "2 fields of 'Forge API' match 'pair' for op://v/Forge API/pair: use one of the ids p1, p2",
        ),
        ("dev", "pair", Ambiguous, "use one of the ids p1, p2"),
        (None, "CASE", Ambiguous, "use one of the ids c1, c2"),
        (None, "file.txt", Ambiguous, "is both a field and a file of 'Forge API': use the id of one, f0 or file2"),
        (None, "doubled", Ambiguous, "2 files of 'Forge API' are named 'doubled': use one of the ids file3, file4"),
        (
            None,
            "key",
            Missing,
            "item 'Forge API' has no field 'key' for op://v/Forge API/key; fields: username, Kennwort,",
        ),
        ("dev", "username", Missing, "has no field 'username' in section 'dev'"),
        ("nope", "x", Missing, "has no section 'nope' for op://v/Forge API/nope/x; sections: prod, dev, Dev, empty"),
        ("empty", "x", Missing, "fields: none"),
        ("prod", "file.txt", Missing, "has no field 'file.txt' in section 'prod'"),
    ],
)
def test_not_a_field(section: str | None, name: str, error: type[RegistryError], said: str) -> None:
    with pytest.raises(error) as caught:
        find(ITEM, build("v", "Forge API", name, section=section))
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_labels_can_be_left_out_of_messages() -> None:
    for section in (None, "nope"):
        with pytest.raises(Missing) as caught:
            find(ITEM, build("v", "i", "key", section=section), labels=False)
        assert "username" not in str(caught.value)
        assert "prod" not in str(caught.value)


def test_a_message_lists_twenty_names() -> None:
    item = {"title": "t", "fields": [field(f"label-{number:02}", str(number)) for number in range(25)]}
    with pytest.raises(Missing, match=r"label-19 and 5 more$"):
        find(item, build("v", "t", "none"))


@pytest.mark.parametrize("item", [{}, {"fields": None, "sections": None, "files": None}, {"fields": ["x", None, {}]}])
def test_odd_items_have_no_fields(item: dict[str, Any]) -> None:
    with pytest.raises(Missing):
        find(item, build("v", "i", "f"))


OTP = {"id": "TOTP_x", "label": "code", "type": "OTP", "value": "otpauth://totp/x?secret=ABC", "totp": "123456"}


@pytest.mark.parametrize(
    ("stored", "attribute", "value"),
    [
        (field("l", "i"), "", SECRET),
        (field("l", "i"), "value", SECRET),
        (field("l", "i", purpose="PASSWORD"), "purpose", "PASSWORD"),
        (field("l", "i"), "type", "CONCEALED"),
        (field("l", "i"), "id", "i"),
        (field("l", "i"), "title", "l"),
        (field("l", "i", value=" a\n"), "", " a\n"),
        (OTP, "otp", "123456"),
        (OTP, "value", "otpauth://totp/x?secret=ABC"),
    ],
)
def test_value(stored: dict[str, Any], attribute: str, value: str) -> None:
    assert field_value(stored, build("v", "i", "f", attribute=attribute)) == value


@pytest.mark.parametrize(
    ("stored", "attribute", "error", "said"),
    [
        ({"id": "i", "label": "l"}, "", Empty, "field 'l' for op://v/i/f is empty"),
        (field("l", "i", value=""), "", Empty, "is empty"),
        (field("l", "i", value=None), "", Empty, "is empty"),
        (field("l", "i"), "purpose", Empty, "purpose of field 'l' for op://v/i/f?attribute=purpose is empty"),
        (OTP, "", InvalidInput, "'code' for op://v/i/f is a one-time-password field: add ?attribute=otp"),
        (field("l", "i"), "otp", InvalidInput, "is no one-time-password field"),
        ({**OTP, "totp": ""}, "otp", InvalidInput, "no one-time password came"),
        (field("l", "i"), "size", InvalidInput, "is a field, which has no attribute 'size'"),
    ],
)
def test_no_value(stored: dict[str, Any], attribute: str, error: type[RegistryError], said: str) -> None:
    with pytest.raises(error) as caught:
        field_value(stored, build("v", "i", "f", attribute=attribute))
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_empty_where_that_is_wanted() -> None:
    assert field_value({"id": "i"}, build("v", "i", "f"), allow_empty=True) == ""


@pytest.mark.parametrize(
    ("attribute", "value"), [("", None), ("content", None), ("name", "ca.pem"), ("size", "3"), ("id", "file1")]
)
def test_attributes_of_a_file(attribute: str, value: str | None) -> None:
    assert file_attribute(ITEM["files"][0], build("v", "i", "ca.pem", attribute=attribute)) == value


@pytest.mark.parametrize("how", [{"attribute": "otp"}, {"attribute": "type"}, {"ssh_format": "openssh"}])
def test_what_a_file_does_not_have(how: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="is a file, which has no"):
        file_attribute(ITEM["files"][0], build("v", "i", "ca.pem", **how))


def test_a_key_in_the_form_of_openssh() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    reference = build("v", "i", "f", ssh_format="openssh")
    shown = field_value(field("l", "i", value=pem), reference)
    assert shown.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    back = serialization.load_ssh_private_key(shown.encode(), None)
    assert isinstance(back, ed25519.Ed25519PrivateKey)
    assert back.private_bytes_raw() == key.private_bytes_raw()
    assert to_openssh(shown, reference) == shown
    with pytest.raises(InvalidInput) as caught:
        to_openssh(SECRET, reference)
    assert SECRET not in str(caught.value)


NAMES = st.text("abAB", min_size=1, max_size=2)
FIELDS = st.lists(
    st.fixed_dictionaries(
        {"id": NAMES, "value": st.just(SECRET)},
        optional={"label": NAMES, "section": st.fixed_dictionaries({"id": st.sampled_from(["s", "t", "add more"])})},
    ),
    max_size=6,
)
SECTIONS = st.permutations([{"id": "s", "label": "one"}, {"id": "t", "label": "two"}, {"id": "add more"}])


@given(FIELDS, SECTIONS, NAMES, st.sampled_from([None, "one", "t", "add more"]), st.randoms())
def test_the_order_of_fields_decides_nothing(
    fields: list[dict[str, Any]], sections: list[dict[str, Any]], name: str, section: str | None, random: Any
) -> None:
    def outcome(these: list[dict[str, Any]]) -> object:
        try:
            return find({"title": "t", "fields": these, "sections": sections}, build("v", "t", name, section=section))
        except RegistryError as error:
            return type(error), SECRET in str(error)

    shuffled = list(fields)
    random.shuffle(shuffled)
    assert outcome(fields) == outcome(shuffled)
    assert outcome(fields) not in [(kind, True) for kind in (Missing, Ambiguous)]


@given(FIELDS, NAMES)
def test_what_is_found_has_the_name(fields: list[dict[str, Any]], name: str) -> None:
    try:
        found = find({"title": "t", "fields": fields}, build("v", "t", name)).field
    except RegistryError:
        return
    assert found is not None
    assert name.casefold() in {found["id"].casefold(), found.get("label", "").casefold()}
