# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""What is known of the installed zot's version, and since when zot does what (contracts/zot.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput

Version = tuple[int, int, int]

CLAIM_USERNAME: Final[Version] = (2, 1, 11)
WORKLOAD_IDENTITY: Final[Version] = (2, 1, 14)
#: Before it, ``latest`` could be overwritten without ``update``.
IMMUTABLE_LATEST: Final[Version] = (2, 1, 15)
CONDITIONS: Final[Version] = (2, 1, 17)
CLAIM_GROUPS: Final[Version] = (2, 1, 17)
#: From it on anonymous scrapes need ``metrics.anonymousPolicy``; before it they needed ``metrics.users: [""]``.
METRICS_ANONYMOUS: Final[Version] = (2, 1, 18)
#: Before it, a push by digest with ``?tag=`` could move a tag without ``update``.
IMMUTABLE_BY_DIGEST: Final[Version] = (2, 1, 19)

_FORM: Final = re.compile(
    r"(?P<sign>>=|<)?\s*v?(?P<major>\d{1,6})\.(?P<minor>\d{1,6})\.(?P<patch>\d{1,6})(?P<rest>[-+.]\S*)?"
)


@dataclass(frozen=True, slots=True)
class ZotVersion:
    """``lowest <= version < below``; None where that side is not known. ``text`` is how it was given."""

    text: str = ""
    lowest: Version | None = None
    below: Version | None = None

    @classmethod
    def parse(cls, text: str | None) -> ZotVersion:
        """Read ``2.1.20``, ``v2.1.20-25-gabc`` (so many commits after a tag), ``>=2.1.18``, ``<2.1.18`` or nothing.

        The bounds are for a zot without a version (built from source), of which only is known what its ``verify``
        accepts. Raises InvalidInput for anything else.
        """
        text = (text or "").strip()
        if not text:
            return cls()
        form = _FORM.fullmatch(text)
        if form is None or (form["sign"] and form["rest"]):
            raise InvalidInput(
                f"zot_version {text[:40]!r} is no version: write it as 2.1.20, or >=2.1.18 where only a bound is known."
            )
        number = int(form["major"]), int(form["minor"]), int(form["patch"])
        after = number[0], number[1], number[2] + 1
        if form["sign"] == ">=":
            return cls(text, number, None)
        if form["sign"] == "<":
            return cls(text, None, number)
        # A release candidate stands before its release; what "git describe" prints after a tag stands behind it.
        if form["rest"] and form["rest"][1:].lower().startswith(("rc", "alpha", "beta")):
            return cls(text, (0, 0, 0), number)
        return cls(text, number, after)

    @property
    def known(self) -> bool:
        """Whether anything at all is known."""
        return self.lowest is not None or self.below is not None

    def reached(self, version: Version) -> bool | None:
        """Whether the installed zot is at least ``version``; None where that is not known."""
        if self.lowest is not None and self.lowest >= version:
            return True
        if self.below is not None and self.below <= version:
            return False
        return None


def dotted(version: Version) -> str:
    """``2.1.18``."""
    return ".".join(map(str, version))
