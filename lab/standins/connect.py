"""Stand-in of a 1Password Connect server 1.8.1: ``lab/connect --vaults FILE --port N``.

Built from ``contracts/onepassword.md`` 1 and 7; where that page marks a point as inference [?], the answer here is
a switch. Faults, the log and the clean end are those of every stand-in (``common``).
"""

from __future__ import annotations

import asyncio
import json
import pathlib
import re
import secrets
import string
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click
from aiohttp import web

from lab.standins import vaults
from lab.standins.common import ERROR_BODY, Options, options, reading, serve
from lab.standins.vaults import Json, Vaults

#: What Connect says by status, where a fault asks for that status [I connect#78, connect#82, connect#93, spec].
MESSAGES = {
    400: "Invalid Item UUID",
    401: "Authentication: (Invalid bearer token)",
    403: "Authorization: token does not have access to vault",
    404: "item not found",
    409: "Conflict",
    429: "Too Many Requests",
    500: "Something went wrong",
}
WRITE_DENIED = {
    401: "Unauthorized Request, token does not have write access to the Vault",  # [I terraform#24, 2021]
    403: "Authorization: token does not have permission to perform {action} on vault {vault}",  # [X], later
}
TOO_LARGE = "File is too large to inline in request. Use the /v1/{path}/content endpoint instead."
TWO_PASSWORDS = (
    'Logic: (Unable to parse Item), Validation: (too many "password" fields in Apply()), '
    'You can only use one "password" field.'
)
SUMMARY = (
    *("id", "title", "vault", "category", "urls", "favorite", "tags"),
    *("version", "state", "createdAt", "updatedAt", "lastEditedBy"),
)
BUILT_IN = ("username", "password", "notesPlain")
FILTER = re.compile(r'\s*(\w+)\s+(eq|co)\s+"((?:[^"\\]|\\.)*)"\s*', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Switches:
    """Behaviour that is not certain, or that passes: see the options of :func:`main`."""

    write_denied: int = 403
    unknown_field: int = 400
    scope_first: bool = False
    filter_case: bool = False
    filter_escapes: bool = False
    hide_archived: bool = False
    new_version: bool = False
    stale_reads: int = 0
    stale_ms: int = 0
    conflict_ms: int = 0
    conflict_status: int = 409
    unsynced: int = 0
    unsynced_files: int = 0
    inline_limit: int = 100 * 1024
    server_version: str = "1.8.1"


@dataclass(slots=True)
class Stale:
    """An item as it was before the last write, for reads that come too early."""

    item: Json
    reads: int
    until: float


@dataclass(slots=True)
class Server:
    """The state of one running stand-in."""

    store: Vaults
    switches: Switches
    save_to: pathlib.Path | None = None
    requests: int = 0
    file_requests: int = 0
    stale: dict[str, Stale] = field(default_factory=dict)
    writing: set[str] = field(default_factory=set)
    activity: list[Json] = field(default_factory=list)

    # -- answers ------------------------------------------------------------------------------------------------

    async def heartbeat(self, _: web.Request) -> web.Response:
        return web.Response(text=".")

    async def health(self, _: web.Request) -> web.Response:
        ready = self.requests >= self.switches.unsynced
        services = {
            "sqlite": ("ACTIVE", "Connected to /home/opuser/.op/data/1password.sqlite"),
            "account_data": ("ACTIVE" if ready else "NOT_SYNCED", ""),
            "sync": ("ACTIVE" if ready else "TOKEN_NEEDED", ""),
        }
        return web.json_response(
            {
                "name": "1Password Connect API",
                "version": self.switches.server_version,
                "dependencies": [
                    {"service": name, "status": status, **({"message": text} if text else {})}
                    for name, (status, text) in services.items()
                ],
            }
        )

    async def get_vaults(self, request: web.Request) -> web.Response:
        scope = self._scope(request)
        found = [_vault_json(vault) for vault in self.store.vaults if vault["id"] in scope]
        wanted = _parse_filter(request, {"name", "title"}, self.switches.filter_escapes)
        if wanted:
            # The server's filter on vaults knows no case [S onepassword-operator 1.10.1, inference].
            found = [vault for vault in found if wanted.holds([vault["name"]], fold=not self.switches.filter_case)]
        return web.json_response(found)

    async def get_vault(self, request: web.Request) -> web.Response:
        return web.json_response(_vault_json(self._vault(request, "r")))

    async def get_items(self, request: web.Request) -> web.Response:
        vault = self._vault(request, "r")
        wanted = _parse_filter(request, {"title", "tag"}, self.switches.filter_escapes)
        found = [item for item in vault["items"] if not (self.switches.hide_archived and item.get("state"))]
        if wanted:
            fold = not self.switches.filter_case
            found = [i for i in found if wanted.holds(i["tags"] if wanted.name == "tag" else [i["title"]], fold=fold)]
        return web.json_response([_summary(item) for item in found])

    async def get_item(self, request: web.Request) -> web.Response:
        return web.json_response(full_item(self._seen(self._item(request, "r"))))

    async def post_item(self, request: web.Request) -> web.Response:
        vault = self._vault(request, "w", action="create")
        body = await _json(request, dict)
        category = body.get("category")
        if category in {None, "CUSTOM", "DOCUMENT"} or category not in vaults.CATEGORIES:
            raise _error(400, "Invalid item category")  # CUSTOM [S 1.2.0] and DOCUMENT [S 1.7.0] cannot be created
        item = _clean(body, {"id": _new_id(), "createdAt": vaults.now(), "version": 1, "title": ""})
        async with self._written(vault):
            vault["items"].append(item)
            vaults.complete(item, vault)
        return web.json_response(full_item(item))

    async def put_item(self, request: web.Request) -> web.Response:
        item = self._item(request, "w", action="update")
        body = await _json(request, dict)
        if body.get("id") != item["id"] or body.get("vault", {}).get("id") != item["vault"]["id"]:
            raise _error(400, "The item's id and vault.id must be those of the request")  # needed [I sdk-js#122]
        return await self._change(item, _clean(body, item), old_version=True)

    async def patch_item(self, request: web.Request) -> web.Response:
        item = self._item(request, "rw", action="update")  # both rights, since 1.7.1 [S]
        operations = await _json(request, list)
        changed = json.loads(json.dumps(item))
        for operation in operations:
            self._patch(changed, operation)
        if not operations:
            return web.json_response(full_item(item))
        return await self._change(item, changed, old_version=not self.switches.new_version)

    async def delete_item(self, request: web.Request) -> web.Response:
        item = self._item(request, "w", action="delete")
        vault = self.store.vault(item["vault"]["id"])
        assert vault is not None
        async with self._written(vault):
            vault["items"].remove(item)
        return web.Response(status=204)

    async def get_files(self, request: web.Request) -> web.Response:
        item = self._item(request, "r")
        return web.json_response([self._file_json(request, item, file) for file in item["files"]])

    async def get_file(self, request: web.Request) -> web.Response:
        item, file = self._file(request)
        return web.json_response(self._file_json(request, item, file))

    async def get_content(self, request: web.Request) -> web.Response:
        _, file = self._file(request)
        self.file_requests += 1
        if self.file_requests <= self.switches.unsynced_files:
            raise _error(500, MESSAGES[500])  # a file that is not synced yet [S onepassword-operator connect.go]
        return web.Response(
            body=vaults.file_bytes(file),
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{file["name"]}"'},
        )

    async def get_activity(self, request: web.Request) -> web.Response:
        self._scope(request)
        limit, offset = int(request.query.get("limit", "50")), int(request.query.get("offset", "0"))
        page = self.activity[offset : offset + limit]
        content_range = f"{offset + 1}-{offset + len(page)}/{len(self.activity)}"
        return web.json_response(page, headers={"Content-Range": content_range})

    # -- who may do what ----------------------------------------------------------------------------------------

    def _scope(self, request: web.Request) -> dict[str, str]:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        scope = self.store.scope(token) if kind == "Bearer" else None
        if scope is None:
            raise _error(401, MESSAGES[401])
        self.requests += 1
        if self.requests <= self.switches.unsynced:
            raise _error(500, "failed to initiate, review service logs for details")  # [I connect-sdk-python#9]
        self.activity.append(
            {
                "requestId": f"{self.requests:08d}",
                "timestamp": vaults.now(),
                "action": {"GET": "READ", "POST": "CREATE", "DELETE": "DELETE"}.get(request.method, "UPDATE"),
                "result": "SUCCESS",
            }
        )
        return scope

    def _vault(self, request: web.Request, need: str, action: str = "read") -> Json:
        scope = self._scope(request)
        vault_id, item_id = request.match_info["vault"], request.match_info.get("item", "")
        checks: list[Callable[[], None]] = [
            lambda: _check_ids(vault_id, item_id),
            lambda: self._check_scope(vault_id, scope),
        ]
        for check in reversed(checks) if self.switches.scope_first else checks:
            check()
        if not set(need) <= set(scope[vault_id]):
            raise self._denied(action, vault_id)
        vault = self.store.vault(vault_id)
        assert vault is not None
        return vault

    @staticmethod
    def _check_scope(vault_id: str, scope: dict[str, str]) -> None:
        if vault_id not in scope:  # one that does not exist as well [X]
            raise _error(403, f"Authorization: token does not have access to vault {vault_id}")

    def _denied(self, action: str, vault: str) -> web.HTTPException:
        status = self.switches.write_denied
        return _error(status, WRITE_DENIED[status].format(action=action, vault=vault))

    def _item(self, request: web.Request, need: str, action: str = "read") -> Json:
        items: list[Json] = self._vault(request, need, action)["items"]
        for item in items:
            if item["id"] == request.match_info["item"]:
                return item
        raise _error(404, f"item {request.match_info['item']} not found")

    def _file(self, request: web.Request) -> tuple[Json, Json]:
        item, file_id = self._item(request, "r"), request.match_info["file"]
        for file in item["files"]:
            if file["id"] == file_id:
                return item, file
        raise _error(404, f"file {file_id} not found")

    def _file_json(self, request: web.Request, item: Json, file: Json) -> Json:
        shown = file_json(item, file)
        if request.query.get("inline_files") == "true":
            if len(vaults.file_bytes(file)) > self.switches.inline_limit:
                raise _error(413, TOO_LARGE.format(path=request.path.removeprefix("/v1/")))
            import base64

            shown["content"] = base64.b64encode(vaults.file_bytes(file)).decode()
        return shown

    # -- writes -------------------------------------------------------------------------------------------------

    def _seen(self, item: Json) -> Json:
        """The item as this read sees it: for a while after a write, the old one."""
        stale = self.stale.get(item["id"])
        if stale is None:
            return item
        if stale.reads > 0:
            stale.reads -= 1
            return stale.item
        if time.monotonic() < stale.until:
            return stale.item
        del self.stale[item["id"]]
        return item

    def _written(self, vault: Json) -> _Writing:
        return _Writing(self, vault)

    async def _change(self, item: Json, changed: Json, *, old_version: bool) -> web.Response:
        vault = self.store.vault(item["vault"]["id"])
        assert vault is not None
        async with self._written(vault):
            if self.switches.stale_reads or self.switches.stale_ms:
                until = time.monotonic() + self.switches.stale_ms / 1000
                self.stale[item["id"]] = Stale(json.loads(json.dumps(item)), self.switches.stale_reads, until)
            version = item["version"]
            item.clear()
            item.update(changed)
            item["version"], item["updatedAt"] = version + 1, vaults.now()
            vaults.complete(item, vault)
        shown = full_item(item)
        if old_version:
            shown["version"] = version  # "UpdateItem doesn't return increased item version" [S terraform-provider]
        return web.json_response(shown)

    def _patch(self, item: Json, operation: object) -> None:
        """Carry out one operation of a PATCH on ``item``; fields are addressed by their id [T][I connect#58]."""
        if not isinstance(operation, dict) or operation.get("op") not in {"add", "remove", "replace"}:
            raise _error(400, "Invalid patch operation")
        path = operation.get("path")
        if not isinstance(path, str) or not path.startswith("/"):
            raise _error(400, "Invalid patch path")
        name, *rest = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
        kind, value = operation["op"], operation.get("value")
        if not name:
            whole = _clean(value if isinstance(value, dict) else {}, item)
            item.clear()
            item.update(whole)
        elif name == "fields" and not rest and kind == "add" and isinstance(value, dict):
            item["fields"].append(_field(value))
        elif name in {"fields", "sections"} and rest:
            target = next((entry for entry in item[name] if entry["id"] == rest[0]), None)
            if target is None:
                raise _error(self.switches.unknown_field, f"The item doesn't have a {{{rest[0]}}} field.")
            if len(rest) > 1:
                _set(target, rest[1], kind, value)
            elif kind == "remove":
                item[name].remove(target)
            elif isinstance(value, dict):
                target.clear()
                target.update(_field({"id": rest[0], **value}))
            if target in item[name] and name == "fields":
                _generate(target)
        elif name == "tags" and rest:
            _patch_list(item["tags"], rest[0], kind, value)
        else:
            _set(item, name, kind, value)


class _Writing:
    """Carries out one write of a vault; a second one at the same time conflicts (the vault has one version)."""

    def __init__(self, server: Server, vault: Json) -> None:
        self.server, self.vault = server, vault

    async def __aenter__(self) -> None:
        switches = self.server.switches
        if self.vault["id"] in self.server.writing:
            raise _error(switches.conflict_status, MESSAGES[switches.conflict_status])  # [S terraform retry.go]
        if switches.conflict_ms:
            self.server.writing.add(self.vault["id"])
            try:
                await asyncio.sleep(switches.conflict_ms / 1000)
            finally:
                self.server.writing.discard(self.vault["id"])

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None and self.server.save_to:
            self.server.store.save(self.server.save_to)


@dataclass(frozen=True, slots=True)
class Filter:
    """One SCIM-like comparison, such as ``title eq "Forge API"``."""

    name: str
    operator: str
    value: str

    def holds(self, texts: list[str], *, fold: bool) -> bool:
        wanted = self.value.casefold() if fold else self.value
        for text in texts:
            have = text.casefold() if fold else text
            if have == wanted or (self.operator == "co" and wanted in have):
                return True
        return False


def _parse_filter(request: web.Request, names: set[str], escapes: bool) -> Filter | None:
    text = request.query.get("filter")
    if text is None:
        return None
    match = FILTER.fullmatch(text)
    # A quote without its partner is a 400 since 1.5.2 [S CHANGELOG].
    if match is None or match[1] not in names or ("\\" in match[3] and not escapes):
        raise _error(400, "Invalid filter")
    value = re.sub(r"\\(.)", r"\1", match[3]) if escapes else match[3]
    return Filter(match[1], match[2], value)


def full_item(item: Json) -> Json:
    """An item as GET answers it: with sections, fields and files; what is empty is left out."""
    shown = _summary(item)
    shown["sections"] = item["sections"]
    shown["fields"] = [_field_json(field) for field in item["fields"]]
    shown["files"] = [file_json(item, file) for file in item["files"]]
    return {key: value for key, value in shown.items() if value != [] or key in {"fields"}}


def file_json(item: Json, file: Json) -> Json:
    """What a list of files says about one of them; never its content."""
    path = f"/v1/vaults/{item['vault']['id']}/items/{item['id']}/files/{file['id']}/content"
    shown = {"id": file["id"], "name": file["name"], "size": len(vaults.file_bytes(file)), "content_path": path}
    return shown | ({"section": file["section"]} if "section" in file else {})


def _field_json(field: Json) -> Json:
    shown = {key: value for key, value in field.items() if key not in {"generate", "recipe"}}
    if shown.get("value") in {None, ""}:
        shown.pop("value", None)
    elif shown["type"] == "OTP":
        shown["totp"] = vaults.totp(shown["value"])
    return shown


def _summary(item: Json) -> Json:
    return {key: item[key] for key in SUMMARY if key in item and item[key] != []}


def _vault_json(vault: Json) -> Json:
    return {
        "id": vault["id"],
        "name": vault["name"],
        "attributeVersion": 1,
        "contentVersion": sum(item["version"] for item in vault["items"]),
        "items": len(vault["items"]),
        "type": "USER_CREATED",
        "createdAt": "2026-03-01T09:00:00Z",
        "updatedAt": "2026-03-01T09:00:00Z",
    }


def _clean(body: Json, old: Json) -> Json:
    """The item that POST or PUT stores: what ``body`` says, with the server's own keys from ``old``."""
    kept = {key: old[key] for key in ("id", "createdAt", "version", "files") if key in old}
    item = {key: value for key, value in body.items() if key not in {"vault", "lastEditedBy", "updatedAt"}}
    item["fields"] = [_field(field) for field in body.get("fields") or []]
    if sum(field.get("purpose") == "PASSWORD" for field in item["fields"]) > 1:
        raise _error(400, TWO_PASSWORDS)
    return item | kept


def _field(body: Json) -> Json:
    """A field as it is stored: with an id and a type; a built-in one without its purpose becomes text [I]."""
    stored = {key: value for key, value in body.items() if value not in (None, "") and key not in {"totp", "entropy"}}
    purpose = {"USERNAME": "username", "PASSWORD": "password", "NOTES": "notesPlain"}.get(stored.get("purpose", ""))
    stored["id"] = stored.get("id") or purpose or _new_id()
    stored["type"] = str(stored.get("type", "CONCEALED" if purpose == "password" else "STRING")).upper()
    if stored["id"] in BUILT_IN and purpose is None:
        stored["type"] = "STRING"  # [I connect-sdk-python#34]
    _generate(stored)
    return stored


def _generate(field: Json) -> None:
    """``generate: true`` makes the value from the recipe [S spec]."""
    if not field.pop("generate", False):
        return
    recipe = field.pop("recipe", {})
    sets = {"LETTERS": string.ascii_letters, "DIGITS": string.digits, "SYMBOLS": "!@.-_*"}
    letters = "".join(sets[name] for name in recipe.get("characterSets", sets))
    letters = "".join(sorted(set(letters) - set(recipe.get("excludeCharacters", ""))))
    length = recipe.get("length", 32)
    field["value"] = "".join(secrets.choice(letters) for _ in range(length))
    if field.get("purpose") == "PASSWORD":
        field["entropy"] = round(length * len(letters).bit_length() * 0.98, 2)


def _set(target: Json, key: str, kind: str, value: object) -> None:
    if kind == "remove" or value is None or value == "":
        target.pop(key, None)
    else:
        target[key] = value


def _patch_list(values: list[Any], index: str, kind: str, value: object) -> None:
    at = len(values) if index == "-" else int(index) if index.isdigit() else len(values) + 1
    if kind == "add" and at <= len(values):
        values.insert(at, value)
    elif at < len(values):
        values[at : at + 1] = [] if kind == "remove" else [value]
    else:
        raise _error(400, "Invalid patch path")


def _check_ids(vault_id: str, item_id: str) -> None:
    if not vaults.is_id(vault_id):
        raise _error(400, "Invalid Vault UUID")  # [I external-secrets#1202]
    if item_id and not vaults.is_id(item_id):
        raise _error(400, "Invalid Item UUID")  # [I connect#45]


def _new_id() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(26))


