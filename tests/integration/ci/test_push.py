"""The push by skopeo, for real: once, again, over another image; with keys that are no good; nothing left behind."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import signal
import ssl
import stat
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from blumeops_ci.push import lay_out

from lab.images import docker_archive, oci_archive
from tests.integration.ci.lab import Registry, free_port, front, registry

ROOT = Path(__file__).parents[3]


def ci(
    *arguments: str, zot: Registry | None = None, key: str = "", temp: Path, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of ci/run as a job of the estate's runner does."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(temp.parent / "home"),
        "TMPDIR": str(temp),
        "RUNNER_TEMP": str(temp),
    }
    if zot:
        environment["REGISTRY_URL"] = zot.url
    if key:
        environment["ZOT_CI_API_KEY"] = key
    command = [str(ROOT / "ci" / "run"), *arguments]
    return subprocess.run(command, env={**environment, **extra}, capture_output=True, text=True, timeout=120, cwd=ROOT)


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """A tag that no other test uses."""
    return f"v1.0.0-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:7]}-nix"


@pytest.fixture
def push(zot, temp, tmp_path, tag):
    """Push the image that ``word`` makes under this test's tag, as zot-ci; nothing may be left behind."""

    def run(word: str = "one", *, at: Registry = zot, key: str = zot.keys["zot-ci"], **extra: str):
        image = docker_archive(tmp_path / f"{word}.tar.gz", tag + word)
        done = ci("image-push", "ntfy", tag, f"docker-archive:{image}", zot=at, key=key, temp=temp, **extra)
        assert list(temp.iterdir()) == []
        assert key not in done.stdout + done.stderr or not key
        return done

    return run


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a command that failed."""
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


def skopeo_copy(zot: Registry, tmp_path: Path, image: Path, tag: str, *options: str) -> None:
    """Push as zot-ci, by skopeo alone."""
    auth = tmp_path / "auth.json"
    token = base64.b64encode(f"zot-ci:{zot.keys['zot-ci']}".encode()).decode()
    auth.write_text(json.dumps({"auths": {zot.host: {"auth": token}}}))
    command = ["skopeo", "copy", "--quiet", "--format=oci", "--dest-tls-verify=false", f"--authfile={auth}", *options]
    subprocess.run([*command, f"docker-archive:{image}", f"docker://{zot.host}/blumeops/ntfy:{tag}"], check=True)


# --- run again --------------------------------------------------------------------------------------------------


def test_once_again_and_over_another_image(zot, push, tag):
    first = push()
    assert first.returncode == 0, first.stderr
    digest = zot.digest("blumeops/ntfy", tag)
    assert first.stdout.splitlines()[-1] == f"{zot.host}/blumeops/ntfy:{tag} pushed: {digest}"

    again = push()
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == (
        f"{zot.host}/blumeops/ntfy:{tag} already holds this image, nothing was pushed: {digest}"
    )

    said = sentence(push("two"))
    assert f"{zot.host}/blumeops/ntfy:{tag} holds another image ({digest[:19]})" in said
    assert "tags are immutable for zot-ci, and only a member of the group admins may change or delete one" in said
    assert zot.digest("blumeops/ntfy", tag) == digest


def test_again_asks_and_writes_nothing(zot, push):
    assert push().returncode == 0
    methods = []

    def note(request, number):
        methods.append(request.method)

    with front(zot, note) as watched:
        assert push(at=watched).returncode == 0
    assert set(methods) == {"GET"}


def test_the_same_image_in_another_compression_is_the_same(zot, push, temp, tmp_path, tag):
    image = docker_archive(tmp_path / "one.tar", tag + "one")
    skopeo_copy(zot, tmp_path, image, tag, "--dest-compress-format=zstd")
    digest = zot.digest("blumeops/ntfy", tag)
    assert push().stdout.splitlines()[-1].endswith(f"already holds this image, nothing was pushed: {digest}")


def test_the_digest_is_fixed_before_the_push(zot, push, tmp_path, tag):
    """Without that, skopeo takes the layers that the registry has in another compression (measured: 1.9.3)."""
    image = docker_archive(tmp_path / "one.tar", tag + "one")
    skopeo_copy(zot, tmp_path, image, tag.replace("v1", "v2"), "--dest-compress-format=zstd")
    (tmp_path / "layout").mkdir()
    expected = lay_out(f"docker-archive:{image}", tmp_path / "layout")
    assert push().returncode == 0
    assert zot.digest("blumeops/ntfy", tag) == expected.digest


@pytest.mark.parametrize("source", ["docker-archive:image.tar", "docker-archive:image.tar.gz", "oci-archive:image.oci"])
def test_sources(zot, temp, tmp_path, tag, source):
    transport, name = source.split(":")
    path = tmp_path / name
    (oci_archive if transport == "oci-archive" else docker_archive)(path, tag)
    done = ci("image-push", "ntfy", tag, f"{transport}:{path}", zot=zot, key=zot.keys["zot-ci"], temp=temp)
    assert done.returncode == 0, done.stderr
    assert zot.digest("blumeops/ntfy", tag) in done.stdout


# --- what is no good --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("docker-archive:/nowhere/result", "/nowhere/result is not there: was the image built?"),
        ("docker-archive:{here}/cut.gz", "cut.gz is a damaged gzip file: build the image again"),
        ("docker-archive:{here}/text", "text cannot be read as docker-archive by skopeo"),
        ("oci-archive:{here}/text", "text cannot be read as oci-archive by skopeo"),
        ("docker://localhost/x:y", "is no source of an image: write one of docker-archive:PATH"),
        ("result", "'result' is no source of an image"),
    ],
)
def test_a_source_that_is_none(zot, temp, tmp_path, tag, source, said):
    (tmp_path / "text").write_text("no archive")
    (tmp_path / "cut.gz").write_bytes(docker_archive(tmp_path / "a.gz", "a").read_bytes()[:500])
    source = source.format(here=tmp_path)
    done = ci("image-push", "ntfy", tag, source, zot=zot, key=zot.keys["zot-ci"], temp=temp)
    assert said in sentence(done)
    assert zot.digest("blumeops/ntfy", tag) is None
    assert list(temp.iterdir()) == []


def test_a_key_that_is_missing_malformed_or_refused(zot, push, tag):
    gone = zot.key("zot-ci", "ended", seconds=1)
    time.sleep(1.5)
    refused = "refuses the API key of zot-ci: it is wrong, ended, revoked or another identity's"
    for key, said in (
        ("", "ZOT_CI_API_KEY is empty: the Actions secret is missing"),
        ("zak_1234", "ZOT_CI_API_KEY is no API key of zot"),
        (zot.keys["zot-ci"] + "\n", "ZOT_CI_API_KEY has a blank or a line break"),
        ("zak_" + "0" * 32, refused),
        (gone, refused),
        (zot.keys["erich"], refused),
    ):
        assert said in sentence(push(key=key))
    assert zot.digest("blumeops/ntfy", tag) is None


def test_a_key_that_ends_within_a_day(zot, push, tag):
    key = zot.key("zot-ci", "short", seconds=23 * 3600)
    said = sentence(push(key=key))
    assert "the API key 'short' of zot-ci authenticates and ends in 22 hours" in said
    assert "nothing is built with a key that ends within a day" in said
    assert zot.digest("blumeops/ntfy", tag) is None


def test_a_key_that_ends_later_pushes_and_says_when(zot, push):
    done = push(key=zot.key("zot-ci", "long", seconds=49 * 3600))
    assert done.returncode == 0, done.stderr
    assert "the API key 'long' of zot-ci authenticates and ends in 2 days" in done.stdout


def test_an_identity_that_may_not_create(zot, push, tag):
    done = push(key=zot.keys["nogroup"], ZOT_CI_USER="nogroup")
    assert f"nogroup may not create {zot.host}/blumeops/ntfy:{tag} (403)" in sentence(done)
    assert zot.digest("blumeops/ntfy", tag) is None


HTML = "<!DOCTYPE html><html><body>Sign in</body></html>"


def html(request, number):
    return web.Response(text=HTML, content_type="text/html")


def test_a_proxy_that_answers_html(zot, push):
    with front(zot, html) as proxy:
        assert "answered 200 with HTML instead of JSON" in sentence(push(at=proxy))


def test_a_proxy_that_answers_html_to_writes_only(zot, push, tag):
    """skopeo calls this a success (measured: 1.9.3); only the registry's own answer afterwards tells."""

    def lying(request, number):
        return (
            html(request, number)
            if request.path.startswith("/v2/") and number > 3 and request.method != "GET"
            else None
        )

    with front(zot, lying) as proxy:
        said = sentence(push(at=proxy))
    assert "was reported as done and the registry does not hold it: does a proxy in front answer in its place?" in said
    assert zot.digest("blumeops/ntfy", tag) is None


