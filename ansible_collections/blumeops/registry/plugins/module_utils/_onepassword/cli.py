# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Reading with the 1Password command ``op``: one process for all references of a call.

``op inject`` gets a template with every reference and gives it back with the values in place. The references go in
and the values come out through pipes; no value is ever an argument or a file. Between the references stands a
separator of 128 random bits that is new in every call, so no value can look like one, and values are cut out of the
output byte for byte: line breaks, braces and ``op://`` in a value stay what they are.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    InvalidInput,
    RateLimited,
    Refused,
    RegistryError,
    ServerError,
    UnexpectedAnswer,
    Unreachable,
    scrub,
)
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.reference import (
    Reference,
    format_reference,
    normal,
    op_problem,
)
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.resolve import (
    Ambiguous,
    Json,
    Missing,
    VaultNotFound,
    check_active,
)

#: The oldest ``op`` whose answers are known; service accounts came with 2.18, clear texts with 2.24 to 2.27.
OLDEST = (2, 24)
NO_CREDENTIALS = (
    "no 1Password credentials: set connect_host and connect_token, or OP_SERVICE_ACCOUNT_TOKEN, "
    "or install op and sign in with it"
)

_LINE = re.compile(r"(?m)^\[ERROR\] \d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2} (.+)$")
#: Anchors in what op says (contracts of 1Password, 3.3), in the order in which they are tried.
_NOT_SIGNED_IN = re.compile(
    r"not (?:currently )?signed in|No accounts configured|error initializing client|authorization timeout"
    r"|not authenticated yet"
)
_RATE_LIMIT = re.compile(r"Too Many Requests")
_MINUTES = re.compile(r"retry in (\d+ \w+)")
_GONE = re.compile(r"has been deleted or archived")
_NO_VAULT = re.compile(r"isn't a vault")
_SEVERAL = re.compile(r"[Mm]ore than one (?:item|vault|field)")
_NO_ITEM = re.compile(r"isn't an item|could not find item")
_NO_FIELD = re.compile(r"does not have a field|could not find field or file|isn't a field")
_PREFIX = re.compile(r"^could not read secret '.*?': ")
_BROKEN = re.compile(r"\((?:5\d\d|409)\) |^panic:")