async def _json(request: web.Request, kind: type) -> Any:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, kind):
        raise _error(400, "Invalid request body")  # an object as the body of PATCH is one [I connect#61]
    return body


def _error(status: int, message: str) -> web.HTTPException:
    error = web.HTTPClientError if status < 500 else web.HTTPServerError
    made: web.HTTPException = type("Answer", (error,), {"status_code": status})(
        text=json.dumps(_body(status, message)), content_type="application/json"
    )
    return made


def _body(status: int, message: str) -> Json:
    return {"status": status, "message": message}


def application(server: Server) -> web.Application:
    """The routes of 1.2; ``/heartbeat`` and ``/health`` have no ``/v1`` and ask for no token."""

    async def nothing(_: web.Request) -> web.StreamResponse:
        raise _error(404, "not found")

    async def version(_: web.Request, response: web.StreamResponse) -> None:
        if server.switches.server_version:
            response.headers["1Password-Connect-Version"] = server.switches.server_version  # since 1.3.0 [S]

    app = web.Application()
    app[ERROR_BODY] = lambda status: _body(status, MESSAGES.get(status, "Something went wrong"))
    app.on_response_prepare.append(version)
    item = "/v1/vaults/{vault}/items/{item}"
    table: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
        ("GET", "/heartbeat", server.heartbeat),
        ("GET", "/health", server.health),
        ("GET", "/v1/activity", server.get_activity),
        ("GET", "/v1/vaults", server.get_vaults),
        ("GET", "/v1/vaults/{vault}", server.get_vault),
        ("GET", "/v1/vaults/{vault}/items", server.get_items),
        ("POST", "/v1/vaults/{vault}/items", server.post_item),
        ("GET", item, server.get_item),
        ("PUT", item, server.put_item),
        ("PATCH", item, server.patch_item),
        ("DELETE", item, server.delete_item),
        ("GET", f"{item}/files", server.get_files),
        ("GET", f"{item}/files/{{file}}", server.get_file),
        ("GET", f"{item}/files/{{file}}/content", server.get_content),
    ]
    app.add_routes(list(_with_slash(table)))
    app.router.add_route("*", "/{anything:.*}", nothing)
    return app


