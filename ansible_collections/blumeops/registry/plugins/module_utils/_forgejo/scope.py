# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Where secrets and variables live, and which names and values Forgejo takes. Pure."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput

#: Measured on Forgejo 14.0.0-dev (contracts/forgejo.md section 1): FORGEJO_ is accepted, the other two are not.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = re.compile(r"GIT(?:EA|HUB)_", re.IGNORECASE)
#: MySQL and PostgreSQL keep names in VARCHAR(255).
LONGEST_NAME = 255
#: Ansible hides a value by replacing it in every text: a shorter one is found in too many.
SHORTEST_VALUE = 4
#: What is shown of a refused name. Anything else may be a value that stands where the name should.
_HARMLESS = re.compile(r"[A-Za-z0-9_ .-]{0,64}")

#: Actions variables that this collection keeps: what it wrote last, and who writes now (also with a suffix).
LEDGER_VARIABLE = "BLUMEOPS_REGISTRY_LEDGER"
LOCK_VARIABLE = "BLUMEOPS_REGISTRY_LOCK"

REPOSITORY, ORGANIZATION, USER = "repository", "organization", "user"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A repository (``owner/name``), an organisation, or the token's own user (no name)."""

    kind: str
    name: str = ""

    @property
    def path(self) -> str:
        """The path of its Actions in the API, without ``/api/v1``."""
        if self.kind == USER:
            return "/user/actions"
        return f"{self.object_path}/actions"

    @property
    def object_path(self) -> str:
        """The path of the repository or organisation itself."""
        quoted = "/".join(urllib.parse.quote(part, safe="") for part in self.name.split("/"))
        return f"/repos/{quoted}" if self.kind == REPOSITORY else f"/orgs/{quoted}"

    @property
    def key(self) -> str:
        """What tells scopes apart; Forgejo's names have no case."""
        return f"{self.kind}:{self.name.lower()}"

    @property
    def has_list(self) -> bool:
        """Whether Forgejo lists its secrets: not a user's own (contracts/forgejo.md section 4)."""
        return self.kind != USER

    def __str__(self) -> str:
        return "the user's own" if self.kind == USER else f"{self.kind} {self.name}"


def scope_of(repository: str | None = None, organization: str | None = None, user: bool | None = None) -> Scope:
    """The scope of three options, of which exactly one is set.

    Raises:
        InvalidInput: None or several are set, or a name cannot be one.
    """
    given = [value for value in (repository, organization, user) if value not in (None, False)]
    if len(given) != 1:
        raise InvalidInput("exactly one of repository, organization and user: true must be given")
    if user:
        return Scope(USER)
    if organization is not None:
        if not organization or "/" in organization:
            raise InvalidInput(f"organization must be a name, which {organization!r} is not")
        return Scope(ORGANIZATION, organization)
    assert repository is not None
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", repository):
        raise InvalidInput(f"repository must be given as owner/name, which {repository!r} is not")
    return Scope(REPOSITORY, repository)


def is_own(name: str) -> bool:
    """Whether a name (in upper case) is one of the variables that this collection keeps."""
    return name.startswith((LEDGER_VARIABLE, LOCK_VARIABLE))


def check_name(name: str, *, what: str = "secret") -> str:
    """The name as Forgejo stores it, in upper case.

    Args:
        what: ``secret`` or ``variable``, for the message; a variable must not be called CI.

    Raises:
        InvalidInput: Forgejo would answer 400.
    """
    shown = repr(name) if _HARMLESS.fullmatch(name) else f"a text of {len(name)} characters"
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{shown} cannot be the name of a {what}: letters, digits and underscores only, and no digit first"
        )
    if RESERVED.match(name):
        raise InvalidInput(f"{shown} cannot be the name of a {what}: GITHUB_ and GITEA_ are reserved, choose another")
    if what == "variable" and name.upper() == "CI":
        raise InvalidInput("'CI' cannot be the name of a variable: Forgejo sets it itself, choose another")
    if is_own(name.upper()):
        raise InvalidInput(f"{shown} cannot be the name of a {what}: this collection keeps it for itself")
    if len(name) > LONGEST_NAME:
        raise InvalidInput(f"{shown} cannot be the name of a {what}: it is longer than {LONGEST_NAME} letters")
    return name.upper()


def check_value(value: str | None, where: str) -> str:
    """A value that Forgejo stores as it is.

    Args:
        where: Names the secret or variable in the message; the value is never shown.

    Raises:
        InvalidInput: Empty (Forgejo stores no empty one), not valid UTF-8 (it would be changed silently), or a
            secret reference that nobody resolved.
    """
    if not value:
        raise InvalidInput(f"the value of {where} is empty, which Forgejo cannot store: check where it comes from")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput(
            f"the value of {where} is not valid UTF-8 and would be stored changed: encode it, for example in base64"
        ) from None
    if value.startswith("op://"):
        raise InvalidInput(
            f"the value of {where} is a secret reference and not what it refers to: "
            "resolve it with the lookup blumeops.registry.onepassword, and if it comes from there, the field in "
            "1Password seems to hold a reference itself: store there what that refers to"
        )
    return value


def short_value_warning(values: Iterable[tuple[str, str | None]]) -> str | None:
    """What to warn of where values are so short that hiding them hides other text; None where none is.

    Args:
        values: What each value is of, as in ``the secret X``, and the value.
    """
    short = [where for where, value in values if value is not None and len(value) < SHORTEST_VALUE]
    if not short:
        return None
    others = f" (and of {len(short) - 1} more)" if short[1:] else ""
    return (
        f"the value of {short[0]}{others} has fewer than {SHORTEST_VALUE} characters: "
        "Ansible's redaction will garble its output"
    )
