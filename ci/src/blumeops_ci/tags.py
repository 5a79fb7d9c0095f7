"""Names of images: one function makes the tag, one reads it back. Pure, standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .problem import Problem

#: Hex digits of the commit in a tag.
SHORT = 7
#: X.Y.Z, and at most one suffix such as the package revision ``-r0`` or ``-rc.1``.
VERSION = re.compile(r"v?(?P<plain>[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.]+)?)")
COMMIT = re.compile(r"[0-9a-f]{7,40}")
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
#: What the OCI distribution specification lets a tag be.
OCI_TAG_LENGTH = 128
_TAG = re.compile(
    r"v(?P<version>[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.]+)?)-(?P<short>[0-9a-f]{7})(?P<main>-main)?(?P<nix>-nix)?"
)


@dataclass(frozen=True, slots=True)
class ImageTag:
    """A tag taken apart: plain version (without ``v``), 7 hex digits of the commit, what it was built from."""

    version: str
    short: str
    nix: bool = False
    main: bool = False

    def __str__(self) -> str:
        return f"v{self.version}-{self.short}{'-main' if self.main else ''}{'-nix' if self.nix else ''}"


def plain_version(version: str) -> str:
    """Return ``version`` without a leading ``v``.

    Raises:
        Problem: It is not ``X.Y.Z``, alone or with one suffix (``4.0.6-r0``).
    """
    found = VERSION.fullmatch(version)
    if not found:
        raise Problem(f"{version!r} is no version: write X.Y.Z, such as v0.58.0, or with one suffix, such as 4.0.6-r0")
    return found["plain"]


def short_commit(commit: str) -> str:
    """Return the 7 hex digits that stand for ``commit`` in a tag.

    Raises:
        Problem: It is not 7 to 40 lower-case hex digits: a branch's name must not end up in a tag.
    """
    if not COMMIT.fullmatch(commit):
        raise Problem(f"{commit!r} is no commit: give its SHA, 7 to 40 lower-case hex digits, not a branch or a tag")
    return commit[:SHORT]


def container_name(name: str) -> str:
    """Return ``name`` where it can name a folder under ``containers/`` and a repository of the registry.

    Raises:
        Problem: Anything but lower-case letters, digits and single dashes inside.
    """
    if not NAME.fullmatch(name):
        raise Problem(
            f"{name!r} is no container: use the name of a folder under containers/ (lower-case letters, digits, dashes)"
        )
    return name


def image_tag(version: str, commit: str, *, nix: bool = False, main: bool = False) -> str:
    """Make the tag of an image: ``vX.Y.Z-<7 hex>``, ``-main`` and ``-nix`` after it where asked for.

    Raises:
        Problem: The version is no ``X.Y.Z``, the commit no SHA, or the tag longer than a registry takes.
    """
    tag = str(ImageTag(plain_version(version), short_commit(commit), nix, main))
    if len(tag) > OCI_TAG_LENGTH:
        raise Problem(
            f"the tag of version {version[:20]!r}… has {len(tag)} characters, and a registry takes {OCI_TAG_LENGTH}"
        )
    return tag


def parse_tag(tag: str) -> ImageTag | None:
    """Take a tag apart that :func:`image_tag` made; None for every other one (``latest``)."""
    found = _TAG.fullmatch(tag)
    if not found:
        return None
    return ImageTag(found["version"], found["short"], nix=bool(found["nix"]), main=bool(found["main"]))
