"""JSON as Forgejo reads and writes it: its decoder's habits and messages, Go's escapes.

Forgejo binds request bodies with go-chi/binding on goccy/go-json's stream decoder. That decoder differs from the
standard library's in what it accepts (control characters in strings, anything after the first value, non-hex digits
after ``\\u``) and in its messages, which reach the client in a 422. Measured texts: contracts/forgejo.md section 1;
the rest was read in goccy/go-json v0.10 (``internal/decoder``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

SPACE = b" \n\t\r"
SPECIAL = re.compile(rb'["\\\x00]')
DIGITS = b"-0123456789"
ESCAPES = {
    ord(k): v
    for k, v in {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}.items()
}
HEX = {ord(c): int(c, 16) for c in "0123456789abcdefABCDEF"}


class GoError(ValueError):
    """A body that Go's decoder refuses; the text is the decoder's own."""


def dumps(value: object) -> bytes:
    """Encode as Go does: ``<``, ``>``, ``&``, U+2028 and U+2029 escaped, other text as UTF-8, a newline at the end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Struct:
    """A Go struct: its name and its fields as JSON key -> kind (``string``, ``bool``, ``map`` of strings)."""

    name: str
    fields: dict[str, str]

    def zero(self) -> dict[str, Any]:
        zero: dict[str, Any] = {"string": "", "bool": False, "map": {}}
        return {key: zero[kind] for key, kind in self.fields.items()}

    def go_name(self, key: str) -> str:
        return "".join(part.capitalize() for part in key.split("_"))