class _Failed(Exception):
    """op exited with an error; ``text`` is what it said, scrubbed."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text, self.status = text, status

    @property
    def about_reference(self) -> bool:
        """Whether another reference could have fared better, so that asking in parts tells which one failed."""
        return not any(pattern.search(self.text) for pattern in (_NOT_SIGNED_IN, _RATE_LIMIT, _BROKEN))


@dataclass(slots=True)
class Op:
    """The command ``op``, asked as a service account, or as the app or session that it is signed in to.

    Args:
        path: The command, by name or path.
        service_account_token: Goes to ``op`` in its environment, never as an argument.
        account: Which account, where several are signed in.
        timeout: Seconds for one process; ``op`` can wait without end for a fingerprint.
        environ: The environment to start from.
    """

    path: str = "op"
    service_account_token: str | None = None
    account: str | None = None
    timeout: float = 15.0
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def environment(self) -> dict[str, str]:
        """The environment of ``op``.

        Connect's variables are left out, for they would win over everything else [D], and so is a service account
        where the app is meant.
        """
        dropped = {"OP_CONNECT_HOST", "OP_CONNECT_TOKEN", "OP_SERVICE_ACCOUNT_TOKEN", "OP_FORMAT"}
        made = {name: value for name, value in self.environ.items() if name not in dropped}
        made |= {"OP_DEBUG": "false", "NO_COLOR": "1"}
        if self.account:
            made["OP_ACCOUNT"] = self.account
        if self.service_account_token:
            made["OP_SERVICE_ACCOUNT_TOKEN"] = self.service_account_token
        return made

    def read(self, references: Sequence[Reference], *, allow_missing: bool = False) -> dict[Reference, bytes | Missing]:
        """The values of references, exactly, by one process.

        Where the process fails because of a reference, its halves are asked, and theirs, until the one that failed
        is alone and named: 9 processes at most for one of 100, not 101.

        Args:
            allow_missing: Give a reference that is not there as Missing instead of raising it.

        Raises:
            InvalidInput: A reference that ``op`` does not take, found before it is started; or ``op`` is missing.
            Missing: The first reference that is not there.
            RegistryError: Not signed in, rate limit, a vault that is not there, several items of one title.
        """
        for reference in references:
            problem = op_problem(reference)
            if problem:
                raise InvalidInput(f"{reference} {problem}: use the 26-character id of it, or vault=, item= and field=")
        return self._ask(list(dict.fromkeys(references)), allow_missing, bad=False)

    def _ask(self, references: list[Reference], allow_missing: bool, *, bad: bool) -> dict[Reference, bytes | Missing]:
        """``bad``: one of several references is known to fail, so they are not asked together again."""
        if not references:
            return {}
        if len(references) == 1:
            answer = self._read_one(references[0])
            if isinstance(answer, Missing) and not allow_missing:
                raise answer
            return {references[0]: answer}
        if not bad:
            try:
                return self._inject(references)
            except _Failed as failed:
                if not failed.about_reference:
                    raise self._error(failed, "the references of this lookup") from None
        middle = len(references) // 2
        answers = self._ask(references[:middle], allow_missing, bad=False)
        whole = not any(isinstance(answer, Missing) for answer in answers.values())
        return answers | self._ask(references[middle:], allow_missing, bad=whole)

    def _inject(self, references: list[Reference]) -> dict[Reference, bytes | Missing]:
        separator = secrets.token_hex(16)
        template = separator + "".join(f"{{{{ {format_reference(one)} }}}}{separator}" for one in references)
        out = self._run(["inject", "--in-file", "/dev/stdin"], template.encode())
        parts = out.split(separator.encode())
        if len(parts) != len(references) + 2 or parts[0] or parts[-1].strip():
            raise UnexpectedAnswer(f"{self.path} inject did not give its template back: is it 1Password's op?")
        return dict(zip(references, parts[1:-1], strict=True))

    def _read_one(self, reference: Reference) -> bytes | Missing:
        try:
            return self._run(["read", "--no-newline", format_reference(reference)])
        except _Failed as failed:
            error = self._error(failed, str(reference))
            if isinstance(error, Missing):
                return error
            raise error from None

    def item(self, reference: Reference) -> Json:
        """The whole item of a reference, whatever characters its names have.

        ``op`` also finds items by a domain; what it gives must have the id or title that was asked for.

        Raises:
            Missing: No such item.
        """
        arguments = ["item", "get", f"--vault={reference.vault}", "--format=json", "--", reference.item]
        try:
            out = self._run(arguments)
        except _Failed as failed:
            raise self._error(failed, str(reference)) from None
        try:
            item = json.loads(out)
        except ValueError:
            item = None
        if not isinstance(item, dict) or not isinstance(item.get("fields", []), list):
            raise UnexpectedAnswer(f"{self.path} item get did not print an item as JSON: is it 1Password's op?")
        title = normal(str(item.get("title"))).casefold()
        if reference.item != item.get("id") and reference.item.casefold() != title:
            raise Missing(f"item {reference.item!r} not found in vault {reference.vault!r} for {reference}")
        check_active(item, reference)
        return item

    def content(self, item: Json, file: Json, reference: Reference) -> bytes:
        """The content of a file of an item, by ids."""
        vault = item.get("vault")
        vault_id = str(vault.get("id")) if isinstance(vault, dict) else reference.vault
        by_id = Reference(vault_id, str(item.get("id")), str(file.get("id")), typed=str(reference))
        value = self._read_one(by_id)
        if isinstance(value, Missing):
            raise value
        return value

    # -- the process ------------------------------------------------------------------------------------------------

    def _run(self, arguments: list[str], stdin: bytes | None = None) -> bytes:
        """Run ``op`` and return what it printed.

        Raises:
            InvalidInput: There is no such command.
            Unreachable: It did not end in time.
            _Failed: It ended with an error, or with none but an error line and no output (op before 2.32.1 [X]).
        """
        environment = self.environment()
        command = shutil.which(self.path, path=environment.get("PATH"))
        if command is None:
            raise InvalidInput(f"{NO_CREDENTIALS} (there is no command {self.path!r} here)")
        source: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        try:
            done: subprocess.CompletedProcess[bytes] = subprocess.run(
                [command, *arguments], capture_output=True, env=environment, timeout=self.timeout, check=False, **source
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(
                f"op did not answer within {self.timeout:g} s: it may be waiting for Touch ID or a password; "
                "answer it, use a service account, or raise timeout"
            ) from None
        except OSError as error:
            raise InvalidInput(f"the command {command} cannot be run ({error.strerror}): check op_path") from None
        said = scrub(done.stderr.decode("utf-8", "replace"), self._secrets())
        if done.returncode != 0 or (not done.stdout and _LINE.search(said)):
            lines = _LINE.findall(said)
            raise _Failed(" ".join(" ".join(lines or said.split("\n")[:1]).split()), done.returncode)
        return done.stdout

    def _secrets(self) -> list[str]:
        sessions = [value for name, value in self.environ.items() if name.startswith("OP_SESSION")]
        return sessions + ([self.service_account_token] if self.service_account_token else [])

    def _error(self, failed: _Failed, what: str) -> RegistryError:
        """Our error for what ``op`` said about ``what``."""
        said = _PREFIX.sub("", failed.text)[:400] or f"exit status {failed.status}"
        if _RATE_LIMIT.search(said):
            when = _MINUTES.search(said)
            return RateLimited(
                f"1Password rate limit for {what}; retry in {when[1] if when else 'an hour'}", status=429
            )
        if _NOT_SIGNED_IN.search(said):
            if "No accounts configured" in said:
                return Refused(f"{NO_CREDENTIALS} (op has no account)")
            return Refused(f"op is not signed in ({said}): sign in, or check OP_SERVICE_ACCOUNT_TOKEN")
        for pattern, kind in (
            (_GONE, InvalidInput),
            (_NO_VAULT, VaultNotFound),
            (_SEVERAL, Ambiguous),
            (_NO_ITEM, Missing),
            (_NO_FIELD, Missing),
        ):
            if pattern.search(said):
                return kind(f"op cannot read {what}: {said}")
        if _BROKEN.search(said):
            return ServerError(f"op could not read {what}: {said}; try again", status=failed.status)
        return InvalidInput(f"op could not read {what}: {said}{self._age()}")

    def _age(self) -> str:
        """A hint where ``op`` is older than its texts are known; asked for only after an unknown failure."""
        try:
            version = self._run(["--version"]).decode("utf-8", "replace").strip()
            parts = tuple(int(part) for part in version.split(".")[:2])
        except (_Failed, RegistryError, ValueError):
            return ""
        oldest = ".".join(map(str, OLDEST))
        return f" (op {version} is older than {oldest}: update it)" if parts < OLDEST else ""
