"""Find the version of a container in the files that build it, without guessing. Pure, standard library only.

Each kind of build file has one way to say it:

* ``Dockerfile``: ``ARG CONTAINER_APP_VERSION=0.58.0``
* ``container.py``: ``VERSION = "v0.58.0"`` at the top level
* ``default.nix``: ``version = "0.58.0";``, the only literal of that name in the file

A container may have several of these files; they must then agree, apart from a leading ``v``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .problem import Problem
from .tags import VERSION

DOCKERFILE = "Dockerfile"
CONTAINER_PY = "container.py"
DEFAULT_NIX = "default.nix"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One place that declares a version. ``text`` is None where it is there and no plain text."""

    file: str
    line: int
    text: str | None

    def __str__(self) -> str:
        return f"{self.text if self.text is not None else 'no plain text'} ({self.file}:{self.line})"


def find_version(name: str, files: Mapping[str, str]) -> str:
    """Return the version of container ``name``, as ``X.Y.Z`` without a leading ``v``.

    Args:
        name: The container, for messages.
        files: Contents of its build files by file name; other files of the folder may be there and are ignored.

    Raises:
        Problem: No build file; a build file that declares none, or cannot be parsed; two versions, in one file or
            between two; a declaration that is no plain text (a variable) or no version.
    """
    here = f"containers/{name}"
    present = [file for file in DECLARE if file in files]
    if not present:
        raise Problem(f"{here} has none of {', '.join(DECLARE)}: nothing can be built there, and no version be found")
    every: list[Declaration] = []
    for file in present:
        found = DECLARE[file](here, files[file])
        if not found:
            raise Problem(f"{here}/{file} declares no version: add {WANTED[file]}")
        every += found
    for declaration in every:
        if declaration.text is None or not VERSION.fullmatch(declaration.text):
            what = "a version that is no plain text" if declaration.text is None else f"{declaration.text!r}"
            raise Problem(
                f"{here}/{declaration.file}, line {declaration.line}, declares {what}: write {WANTED[declaration.file]}"
            )
    versions = {VERSION.fullmatch(declaration.text or "")["plain"] for declaration in every}  # type: ignore[index]
    if len(versions) > 1:
        raise Problem(
            f"{here} declares {len(versions)} versions, {' and '.join(map(str, every))}: leave one, everywhere the same"
        )
    return versions.pop()


# --- Dockerfile -----------------------------------------------------------------------------------------------

#: A value of ARG: in double or single quotes, or bare.
_ARG = re.compile(r"""(?:^|\s)CONTAINER_APP_VERSION=("[^"]*"|'[^']*'|\S*)""")


def _in_dockerfile(here: str, text: str) -> list[Declaration]:
    found = []
    for number, line in _instructions(text):
        keyword, *rest = line.split(None, 1)
        if keyword.upper() != "ARG":
            continue
        # `ARG CONTAINER_APP_VERSION` alone takes the value of the first one into a build stage.
        for value in _ARG.findall(rest[0] if rest else ""):
            plain = value.strip("\"'")
            found.append(Declaration(DOCKERFILE, number, None if "$" in plain else plain))
    return found


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    """The instructions of a Dockerfile with the line that each begins on; continued lines are joined."""
    begun, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        begun = begun or number
        if line.rstrip().endswith("\\"):
            parts.append(line.rstrip()[:-1])
            continue
        yield begun, " ".join([*parts, line])
        begun, parts = 0, []
    if parts:
        yield begun, " ".join(parts)


# --- container.py ---------------------------------------------------------------------------------------------


def _in_python(here: str, text: str) -> list[Declaration]:
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise Problem(
            f"{here}/{CONTAINER_PY}, line {line}, is not Python: correct it, its version cannot be read"
        ) from None
    return [
        Declaration(
            CONTAINER_PY,
            line,
            value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None,
        )
        for line, value in _assignments(module.body)
    ]


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[int, ast.expr | None]]:
    """Every assignment to VERSION at module level, also under ``if`` and ``try``: two of them are two versions.

    The value is None where there is no single expression (a tuple, ``+=``, a loop's variable).
    """
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        match statement:
            case ast.AnnAssign(value=None):
                continue
            case ast.Assign(targets=[ast.Name("VERSION")], value=value) | ast.AnnAssign(
                ast.Name("VERSION"), value=value
            ):
                yield statement.lineno, value
            case ast.Assign(targets=targets) if any(map(_stores_version, targets)):
                yield statement.lineno, None
            case ast.AugAssign(target=target) | ast.For(target=target) if _stores_version(target):
                yield statement.lineno, None
        for inner in ("body", "orelse", "finalbody"):
            yield from _assignments(getattr(statement, inner, []))
        for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from _assignments(part.body)


def _stores_version(target: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == "VERSION" and isinstance(node.ctx, ast.Store)
        for node in ast.walk(target)
    )


# --- default.nix ----------------------------------------------------------------------------------------------

#: Just enough of Nix to tell a declaration from a comment or a string that looks like one. An antiquotation
#: inside a string may hold strings again; the outer string is then no literal, and only its end matters.
_NIX = re.compile(
    r"""
      (?P<comment> \#[^\n]* | /\*.*?\*/ )
    | (?P<indented> '' (?: '''|''\$|''\\. | (?!'') . )* '' )
    | (?P<string> " (?: \\. | \$\{ [^{}"]* (?: "[^"]*" [^{}"]* )* \} | [^"\\] )* " )
    | (?P<word> [A-Za-z_][A-Za-z0-9_'-]* )
    | (?P<op> == | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def _in_nix(here: str, text: str) -> list[Declaration]:
    tokens = [(found.lastgroup, found[0], found.start()) for found in _NIX.finditer(text)]
    tokens = [token for token in tokens if token[0] != "comment" and not token[1].isspace()]
    found = []
    for before, word, equals, value in zip([(None, "", 0), *tokens], tokens, tokens[1:], tokens[2:], strict=False):
        # `a.version = …` names an attribute of something else.
        if word[1] != "version" or equals[1] != "=" or before[1] == ".":
            continue
        literal = value[1][1:-1] if value[0] == "string" and "${" not in value[1] and "\\" not in value[1] else None
        found.append(Declaration(DEFAULT_NIX, text.count("\n", 0, word[2]) + 1, literal))
    return found


#: How to read each build file, in the order of preference of a build.
DECLARE: Mapping[str, Callable[[str, str], list[Declaration]]] = {
    CONTAINER_PY: _in_python,
    DOCKERFILE: _in_dockerfile,
    DEFAULT_NIX: _in_nix,
}
WANTED: Mapping[str, str] = {
    CONTAINER_PY: 'VERSION = "vX.Y.Z" at the top level',
    DOCKERFILE: "ARG CONTAINER_APP_VERSION=X.Y.Z",
    DEFAULT_NIX: 'version = "X.Y.Z";',
}
