# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""From options to values on the controller: who is asked, in how few requests, and what becomes of the answer."""

from __future__ import annotations

import base64
import dataclasses
import functools
import os
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from ansible_collections.blumeops.registry.plugins.module_utils._errors import InvalidInput, NotFound, RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword import resolve
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.reference import (
    Reference,
    is_id,
    op_problem,
)
from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.resolve import Json, Missing

if TYPE_CHECKING:
    from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.cli import Op
    from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.connect import Connect

try:  # ansible-core 2.22: what is registered is replaced in everything that Ansible shows
    from ansible.module_utils.secrets import register_secrets
except ImportError:

    def register_secrets(values: Any, /) -> None:
        """Older cores have nothing of the kind; there ``no_log`` is the way."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The options of a lookup; the names are those of its documentation."""

    backend: str = "auto"
    connect_host: str | None = None
    connect_token: str | None = dataclasses.field(default=None, repr=False)
    service_account_token: str | None = dataclasses.field(default=None, repr=False)
    account: str | None = None
    op_path: str = "op"
    timeout: float = 15.0
    retries: int = 3
    ca_path: str | None = None
    allow_empty: bool = False
    default: str | None = None
    encoding: str = "text"
    show_names: bool = True

    def chosen(self) -> str:
        """``connect`` or ``op``. Connect is taken where it is configured, and never replaced after a failure.

        Raises:
            InvalidInput: Connect with only one of host and token, or a number out of range.
        """
        if self.timeout <= 0:
            raise InvalidInput(f"timeout must be more than 0 seconds, which {self.timeout:g} is not")
        if self.retries < 0:
            raise InvalidInput(f"retries must be 0 or more, which {self.retries} is not")
        if self.backend == "op":
            return "op"
        if self.backend == "connect" or self.connect_host or self.connect_token:
            if not (self.connect_host and self.connect_token):
                raise InvalidInput(
                    "connect_host and connect_token are required together: set both (OP_CONNECT_HOST, "
                    "OP_CONNECT_TOKEN), or none to use op"
                )
            return "connect"
        return "op"


