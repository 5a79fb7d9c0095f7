"""zot's log, and what it says of itself."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any, ClassVar, TextIO

#: The version of the distribution specification that zot 2.1.20 speaks.
SPEC = "1.1.1"
#: A zot that was built from source carries no version.
BUILD = {"commit": "", "releaseTag": "", "binaryType": ""}


class Log:
    """zot's log: a JSON object a line, on standard output or appended to a file, from a level on."""

    ORDER = ("debug", "info", "warn", "error")
    LEVELS: ClassVar = {"trace": "debug", "warning": "warn", "fatal": "error", "panic": "error"}

    def __init__(self, level: str = "info", output: str = "") -> None:
        level = self.LEVELS.get(level.lower(), level.lower())
        self._from = self.ORDER.index(level)
        self._file: TextIO = open(output, "a", encoding="utf-8", buffering=1) if output else sys.stdout  # noqa: SIM115

    def __call__(self, level: str, message: str, **fields: Any) -> None:
        if self.ORDER.index(level) >= self._from:
            moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            print(
                json.dumps({"time": moment, "level": level, "message": message, **fields}), file=self._file, flush=True
            )