def _with_slash(
    table: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]],
) -> Iterator[web.RouteDef]:
    for method, path, handler in table:
        for form in (path, f"{path}/"):  # the JS SDK always sends the slash [S]
            yield web.route(method, form, handler)


@click.command(help="Stand-in of a 1Password Connect server on loopback.")
@click.option(
    "--vaults",
    "path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="The vault file; see lab/worlds/vaults.json.",
)
@click.option("--save", is_flag=True, help="Write every change back to the vault file.")
@click.option("--write-denied", type=click.Choice(["401", "403"]), default="403", help="A write without the right.")
@click.option("--unknown-field", type=click.Choice(["400", "404"]), default="400", help="PATCH of an unknown field.")
@click.option("--scope-first", is_flag=True, help="Check the token's vaults before the form of the ids.")
@click.option("--filter-case", is_flag=True, help="Filters tell upper and lower case apart.")
@click.option("--filter-escapes", is_flag=True, help="Filters understand backslash escapes.")
@click.option("--hide-archived", is_flag=True, help="Lists leave out items that are archived.")
@click.option("--new-version", is_flag=True, help="PATCH answers the new version instead of the old one.")
@click.option("--stale-reads", default=0, metavar="N", help="The first N reads after a write see the old item.")
@click.option("--stale-ms", default=0, metavar="MS", help="Reads within MS after a write see the old item.")
@click.option("--conflict-ms", default=0, metavar="MS", help="A write takes MS; another in that vault conflicts.")
@click.option("--conflict-status", type=click.Choice(["409", "500"]), default="409", help="How a conflict shows.")
@click.option("--unsynced", default=0, metavar="N", help="The first N requests with a token answer 500.")
@click.option("--unsynced-files", default=0, metavar="N", help="The first N file contents answer 500.")
@click.option("--inline-limit", default=100 * 1024, metavar="BYTES", help="Larger files are not inlined (413).")
@click.option("--server-version", default="1.8.1", help="The version header; empty sends none.")
@options
def main(options: Options, path: pathlib.Path, save: bool, **switches: Any) -> None:
    for name in ("write_denied", "unknown_field", "conflict_status"):
        switches[name] = int(switches[name])
    with reading(path, "vaults and their items"):
        store = Vaults.load(path)
    server = Server(store, Switches(**switches), path if save else None)
    serve(application(server), "connect", options)


if __name__ == "__main__":
    main()
