# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Where ledgers are kept: an Actions variable of the same scope, or files where the module runs."""

from __future__ import annotations

import os
import pathlib
import tempfile
import urllib.parse
from collections.abc import Mapping
from typing import Protocol

from ansible_collections.blumeops.registry.plugins.module_utils._errors import Conflict, InvalidInput, NotFound
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.client import Client
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.ledger import LARGEST, LARGEST_FILE
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import LEDGER_VARIABLE, Scope


class LedgerStore(Protocol):
    """Reads and writes the text of a scope's ledger, of at most so many bytes."""

    largest: int

    def read(self, scope: Scope, variables: Mapping[str, str]) -> str | None:
        """The text, None where there is none; ``variables`` are those of the scope."""

    def write(self, scope: Scope, text: str, *, exists: bool) -> None:
        """Store the text as a whole; ``exists`` says whether there was one."""


class VariableStore:
    """Ledgers in the variable BLUMEOPS_REGISTRY_LEDGER."""

    largest = LARGEST

    def __init__(self, client: Client) -> None:
        self._client = client

    def read(self, scope: Scope, variables: Mapping[str, str]) -> str | None:
        return variables.get(LEDGER_VARIABLE)

    def write(self, scope: Scope, text: str, *, exists: bool) -> None:
        try:
            if exists:
                self._client.update_variable(scope, LEDGER_VARIABLE, text)
            else:
                self._client.create_variable(scope, LEDGER_VARIABLE, text)
        except NotFound:
            self._client.create_variable(scope, LEDGER_VARIABLE, text)
        except Conflict:
            self._client.update_variable(scope, LEDGER_VARIABLE, text)


class FileStore:
    """Ledgers in a directory, one file (mode 0600) for each scope of each forge, replaced as a whole."""

    largest = LARGEST_FILE

    def __init__(self, directory: str, forge: str) -> None:
        """Raises InvalidInput where the directory cannot be made or written to."""
        self._directory = pathlib.Path(directory)
        self._forge = urllib.parse.urlsplit(forge).netloc.rpartition("@")[2]
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"ledger_dir {directory} cannot be made ({error.strerror})") from None
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise InvalidInput(f"ledger_dir {directory} cannot be written to: check its owner and mode")

    def read(self, scope: Scope, variables: Mapping[str, str]) -> str | None:
        try:
            return self._path(scope).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InvalidInput(f"the ledger {self._path(scope)} cannot be read ({error.strerror})") from None

    def write(self, scope: Scope, text: str, *, exists: bool) -> None:
        path = self._path(scope)
        try:
            descriptor, name = tempfile.mkstemp(dir=self._directory, prefix=".ledger-")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except OSError as error:
            raise InvalidInput(f"the ledger {path} cannot be written ({error.strerror})") from None

    def _path(self, scope: Scope) -> pathlib.Path:
        return self._directory / (urllib.parse.quote(f"{self._forge} {scope.key}", safe=" ") + ".json")