def test_a_proxy_that_says_not_found_in_html_does_not_free_a_tag(zot, push):
    def lost(request, number):
        return web.Response(status=404, text=HTML, content_type="text/html") if "manifests" in request.path else None

    with front(zot, lost) as proxy:
        assert "answered 404 with HTML instead of JSON" in sentence(push(at=proxy))


def test_a_proxy_that_lets_only_reads_through(zot, push):
    def reads(request, number):
        return None if request.method in {"GET", "HEAD"} else web.json_response({}, status=405)

    with front(zot, reads) as proxy:
        assert "answers 405 to a push of blumeops/ntfy: it is read-only" in sentence(push(at=proxy))


@pytest.mark.parametrize(
    ("disk", "what"),
    [("full", "was not pushed, and the tag is not there"), ("read-only", "its storage is full or read-only")],
)
def test_a_registry_that_cannot_store(tmp_path, temp, tag, disk, what):
    (tmp_path / "zot").mkdir()
    image = docker_archive(tmp_path / "image.tar.gz", tag)
    with registry(tmp_path / "zot", "--with-parent") as healthy:
        keys = healthy.keys
    with registry(tmp_path / "zot", "--disk", disk, keys=keys) as sick:
        done = ci("image-push", "ntfy", tag, f"docker-archive:{image}", zot=sick, key=sick.keys["zot-ci"], temp=temp)
        assert sick.digest("blumeops/ntfy", tag) is None
    said = sentence(done)
    assert what in said
    assert "500" in said
    assert "see the registry's log and free space" in said
    assert list(temp.iterdir()) == []


