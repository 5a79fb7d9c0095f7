"""The distribution API: tags, manifests, blobs, uploads, referrers, the catalog.

What each request needs to be allowed is decided before it gets here (zot_server).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from lab.standins import oci
from lab.standins.zot_http import answer, failure
from lab.standins.zot_storage import (
    BlobInUse,
    BlobMissing,
    DigestWrong,
    ManifestAmbiguous,
    ManifestBad,
    ManifestInUse,
    ManifestMissing,
    RangeWrong,
    RepositoryMissing,
    Store,
    StoreError,
    Stores,
    UploadMissing,
)

MANIFEST_LIMIT = 4 * 1024 * 1024
BINARY = "application/octet-stream"
#: So many ``tag=`` of 128 characters fit into a request of 8 KiB beside a path and a digest of 2 KiB.
TAG_LIMIT = 46
RANGE_LIMIT = 16


class Registry:
    """Handlers of the distribution API on ``stores``.

    ``may_list(request, repository)``, ``may_mount`` and ``refuses_ambiguous`` ask the policy about the caller;
    ``docker``: Docker's manifests are taken too (``http.compat``).
    """

    def __init__(
        self,
        stores: Stores,
        *,
        docker: bool,
        may_list: Callable[[web.Request, str], bool],
        may_mount: Callable[[web.Request, list[str]], bool],
        refuses_ambiguous: Callable[[web.Request, str], bool],
        count: Callable[[str, str], None],
    ) -> None:
        self._stores, self._docker, self._count = stores, docker, count
        self._may_list, self._may_mount, self._refuses_ambiguous = may_list, may_mount, refuses_ambiguous

    def _store(self, request: web.Request) -> tuple[Store, str]:
        repo = request.match_info["name"]
        return self._stores.of(repo), repo

    # -- lists -------------------------------------------------------------------------------------------

    async def catalog(self, request: web.Request) -> web.Response:
        """Names that the caller may read; a full page names a next one, though that may be empty."""
        try:
            limit = int(request.query.get("n", ""))
        except ValueError:
            limit = -1
        names: list[str] = []
        for name in self._stores.repositories(request.query.get("last", "")):
            if len(names) == limit:
                break
            if self._may_list(request, name):
                names.append(name)
        headers = (
            {"Link": f'</v2/_catalog?n={limit}&last={names[-1]}>; rel="next"'} if 0 < len(names) == limit else None
        )
        return answer(200, {"repositories": names}, headers)

    async def tags(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        counts, lasts = request.query.getall("n", []), request.query.getall("last", [])
        if len(counts) > 1 or len(lasts) > 1 or (counts and not re.fullmatch(r"\+?\d+", counts[0])):
            return answer(400)
        try:
            names = sorted(store.tags(repo))
        except RepositoryMissing:
            return failure(404, "NAME_UNKNOWN", name=repo)
        begin = 0
        if lasts and lasts[0]:
            if lasts[0] not in names:
                return answer(404)
            begin = names.index(lasts[0]) + 1
        end = begin + int(counts[0]) if counts else len(names)
        headers = None
        if begin < end < len(names):
            headers = {"Link": f'</v2/{repo}/tags/list?n={end - begin}&last={names[end - 1]}>; rel="next"'}
        return answer(200, {"name": repo, "tags": names[begin:end]}, headers)

    async def referrers(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        if not oci.is_digest(digest := request.match_info["digest"]):
            return answer(400)
        kinds = request.query.getall("artifactType", [])
        try:
            index = store.referrers(repo, digest, kinds)
        except ManifestMissing:
            return answer(404)
        except RepositoryMissing:
            return answer(500)
        return answer(200, index, {"OCI-Filters-Applied": "artifactType"} if kinds else None, oci.INDEX)

    # -- manifests ---------------------------------------------------------------------------------------

    async def get_manifest(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        reference = request.match_info["reference"]
        try:
            manifest = store.manifest(repo, reference)
        except RepositoryMissing:
            return failure(404, "NAME_UNKNOWN", name=repo)
        except ManifestMissing:
            return failure(404, "MANIFEST_UNKNOWN", reference=reference)
        if request.method == "GET":
            try:
                store.check_writable()  # zot counts downloads in its database, and fails where it cannot
            except OSError:
                return answer(500)
        self._count("downloads", repo)
        headers = {"Docker-Content-Digest": manifest.digest}
        return answer(200, manifest.content, headers, manifest.media_type)

    async def put_manifest(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        reference, kind = request.match_info["reference"], request.headers.get("Content-Type", "")
        if oci.looks_like_digest(reference):
            return failure(400, "DIGEST_INVALID", reference=reference)
        if kind not in (oci.MANIFEST, oci.INDEX) and not (self._docker and kind in (*oci.MANIFESTS, *oci.INDEXES)):
            return failure(415, "MANIFEST_INVALID", mediaType=kind)
        given = request.query.getall("tag", [])
        if len(given) > TAG_LIMIT:
            return failure(414, "MANIFEST_INVALID", reason=f"too many tag query parameters (max {TAG_LIMIT})")
        tags = list(dict.fromkeys(tag.strip() for tag in given))
        for tag in tags:
            if not oci.TAG.fullmatch(tag):
                reason = (
                    "invalid tag query parameter: not a valid OCI/Docker tag" if tag else "empty tag query parameter"
                )
                return failure(400, "MANIFEST_INVALID", reason=reason)
        if tags and not oci.is_digest(reference):
            reason = "tag query parameters are only valid when pushing a manifest by digest"
            return failure(400, "MANIFEST_INVALID", reason=reason)
        body = await _body(request, MANIFEST_LIMIT)
        if body is None:
            reason = f"manifest body exceeds maximum allowed size of {MANIFEST_LIMIT} bytes"
            return failure(413, "MANIFEST_INVALID", reason=reason)
        try:
            digest, subject = store.put_manifest(repo, reference, kind, body, tags, docker=self._docker)
        except ManifestBad as bad:
            return failure(400, "MANIFEST_INVALID", reference=reference, **bad.detail)
        except OSError:
            _undo(store, repo, reference)
            return answer(500)
        self._count("uploads", repo)
        response = answer(201, None, {"Location": f"/v2/{repo}/manifests/{digest}", "Docker-Content-Digest": digest})
        if subject:
            response.headers["OCI-Subject"] = subject
        for tag in tags:
            response.headers.add("OCI-Tag", tag)
        return response

    async def delete_manifest(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        reference = request.match_info["reference"]
        try:
            store.manifest(repo, reference)
            store.delete_manifest(repo, reference, refuse_ambiguous=self._refuses_ambiguous(request, repo))
        except RepositoryMissing:
            return failure(400, "NAME_UNKNOWN", name=repo)
        except ManifestMissing:
            return failure(404, "MANIFEST_UNKNOWN", reference=reference)
        except ManifestAmbiguous:
            return failure(409, "MANIFEST_INVALID", reference=reference)
        except ManifestInUse:
            return failure(405, "DENIED", reference=reference)
        except OSError:
            return answer(500)
        return answer(202)

    # -- blobs -------------------------------------------------------------------------------------------

    async def head_blob(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        digest = request.match_info["digest"]
        try:
            mountable = self._may_mount(request, store.owners(digest))
            path = store.mount(repo, digest) if mountable else store.blob(repo, digest)
        except BlobMissing:
            return failure(404, "BLOB_UNKNOWN", digest=digest)
        except (DigestWrong, OSError):
            return answer(500)
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Length": str(path.stat().st_size),
            "Content-Type": store.media_type(repo, digest),
            "Docker-Content-Digest": digest,
        }
        return web.Response(headers=headers)

    async def get_blob(self, request: web.Request) -> web.StreamResponse:
        store, repo = self._store(request)
        digest = request.match_info["digest"]
        ranged = request.headers.get("Range")
        try:
            path = store.blob(repo, digest) if ranged is None else store.mount(repo, digest)
        except DigestWrong:
            return failure(400, "DIGEST_INVALID", digest=digest)
        except BlobMissing:
            return failure(404, "BLOB_UNKNOWN", digest=digest)
        kind, size, headers = store.media_type(repo, digest), path.stat().st_size, {"Docker-Content-Digest": digest}
        if ranged is None:
            return await _stream(request, path, 200, 0, size, {**headers, "Content-Type": kind})
        ranges = byte_ranges(ranged, size)
        if ranges is None:
            return answer(416, None, {"Content-Range": f"bytes */{size}"})
        if len(ranges) == 1:
            start, end = ranges[0]
            headers |= {"Content-Type": kind, "Content-Range": f"bytes {start}-{end}/{size}"}
            return await _stream(request, path, 206, start, end - start + 1, headers)
        return _multipart(path, ranges, size, kind, headers)

    async def delete_blob(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        digest = request.match_info["digest"]
        try:
            store.delete_blob(repo, digest)
        except DigestWrong:
            return answer(404)
        except BlobMissing:
            return failure(404, "BLOB_UNKNOWN", digest=digest)
        except BlobInUse:
            return failure(405, "DENIED", digest=digest)
        except OSError:
            return answer(500)
        return answer(202)

    # -- uploads -----------------------------------------------------------------------------------------

    async def begin_upload(self, request: web.Request) -> web.Response:
        """A session; or the whole blob at once (``?digest=``); or a link to it (``?mount=``)."""
        store, repo = self._store(request)
        mounts, digests = request.query.getall("mount", []), request.query.getall("digest", [])
        if len(mounts) > 1 or (not mounts and len(digests) > 1):
            return answer(400)
        if mounts:
            try:
                if self._may_mount(request, store.owners(mounts[0])):
                    store.mount(repo, mounts[0])
                    return answer(201, None, {"Location": f"/v2/{repo}/blobs/{mounts[0]}"})
            except (StoreError, OSError):
                pass
        elif "from" in request.query:
            return answer(405)
        elif digests:
            return await self._whole_blob(request, store, repo, digests[0])
        try:
            session = store.new_upload(repo)
        except RepositoryMissing:
            return failure(404, "NAME_UNKNOWN", name=repo)
        except OSError:
            return answer(500)
        return answer(202, None, {"Location": f"/v2/{repo}/blobs/uploads/{session}", "Range": "0-0"})

    async def _whole_blob(self, request: web.Request, store: Store, repo: str, digest: str) -> web.Response:
        if request.headers.get("Content-Type") != BINARY:
            return answer(415)
        if not oci.is_digest(digest):
            return failure(400, "DIGEST_INVALID", digest=digest)
        if request.content_length is None:
            return failure(400, "BLOB_UPLOAD_INVALID", digest=digest, **{"Content-Length": "-1"})
        try:
            session = store.new_upload(repo)
            await _pour(request, store.append(repo, session, flushed=True))
            store.finish(repo, session, digest)
        except DigestWrong:
            return failure(400, "DIGEST_INVALID", digest=digest)
        except (StoreError, OSError):
            return answer(500)
        return answer(201, None, {"Location": f"/v2/{repo}/blobs/{digest}", "Blob-Upload-UUID": session})

    async def upload_status(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        session = request.match_info["session"]
        try:
            size = store.upload_size(repo, session)
        except UploadMissing:
            return failure(404, "BLOB_UPLOAD_UNKNOWN", session_id=session)
        location = f"/v2/{repo}/blobs/uploads/{session}"
        return answer(204, None, {"Location": location, "Range": f"0-{max(size - 1, 0)}"})

    async def append_upload(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        session = request.match_info["session"]
        start = None
        if "Content-Length" in request.headers and request.headers.get("Content-Range"):
            bounds = content_range(request)
            if bounds is None or bounds[1] - bounds[0] + 1 != request.content_length:
                return answer(416)
            start = bounds[0]
        added = await self._append(request, store, repo, session, start)
        if isinstance(added, web.Response):
            return added
        headers = {
            "Location": f"/v2/{repo}/blobs/uploads/{session}",
            # Measured: where no range is given, only the bytes of this request count.
            "Range": f"0-{(start or 0) + added - 1}",
            "Blob-Upload-UUID": session,
        }
        return answer(202, None, headers)

    async def finish_upload(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        session, digests = request.match_info["session"], request.query.getall("digest", [])
        if len(digests) != 1 or not oci.is_digest(digest := digests[0]):
            return answer(400)
        length, ranged = request.headers.get("Content-Length"), request.headers.get("Content-Range")
        if length is None and ranged is not None:
            return failure(400, "BLOB_UPLOAD_INVALID", digest=digest)
        bounds = content_range(request) if ranged else None
        if ranged and bounds is None:
            return failure(416, "BLOB_UPLOAD_INVALID", session_id=session)
        if ranged or length not in (None, "0"):
            added = await self._append(request, store, repo, session, bounds[0] if bounds else 0)
            if isinstance(added, web.Response):
                return added
        try:
            store.finish(repo, session, digest)
        except DigestWrong:
            return failure(400, "DIGEST_INVALID", digest=digest)
        except UploadMissing:
            return failure(404, "BLOB_UPLOAD_UNKNOWN", session_id=session)
        except OSError:
            _cancel(store, repo, session)
            return answer(500)
        return answer(201, None, {"Location": f"/v2/{repo}/blobs/{digest}", "Docker-Content-Digest": digest})

    async def _append(
        self, request: web.Request, store: Store, repo: str, session: str, start: int | None
    ) -> web.Response | int:
        """Add the body to the upload: how many bytes it had, or the answer where that is refused."""
        try:
            return await _pour(request, store.append(repo, session, start))
        except UploadMissing:
            return failure(404, "BLOB_UPLOAD_UNKNOWN", session_id=session)
        except RangeWrong:
            return failure(416, "BLOB_UPLOAD_INVALID", session_id=session)
        except OSError:
            _cancel(store, repo, session)
            return answer(500)

    async def cancel_upload(self, request: web.Request) -> web.Response:
        store, repo = self._store(request)
        session = request.match_info["session"]
        try:
            store.cancel(repo, session)
        except UploadMissing:
            return failure(404, "BLOB_UPLOAD_UNKNOWN", session_id=session)
        except OSError:
            return answer(500)
        return answer(204)


def _undo(store: Store, repo: str, reference: str) -> None:
    """What zot does after a manifest that it could not write: it deletes the reference, an older one too."""
    try:
        store.delete_manifest(repo, reference)
    except (StoreError, OSError):
        return


def _cancel(store: Store, repo: str, session: str) -> None:
    try:
        store.cancel(repo, session)
    except (StoreError, OSError):
        return


async def _body(request: web.Request, limit: int) -> bytes | None:
    """The body, or None where it is longer than ``limit``."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


