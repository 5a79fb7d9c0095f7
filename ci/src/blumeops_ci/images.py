"""Images on disk and in a registry: what makes two of them the same, and what that means for a tag. Pure but for reads.

The digest of an image in a registry is the digest of its manifest, which names *compressed* layers. Measured with
skopeo 1.9.3 and zot 2.1.20: the same ``docker-archive``, pushed a second time into a registry that holds its layers
in another compression (zstd), took those layers and got another digest. So what an archive will be in the registry
is not known before it is pushed, unless it is laid out first and pushed with ``--preserve-digests``.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .problem import Problem

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its manifest's digest and by its configuration's.

    The configuration names the *uncompressed* layers, so two images with the same one are the same image, however
    compressed. None where there is none (an index of several platforms).
    """

    digest: str
    config: str | None = None

    @classmethod
    def of_manifest(cls, manifest: bytes) -> Image:
        """Read a manifest.

        Raises:
            ValueError: It is none.
        """
        content = json.loads(manifest)
        if not isinstance(content, dict) or content.get("schemaVersion") != 2:
            raise ValueError("no manifest")
        config = content.get("config")
        return cls(
            "sha256:" + hashlib.sha256(manifest).hexdigest(),
            config["digest"] if isinstance(config, dict) and DIGEST.fullmatch(str(config.get("digest"))) else None,
        )


Verdict = Literal["push", "unchanged"]


def decide(address: str, built: Image, stored: Image | None, *, identity: str) -> Verdict:
    """What to do with a tag: push what is not there, leave alone what is the same.

    Args:
        address: ``host/repository:tag``, for the message.
        built: The image of this build.
        stored: What the registry holds under the tag; None for nothing.
        identity: Who would push.

    Raises:
        Problem: The tag holds another image.
    """
    if stored is None:
        return "push"
    if stored.digest == built.digest or (stored.config is not None and stored.config == built.config):
        return "unchanged"
    raise Problem(
        f"{address} holds another image ({short(stored.digest)}) than this build ({short(built.digest)}): "
        f"tags are immutable for {identity}, and only a member of the group admins may change or delete one; "
        "build a new commit, which gets a tag of its own"
    )


def short(digest: str) -> str:
    """A digest for people: enough of it to compare by eye."""
    return digest[:19]


def of_layout(folder: Path) -> Image:
    """The one image of an OCI layout.

    Raises:
        Problem: No layout, or not exactly one image in it.
    """

    def read(name: str) -> bytes:
        return (folder / name).read_bytes()

    return _one_image(str(folder), read)


def of_archive(path: Path) -> Image:
    """The one image of an OCI layout in a tar file, as Dagger's ``as-tarball`` makes it; layers are not read.

    Raises:
        Problem: No such file, no tar, no layout, or not exactly one image in it.
    """
    try:
        with tarfile.open(path) as archive:

            def read(name: str) -> bytes:
                member = archive.extractfile(name)
                if member is None:
                    raise KeyError(name)
                return member.read()

            return _one_image(str(path), read)
    except (OSError, tarfile.TarError) as error:
        raise Problem(
            f"{path} cannot be read as a tar file ({type(error).__name__}): was the image exported?"
        ) from None


def _one_image(where: str, read: Any) -> Image:
    try:
        index: Mapping[str, Any] = json.loads(read("index.json"))
        (descriptor,) = index["manifests"]
        algorithm, _, name = descriptor["digest"].partition(":")
        image = Image.of_manifest(read(f"blobs/{algorithm}/{name}"))
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        raise Problem(f"{where} is no OCI layout of exactly one image: export the image as an OCI archive") from None
    if image.digest != descriptor["digest"]:
        raise Problem(f"{where} is damaged: its manifest has another digest than its index says; build it again")
    return image