class Decoder:
    """Reads one value of a known struct from the start of a body; what follows it is left unread."""

    def __init__(self, body: bytes, struct: Struct) -> None:
        self.body = body + b"\0"
        self.at = 0
        self.struct = struct

    def decode(self) -> dict[str, Any]:
        """The struct's fields; raises GoError with Go's text. An empty body and ``null`` leave every field empty."""
        values = self.struct.zero()
        self._space()
        if self._char() in b",:" and not self._at_end():
            self.at += 1
            self._space()
        if self._at_end():
            return values
        if self._char() == ord("n"):
            self._word(b"null", "null")
            return values
        self._expect_start("{")
        if self._space() == ord("}"):
            return values
        while True:
            key = self._key().lower()
            if self._space() != ord(":"):
                raise GoError("expected colon after object key")
            self.at += 1
            if key in self.struct.fields:
                self._field(key, values)
            else:
                self._skip()
            char = self._space()
            if char == ord("}"):
                return values
            if char != ord(","):
                raise GoError("expected comma after object element")
            self.at += 1

    def _char(self) -> int:
        return self.body[self.at]

    def _at_end(self) -> bool:
        # The decoder keeps a NUL behind its input and takes every NUL for the end.
        return self._char() == 0

    def _space(self) -> int:
        while self._char() in SPACE:
            self.at += 1
        return self._char()

    def _bad_start(self) -> GoError:
        return GoError(f"invalid character '{chr(self._char())}' looking for beginning of value")

    def _expect_start(self, char: str) -> None:
        if self._char() != ord(char):
            raise self._bad_start()
        self.at += 1

    def _key(self) -> str:
        self._space()
        self._expect_start('"')
        return self._string()

    def _field(self, key: str, values: dict[str, Any]) -> None:
        char = self._space()
        kind = self.struct.fields[key]
        if char == ord("n"):
            self._word(b"null", "null")
        elif kind == "string":
            values[key] = self._text(key)
        elif kind == "bool":
            if char not in b"tf" or self._at_end():
                raise GoError("json: bool unexpected end of JSON input")
            word = b"true" if char == ord("t") else b"false"
            self._word(word, f"bool({word.decode()})")
            values[key] = word == b"true"
        else:
            values[key] = self._map(key)

    def _text(self, key: str) -> str:
        """A string where a string must be: the value of ``key``, or in the map that is."""
        char = self._space()
        kinds = {ord("["): "array", ord("{"): "object"} | dict.fromkeys(DIGITS, "number")
        if char in kinds:
            field = f"{self.struct.name}.{self.struct.go_name(key)}"
            raise GoError(f"json: cannot unmarshal {kinds[char]} into Go struct field {field} of type string")
        if char == ord("n"):
            self._word(b"null", "null")
            return ""
        self._expect_start('"')
        return self._string()

    def _map(self, key: str) -> dict[str, str]:
        if self._char() != ord("{"):
            raise GoError("expected { character for map value")
        self.at += 1
        values: dict[str, str] = {}
        if self._space() == ord("}"):
            self.at += 1
            return values
        while True:
            name = self._text(key)
            if self._space() != ord(":"):
                raise GoError("expected colon after object key")
            self.at += 1
            values[name] = self._text(key)
            char = self._space()
            self.at += 1
            if char == ord("}"):
                return values
            if char != ord(","):
                raise GoError("expected comma after object value")

    def _word(self, word: bytes, name: str) -> None:
        for expected in word:
            char = self._char()
            if char != expected:
                raise GoError(f"json: invalid character {chr(char) + ' ' if char else ''}as {name}")
            self.at += 1

    def _string(self) -> str:
        """The rest of a string after its quote; bad UTF-8 becomes U+FFFD, one a byte."""
        out = bytearray()
        while True:
            found = SPECIAL.search(self.body, self.at)
            assert found, "a NUL ends every body"
            out += self.body[self.at : found.start()]
            self.at = found.end()
            if found[0] == b'"':
                return _utf8(bytes(out))
            if found[0] == b"\0":
                raise GoError("json: string unexpected end of JSON input")
            escape = self._char()
            self.at += 1
            if escape == ord("u"):
                out += self._rune().encode()
            elif escape in ESCAPES:
                out += ESCAPES[escape].encode()
            elif escape == 0:
                raise GoError("json: invalid character as escaped string")
            else:
                raise GoError("json: string unexpected end of JSON input")

    def _rune(self) -> str:
        """The character of ``\\uXXXX`` (a pair for one beyond U+FFFF); a lone surrogate becomes U+FFFD."""
        high = self._hex()
        if not 0xD800 <= high < 0xE000:
            return chr(high)
        if high < 0xDC00 and self.body[self.at : self.at + 2] == b"\\u":
            kept, self.at = self.at, self.at + 2
            low = self._hex()
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00)
            self.at = kept
        return "\ufffd"

    def _hex(self) -> int:
        digits = self.body[self.at : self.at + 4]
        if len(digits) < 4 or 0 in digits:
            raise GoError("json: invalid character as escaped string")
        self.at += 4
        value = 0
        for digit in digits:
            value = value * 16 + HEX.get(digit, 0)
        return value

    def _skip(self) -> None:
        """Pass over the value of an unknown key, which the decoder hardly looks at."""
        char = self._space()
        if char == 0:
            raise GoError("json: value of object unexpected end of JSON input")
        if char == ord('"'):
            self._skip_string("value of string")
        elif char in b"{[":
            self._skip_nested("object of object" if char == ord("{") else "array of object")
        elif char in DIGITS:
            while self._char() in DIGITS + b"+.eE":
                self.at += 1
        elif char in b"tfn":
            word, name = {
                ord("t"): (b"true", "bool(true)"),
                ord("f"): (b"false", "bool(false)"),
                ord("n"): (b"null", "null"),
            }[char]
            self._word(word, name)
        else:
            self.at += 1
            self._skip()

    def _skip_string(self, what: str) -> None:
        self.at += 1
        while self._char() != ord('"'):
            if self._char() == ord("\\"):
                self.at += 1
            if self._at_end():
                raise GoError(f"json: {what} unexpected end of JSON input")
            self.at += 1
        self.at += 1

    def _skip_nested(self, what: str) -> None:
        opening, closing = (b"{", b"}") if self._char() == ord("{") else (b"[", b"]")
        depth = 0
        while True:
            char = self._char()
            if char == 0:
                raise GoError(f"json: {what} unexpected end of JSON input")
            if char == ord('"'):
                self._skip_string("string of object")
                continue
            self.at += 1
            depth += (char == opening[0]) - (char == closing[0])
            if depth == 0:
                return


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _replace_each_bad_byte(raw)


def _replace_each_bad_byte(raw: bytes) -> str:
    """Python replaces a broken sequence as a whole, Go byte by byte."""
    out: list[str] = []
    while raw:
        try:
            out.append(raw.decode())
            break
        except UnicodeDecodeError as error:
            out.append(raw[: error.start].decode() + "\ufffd")
            raw = raw[error.start + 1 :]
    return "".join(out)
