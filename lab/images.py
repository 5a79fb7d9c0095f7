"""Images made from nothing, as Nix and Dagger write them: the same word, the same image."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path


def docker_archive(path: Path, word: str, *, size: int = 20_000) -> Path:
    """Write an image as Nix's dockerTools does: uncompressed layers in a tar, in gzip where the name ends so.

    ``word`` makes the content: the same word, the same image.
    """
    layers = []
    for number in range(2):
        content = hashlib.shake_256(f"{word} {number}".encode()).digest(size) + bytes(size)
        layers.append(_tar({f"opt/{number}": content}))
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:01Z",
            "config": {"Entrypoint": ["/opt/0"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
        }
    ).encode()
    names = [f"{_digest(layer)[7:]}/layer.tar" for layer in layers]
    manifest = [{"Config": "config.json", "RepoTags": ["blumeops/x:latest"], "Layers": names}]
    files = {
        **dict(zip(names, layers, strict=True)),
        "config.json": config,
        "manifest.json": json.dumps(manifest).encode(),
    }
    content = _tar(files)
    path.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return path


def oci_archive(path: Path, word: str) -> Path:
    """Write an image as Dagger's as-tarball does: an OCI layout with gzipped layers in a tar."""
    layer = _tar({"opt/0": hashlib.shake_256(word.encode()).digest(5000)})
    packed = gzip.compress(layer, mtime=0)
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]}}
    ).encode()
    kind = "application/vnd.oci.image"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": {"mediaType": f"{kind}.config.v1+json", "digest": _digest(config), "size": len(config)},
            "layers": [{"mediaType": f"{kind}.layer.v1.tar+gzip", "digest": _digest(packed), "size": len(packed)}],
        }
    ).encode()
    index = {
        "schemaVersion": 2,
        "manifests": [{"mediaType": f"{kind}.manifest.v1+json", "digest": _digest(manifest), "size": len(manifest)}],
    }
    blobs = {f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (packed, config, manifest)}
    layout = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode(), **blobs}
    path.write_bytes(_tar(layout))
    return path


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
