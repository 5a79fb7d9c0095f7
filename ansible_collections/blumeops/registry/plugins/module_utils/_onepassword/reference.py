# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Secret references, ``op://vault/item/[section/]field[?query]``: parse and format. Pure.

The grammar is a superset of 1Password's (contracts of 1Password, 4.1): names may hold any character, as it is or
percent-encoded, because Connect has no limit on them. What ``op`` does not take is found by :func:`op_problem`.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
import urllib.parse

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput

SCHEME = "op://"
FORM = "op://vault/item/[section/]field"

#: Attributes of a field and of a file that a reference can ask for (contracts of 1Password, 3.1).
FIELD_ATTRIBUTES = frozenset({"value", "otp", "type", "id", "title", "purpose"})
FILE_ATTRIBUTES = frozenset({"content", "name", "size", "id", "type"})
SSH_FORMATS = frozenset({"openssh"})

_ID = re.compile(r"[a-z0-9]{26}")
_OP_SEGMENT = re.compile(r"[A-Za-z0-9\-_. ]*")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """What is asked for: names or ids of a vault, an item, a section where one was given, and a field or file.

    ``attribute`` is empty for the plain value. ``typed`` is the reference as the user wrote it, for messages only.
    """

    vault: str
    item: str
    field: str
    section: str | None = None
    attribute: str = ""
    ssh_format: str = ""
    typed: str = dataclasses.field(default="", compare=False)

    def __str__(self) -> str:
        return self.typed or format_reference(self)


def is_id(name: str) -> bool:
    """Whether a name has the form of 1Password's ids: 26 lower-case letters and digits."""
    return _ID.fullmatch(name) is not None


def normal(name: str) -> str:
    """A name in Unicode's composed form: one that was typed and one that is stored may differ in that only."""
    return unicodedata.normalize("NFC", name)


def parse(text: str) -> Reference:
    """Read a secret reference.

    Raises:
        InvalidInput: Another scheme, too few or too many parts, an empty part, a control character, a stray
            ``%``, or a query that 1Password does not know.
    """
    if not isinstance(text, str) or not text.startswith(SCHEME):
        raise InvalidInput(f"{_shown(text)} is not a secret reference: need {FORM}")
    path, question, query = text[len(SCHEME) :].partition("?")
    parts = path.split("/")
    if len(parts) not in {3, 4}:
        raise InvalidInput(f"{_shown(text)} is not a secret reference: need {FORM}")
    if _BAD_PERCENT.search(path):
        raise InvalidInput(f"{_shown(text)} has a % that starts no percent-encoded character: write it as %25")
    try:
        names = [normal(urllib.parse.unquote(part, errors="strict")) for part in parts]
    except UnicodeDecodeError:
        raise InvalidInput(f"{_shown(text)} is percent-encoded in something else than UTF-8") from None
    attribute, ssh_format = _parse_query(text, query) if question else ("", "")
    section = names[2] if len(names) == 4 else None
    return build(names[0], names[1], names[-1], section=section, attribute=attribute, ssh_format=ssh_format, typed=text)


def build(
    vault: str,
    item: str,
    field: str,
    *,
    section: str | None = None,
    attribute: str = "",
    ssh_format: str = "",
    typed: str = "",
) -> Reference:
    """Make a reference of its parts, for names that a reference cannot hold as they are.

    Raises:
        InvalidInput: A part that is empty or holds a control character, or an unknown attribute.
    """
    named = {"vault": vault, "item": item, "section": section, "field": field}
    reference = Reference(
        normal(vault),
        normal(item),
        normal(field),
        None if section is None else normal(section),
        attribute,
        ssh_format,
        typed,
    )
    for name, value in named.items():
        if value is None:
            continue
        if not value.strip():
            raise InvalidInput(f"{_shown(str(reference))} has an empty {name}: need {FORM}")
        if any(unicodedata.category(letter) == "Cc" for letter in value):
            raise InvalidInput(f"{_shown(str(reference))} has a control character in its {name}: use the id instead")
    if attribute and attribute not in FIELD_ATTRIBUTES | FILE_ATTRIBUTES:
        known = ", ".join(sorted(FIELD_ATTRIBUTES | FILE_ATTRIBUTES))
        raise InvalidInput(f"{_shown(str(reference))} asks for the unknown attribute {attribute!r}: use one of {known}")
    if ssh_format and ssh_format not in SSH_FORMATS:
        raise InvalidInput(f"{_shown(str(reference))} asks for the unknown SSH format {ssh_format!r}: use openssh")
    return reference


def _parse_query(text: str, query: str) -> tuple[str, str]:
    """``(attribute, ssh_format)`` of a query, which is exactly one pair."""
    name, equals, value = query.partition("=")
    if equals and "&" not in value:
        if name in {"attribute", "attr"}:
            return "otp" if value == "totp" else value or "?", ""
        if name == "ssh-format":
            return "", value or "?"
    raise InvalidInput(
        f"{_shown(text)} has a query that 1Password does not know: use one of ?attribute=NAME and ?ssh-format=openssh, "
        "and write a question mark of a name as %3F"
    )


def format_reference(reference: Reference) -> str:
    """The reference as text; :func:`parse` of it gives the same reference."""
    parts = [reference.vault, reference.item, reference.section, reference.field]
    path = "/".join(_encode(part) for part in parts if part is not None)
    if reference.ssh_format:
        return f"{SCHEME}{path}?ssh-format={reference.ssh_format}"
    return f"{SCHEME}{path}?attribute={reference.attribute}" if reference.attribute else SCHEME + path


def _encode(name: str) -> str:
    """Percent-encode what would end a part, and control characters."""
    return re.sub(r"[%/?#\x00-\x1f\x7f-\x9f]", lambda found: urllib.parse.quote(found[0], safe=""), name)


def op_problem(reference: Reference) -> str | None:
    """What keeps ``op`` from taking this reference, as a phrase; None where it takes it.

    ``op`` allows ASCII letters and digits, ``-``, ``_``, ``.`` and the blank only, and has no percent-encoding [T].
    A blank at an end is not safe in a template, where blanks beside the braces are layout.
    """
    for part in (reference.vault, reference.item, reference.section, reference.field):
        if part is None:
            continue
        good = _OP_SEGMENT.match(part)
        assert good is not None  # the pattern matches nothing as well
        if good.end() < len(part):
            return f"contains {part[good.end()]!r}, which op does not accept"
        if part != part.strip():
            return "has a name that begins or ends with a blank, which op does not accept"
    return None


def _shown(text: object) -> str:
    """A term as it stands in a message: on one line, and not longer than anybody reads.

    What does not look like a reference may be a secret that stands in the wrong place; it is not shown.
    """
    if not isinstance(text, str):
        return f"a term of type {type(text).__name__}"
    if not text.strip().lower().startswith(SCHEME):
        return f"a term of {len(text)} characters"
    shown = repr(text)
    return shown if len(shown) <= 200 else f"{shown[:200]}…'"