def test_a_registry_whose_certificate_a_private_ca_signed(zot, push, tmp_path, tag):
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with front(zot, lambda request, number: None, tls) as proxy:
        assert "its certificate is signed by nobody that is trusted here" in sentence(push(at=proxy))
        assert zot.digest("blumeops/ntfy", tag) is None
        assert "no-such.pem cannot be read" in sentence(push(at=proxy, REGISTRY_CA_PATH="no-such.pem"))
        done = push(at=proxy, REGISTRY_CA_PATH=str(tmp_path / "ca.pem"))
    assert done.returncode == 0, done.stderr
    assert zot.digest("blumeops/ntfy", tag) in done.stdout


def test_a_registry_that_is_not_there(zot, push):
    nobody = replace(zot, url=f"http://127.0.0.1:{free_port()}")
    assert "refuses connections: is it running" in sentence(push(at=nobody))


def test_another_run_that_pushed_the_same_in_between_is_success(zot, push, tag):
    def race(request, number):
        if request.method == "PUT" and "manifests" in request.path and number > 3:
            assert push().returncode == 0

    with front(zot, race) as slow:
        done = push(at=slow)
    assert done.returncode == 0, done.stderr
    assert "already holds this image, nothing was pushed" in done.stdout


# --- the key ----------------------------------------------------------------------------------------------------


def everything_running() -> list[tuple[str, int, str]]:
    """Command line, parent and environment of all processes that can be read."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                found.append((line, int(entry.name), (entry / "environ").read_bytes().decode("utf-8", "replace")))
    return found


def auth_files(temp: Path) -> list[Path]:
    """The auth files below a folder whose content comes and goes meanwhile."""
    return [Path(folder, name) for folder, _, names in os.walk(temp) for name in names if name == "auth.json"]


def started(zot, temp, tmp_path, tag, key):
    """A push that is still running."""
    image = docker_archive(tmp_path / "image.tar.gz", tag)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(temp.parent / "home"),
        "RUNNER_TEMP": str(temp),
        "TMPDIR": str(temp),
    }
    environment |= {"REGISTRY_URL": zot.url, "ZOT_CI_API_KEY": key}
    command = [str(ROOT / "ci" / "run"), "image-push", "ntfy", tag, f"docker-archive:{image}"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_the_key_is_on_no_command_line_and_in_no_environment_but_ours(zot, temp, tmp_path, tag):
    key = zot.keys["zot-ci"]
    forms = [key, base64.b64encode(key.encode()).decode(), base64.b64encode(f"zot-ci:{key}".encode()).decode()]
    seen, modes, sampled = [], set(), 0
    reached, go_on = threading.Event(), threading.Event()

    def hold(request, number):
        if "blobs" in request.path:
            reached.set()
            go_on.wait(20)

    with front(zot, hold) as proxy, started(proxy, temp, tmp_path, tag, key) as process:
        while process.poll() is None:
            for line, _, environment in everything_running():
                seen += [line for form in forms if form in line]
                if "skopeo" in line.split(" ")[0]:
                    sampled += 1
                    seen += [f"environment of {line}" for form in forms if form in environment]
            for auth in auth_files(temp):
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    modes.add((stat.S_IMODE(auth.stat().st_mode), stat.S_IMODE(auth.parent.stat().st_mode)))
            if sampled and modes and reached.is_set():
                go_on.set()
        output = process.stdout.read() + process.stderr.read()
    assert process.returncode == 0, output
    assert seen == []
    assert modes == {(0o600, 0o700)}
    assert not [form for form in forms if form in output]
    assert list(temp.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_key_and_no_skopeo_behind(zot, temp, tmp_path, tag, number):
    reached, go_on = threading.Event(), threading.Event()

    def hold(request, _):
        if "blobs" in request.path:
            reached.set()
            go_on.wait(20)

    with front(zot, hold) as proxy:
        try:
            with started(proxy, temp, tmp_path, tag, zot.keys["zot-ci"]) as process:
                assert reached.wait(20)
                assert len(auth_files(temp)) == 1
                process.send_signal(number)
                process.wait(20)
        finally:
            go_on.set()
    assert process.returncode == 128 + number
    assert list(temp.iterdir()) == []
    assert not [line for line, _, _ in everything_running() if line.startswith("skopeo") and str(temp) in line]
    assert zot.digest("blumeops/ntfy", tag) is None
