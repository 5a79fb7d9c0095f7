"""The matrix: the same tests on each ansible-core that is supported, with the Pythons that it runs on."""

from __future__ import annotations

import pathlib

import nox

#: ansible-core → the Pythons of its controller. 2.20 and newer need Python 3.12.
MATRIX = {"2.19": ["3.11", "3.12", "3.13"], "2.20": ["3.12", "3.13"], "2.21": ["3.12", "3.13"]}

nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = False


@nox.session
@nox.parametrize(
    ("python", "core"), [nox.param(python, core, id=f"{core}-py{python}") for core in MATRIX for python in MATRIX[core]]
)
def tests(session: nox.Session, core: str) -> None:
    """Unit and integration tests, without lint and molecule."""
    pins = pathlib.Path("requirements/dev.txt").read_text(encoding="utf-8").splitlines()
    others = [line for line in pins if line and not line.startswith(("#", " ", "ansible-core=="))]
    session.install(*others, f"ansible-core~={core}.0")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", "tests/unit", "tests/integration", *session.posargs)


@nox.session(python="3.11")
def sanity(session: nox.Session) -> None:
    """ansible-test sanity in the collection's folder, with the tools it installs itself."""
    session.install("-r", "requirements/dev.txt")
    session.chdir("ansible_collections/blumeops/registry")
    session.run("ansible-test", "sanity", "--venv", "-v", *session.posargs)
