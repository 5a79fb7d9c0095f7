"""Reads a configuration the way zot's loader does: viper's view of the file, mapstructure's weak typing.

What that means, measured with ``zot verify``: keys are lower case and match in any case; a key whose value is
null or an empty object is as if it were not there; a key that no field takes is an error; a number may stand
for a text and a single value for a list of one.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

#: How messages call the fields whose Go name is not just the key with a capital.
GO_NAMES = {
    **{name: name for name in ("distSpecVersion", "accessControl", "readTimeout", "writeTimeout", "secureSession")},
    "repositories": "repositories",
    **{name: name for name in ("mtls", "callbackAllowOrigins", "oidc", "awsSecretsManager", "upstreamTokenEndpoint")},
    "http": "HTTP",
    "tls": "TLS",
    "cacert": "CACert",
    "caCert": "CACert",
    "ldap": "LDAP",
    "openid": "OpenID",
    "gc": "GC",
    "gcDelay": "GCDelay",
    "gcInterval": "GCInterval",
    "gcTimeWindow": "GCTimeWindow",
    "apikey": "APIKey",
    "htpasswd": "HTPasswd",
    "externalUrl": "ExternalURL",
    "urls": "URLs",
    "ui": "UI",
    "tlsVerify": "TLSVerify",
    "cve": "CVE",
    "dbRepository": "DBRepository",
    "sbom": "SBOM",
}

NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
#: Words that Go's strconv.ParseBool takes; the empty text counts as false in weak typing.
BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False", ""), False),
}


class BadConfig(Exception):
    """The file cannot be used; ``str()`` is zot's message."""


class Panic(BadConfig):
    """What makes zot end at once, with another exit status."""


class _Mismatch(Exception):
    """One value does not fit its field."""


