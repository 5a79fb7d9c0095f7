"""zot's image store: OCI layouts below one directory, so that everything survives a restart.

What is written where, what a push may leave behind and in which order things are checked follows what the real
one was measured to do; a push replaces index.json by rename.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lab.standins import oci

NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
REF_NAME = "org.opencontainers.image.ref.name"
BUFFER = 4096
EMPTY_INDEX = {"schemaVersion": 2, "manifests": None}
Trouble = Literal["", "read-only", "full"]
Index = dict[str, Any]


class StoreError(Exception):
    """What was asked for cannot be done; ``detail`` goes into the answer."""

    def __init__(self, **detail: str) -> None:
        super().__init__(type(self).__name__)
        self.detail = detail


class RepositoryMissing(StoreError): ...


class ManifestMissing(StoreError): ...


class ManifestBad(StoreError): ...


class ManifestInUse(StoreError): ...


class ManifestAmbiguous(StoreError): ...


class BlobMissing(StoreError): ...


class BlobInUse(StoreError): ...


class DigestWrong(StoreError): ...


class UploadMissing(StoreError): ...


class RangeWrong(StoreError): ...


@dataclass(frozen=True, slots=True)
class Manifest:
    content: bytes
    digest: str
    media_type: str


class Store:
    """The repositories below ``root``.

    ``dedupe``: a blob that any repository holds is linked, so that it can be mounted. ``trouble``: what the
    file system suffers from; ``read-only`` refuses to create anything, ``full`` to write a byte.
    """

    def __init__(self, root: Path, *, dedupe: bool = True, trouble: Trouble = "") -> None:
        self.root, self.dedupe, self.trouble = root, dedupe, trouble
        root.mkdir(parents=True, exist_ok=True)
        #: digest -> where its content is, oldest first; zot keeps the same in its cache database.
        self._known: dict[str, list[Path]] = {}
        for repo in self.repositories() if dedupe else ():
            for path in sorted((self.root / repo / "blobs").glob("*/*")):
                self._known.setdefault(f"{path.parent.name}:{path.name}", []).append(path)

    # -- repositories ------------------------------------------------------------------------------------

    def repositories(self) -> Iterator[str]:
        """Names of all repositories, in the order in which zot walks its directories."""

        def walk(directory: Path) -> Iterator[str]:
            for child in sorted(directory.iterdir(), key=str):
                # zot skips by the end of the path, so that a repository "oblobs" is never listed
                if not child.is_dir() or child.name.endswith((".sync", "blobs", ".uploads")):
                    continue
                name = child.relative_to(self.root).as_posix()
                layout = (child / "oci-layout", child / "index.json")
                if NAME.fullmatch(name) and all(file.exists() for file in layout) and (child / "blobs").is_dir():
                    yield name
                yield from walk(child)

        yield from walk(self.root)

    def size(self, repo: str) -> int:
        """Bytes of all files of the repository."""
        return sum(file.stat().st_size for file in (self.root / repo).rglob("*") if file.is_file())

    def init(self, repo: str) -> None:
        """Make the repository where there is none; raises ``OSError`` where that is not possible."""
        directory = self.root / repo
        for part in ("blobs", ".uploads"):
            if not (directory / part).is_dir():
                self._may_create()
                (directory / part).mkdir(parents=True, exist_ok=True)
        for name, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", EMPTY_INDEX)):
            if not (directory / name).exists():
                self._write(directory / name, json.dumps(content).encode())

    def index(self, repo: str) -> Index:
        try:
            index: Index = json.loads((self.root / repo / "index.json").read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise RepositoryMissing from None
        index["manifests"] = index.get("manifests") or []
        return index

    def tags(self, repo: str) -> list[str]:
        return [name for descriptor in self.index(repo)["manifests"] if (name := _tag(descriptor)) is not None]

    # -- manifests ---------------------------------------------------------------------------------------

    def manifest(self, repo: str, reference: str) -> Manifest:
        """The manifest under a tag or digest."""
        for descriptor in self.index(repo)["manifests"]:
            if reference in (descriptor["digest"], _tag(descriptor)):
                try:
                    content = self.blob(repo, descriptor["digest"]).read_bytes()
                except BlobMissing:
                    break
                return Manifest(content, descriptor["digest"], descriptor["mediaType"])
        raise ManifestMissing

    def put_manifest(
        self, repo: str, reference: str, media_type: str, body: bytes, tags: list[str], *, docker: bool
    ) -> tuple[str, str]:
        """Store a manifest under a tag, or a digest and any ``tags``; its digest and that of its subject.

        The repository is there afterwards even where the manifest is refused.
        """
        self.init(repo)
        by_digest = oci.is_digest(reference)
        digest = oci.digest(body, oci.algorithm(reference) if by_digest else "sha256")
        if by_digest and digest != reference:
            raise ManifestBad
        self._check_references(repo, media_type, body, docker=docker)
        index = self.index(repo)
        path = self._blob_path(repo, digest)
        if not path.exists() or path.stat().st_size != len(body):
            path.parent.mkdir(exist_ok=True)
            self._write(path, body)
        plain = {"mediaType": media_type, "digest": digest, "size": len(body)}
        if tags:
            changed = [tag for tag in tags if self._place(repo, index, plain | {"annotations": {REF_NAME: tag}})]
        else:
            descriptor = plain if by_digest else plain | {"annotations": {REF_NAME: reference}}
            changed = [reference] if self._place(repo, index, descriptor) else []
        if changed:
            self._replace_index(repo, index)
        document = json.loads(body)
        subject = document.get("subject") if media_type in (oci.MANIFEST, oci.INDEX) else None
        return digest, (subject or {}).get("digest", "")

    def _place(self, repo: str, index: Index, new: dict[str, Any]) -> bool:
        """Put a descriptor into the index, in the place of what it replaces; False where nothing changes."""
        listed: list[dict[str, Any]] = index["manifests"]
        tag = _tag(new)
        old = ""
        for descriptor in listed:
            same_name = _tag(descriptor) == tag if tag is not None else descriptor["digest"] == new["digest"]
            if same_name and descriptor["digest"] == new["digest"]:
                return False
            if same_name:
                old = descriptor["digest"]
                listed.remove(descriptor)
                break
        if old and new["mediaType"] in oci.INDEXES:
            index["manifests"] = listed = self._pruned(repo, index, old, new)
        listed[:] = [item for item in listed if _tag(item) is not None or item["digest"] != new["digest"]]
        listed.append(new)
        return True

    def _check_references(self, repo: str, media_type: str, body: bytes, *, docker: bool) -> None:
        """Raise ManifestBad for what is no manifest, or one that names blobs that are not there."""
        if not body:
            raise ManifestBad
        try:
            named = oci.references(media_type, body)
        except oci.NotAManifest as error:
            if docker and media_type not in (oci.MANIFEST, oci.INDEX):
                raise ManifestBad from None
            raise ManifestBad(jsonSchemaValidation=str(error)) from None
        for digest in named:
            try:
                self.blob(repo, digest)
            except StoreError:
                raise ManifestBad from None

    def delete_manifest(self, repo: str, reference: str, *, refuse_ambiguous: bool = False) -> None:
        """Remove a tag (its manifest stays under its digest) or a digest with all its tags."""
        index = self.index(repo)
        listed: list[dict[str, Any]] = index["manifests"]
        named = [item for item in listed if reference in (_tag(item), item["digest"])]
        if not named:
            raise ManifestMissing
        if len(named) > 1 and refuse_ambiguous:
            raise ManifestAmbiguous
        removed = named[-1]
        index["manifests"] = [item for item in listed if item not in named]
        others = sum(item["digest"] == removed["digest"] for item in listed)
        if _tag(removed) == reference and others == 1:
            index["manifests"].append({key: value for key, value in removed.items() if key != "annotations"})
        if oci.is_digest(reference) and any(
            self._reaches(repo, item, removed["digest"])
            for item in index["manifests"]
            if item["mediaType"] in oci.INDEXES
        ):
            raise ManifestInUse
        if removed["mediaType"] in oci.INDEXES:
            index["manifests"] = self._pruned(repo, index, removed["digest"], removed)
        self._may_create()  # a full disk has room for less
        (self.root / repo / "index.json").write_text(json.dumps(index))
        if all(item["digest"] != removed["digest"] for item in index["manifests"]):
            self._blob_path(repo, removed["digest"]).unlink(missing_ok=True)

    def _pruned(self, repo: str, index: Index, old: str, new: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The index without the untagged manifests that only the image index ``old`` named."""
        listed: list[dict[str, Any]] = index["manifests"]
        children = {child["digest"] for child in self._document(repo, old).get("manifests") or []}
        others = [item["digest"] for item in [*listed, new] if item["mediaType"] in oci.INDEXES]
        shared = [child["digest"] for other in others for child in self._document(repo, other).get("manifests") or []]
        return [
            item
            for item in listed
            if item["mediaType"] in oci.INDEXES
            or _tag(item) is not None
            or item["digest"] not in children
            or item["digest"] in shared
        ]

    def referrers(self, repo: str, digest: str, artifact_types: list[str]) -> Index:
        """The manifests whose subject is ``digest``, as an image index."""
        found: dict[str, Any] = {}
        listed = self.index(repo)["manifests"] if (self.root / repo).is_dir() else []
        for descriptor in listed:
            if descriptor["digest"] in found or descriptor["digest"] == digest:
                continue
            document = self._document(repo, descriptor["digest"], strict=True)
            subject, kind = document.get("subject") or {}, oci.artifact_type(document)
            if subject.get("digest") == digest and (not artifact_types or kind in artifact_types):
                entry = {key: descriptor[key] for key in ("mediaType", "digest", "size")}
                notes = document.get("annotations")
                entry |= ({"annotations": notes} if notes else {}) | ({"artifactType": kind} if kind else {})
                found[descriptor["digest"]] = entry
        return {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": list(found.values())}

    def _document(self, repo: str, digest: str, *, strict: bool = False) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(self.blob(repo, digest).read_bytes())
        except BlobMissing:
            if strict:
                raise ManifestMissing from None
            return {}
        return document

    # -- blobs -------------------------------------------------------------------------------------------

    def _blob_path(self, repo: str, digest: str) -> Path:
        algorithm, _, encoded = digest.partition(":")
        return self.root / repo / "blobs" / algorithm / encoded

    def blob(self, repo: str, digest: str) -> Path:
        """The file with a blob of this repository."""
        if not oci.is_digest(digest):
            raise DigestWrong
        path = self._blob_path(repo, digest)
        if not path.is_file():
            raise BlobMissing
        return path

    def owners(self, digest: str) -> list[str]:
        """The repositories that a blob could be mounted from."""
        if not self.dedupe:
            return []
        return [path.parent.parent.parent.relative_to(self.root).as_posix() for path in self._known.get(digest, [])]

    def mount(self, repo: str, digest: str) -> Path:
        """The file with the blob in this repository, linked from another one where need be."""
        try:
            path = self.blob(repo, digest)
        except BlobMissing:
            source = next((path for path in self._known.get(digest, []) if path.exists()), None)
            if source is None or not self.dedupe:
                raise
            self.init(repo)
            path = self._blob_path(repo, digest)
            path.parent.mkdir(exist_ok=True)
            self._may_create()
            os.link(source, path)
            self._known[digest].append(path)
        else:
            expected = self._descriptor(repo, digest)
            if expected and expected["size"] != path.stat().st_size:
                raise BlobMissing
        return path

    def media_type(self, repo: str, digest: str) -> str:
        """What the manifests of the repository call this blob."""
        named = str((self._descriptor(repo, digest) or {}).get("mediaType", ""))
        return named if "/" in named else "application/octet-stream"

    def delete_blob(self, repo: str, digest: str) -> None:
        path = self.blob(repo, digest)
        if any(self._reaches(repo, item, digest) for item in self.index(repo)["manifests"]):
            raise BlobInUse
        self._may_create()
        path.unlink()
        if digest in self._known:
            self._known[digest] = [known for known in self._known[digest] if known != path]

    def _reaches(self, repo: str, descriptor: Mapping[str, Any], digest: str) -> bool:
        return any(item["digest"] == digest for item in self._tree(repo, descriptor))

    def _descriptor(self, repo: str, digest: str) -> Mapping[str, Any] | None:
        try:
            listed = self.index(repo)["manifests"]
        except RepositoryMissing:
            return None
        trees = (item for descriptor in listed for item in self._tree(repo, descriptor))
        return next((item for item in trees if item["digest"] == digest), None)

    def _tree(self, repo: str, descriptor: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """A descriptor and all that it leads to."""
        yield descriptor
        if descriptor["mediaType"] in oci.INDEXES:
            for child in self._document(repo, descriptor["digest"]).get("manifests") or []:
                yield from self._tree(repo, child)
        elif descriptor["mediaType"] in oci.MANIFESTS:
            document = self._document(repo, descriptor["digest"])
            yield from ([document["config"]] if document.get("config") else [])
            yield from document.get("layers") or []

    # -- uploads -----------------------------------------------------------------------------------------

    def new_upload(self, repo: str) -> str:
        self.init(repo)
        session = str(uuid.uuid4())
        try:
            self._may_create()
            self._upload(repo, session).touch()
        except OSError:
            raise RepositoryMissing from None
        return session

    def _upload(self, repo: str, session: str) -> Path:
        return self.root / repo / ".uploads" / session

    def upload_size(self, repo: str, session: str) -> int:
        try:
            return self._upload(repo, session).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            raise UploadMissing from None

    def append(
        self, repo: str, session: str, start: int | None = None, *, flushed: bool = False
    ) -> Callable[[bytes], None]:
        """A function that appends to the upload; ``start`` is where the caller believes that it ends.

        Measured on a full disk: zot loses a few bytes without a word, unless they are ``flushed`` at the end.
        """
        self.init(repo)
        size = self.upload_size(repo, session)
        if start is not None and start != size:
            raise RangeWrong
        path = self._upload(repo, session)

        def write(data: bytes) -> None:
            if self.trouble == "full" and len(data) < BUFFER and not flushed:
                return
            self._may_write(data)
            with path.open("ab") as file:
                file.write(data)

        return write

    def finish(self, repo: str, session: str, digest: str) -> None:
        """Make the upload the blob ``digest``; it stays an upload where its content is another."""
        self.upload_size(repo, session)
        source, target = self._upload(repo, session), self._blob_path(repo, digest)
        with source.open("rb") as file:
            if hashlib.file_digest(file, oci.algorithm(digest)).hexdigest() != digest.partition(":")[2]:
                raise DigestWrong
        self._may_create()
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        if self.dedupe and target not in self._known.setdefault(digest, []):
            self._known[digest].append(target)

    def cancel(self, repo: str, session: str) -> None:
        self.upload_size(repo, session)
        self._may_create()
        self._upload(repo, session).unlink()

    # -- writing -----------------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Raise ``OSError`` where nothing can be stored. A full disk still has room in a database's own pages."""
        self._may_create()

    def _may_create(self) -> None:
        if self.trouble == "read-only":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def _may_write(self, data: bytes) -> None:
        self._may_create()
        if self.trouble == "full" and data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _write(self, path: Path, data: bytes) -> None:
        self._may_write(data)
        path.write_bytes(data)

    def _replace_index(self, repo: str, index: Index) -> None:
        staged = self._upload(repo, str(uuid.uuid4()))
        self._write(staged, json.dumps(index).encode())
        staged.replace(self.root / repo / "index.json")


class Stores:
    """The main store and those that ``storage.subPaths`` gives the names below one word."""

    def __init__(self, storage: Mapping[str, Any], trouble: Trouble = "") -> None:
        self.main = Store(Path(storage["rootDirectory"]), dedupe=storage["dedupe"], trouble=trouble)
        self._below = {
            route: Store(Path(sub["rootDirectory"]), dedupe=bool(sub.get("dedupe")), trouble=trouble)
            for route, sub in sorted((storage.get("subPaths") or {}).items())
        }

    def of(self, repo: str) -> Store:
        first, slash, _ = repo.partition("/")
        return self._below.get(f"/{first}", self.main) if slash else self.main

    def repositories(self, after: str = "") -> Iterator[str]:
        """The names that follow ``after``. Each store is a list of its own: those behind its store begin anew."""
        for store in (self.main, *self._below.values()):
            if after and store is not self.of(after):
                continue
            names = store.repositories()
            if after:
                for name in names:
                    if name == after:
                        break
            yield from names
            after = ""


def _tag(descriptor: Mapping[str, Any]) -> str | None:
    return (descriptor.get("annotations") or {}).get(REF_NAME)
