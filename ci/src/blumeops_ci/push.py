"""Push an image by skopeo: laid out first, so that its digest is known; once; proven afterwards.

The key is on no command line and in no environment of skopeo's, only in a file of mode 0600 in a folder of mode
0700, removed when the push ends, also by an error or a signal.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ansible_collections.blumeops.registry.plugins.module_utils._errors import scrub

from .images import Image, Verdict, decide, of_layout
from .problem import Problem
from .registry import Registry, Target, preflight

#: Variables that hold credentials; no program that we start gets them.
SECRETS = ("ZOT_CI_API_KEY", "FORGE_TOKEN")
SOURCES = ("docker-archive", "oci-archive", "oci")
#: Sources are local files, made on this machine a moment ago; nothing else is accepted. Given explicitly, because a
#: NixOS has no /etc/containers/policy.json, without which skopeo refuses everything.
POLICY = {
    "default": [{"type": "reject"}],
    "transports": {transport: {"": [{"type": "insecureAcceptAnything"}]} for transport in SOURCES},
}


@dataclass(frozen=True, slots=True)
class Pushed:
    """What happened to a tag, and the digest that it has now."""

    verdict: Verdict
    digest: str
    note: str


def push(
    registry: Registry,
    key: str,
    target: Target,
    source: str,
    *,
    label: str | None = None,
    ca_path: str | None = None,
) -> Pushed:
    """Make ``target`` hold the image of ``source``, unless it does; prove that it does.

    Args:
        key: The API key, for skopeo's auth file.
        source: ``docker-archive:PATH`` (compressed or not), ``oci-archive:PATH`` or ``oci:PATH``.
        label: The key's label, where several keys of the identity are in use.
        ca_path: PEM file of the CA that signed the registry's certificate; the system's where None.

    Raises:
        Problem | RegistryError: One sentence; the tag is as it was, unless the sentence says otherwise.
    """
    with ending_on_signals(), scratch() as folder:
        note, stored = preflight(registry, target, label=label)
        built = lay_out(source, folder)
        if decide(target.address, built, stored, identity=registry.identity) == "unchanged":
            assert stored is not None
            return Pushed("unchanged", stored.digest, note)
        failed = _copy(registry, key, target, folder, ca_path)
        return Pushed("push" if failed is None else "unchanged", settle(registry, target, built, failed).digest, note)


def settle(registry: Registry, target: Target, built: Image, failed: str | None) -> Image:
    """What the registry holds after a push, which is what was built, or an error.

    skopeo's own word does not count either way: measured with 1.9.3, a proxy that answers 200 with HTML to everything
    is a push that succeeded, and 401, 403, 404, 405 and 413 are all called "denied". And another run of the same job
    may have pushed the same image in between.

    Args:
        failed: What the program that pushed said when it failed; None where it did not.
    """
    stored = registry.image(target)
    if stored is not None:
        decide(target.address, built, stored, identity=registry.identity)
        return stored
    if failed is None:
        raise Problem(
            f"the push of {target.address} was reported as done and the registry does not hold it: "
            "does a proxy in front answer in its place?"
        )
    registry.check_create(target)
    raise Problem(
        f"{target.address} was not pushed, and the tag is not there: {failed}; see the registry's log and free space"
    )


def lay_out(source: str, folder: Path) -> Image:
    """Write the image of ``source`` into ``folder/image`` as it will be in the registry, and return what it is."""
    transport, _, path = source.partition(":")
    if transport not in SOURCES or not path:
        raise Problem(
            f"{source!r} is no source of an image: write one of {', '.join(f'{name}:PATH' for name in SOURCES)}"
        )
    if not Path(path).exists():
        raise Problem(f"{path} is not there: was the image built?")
    plain = _unpacked(Path(path), folder) if transport != "oci" else Path(path)
    said = skopeo(folder, "copy", "--quiet", "--format", "oci", f"{transport}:{plain}", f"oci:{folder / 'image'}:built")
    if said is not None:
        raise Problem(f"{path} cannot be read as {transport} by skopeo: {said}; build the image again")
    return of_layout(folder / "image")


def _unpacked(path: Path, folder: Path) -> Path:
    """The archive without gzip around it: Debian's skopeo 1.9.3 keeps the first 8 bytes of what it unpacks."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path
    plain = folder / "archive.tar"
    try:
        with gzip.open(path) as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (OSError, EOFError):
        raise Problem(f"{path} is a damaged gzip file: build the image again") from None
    return plain


def _copy(registry: Registry, key: str, target: Target, folder: Path, ca_path: str | None) -> str | None:
    certificates = folder / "certificates"
    certificates.mkdir()
    if ca_path:
        shutil.copy(ca_path, certificates / "ca.crt")
    auth = folder / "auth.json"
    with open(os.open(auth, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        token = base64.b64encode(f"{registry.identity}:{key}".encode()).decode()
        json.dump({"auths": {target.host: {"auth": token}}}, file)
    try:
        said = skopeo(
            folder,
            "copy",
            "--quiet",
            "--preserve-digests",
            "--retry-times=2",
            f"--authfile={auth}",
            f"--dest-cert-dir={certificates}",
            f"--dest-tls-verify={'false' if target.url.startswith('http://') else 'true'}",
            f"oci:{folder / 'image'}:built",
            f"docker://{target.address}",
        )
    finally:
        auth.unlink()
    return said and scrub(said, [key])


def skopeo(folder: Path, *arguments: str) -> str | None:
    """Run skopeo; None when it succeeded, else its last word in one line."""
    policy = folder / "policy.json"
    policy.write_text(json.dumps(POLICY))
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    try:
        # An exception here (a signal's) kills skopeo before it goes on.
        ended = subprocess.run(
            ["skopeo", "--policy", str(policy), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise Problem("skopeo is not installed here: add it to the runner's packages") from None
    return None if ended.returncode == 0 else last_word(ended.stderr, ended.returncode)


def last_word(stderr: str, status: int) -> str:
    """The message of skopeo's last line, without time and level."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    if not lines:
        return f"it ended with status {status} and said nothing"
    found = re.search(r'\bmsg="((?:[^"\\]|\\.)*)"', lines[-1])
    return (found[1].replace('\\"', '"') if found else lines[-1]).strip()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder of our own, mode 0700, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="ci-image-", dir=os.environ.get("RUNNER_TEMP") or None) as name:
        yield Path(name)


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Turn SIGTERM, SIGHUP and SIGINT into an exception while inside, so that files are removed on the way out."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