def read(path: Path) -> dict[str, Any]:
    """The document in ``path``; the suffix names the format, any other suffix tries them all in turn.

    Raises :class:`BadConfig`.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadConfig(f"open {path}: {(error.strerror or '').lower()}") from None
    wanted = path.suffix.removeprefix(".")
    names = [wanted] if wanted in FORMATS else list(FORMATS)
    for name in names:
        try:
            document = FORMATS[name](text)
        except (ValueError, yaml.YAMLError) as error:
            failure = str(error)
            continue
        if isinstance(document, dict):
            return document
        failure = f"json: cannot unmarshal {_kind(document)} into Go value of type map[string]interface {{}}"
    raise BadConfig(f"While parsing config: {failure}")


def _json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"invalid character {constant[0]!r} looking for beginning of value")

    try:
        return json.loads(text, parse_constant=refuse, parse_int=float)
    except json.JSONDecodeError as error:
        ended = (
            error.pos >= len(text.rstrip()) or "Unterminated" in error.msg or error.msg.startswith("Expecting property")
        )
        raise ValueError(
            "unexpected end of JSON input" if ended else f"invalid character in JSON: {error.msg}"
        ) from None


def _yaml(text: str) -> Any:
    return yaml.safe_load(text) or {}


FORMATS: dict[str, Callable[[str], Any]] = {"json": _json, "toml": tomllib.loads, "yaml": _yaml, "yml": _yaml}


def lowered(value: Any) -> Any:
    """``value`` with every key in lower case, lists included (patterns and group names too)."""
    if isinstance(value, dict):
        return {str(key).lower(): lowered(item) for key, item in value.items()}
    if isinstance(value, list):
        return [lowered(item) for item in value]
    return value


def without_empty(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """``mapping`` without nulls and empty objects, at any depth but not inside lists."""
    kept = {key: without_empty(item) if isinstance(item, dict) else item for key, item in mapping.items()}
    return {key: item for key, item in kept.items() if item is not None and item != {}}


# -- the kinds of fields ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Struct:
    """An object with known fields; ``lenient`` ones ignore keys that they do not know.

    Messages call the fields of ``tagged`` ones by their keys.
    """

    fields: Mapping[str, Any]
    lenient: bool = False
    tagged: bool = False
    check: Callable[[dict[str, Any]], str | None] | None = None


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Any


@dataclass(frozen=True, slots=True)
class MapOf:
    item: Any
    name: str = "map[string]interface {}"


@dataclass(frozen=True, slots=True)
class Text:
    name: str = "string"
    check: Callable[[str], str | None] | None = None


@dataclass(frozen=True, slots=True)
class Scalar:
    """bool, int, int64 (bytes), float64 or time.Duration (nanoseconds)."""

    name: str


STRING, BOOL, INT, FLOAT, DURATION, BYTE = (
    Text(),
    Scalar("bool"),
    Scalar("int"),
    Scalar("float64"),
    Scalar("time.Duration"),
    Scalar("uint8"),
)
ANY = object()
BYTES = ListOf(BYTE)


def decode(kind: Struct, document: Mapping[str, Any]) -> dict[str, Any]:
    """``document`` with the fields of ``kind``, under their own names and with their own types.

    Fields that the document leaves out are left out. Raises :class:`BadConfig` with every mismatch in it.
    """
    errors: list[str] = []
    decoded: dict[str, Any] = _struct(kind, document, "", errors)
    if errors:
        raise BadConfig("decoding failed due to the following error(s):\n\n" + "\n".join(errors))
    return decoded


def unset(kind: Struct, document: Mapping[str, Any]) -> list[str]:
    """Names of the fields of ``kind`` that ``document`` does not set."""
    present = {key.lower() for key in document}
    return [name for name in kind.fields if name.lower() not in present]


def _value(kind: Any, value: Any, name: str, errors: list[str]) -> Any:
    if value is None or kind is ANY:
        return value
    try:
        if isinstance(kind, Struct):
            if not isinstance(value, dict):
                raise _Mismatch(f"expected a map or struct, got {json.dumps(_go_kind(value))}")
            return _struct(kind, value, name, errors)
        if isinstance(kind, MapOf):
            return _map(kind, value, name, errors)
        if isinstance(kind, ListOf):
            return _list(kind, value, name, errors)
        return _text(kind, value) if isinstance(kind, Text) else _scalar(kind.name, value)
    except _Mismatch as error:
        errors.append(f"'{name}' {error}")
        return None


def _struct(kind: Struct, value: Mapping[str, Any], name: str, errors: list[str]) -> dict[str, Any]:
    unused = dict(value)
    decoded = {}
    for field, inner in kind.fields.items():
        key = field if field in unused else next((key for key in unused if key.lower() == field.lower()), None)
        if key is not None:
            shown = field if kind.tagged else GO_NAMES.get(field, field[:1].upper() + field[1:])
            decoded[field] = _value(inner, unused.pop(key), f"{name}.{shown}" if name else shown, errors)
    if unused and not kind.lenient:
        errors.append(f"'{name or 'config.Config'}' has invalid keys: {', '.join(sorted(unused))}")
    if kind.check and (failure := kind.check(decoded)):
        raise _Mismatch(failure)
    return {field: item for field, item in decoded.items() if item is not None}


def _map(kind: MapOf, value: Any, name: str, errors: list[str]) -> dict[str, Any]:
    if isinstance(value, list):
        merged: dict[str, Any] = {}
        for number, item in enumerate(value):
            merged |= _value(kind, item, f"{name}[{number}]", errors) or {}
        return merged
    if not isinstance(value, dict):
        raise _Mismatch(f"expected type '{kind.name}', got unconvertible type '{_go_type(value)}'")
    return {key: _value(kind.item, item, f"{name}[{key}]", errors) for key, item in value.items()}


def _list(kind: ListOf, value: Any, name: str, errors: list[str]) -> list[Any]:
    if isinstance(value, str) and kind.item is BYTE:
        value = list(value.encode())
    elif value == {}:
        value = []
    elif not isinstance(value, list):
        value = [value]
    return [_value(kind.item, item, f"{name}[{number}]", errors) for number, item in enumerate(value)]


def _text(kind: Text, value: Any) -> str:
    if isinstance(value, bool):
        text = "1" if value else "0"
    elif isinstance(value, int | float):
        text = _go_number(value)
    elif isinstance(value, str):
        text = value
    else:
        raise _Mismatch(f"expected type '{kind.name}', got unconvertible type '{_go_type(value)}'")
    if kind.check and (failure := kind.check(text)):
        raise _Mismatch(failure)
    return text


def _scalar(name: str, value: Any) -> Any:
    if isinstance(value, str):
        try:
            return PARSERS[name](value)
        except ValueError as error:
            if name == "time.Duration":
                raise _Mismatch(str(error)) from None
            raise _Mismatch(f"cannot parse value as '{name}': strconv.{GO_PARSERS[name]}: {error}") from None
    if not isinstance(value, bool | int | float):
        raise _Mismatch(f"expected type '{name}', got unconvertible type '{_go_type(value)}'")
    if name == "bool":
        return value != 0
    return float(value) if name == "float64" else int(value)


def _parse_bool(text: str) -> bool:
    if text not in BOOLEANS:
        raise ValueError("invalid syntax")
    return BOOLEANS[text]


def _parse_int(text: str) -> int:
    if not text:
        return 0
    if re.fullmatch(r"[+-]?0[0-7_]+", text):  # Go reads a leading zero as octal
        text = re.sub(r"0", "0o", text, count=1)
    if text != text.strip():
        raise ValueError("invalid syntax")
    try:
        number = int(text, 0)
    except ValueError:
        raise ValueError("invalid syntax") from None
    if not -(2**63) <= number < 2**63:
        raise ValueError("value out of range")
    return number


def _parse_float(text: str) -> float:
    try:
        return float(text or "0")
    except ValueError:
        raise ValueError("invalid syntax") from None


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as ``1h30m`` or ``-1.5s``; raises ``ValueError``."""
    parts = re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", text)
    sign, rest = re.fullmatch(r"([+-]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if rest == "0":
        return 0
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        if re.fullmatch(r"\d+\.?\d*", rest):
            raise ValueError("time: missing unit in duration")
        if unit := re.match(r"(?:[\d.]+(?:ns|us|µs|μs|ms|s|m|h))*[\d.]+[^\d.]+", rest):
            raise ValueError("time: unknown unit" if unit else "")
        raise ValueError("time: invalid duration")
    total = sum(float(number) * NANOSECONDS[unit] for number, unit in parts)
    if total >= 2**63:
        raise ValueError("time: invalid duration")
    return round(-total if sign == "-" else total)


PARSERS: dict[str, Callable[[str], Any]] = {
    "bool": _parse_bool,
    "int": _parse_int,
    "uint8": _parse_int,
    "float64": _parse_float,
    "time.Duration": parse_duration,
}
GO_PARSERS = {"bool": "ParseBool", "int": "ParseInt", "uint8": "ParseUint", "float64": "ParseFloat"}


def go_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: ``-1h0m0s``, ``1.5s``, ``300ms``."""
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if left == 0:
        return "0s"
    if left < 10**9:
        unit, size = next((unit, NANOSECONDS[unit]) for unit in ("ms", "µs", "ns") if left >= NANOSECONDS[unit])
        return f"{sign}{_go_number(left / size)}{unit}"
    hours, left = divmod(left, NANOSECONDS["h"])
    minutes, left = divmod(left, NANOSECONDS["m"])
    seconds = f"{_go_number(left / 10**9)}s"
    return sign + (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds


def _go_number(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def _kind(value: Any) -> str:
    return "array" if isinstance(value, list) else "number" if isinstance(value, int | float) else type(value).__name__


KINDS = {"bool": "bool", "float": "float64", "int": "int", "str": "string", "list": "slice", "dict": "map"}


def _go_kind(value: Any) -> str:
    return KINDS.get(type(value).__name__, "?")


def _go_type(value: Any) -> str:
    return {"slice": "[]interface {}", "map": "map[string]interface {}"}.get(_go_kind(value), _go_kind(value))
