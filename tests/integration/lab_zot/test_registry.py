"""Pushing and pulling: by skopeo, in one piece and in many, by range, by link."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
from typing import Any

import pytest

from tests.integration.lab_zot.conftest import PASSWORDS, Registry
from tests.replay.zot import BLOB, digest, manifest

INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
UPLOADS = {"Content-Type": "application/octet-stream"}


def layout(folder: pathlib.Path, content: bytes) -> None:
    """An OCI layout with one image of one layer, tagged v1."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, Any]:
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(data), "size": len(data)}

    layer = put(content, "layer.v1.tar")
    root = {"type": "layers", "diff_ids": [layer["digest"]]}
    config = put(json.dumps({"architecture": "arm64", "os": "linux", "rootfs": root}).encode(), "config.v1+json")
    image = put(json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode(), "manifest.v1+json")
    image["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [image]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def skopeo(*arguments: str, folder: pathlib.Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    command = ["skopeo", "--insecure-policy", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout


def test_skopeo_pushes_and_pulls(shared: Registry, tmp_path: pathlib.Path) -> None:
    content = os.urandom(300_000)
    layout(tmp_path / "image", content)
    image = f"docker://{shared.url.removeprefix('http://')}/estate/ntfy:v1.0.0-abc1234"
    login = f"bob:{PASSWORDS['bob']}"
    skopeo(
        "copy", "--dest-tls-verify=false", f"--dest-creds={login}", f"oci:{tmp_path}/image:v1", image, folder=tmp_path
    )
    assert "v1.0.0-abc1234" in skopeo("list-tags", "--tls-verify=false", image.rpartition(":")[0], folder=tmp_path)
    told = json.loads(skopeo("inspect", "--tls-verify=false", image, folder=tmp_path))
    assert told["Architecture"] == "arm64"
    skopeo("copy", "--src-tls-verify=false", image, f"oci:{tmp_path}/back:v1", folder=tmp_path)
    layers = [path.read_bytes() for path in (tmp_path / "back" / "blobs" / "sha256").iterdir()]
    assert any(content[:1000] in layer or digest(content) in layer.decode("latin-1") for layer in layers)


@pytest.mark.parametrize("how", ["at once", "at the end", "streamed", "in ranges"])
def test_a_blob_can_be_sent_in_every_way(shared: Registry, how: str) -> None:
    content, repository = os.urandom(9000), f"ways/{how.replace(' ', '-')}"
    if how == "at once":
        shared.push_blob(repository, content)
    else:
        begun = shared.ask("POST", f"/v2/{repository}/blobs/uploads/", "bob")
        assert (begun.status_code, begun.headers["Range"]) == (202, "0-0")
        place = begun.headers["Location"]
        body = content if how == "at the end" else b""
        if how == "streamed":
            patched = shared.ask("PATCH", place, "bob", data=iter([content[:10], content[10:]]))
            assert (patched.status_code, patched.headers["Range"]) == (202, "0-8999")
        if how == "in ranges":
            for first, last in ((0, 3999), (4000, 8999)):
                headers = {"Content-Range": f"{first}-{last}"}
                part = shared.ask("PATCH", place, "bob", data=content[first : last + 1], headers=headers)
                assert (part.status_code, part.headers["Range"]) == (202, f"0-{last}")
            again = shared.ask("PATCH", place, "bob", data=b"x", headers={"Content-Range": "0-0"})
            assert again.status_code == 416
            assert shared.ask("GET", place, "bob").headers["Range"] == "0-8999"
        done = shared.ask("PUT", f"{place}?digest={digest(content)}", "bob", data=body)
        assert (done.status_code, done.headers["Docker-Content-Digest"]) == (201, digest(content))
    assert shared.ask("GET", f"/v2/{repository}/blobs/{digest(content)}").content == content


def test_a_blob_that_is_not_what_it_is_called(shared: Registry) -> None:
    place = shared.ask("POST", "/v2/liar/blobs/uploads/", "bob").headers["Location"]
    answer = shared.ask("PUT", f"{place}?digest={digest(b'truth')}", "bob", data=b"lie")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert shared.ask("HEAD", f"/v2/liar/blobs/{digest(b'truth')}", "bob").status_code == 404


@pytest.mark.parametrize(
    ("wanted", "status", "content", "told"),
    [
        ("bytes=2-4", 206, b"cde", "bytes 2-4/8"),
        ("bytes=5-", 206, b"fgh", "bytes 5-7/8"),
        ("bytes=-2", 206, b"gh", "bytes 6-7/8"),
        ("bytes=0-1,2-3", 206, b"abcd", "bytes 0-3/8"),
        ("bytes=8-", 416, b"", "bytes */8"),
        ("bytes=4-2", 416, b"", "bytes */8"),
    ],
)
def test_ranges(shared: Registry, wanted: str, status: int, content: bytes, told: str) -> None:
    shared.push_blob("ranges", b"abcdefgh")
    answer = shared.ask("GET", f"/v2/ranges/blobs/{digest(b'abcdefgh')}", headers={"Range": wanted})
    assert (answer.status_code, answer.content, answer.headers["Content-Range"]) == (status, content, told)


def test_two_ranges_come_as_parts(shared: Registry) -> None:
    shared.push_blob("parts", b"abcdefgh")
    answer = shared.ask("GET", f"/v2/parts/blobs/{digest(b'abcdefgh')}", headers={"Range": "bytes=0-1,4-5"})
    assert answer.status_code == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert [part in answer.content for part in (b"bytes 0-1/8", b"\r\n\r\nab\r\n", b"\r\n\r\nef\r\n")] == [True] * 3


def test_a_blob_is_linked_from_another_repository(shared: Registry) -> None:
    shared.push_blob("source", b"shared content")
    known = digest(b"shared content")
    answer = shared.ask("POST", f"/v2/target/blobs/uploads/?mount={known}&from=source", "bob")
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v2/target/blobs/{known}")
    assert shared.ask("GET", f"/v2/target/blobs/{known}").content == b"shared content"
    unknown = shared.ask("POST", f"/v2/target/blobs/uploads/?mount={digest(b'never')}&from=source", "bob")
    assert unknown.status_code == 202


def test_an_index_keeps_its_images(shared: Registry) -> None:
    """A manifest that an index names cannot be deleted; a tag that is deleted leaves its manifest."""
    shared.push_blob("multi", BLOB)
    images = [manifest("amd64"), manifest("arm64")]
    listed = [{"mediaType": IMAGE, "digest": digest(image), "size": len(image)} for image in images]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
    assert shared.push("multi", "v1", index, media_type=INDEX).status_code == 400
    for image in images:
        assert shared.push("multi", digest(image), image).status_code == 201
    assert shared.push("multi", "v1", index, media_type=INDEX).status_code == 201
    kept = shared.ask("DELETE", f"/v2/multi/manifests/{digest(images[0])}", "bob")
    assert (kept.status_code, kept.json()["errors"][0]["code"]) == (405, "DENIED")
    assert shared.ask("DELETE", f"/v2/multi/blobs/{digest(BLOB)}", "bob").status_code == 405
    assert shared.ask("DELETE", "/v2/multi/manifests/v1", "bob").status_code == 202
    assert shared.ask("GET", "/v2/multi/tags/list").json() == {"name": "multi", "tags": []}
    assert shared.ask("GET", f"/v2/multi/manifests/{digest(index)}").status_code == 200


def test_referrers(shared: Registry) -> None:
    shared.push_blob("signed", BLOB)
    image = manifest("signed")
    shared.push("signed", "v1", image)
    document = json.loads(manifest("signature"))
    subject = {"mediaType": IMAGE, "digest": digest(image), "size": len(image)}
    signature = json.dumps(document | {"subject": subject, "artifactType": "application/vnd.sig"}).encode()
    pushed = shared.push("signed", digest(signature), signature)
    assert pushed.headers["OCI-Subject"] == digest(image)
    path = f"/v2/signed/referrers/{digest(image)}"
    assert [item["digest"] for item in shared.ask("GET", path).json()["manifests"]] == [digest(signature)]
    filtered = shared.ask("GET", f"{path}?artifactType=application/other")
    assert (filtered.json()["manifests"], filtered.headers["OCI-Filters-Applied"]) == ([], "artifactType")


def test_tags_by_digest_and_pages(shared: Registry) -> None:
    shared.push_blob("pages", BLOB)
    image = manifest("pages")
    pushed = shared.push("pages", f"{digest(image)}?tag=a&tag=b&tag=c", image)
    assert (pushed.status_code, pushed.headers["OCI-Tag"]) == (201, "a, b, c")
    page = shared.ask("GET", "/v2/pages/tags/list?n=2")
    assert (page.json()["tags"], page.headers["Link"]) == (["a", "b"], '</v2/pages/tags/list?n=2&last=b>; rel="next"')
    assert shared.ask("GET", "/v2/pages/tags/list?n=2&last=b").json()["tags"] == ["c"]
    assert shared.ask("GET", "/v2/pages/tags/list?last=nowhere").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/Upper/tags/list", 404),
        ("/v2/a//tags/list", 301),
        ("/v2", 404),
        ("/livez", 200),
        ("/readyz", 200),
        ("/startupz", 200),
        ("/v2/_zot/ext/mgmt", 200),
        ("/v2/_oci/ext/discover", 200),
        ("/v2/_zot/ext/search", 422),
        ("/zot/auth/login", 404),
    ],
)
def test_paths_that_nobody_has_to_be_known_for(shared: Registry, path: str, status: int) -> None:
    assert shared.ask("GET", path).status_code == status


def test_questions_that_leave_no_trace(shared: Registry) -> None:
    """What the collection asks to learn what a key may do (contract page, "Asking without leaving a trace")."""
    before = shared.ask("GET", "/v2/_catalog", "bob").json()
    nothing = digest(b"nothing")
    assert shared.ask("PUT", "/v2/untouched/manifests/v1", "bob", data=b"1").status_code == 415
    assert shared.ask("PUT", "/v2/untouched/manifests/v1", data=b"1").status_code == 401
    assert shared.ask("DELETE", f"/v2/untouched/manifests/{nothing}", "bob").status_code == 400
    assert shared.ask("GET", f"/v2/untouched/blobs/{nothing}", "bob").status_code == 404
    assert shared.ask("GET", "/v2/_catalog", "bob").json() == before
    assert shared.push("touched", "v1", b"{").status_code == 400
    assert "touched" in shared.ask("GET", "/v2/_catalog", "bob").json()["repositories"]