class Memory(Protocol):
    """What was fetched already; see :class:`CallMemory`."""

    shared: bool

    def fetch(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any: ...

    def keep(self, key: tuple[str, ...], value: Any) -> None: ...

    def renew(self) -> bool: ...


class CallMemory:
    """Remembers for one call of the lookup, so that an item is fetched once for all its fields."""

    #: Whether what is kept outlives this call.
    shared = False

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], Any] = {}

    def fetch(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """What is kept under ``key``, else what ``make`` gives (and that is kept). What it raises is not kept."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def keep(self, key: tuple[str, ...], value: Any) -> None:
        """Keep ``value`` under another name as well."""
        self._kept[key] = value

    def renew(self) -> bool:
        """Forget what was fetched before this call; False where nothing was, so that asking again is of no use."""
        return False


class ConnectSource:
    """Items by Connect: one list of vaults, one of items a vault, one request an item."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings, self._memory = settings, memory

    @functools.cached_property
    def _client(self) -> Connect:
        """The client, imported and opened on first use: what is remembered needs none."""
        from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.connect import Connect

        return Connect(
            self._settings.connect_host or "",
            self._settings.connect_token or "",
            timeout=self._settings.timeout,
            retries=self._settings.retries,
            ca_path=self._settings.ca_path,
        )

    def close(self) -> None:
        """Close the connections, if any was opened."""
        if "_client" in self.__dict__:
            self._client.close()

    def item(self, reference: Reference) -> Json:
        """The whole item of a reference.

        Raises:
            Missing: No such item.
            RegistryError: As the client and the rules of matching raise it.
        """
        asked = ("asked", reference.vault, reference.item)
        return cast(Json, self._memory.fetch(asked, lambda: self._locate(reference)))

    def _locate(self, reference: Reference) -> Json:
        vaults = self._memory.fetch(("vaults",), lambda: self._client.vaults())
        vault = resolve.find_vault(vaults, reference, f"Connect at {self._settings.connect_host}")
        if is_id(reference.item):
            try:
                return self._by_id(vault, reference.item, reference)
            except NotFound:
                pass  # a title may look like an id
        items = self._memory.fetch(("items", str(vault["id"])), lambda: self._client.items(vault))
        found = resolve.find_item(items, reference, str(vault.get("name")))
        return self._by_id(vault, str(found["id"]), reference)

    def _by_id(self, vault: Json, item_id: str, reference: Reference) -> Json:
        if not is_id(item_id):
            raise InvalidInput(f"the id of item {reference.item!r} for {reference} is none of 1Password's")
        key = ("item", str(vault["id"]), item_id)
        item = cast(Json, self._memory.fetch(key, lambda: self._client.item(vault, item_id)))
        resolve.check_active(item, reference)
        return item | {"vault": {"id": vault["id"], "name": vault.get("name")}}

    def again(self, item: Json, reference: Reference) -> Json:
        """The same item as it is now."""
        return self._client.item(item["vault"], str(item["id"]))

    def content(self, item: Json, file: Json, reference: Reference) -> bytes:
        """The content of a file of an item."""
        return self._client.content(item["vault"], str(item["id"]), file)


class OpSource:
    """Items by ``op``: one process an item."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings, self._memory = settings, memory

    @functools.cached_property
    def op(self) -> Op:
        """The command; imported on first use, like Connect's client."""
        from ansible_collections.blumeops.registry.plugins.module_utils._onepassword.cli import Op

        return Op(
            path=self._settings.op_path,
            service_account_token=(self._settings.service_account_token or "").strip() or None,
            account=self._settings.account,
            timeout=self._settings.timeout,
        )

    def close(self) -> None:
        """Nothing is held open."""

    def item(self, reference: Reference) -> Json:
        """The whole item of a reference; see :meth:`Op.item`."""
        return cast(Json, self._memory.fetch(("item", reference.vault, reference.item), lambda: self._get(reference)))

    def _get(self, reference: Reference) -> Json:
        item = self.op.item(reference)
        vault = item.get("vault")
        if isinstance(vault, dict):
            self._memory.keep(("item", str(vault.get("id")), str(item.get("id"))), item)
        return item

    def again(self, item: Json, reference: Reference) -> Json:
        """The same item as it is now."""
        return self.op.item(reference)

    def content(self, item: Json, file: Json, reference: Reference) -> bytes:
        """The content of a file of an item."""
        return self.op.content(item, file, reference)


def read(references: Sequence[Reference], settings: Settings, memory: Memory | None = None) -> list[str]:
    """The values of references, in their order.

    Args:
        memory: What outlives this call; by default nothing does.

    Raises:
        RegistryError: One sentence; nothing is returned for any reference then.
    """
    backend = settings.chosen()
    register_secrets([one for one in (settings.connect_token, settings.service_account_token) if one])
    if not references:
        return []
    if backend == "op":
        for reference in references:
            # A typed reference must be one that op takes; names given one by one may hold anything.
            problem = op_problem(reference) if reference.typed else None
            if problem:
                raise InvalidInput(
                    f"{reference} {problem}: use the 26-character id instead of the name, or vault=, item= and field="
                )
    remembered = memory if memory is not None else CallMemory()
    source = OpSource(settings, remembered) if backend == "op" else ConnectSource(settings, remembered)
    if isinstance(source, OpSource) and not remembered.shared:
        plain = [reference for reference in references if op_problem(reference) is None]
        answers = source.op.read(plain, allow_missing=settings.default is not None)
        known = {reference: _judge(answer, reference, settings) for reference, answer in answers.items()}
    else:
        known = {}
    try:
        for reference in references:
            if reference not in known:
                known[reference] = _value(reference, source, remembered, settings)
    finally:
        source.close()
    values = [known[reference] for reference in references]
    register_secrets([value for value in values if value])
    return values


@functools.lru_cache(maxsize=8)
def credentials(settings: Settings) -> list[object]:
    """Everything that decides who is asked and as whom: what was fetched by others is not for this lookup."""
    if settings.chosen() == "connect":
        return ["connect", settings.connect_host, (settings.connect_token or "").strip()]
    dropped = {"OP_CONNECT_HOST", "OP_CONNECT_TOKEN", "OP_SERVICE_ACCOUNT_TOKEN"}  # see Op.environment
    own = {name: value for name, value in os.environ.items() if name.startswith("OP_") and name not in dropped}
    own |= {name: os.environ.get(name, "") for name in ("HOME", "XDG_CONFIG_HOME")}
    command = shutil.which(settings.op_path) or settings.op_path
    return ["op", command, settings.service_account_token, settings.account, own]


def _judge(answer: bytes | Missing, reference: Reference, settings: Settings) -> str:
    """A value as ``op`` gave it, under the rules that hold for Connect too."""
    if isinstance(answer, Missing):
        return _default(answer, settings)
    if answer.startswith(b"otpauth://") and not reference.attribute:
        # op gives the seed here; that somebody wants it is unlikely, and it does not end after 30 s.
        raise InvalidInput(
            f"{reference} is a one-time-password field: add ?attribute=otp for a code, or ?attribute=value for its seed"
        )
    if not answer and not settings.allow_empty:
        raise resolve.Empty(f"{reference} is empty: fill it in 1Password, or set allow_empty")
    return _text(answer, reference, settings)


def _value(reference: Reference, source: ConnectSource | OpSource, memory: Memory, settings: Settings) -> str:
    """One value by way of its item. What fails on something remembered is tried once more with nothing remembered."""
    try:
        return _found(reference, source, memory, settings)
    except RegistryError as error:
        if memory.renew():
            return _value(reference, source, memory, settings)
        if isinstance(error, Missing):
            return _default(error, settings)
        raise


def _found(reference: Reference, source: ConnectSource | OpSource, memory: Memory, settings: Settings) -> str:
    item = source.item(reference)
    if reference.attribute == "otp" and memory.shared:
        item = source.again(item, reference) | {"vault": item.get("vault")}  # a code is never remembered
    found = resolve.find(item, reference, labels=settings.show_names)
    if found.field is not None:
        value = resolve.field_value(found.field, reference, allow_empty=settings.allow_empty)
        return _text(value.encode("utf-8", "surrogatepass"), reference, settings)
    file = found.file
    assert file is not None
    attribute = resolve.file_attribute(file, reference)
    if attribute is not None:
        return attribute
    key = ("file", str(item["id"]), str(file["id"]))
    content = memory.fetch(key, lambda: base64.b64encode(source.content(item, file, reference)).decode())
    return _text(base64.b64decode(content), reference, settings)


def _default(error: Missing, settings: Settings) -> str:
    if settings.default is None:
        raise error
    return settings.default


def _text(value: bytes, reference: Reference, settings: Settings) -> str:
    """The value as it is returned; nothing is stripped of it."""
    if settings.encoding == "base64":
        return base64.b64encode(value).decode()
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{reference} is no UTF-8 text: set encoding=base64") from None
