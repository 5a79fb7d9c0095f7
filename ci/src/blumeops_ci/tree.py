"""Containers as they lie in a git repository: in the work tree, or in a commit."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from .problem import Problem
from .tags import COMMIT, NAME, container_name
from .versions import CONTAINER_PY, DECLARE, DEFAULT_NIX, DOCKERFILE, find_version

FOLDER = "containers"
#: Which build files a kind of build works on.
BUILT_BY = {"dagger": (CONTAINER_PY, DOCKERFILE), "nix": (DEFAULT_NIX,)}


@dataclass(frozen=True, slots=True)
class Container:
    """A folder under ``containers/`` with the contents of its build files."""

    name: str
    files: dict[str, str]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of build that it has, of ``dagger`` and ``nix``."""
        return tuple(kind for kind, files in BUILT_BY.items() if any(file in self.files for file in files))

    @property
    def version(self) -> str:
        """Its version, as X.Y.Z.

        Raises:
            Problem: Two versions or none.
        """
        return find_version(self.name, self.files)


class WorkTree:
    """The containers of the files that lie here."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Every folder under ``containers/``."""
        folder = self.root / FOLDER
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def container(self, name: str) -> Container:
        """One container.

        Raises:
            Problem: There is none of that name, or a build file is no text.
        """
        folder = self.root / FOLDER / container_name(name)
        if not folder.is_dir():
            raise _no_container(name, self.names())
        return Container(name, {file: _text(folder / file) for file in DECLARE if (folder / file).is_file()})


class Commit:
    """The containers of a commit, whatever lies in the work tree."""

    def __init__(self, root: Path, sha: str) -> None:
        self.root = root
        self.sha = sha

    def names(self) -> list[str]:
        """Every folder under ``containers/``."""
        listed = git(self.root, "ls-tree", "-z", "-d", "--name-only", f"{self.sha}:{FOLDER}") or ""
        return sorted(filter(None, listed.split("\0")))

    def container(self, name: str) -> Container:
        """One container.

        Raises:
            Problem: There is none of that name, or a build file is no text.
        """
        listed = git(self.root, "ls-tree", "-z", "--name-only", f"{self.sha}:{FOLDER}/{container_name(name)}")
        if listed is None:
            raise _no_container(name, self.names(), f" at {self.sha[:7]}")
        files = {
            file: git(self.root, "show", f"{self.sha}:{FOLDER}/{name}/{file}")
            for file in DECLARE
            if file in listed.split("\0")
        }
        return Container(name, {file: text for file, text in files.items() if text is not None})


def find_commit(root: Path, ref: str) -> str:
    """Return the full SHA of a commit that is here.

    Raises:
        Problem: It is no SHA (a branch's name moves, and must not be in a tag), no commit of this repository, or the
            beginning of several.
    """
    if not COMMIT.fullmatch(ref):
        raise Problem(f"ref {ref!r} is no commit: give its SHA, 7 to 40 lower-case hex digits, not a branch or a tag")
    found = git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if found is None:
        kind = git(root, "cat-file", "-t", ref)
        what = f"is a {kind.strip()}, no commit" if kind else "is no commit of this repository, or not unique"
        raise Problem(f"ref {ref!r} {what}: fetch it (git fetch --all) or give more of its digits")
    if not found.startswith(ref):
        raise Problem(f"ref {ref!r} is a branch or tag of that name, no commit: give the SHA of the commit")
    return found.strip()


def find_head(root: Path) -> str:
    """The commit that is checked out.

    Raises:
        Problem: There is none.
    """
    found = git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if found is None:
        raise Problem(f"{root} is no git repository with a commit: run this in a checkout of the estate's repository")
    return found.strip()


def find_built_commit(root: Path, name: str) -> str:
    """The commit that a build of container ``name`` in this work tree is a build of.

    Raises:
        Problem: Its folder has changes that are in no commit, so that a tag with this commit would lie.
    """
    sha = find_head(root)
    if git(root, "status", "--porcelain", "--", f"{FOLDER}/{container_name(name)}"):
        raise Problem(f"{FOLDER}/{name} has changes that are not committed: commit them, the tag names the commit")
    return sha


def is_pushed(root: Path, sha: str) -> bool:
    """Whether a branch of a remote, as last fetched, holds the commit."""
    return bool((git(root, "branch", "--remotes", "--contains", sha) or "").strip())


def changed_containers(root: Path, before: str, after: str) -> list[str]:
    """The containers of ``after`` whose folder differs from ``before``, sorted.

    A ``before`` that is not here (the zeros of a new branch, a commit that a forced push took away) means the first
    parent of ``after``: what that commit itself changed.
    """
    known = COMMIT.fullmatch(before) and git(root, "cat-file", "-e", f"{before}^{{commit}}") is not None
    base = before if known else git(root, "rev-parse", "--verify", "--quiet", f"{after}^1")
    if base is None:
        return Commit(root, after).names()
    listed = git(root, "diff", "--name-only", "-z", base.strip(), after, "--", f"{FOLDER}/") or ""
    names = {Path(path).parts[1] for path in listed.split("\0") if len(Path(path).parts) > 2}
    return sorted(names & set(Commit(root, after).names()))


def git(root: Path, *arguments: str) -> str | None:
    """What git prints, or None where it fails."""
    try:
        ended = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        raise Problem("git is not installed here: add it to the runner's packages") from None
    return ended.stdout.decode("utf-8", "replace") if ended.returncode == 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Problem(f"{path} is no UTF-8 text: is it the build file?") from None


def _no_container(name: str, names: list[str], where: str = "") -> Problem:
    known = ", ".join(filter(NAME.fullmatch, names)) or "none"
    return Problem(f"there is no container {name!r} under {FOLDER}/{where}: there are {known}")