async def _pour(request: web.Request, write: Callable[[bytes], None]) -> int:
    total = 0
    async for chunk in request.content.iter_any():
        write(chunk)
        total += len(chunk)
    return total


async def _stream(
    request: web.Request, path: Path, status: int, start: int, length: int, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(length)})
    await response.prepare(request)
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (chunk := file.read(min(length, 1 << 20))):
            await response.write(chunk)
            length -= len(chunk)
    await response.write_eof()
    return response


def _multipart(
    path: Path, ranges: list[tuple[int, int]], size: int, kind: str, headers: dict[str, str]
) -> web.Response:
    boundary, body, content = "lab-byteranges", bytearray(), path.read_bytes()
    for start, end in ranges:
        head = f"\r\n--{boundary}\r\nContent-Range: bytes {start}-{end}/{size}\r\nContent-Type: {kind}\r\n\r\n"
        body += head.encode() + content[start : end + 1]
    body += f"\r\n--{boundary}--\r\n".encode()
    return answer(206, bytes(body[2:]), headers, f"multipart/byteranges; boundary={boundary}")


def byte_ranges(header: str, size: int) -> list[tuple[int, int]] | None:
    """First and last byte of each range of a ``Range`` header, merged where they meet; None where it is refused."""
    if not header.startswith("bytes=") or header.count(",") >= RANGE_LIMIT:
        return None
    found = []
    for part in header.removeprefix("bytes=").split(","):
        match = re.fullmatch(r"(\d*)-(\d*)", part.strip())
        if match is None or not any(match.groups()):
            return None
        first, last = match.groups()
        start = int(first) if first else max(size - int(last), 0)
        end = min(int(last), size - 1) if first and last else size - 1
        if start > end or (not first and int(last) == 0) or (first and last and int(last) < start):
            return None
        found.append((start, end))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def content_range(request: web.Request) -> tuple[int, int] | None:
    """First and last byte of the ``Content-Range`` of an upload (``0-99``, without a unit), or None."""
    match = re.fullmatch(r"\s*([+-]?\d+)\s*-\s*(\d+)\s*", request.headers.get("Content-Range", ""))
    if match is None or int(match[1]) > int(match[2]):
        return None
    return int(match[1]), int(match[2])
