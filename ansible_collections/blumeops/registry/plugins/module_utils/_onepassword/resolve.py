# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What a reference means on the JSON of vaults and items, as Connect and ``op`` give it. Pure.

One rule for all names: an id that is equal, else a name that is equal, else a name that is equal but for case;
where more than one thing is left, nothing is guessed (contracts of 1Password, 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.reference import (
    FIELD_ATTRIBUTES,
    FILE_ATTRIBUTES,
    Reference,
    normal,
)

Json = dict[str, Any]

#: Names listed in a message; more are counted.
LISTED = 20
#: Names for the built-in fields of a login, by purpose.
PURPOSES = {"username": "USERNAME", "password": "PASSWORD", "notes": "NOTES"}


class Missing(RegistryError):
    """An item, section, field or file that is not there: the only thing that a default stands in for."""


class VaultNotFound(RegistryError):
    """A vault that is not there or not granted; which of the two cannot be known (403 for both [X])."""


class Ambiguous(RegistryError):
    """Several things have the name; the message tells how to name one of them."""


class Empty(RegistryError):
    """The field is there and has no value."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a reference names in an item: a field or a file, as it stands in the JSON."""

    field: Json | None = None
    file: Json | None = None


def find_vault(vaults: Sequence[Json], reference: Reference, backend: str) -> Json:
    """The vault that a reference names.

    Args:
        vaults: All vaults that can be read, as ``{"id": …, "name": …}``.
        backend: Who was asked, for messages.

    Raises:
        VaultNotFound: None; the message lists those that can be read.
        Ambiguous: Several have the name.
    """
    found = _named(vaults, reference.vault, lambda vault: vault.get("name"))
    if not found:
        readable = _listed(str(vault.get("name") or vault.get("id")) for vault in vaults)
        raise VaultNotFound(
            f"vault {reference.vault!r} for {reference} not found, or not granted to the credentials of {backend}; "
            + (f"it can read: {readable}" if readable else "it can read no vault at all")
        )
    if len(found) > 1:
        ids = _listed(str(vault.get("id")) for vault in found)
        raise Ambiguous(f"{len(found)} vaults are named {reference.vault!r} for {reference}: use one of the ids {ids}")
    return found[0]


def find_item(items: Sequence[Json], reference: Reference, vault: str) -> Json:
    """The item that a reference names, of the summaries of its vault; archived and deleted ones do not count.

    Raises:
        Missing: No item has this id or title.
        Ambiguous: Several have the title; the message lists their ids.
        InvalidInput: The only one is archived or deleted.
    """
    active = [item for item in items if not item.get("state")]
    found = _named(active, reference.item, lambda item: item.get("title"))
    if len(found) > 1:
        ids = _listed(str(item.get("id")) for item in found)
        raise Ambiguous(
            f"{len(found)} items titled {reference.item!r} in vault {vault!r} for {reference}: use one of the ids {ids}"
        )
    if found:
        return found[0]
    gone = _named([item for item in items if item.get("state")], reference.item, lambda item: item.get("title"))
    if gone:
        check_active(gone[0], reference)
    raise Missing(f"item {reference.item!r} not found in vault {vault!r} for {reference}")


def check_active(item: Json, reference: Reference) -> None:
    """Refuse an item that is archived or deleted; the state is absent while it is in use [S].

    Raises:
        InvalidInput: The item is archived or deleted.
    """
    if item.get("state"):
        raise InvalidInput(
            f"item {reference.item!r} for {reference} is {str(item['state']).lower()}: restore it, or name another item"
        )


def find(item: Json, reference: Reference, *, labels: bool = True) -> Found:
    """The field or file of an item that a reference names.

    Without a section a field outside of all sections goes first; a section without a label is none (``add more``
    is how ``op`` prints it). ``username``, ``password`` and ``notes`` also name the built-in fields by purpose.

    Args:
        item: The whole item, with its fields.
        labels: Whether messages may list the labels that there are.

    Raises:
        Missing: No such section, field or file.
        Ambiguous: Several fields, or a field and a file.
    """
    sections = {str(section.get("id")): str(section.get("label") or "") for section in item.get("sections") or []}
    fields = _distinct(item.get("fields") or [])
    files = [file for file in item.get("files") or [] if isinstance(file, dict)]
    if reference.section is not None:
        wanted = _sections(sections, fields + files, reference, labels)
        fields = [entry for entry in fields if _section_of(entry) in wanted]
        files = [entry for entry in files if _section_of(entry) in wanted]
    matching = _matching_fields(fields, reference.field)
    if reference.section is None and len(matching) > 1:
        plain = [entry for entry in matching if not _section_label(entry, sections)]
        matching = plain or matching
    matching_files = _named(files, reference.field, lambda file: file.get("name"))
    title = str(item.get("title") or reference.item)
    if matching and matching_files:
        raise Ambiguous(
            f"{reference.field!r} for {reference} is both a field and a file of {title!r}: use the id of one, "
            f"{matching[0].get('id')} or {matching_files[0].get('id')}"
        )
    if len(matching) > 1:
        raise _ambiguous_fields(matching, sections, reference, title)
    if len(matching_files) > 1:
        ids = _listed(str(file.get("id")) for file in matching_files)
        raise Ambiguous(
            f"{len(matching_files)} files of {title!r} are named {reference.field!r}: use one of the ids {ids}"
        )
    if matching:
        return Found(field=matching[0])
    if matching_files:
        return Found(file=matching_files[0])
    place = "" if reference.section is None else f" in section {reference.section!r}"
    names = [str(entry.get("label") or entry.get("id")) for entry in fields] + [str(file.get("name")) for file in files]
    known = f"; fields: {_listed(names) or 'none'}" if labels else ""
    raise Missing(f"item {title!r} has no field {reference.field!r}{place} for {reference}{known}")


def field_value(field: Json, reference: Reference, *, allow_empty: bool = False) -> str:
    """What a reference asks of a field: its value, or the attribute.

    Raises:
        InvalidInput: A one-time-password field without ``attribute=otp``, or the other way round; an attribute
            of files.
        Empty: No value, unless ``allow_empty`` (then an empty string).
    """
    name = str(field.get("label") or field.get("id"))
    attribute = reference.attribute
    if attribute and attribute not in FIELD_ATTRIBUTES:
        raise InvalidInput(f"{name!r} for {reference} is a field, which has no attribute {attribute!r}")
    if attribute == "otp":
        if field.get("type") != "OTP":
            raise InvalidInput(f"{name!r} for {reference} is no one-time-password field: leave attribute=otp out")
        if not field.get("totp"):
            raise InvalidInput(f"no one-time password came for {reference}: check the seed in 1Password")
        return str(field["totp"])
    if field.get("type") == "OTP" and not attribute:
        raise InvalidInput(
            f"{name!r} for {reference} is a one-time-password field: add ?attribute=otp for a code, "
            "or ?attribute=value for its seed"
        )
    key = {"": "value", "title": "label"}.get(attribute, attribute)
    value = field.get(key)
    if value is None or value == "":
        if allow_empty:
            return ""
        what = f"{attribute} of field" if attribute not in {"", "value"} else "field"
        raise Empty(f"{what} {name!r} for {reference} is empty: fill it in 1Password, or set allow_empty")
    if reference.ssh_format:
        return to_openssh(str(value), reference)
    return str(value)


def file_attribute(file: Json, reference: Reference) -> str | None:
    """The attribute of a file that a reference asks for; None where it is the content, which must be fetched.

    Raises:
        InvalidInput: An attribute that files do not have, or that the server does not tell.
    """
    if reference.attribute in {"", "content"} and not reference.ssh_format:
        return None
    value = file.get(reference.attribute) if reference.attribute in FILE_ATTRIBUTES else None
    if value is None:
        what = f"attribute {reference.attribute!r}" if reference.attribute else f"SSH format {reference.ssh_format!r}"
        raise InvalidInput(f"{file.get('name')!r} for {reference} is a file, which has no {what}")
    return str(value)


def to_openssh(key: str, reference: Reference) -> str:
    """A private key (PKCS#8, as Connect stores it) in OpenSSH's form, which Connect itself cannot give.

    Raises:
        InvalidInput: The value is no private key, has a passphrase, or Python's cryptography is missing.
    """
    if key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----"):
        return key
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise InvalidInput(f"?ssh-format=openssh of {reference} needs the Python package cryptography") from None
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
        return private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
    except Exception:  # whatever the library raises may quote the key
        raise InvalidInput(f"{reference} is no private key that can be written in OpenSSH's form") from None


# -- names -----------------------------------------------------------------------------------------------------------


def _named(entries: Iterable[Json], name: str, label: Callable[[Json], object]) -> list[Json]:
    """The entries with this id; else with this name; else with this name but for case."""
    entries = [entry for entry in entries if isinstance(entry, dict)]
    by_id = [entry for entry in entries if entry.get("id") == name]
    if by_id:
        return by_id[:1]
    names = [(entry, normal(str(label(entry)))) for entry in entries if label(entry)]
    return [entry for entry, other in names if other == name] or [
        entry for entry, other in names if other.casefold() == name.casefold()
    ]


def _matching_fields(fields: list[Json], name: str) -> list[Json]:
    by_id = [entry for entry in fields if entry.get("id") == name]
    if by_id:
        return by_id
    labels = [(entry, normal(str(entry["label"]))) for entry in fields if entry.get("label")]
    found = [entry for entry, label in labels if label == name]
    found = found or [entry for entry, label in labels if label.casefold() == name.casefold()]
    purpose = PURPOSES.get(name.lower())
    return found or [entry for entry in fields if purpose and entry.get("purpose") == purpose]


def _distinct(fields: Iterable[object]) -> list[Json]:
    """Fields without repetitions: one (field, section) pair can stand twice in an item [S]."""
    seen: list[Json] = []
    for field in fields:
        if isinstance(field, dict) and field not in seen:
            seen.append(field)
    return seen


def _section_of(entry: Json) -> str:
    section = entry.get("section")
    return str(section.get("id") or "") if isinstance(section, dict) else ""


def _section_label(entry: Json, sections: dict[str, str]) -> str:
    """The label of the section that an entry stands in; empty where it is in none."""
    section = entry.get("section")
    own = str(section.get("label") or "") if isinstance(section, dict) else ""
    return own or sections.get(_section_of(entry), "")


def _sections(sections: dict[str, str], entries: Sequence[Json], reference: Reference, labels: bool) -> set[str]:
    """The ids of the sections that a name means."""
    assert reference.section is not None
    known = {_section_of(entry): _section_label(entry, sections) for entry in entries if _section_of(entry)} | {
        place: label for place, label in sections.items() if label
    }
    known |= {place: "" for place in sections if place not in known}
    name = reference.section
    if name in known:
        return {name}
    found = {place for place, label in known.items() if label and normal(label) == name}
    found = found or {place for place, label in known.items() if label and normal(label).casefold() == name.casefold()}
    if not found:
        listed = _listed(label for label in known.values() if label)
        hint = f"; sections: {listed or 'none'}" if labels else ""
        raise Missing(f"item {reference.item!r} has no section {name!r} for {reference}{hint}")
    return found


def _ambiguous_fields(found: list[Json], sections: dict[str, str], reference: Reference, title: str) -> Ambiguous:
    places = [_section_label(entry, sections) for entry in found]
    if len(set(places)) == len(places) and all(places):
        shown = ", ".join(repr(place) for place in places[:LISTED])
        one = f"op://{reference.vault}/{title}/{places[0]}/{reference.field}"
        return Ambiguous(f"field {reference.field!r} for {reference} occurs in sections {shown}; write {one}")
    ids = _listed(str(entry.get("id")) for entry in found)
    return Ambiguous(
        f"{len(found)} fields of {title!r} match {reference.field!r} for {reference}: use one of the ids {ids}"
    )


def _listed(names: Iterable[str]) -> str:
    """Names for a message: each once, at most LISTED of them."""
    once = list(dict.fromkeys(names))
    shown = ", ".join(once[:LISTED])
    return shown if len(once) <= LISTED else f"{shown} and {len(once) - LISTED} more"
