"""CEL conditions of policies: what zot refuses when it compiles one, and what one says about a request.

The grammar and the evaluation are the library's. zot's compiler also refuses names that nothing declares; the
library finds those only when it runs, so they are looked for here. What it does not do is zot's check of types:
``1 + "a"`` is accepted here and refused there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cel

#: The only variable that zot declares for a policy's condition.
DECLARED = {"req"}
FUNCTIONS = {
    *("size", "startsWith", "endsWith", "contains", "matches", "type", "dyn", "has"),
    *("int", "uint", "double", "string", "bytes", "bool", "duration", "timestamp"),
    *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth"),
    *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    *("charAt", "indexOf", "join", "lastIndexOf", "lowerAscii", "upperAscii", "replace", "split", "substring"),
    *("trim", "quote", "format", "reverse", "equivalent", "intersects", "encode", "decode"),
    *("of", "none", "ofNonZeroValue", "hasValue", "value", "orValue", "or", "optMap", "optFlatMap"),
}
TYPES = {
    "bool",
    "bytes",
    "double",
    "duration",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
}
MODULES = {"strings", "sets", "base64", "optional", "google"}
MACRO = re.compile(r"\.(?:all|exists|exists_one|existsOne|map|filter|optMap|optFlatMap)\s*\(\s*([A-Za-z_]\w*)\s*,")


@lru_cache(maxsize=256)
def _program(expression: str) -> cel.Program:
    import cel  # half a second, and few policies have conditions

    return cel.compile(expression)


def refusal(expression: str) -> str | None:
    """Why zot does not compile ``expression``, in its words, or None."""
    try:
        program = _program(expression)
    except ValueError as error:
        return str(error).replace("Failed to parse expression", "failed to parse the CEL expression", 1)
    known = DECLARED | TYPES | MODULES | set(MACRO.findall(expression))
    for name in sorted(set(program.variables()) - known):
        return _undeclared(expression, name)
    for name in sorted(name for name in program.functions() if name[0].isalpha() and name not in FUNCTIONS):
        return _undeclared(expression, name)
    return None


def _undeclared(expression: str, name: str) -> str:
    column = expression.find(name) + 1
    message = f"ERROR: <input>:1:{column}: undeclared reference to '{name}' (in container '')"
    return f"failed to parse the CEL expression '{expression}': {message}"


def holds(expression: str, request: Mapping[str, Any]) -> bool | None:
    """Whether ``expression`` is true of ``request`` (the value of ``req``); None where it cannot be evaluated."""
    try:
        answer = _program(expression).execute({"req": dict(request)})
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, ArithmeticError):
        return None
    return answer if isinstance(answer, bool) else None
