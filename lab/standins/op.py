"""Stand-in of the 1Password command ``op`` 2: ``lab/op ARGUMENTS``, on the same vault file as ``lab/connect``.

Texts and exit codes are those of ``contracts/onepassword.md`` 3. It is started often and timed, so it imports
little. Set by the environment:

==========================  =======================================================================================
``LAB_OP_VAULTS``           the vault file
``LAB_OP_LOG``              a JSON line for each process: argv, kind of stdin, names of the OP_* variables
``LAB_OP_LATENCY``          seconds that a command takes, its start included (not ``--version``: 14 ms [X])
``LAB_OP_VERSION_LATENCY``  the same for ``--version``
``LAB_OP_VERSION``          what ``--version`` prints; before 2.32.1 a server error exits 0 [X]
``LAB_OP_FAULT``            one of FAULTS, or ``FAULT@N``: only the N-th process of the log
``LAB_OP_SLEEP``            seconds that the fault ``hang`` lasts (an hour)
``LAB_OP_KILL_AT``          ``N[:before|after]``: SIGKILL to ``LAB_OP_KILL_GROUP`` around the N-th process of the log
``LAB_OP_KILL_GROUP``       a process group, or a file with it
``LAB_OP_WARNING``          a line on stderr of commands that succeed [?]
==========================  =======================================================================================

Who is signed in follows ``op``: OP_CONNECT_HOST with OP_CONNECT_TOKEN wins over OP_SERVICE_ACCOUNT_TOKEN, and that
over the app, which is signed in unless a fault says otherwise [D].
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import time
from typing import Any

from lab.standins import vaults
from lab.standins.vaults import Json, Vaults

SEGMENT = re.compile(r"[A-Za-z0-9\-_. ]*")
TEMPLATE = re.compile(rb"\{\{\s*(op://[^}]*?)\s*\}\}|(op://[^\s\"'{}<>`,;]+)")

RATE_LIMIT = (
    "(429) Too Many Requests: You've reached the maximum number of this type of requests this service account is "
    "allowed to make. Please retry in 58 minutes or try other requests."
)
REVOKED = (
    "error initializing client: Authentication: (failed to auth.LookupAuth), Server: (403) (Forbidden (Service "
    "Account Deleted)), The Service Account used in this integration has been deleted."
)
BAD_TOKEN = (
    "error initializing client: Validation: (failed to session.DecodeSACredentials), Server: "
    "(failed to DecodeSACredentials), illegal base64 data at input byte 4"
)
NO_ACCOUNTS = (
    "No accounts configured for use with 1Password CLI.\n\n"
    "Turn on the app integration, or add an account with `op account add`,\n"
    "or set OP_SERVICE_ACCOUNT_TOKEN for a service account,\n"
    "or OP_CONNECT_HOST and OP_CONNECT_TOKEN for a Connect server.\n"
)
#: What LAB_OP_FAULT names: exit status and text, as recorded in 3.3.
FAULTS = {
    "signed-out": (1, "You are not currently signed in. Please run `op signin --help` for instructions"),
    "authorization-timeout": (1, "authorization timeout"),
    "rate-limit": (1, RATE_LIMIT),
    "revoked": (1, REVOKED),
    "conflict": (1, "(409) Conflict: Internal server conflict"),
    "bad-request": (4, "(400) Bad Request: The structure of request was invalid."),
    "server-error": (1, "(500) Internal Server Error: Something went wrong."),
    "panic": (2, "panic: runtime error: invalid memory address or nil pointer dereference"),
    "no-accounts": (1, NO_ACCOUNTS),
    "hang": (1, "interrupted"),
    "garbled": (0, ""),
}


class OpError(Exception):
    """What ``op`` says on stderr, without the time, and its exit status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


# -- where the items are: the app or a service account, or Connect ---------------------------------------------------


class Account:
    """The vaults that the app or a service account shows."""

    connect = False

    def __init__(self, store: Vaults, granted: list[str] | None) -> None:
        self.service = granted is not None
        self._vaults = [v for v in store.vaults if granted is None or {v["name"], v["id"]} & set(granted)]

    def vaults(self) -> list[Json]:
        return self._vaults

    def items(self, vault: Json) -> list[Json]:
        """All items of a vault; these have their fields already."""
        return list(vault["items"])

    def full(self, item: Json) -> Json:
        return item

    def content(self, item: Json, file: Json) -> bytes:
        return vaults.file_bytes(next(entry for entry in item["files"] if entry["id"] == file["id"]))


class Connect:
    """The same over a Connect server, which wins over everything else when its two variables are set [D]."""

    connect = True
    service = False

    def __init__(self, host: str, token: str) -> None:
        self.host, self.token = host.rstrip("/"), token

    def _get(self, path: str) -> bytes:
        import urllib.error
        import urllib.request

        request = urllib.request.Request(self.host + path, headers={"Authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            try:
                message = json.loads(error.read())["message"]
            except (ValueError, KeyError):
                message = error.reason
            raise OpError(f"({error.code}) {error.reason}: {message}", 4) from None
        except OSError as error:
            raise OpError(f"error initializing client: {error.__class__.__name__}") from None

    def vaults(self) -> list[Json]:
        return list(json.loads(self._get("/v1/vaults")))

    def items(self, vault: Json) -> list[Json]:
        return list(json.loads(self._get(f"/v1/vaults/{vault['id']}/items")))

    def full(self, item: Json) -> Json:
        return dict(json.loads(self._get(f"/v1/vaults/{item['vault']['id']}/items/{item['id']}")))

    def content(self, item: Json, file: Json) -> bytes:
        return self._get(f"/v1/vaults/{item['vault']['id']}/items/{item['id']}/files/{file['id']}/content")


def stored() -> Vaults:
    """The vault file that the environment names."""
    path = os.environ.get("LAB_OP_VAULTS")
    if not path:
        raise OpError("LAB_OP_VAULTS is not set: let it name a vault file, such as lab/worlds/vaults.json")
    try:
        return Vaults.load(path)
    except OSError as error:
        raise OpError(f"LAB_OP_VAULTS: {path} cannot be read: {error.strerror}") from None
    except (ValueError, AttributeError, KeyError, TypeError):
        raise OpError(f"LAB_OP_VAULTS: {path} is no vault file: see lab/worlds/vaults.json for one") from None


def account() -> Account | Connect:
    """Who is asked, by the environment."""
    host, token = os.environ.get("OP_CONNECT_HOST"), os.environ.get("OP_CONNECT_TOKEN")
    if host and token:
        return Connect(host, token)
    store = stored()
    service = os.environ.get("OP_SERVICE_ACCOUNT_TOKEN")
    if service is not None and service not in store.service_accounts:
        raise OpError(BAD_TOKEN)
    return Account(store, None if service is None else store.service_accounts[service])


# -- finding what a reference names ----------------------------------------------------------------------------------


def parse(reference: str) -> tuple[list[str], dict[str, str]]:
    """Segments and query of a reference; the texts are those of ``op`` [X]."""
    path, _, query = reference.removeprefix("op://").partition("?")
    segments = path.split("/")
    wrong = f"invalid secret reference '{reference}': "
    if len(segments) < 3:
        raise OpError(f"{wrong}too few '/': secret references should have at least vault, item and field specified")
    if len(segments) > 4:
        raise OpError(f"{wrong}too many '/': secret references should match op://<vault>/<item>[/<section>]/<field>")
    for segment in segments:
        good = SEGMENT.match(segment)
        if good is not None and good.end() < len(segment):
            raise OpError(f"invalid character in secret reference: '{segment[good.end()]}'")
    name, _, value = query.partition("=")
    return segments, {"attribute" if name == "attr" else name: value} if query else {}


def find_vault(where: Account | Connect, query: str) -> Json | None:
    """A vault by id or by name, whatever the case [D]."""
    return next((v for v in where.vaults() if query == v["id"] or query.lower() == v["name"].lower()), None)


def find_item(where: Account | Connect, vault: Json, query: str) -> Json | None:
    """An item by id or title; raises where several have the title."""
    items = where.items(vault)
    by_id = [item for item in items if item["id"] == query]
    found = by_id or [item for item in items if item["title"].lower() == query.lower()]
    active = [item for item in found if not item.get("state")]
    if found and not active:
        raise OpError(f"could not find item {query} in vault {vault['name']}, because it has been deleted or archived.")
    if len(active) > 1:
        lines = "".join(f'\n\t* for the item "{i["title"]}" in vault {vault["name"]}: {i["id"]}' for i in active)
        raise OpError(f'More than one item matches "{query}". Try again and specify the item by its ID: {lines}')
    return where.full(active[0]) if active else None


def find_field(item: Json, section: str | None, query: str) -> Json | None:
    """A field by label or id; without a section one outside of all sections comes first."""

    def named(entry: Json, names: tuple[str, str]) -> bool:
        return query.lower() in {str(entry.get(name, "")).lower() for name in names}

    labels = {entry["id"]: entry.get("label", "") for entry in item.get("sections", [])}
    fields = [entry for entry in item.get("fields", []) if named(entry, ("label", "id"))]
    if section is not None:

        def inside(entry: Json) -> bool:
            place = entry.get("section", {}).get("id", "")
            return section.lower() in {place.lower(), labels.get(place, "").lower()} - {""}

        fields = [entry for entry in fields if inside(entry)]
    else:
        plain = [entry for entry in fields if not labels.get(entry.get("section", {}).get("id", ""))]
        fields = plain or fields
    if len(fields) > 1:
        raise OpError(f"more than one field of item '{item['title']}' matches '{query}'")
    return fields[0] if fields else None


def resolve(where: Account | Connect, reference: str, *, inject: bool) -> bytes:
    """The value of a reference as bytes; raises OpError with the text of ``op read`` or ``op inject``."""
    segments, query = parse(reference)
    vault_name, item_name, section, name = segments if len(segments) == 4 else [*segments[:2], None, segments[2]]
    assert vault_name is not None
    assert item_name is not None
    assert name is not None
    read = "" if inject else f"could not read secret '{reference}': "
    not_item = f"{read}could not get item {vault_name}/{item_name}: "
    vault = find_vault(where, vault_name)
    if vault is None:
        raise OpError(
            f'{not_item}"{vault_name}" isn\'t a vault in this account. Specify the vault with its ID or name.'
        )
    item = find_item(where, vault, item_name)
    if item is None and inject:
        raise OpError(
            f"could not resolve item UUID for item {item_name}: could not find item {item_name} in vault {vault['id']}"
        )
    if item is None:
        raise OpError(
            f'{not_item}"{item_name}" isn\'t an item in the "{vault["name"]}" vault. '
            "Specify the item with its UUID, name, or domain."
        )
    attribute = query.get("attribute", "")
    field = find_field(item, section, name)
    if field is not None and not (where.connect and not field.get("value")):
        return _field_value(field, attribute, query.get("ssh-format", "")).encode()
    for file in item.get("files", []):
        if name.lower() in {file["name"].lower(), file["id"]}:
            if attribute not in {"", "content"}:
                return str(file[attribute]).encode()
            return where.content(item, file)
    if where.connect:
        raise OpError(f"could not find field or file {name} on item {item_name} in vault {vault_name}")
    raise OpError(f"{read}item '{vault_name}/{item_name}' does not have a field '{name}'")


def _field_value(field: Json, attribute: str, ssh_format: str) -> str:
    value = str(field.get("value", ""))
    if attribute in {"otp", "totp"}:
        return vaults.totp(value)
    if ssh_format == "openssh":
        return vaults.openssh(value)
    if attribute in {"", "value"}:
        return value
    return str(field.get("label" if attribute == "title" else attribute, ""))


# -- commands --------------------------------------------------------------------------------------------------------


def item_json(item: Json) -> Json:
    """An item as ``op item get --format json`` prints it (3.2): values in clear, dates with underscores."""
    vault = item["vault"]
    labels = {entry["id"]: entry.get("label") for entry in item.get("sections", [])}
    renamed = {"createdAt": "created_at", "updatedAt": "updated_at", "lastEditedBy": "last_edited_by"}
    keys = ["id", "title", "tags", "version", "vault", "category", "lastEditedBy", "createdAt", "updatedAt", "urls"]
    shown = {renamed.get(key, key): item[key] for key in keys if item.get(key) not in (None, [])}
    if item.get("sections"):
        shown["sections"] = item["sections"]
    fields = []
    for stored in item.get("fields", []):
        field = {key: value for key, value in stored.items() if value not in (None, "") and key != "entropy"}
        place = stored.get("section", {}).get("id")
        middle = f"/{labels.get(place) or place}" if place else ""
        field["reference"] = f"op://{vault['name']}/{item['title']}{middle}/{field.get('label', field['id'])}"
        if field["type"] == "OTP" and "value" in field:
            field["totp"] = vaults.totp(field["value"])
            field["reference"] += "?attribute=otp"
        fields.append(field)
    shown["fields"] = fields
    if item.get("files"):
        base = f"/v1/vaults/{vault['id']}/items/{item['id']}/files"
        shown["files"] = [
            {
                "id": file["id"],
                "name": file["name"],
                "size": file.get("size", len(vaults.file_bytes(file))),
                **({"section": file["section"]} if "section" in file else {}),
                "content_path": f"{base}/{file['id']}/content",
            }
            for file in item["files"]
        ]
    return shown


def out(value: bytes | str, newline: bool = True) -> None:
    data = value.encode() if isinstance(value, str) else value
    sys.stdout.buffer.write(data + b"\n" * newline)


def read(arguments: Any) -> None:
    value = resolve(account(), arguments.reference, inject=False)
    out(value, newline=not arguments.no_newline)


def inject(arguments: Any) -> None:
    source = arguments.in_file
    if source is None:
        raise OpError("expected template via stdin or --in-file")  # piped stdin needs --in-file since 2.6.2 [S]
    with open(source, "rb") as file:
        template = file.read()
    where = account()
    known: dict[bytes, bytes] = {}

    def value(found: re.Match[bytes]) -> bytes:
        reference = found[1] or found[2]
        if reference not in known:
            known[reference] = resolve(where, reference.decode(), inject=True)
        return known[reference]

    result = TEMPLATE.sub(value, template)  # as a whole: the first bad reference ends it [X]
    out(result, newline=False)


def item_get(arguments: Any) -> None:
    where = account()
    if where.connect and arguments.format != "json":
        raise OpError("Connect can only be used in combination with the JSON output format")
    if arguments.vault is None and where.connect:
        raise OpError("When using 1Password CLI with Connect, a vault has to be specified")
    if arguments.vault is None and where.service:
        raise OpError("a vault has to be specified with a service account")  # needed [D][S]; these words are ours
    places = where.vaults()
    if arguments.vault is not None:
        vault = find_vault(where, arguments.vault)
        if vault is None:
            raise OpError(f'"{arguments.vault}" isn\'t a vault in this account. Specify the vault with its ID or name.')
        places = [vault]
    found = [item for vault in places if (item := find_item(where, vault, arguments.item)) is not None]
    if not found:
        inside = f' in the "{places[0]["name"]}" vault' if arguments.vault is not None else ""
        raise OpError(f'"{arguments.item}" isn\'t an item{inside}. Specify the item with its UUID, name, or domain.')
    if arguments.format != "json":
        raise OpError("this stand-in prints items as JSON only: add --format json")
    out(json.dumps(item_json(found[0]), indent=2, ensure_ascii=False))


def item_list(arguments: Any) -> None:
    where = account()
    places = where.vaults()
    if arguments.vault is not None:
        places = [vault for vault in places if arguments.vault in {vault["id"], vault["name"]}]
    hidden = ("fields", "files", "sections")
    shown = [
        {key: value for key, value in item_json(item).items() if key not in hidden}
        for vault in places
        for item in where.items(vault)
        if not item.get("state")
    ]
    out(json.dumps(shown, indent=2, ensure_ascii=False))


def vault_list(_: Any) -> None:
    shown = [{"id": vault["id"], "name": vault["name"]} for vault in account().vaults()]
    out(json.dumps(shown, indent=2, ensure_ascii=False))


def item_create(_: Any) -> None:
    if account().connect:
        raise OpError('"op item create" doesn\'t work with Connect')  # [X]
    raise OpError("this stand-in creates no items")


def whoami(_: Any) -> None:
    where = account()
    if where.connect or not where.service:
        raise OpError("account is not signed in")  # with the app it fails although reads work [X]
    out("URL:            https://my.1password.com/\nUser Type:      SERVICE_ACCOUNT")


def account_list(_: Any) -> None:
    out("URL                       EMAIL               USER ID\nmy.1password.com          lab@example.org     LAB7")


def account_get(_: Any) -> None:
    out("ID:        LAB7\nName:      Lab\nDomain:    my.1password.com\nState:     ACTIVE")


def parser() -> Any:
    """The commands and options that this stand-in knows."""
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> Any:
            raise OpError(message)

    everywhere = Parser(add_help=False)
    for option in ("--account", "--session", "--format", "--vault", "--config", "--encoding"):
        everywhere.add_argument(option)
    for flag in ("--cache", "--no-color", "--iso-timestamps", "--reveal", "--debug"):
        everywhere.add_argument(flag, nargs="?", const="true")
    top = Parser(prog="op", add_help=False)
    commands = top.add_subparsers(required=True, parser_class=Parser)

    def command(under: Any, name: str, run: Any, *arguments: tuple[tuple[str, ...], Json]) -> Any:
        made = under.add_parser(name, parents=[everywhere], add_help=False)
        made.set_defaults(run=run)
        for names, how in arguments:
            made.add_argument(*names, **how)
        return made

    command(commands, "read", read, (("reference",), {}), (("--no-newline", "-n"), {"action": "store_true"}))
    command(commands, "inject", inject, (("--in-file", "-i"), {}))
    command(commands, "whoami", whoami)
    nouns: dict[str, list[tuple[str, Any]]] = {
        "item": [("get", item_get), ("list", item_list), ("create", item_create)],
        "vault": [("list", vault_list)],
        "account": [("list", account_list), ("get", account_get)],
    }
    for noun, verbs in nouns.items():
        under = commands.add_parser(noun, add_help=False).add_subparsers(required=True, parser_class=Parser)
        for verb, run in verbs:
            command(under, verb, run, *([(("item",), {})] if (noun, verb) == ("item", "get") else []))
    return top


# -- the process -----------------------------------------------------------------------------------------------------


def stdin_kind() -> str:
    """What stdin is; a pipe can be taken for a template by some commands [I op-js#192]."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return "closed"
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return "pipe"
    if stat.S_ISCHR(mode):
        return "null" if os.fstat(0).st_rdev == os.stat(os.devnull).st_rdev else "terminal"
    return "file"


def log() -> int:
    """Write this process into the log, at once; returns how many are in it now."""
    path = os.environ.get("LAB_OP_LOG")
    if not path:
        return 0
    names = sorted(name for name in os.environ if name.startswith("OP_") or name == "NO_COLOR")
    line = json.dumps({"pid": os.getpid(), "argv": sys.argv[1:], "stdin": stdin_kind(), "env": names})
    with open(path, "ab", buffering=0) as file:
        file.write(line.encode() + b"\n")
    with open(path, "rb") as file:
        return file.read().count(b"\n")


def fault(number: int) -> str:
    """The fault that strikes this process, or an empty string."""
    kind, _, at = os.environ.get("LAB_OP_FAULT", "").partition("@")
    if kind and kind not in FAULTS:
        raise OpError(f"LAB_OP_FAULT: {kind!r} is none of {', '.join(FAULTS)}")
    return kind if not at or int(at) == number else ""


def version() -> tuple[int, ...]:
    return tuple(int(part) for part in os.environ.get("LAB_OP_VERSION", "2.39.0").split("."))


def kill(number: int, when: str) -> None:
    """End the given process group with SIGKILL, if this is the process and the moment to do it."""
    at, _, asked = os.environ.get("LAB_OP_KILL_AT", "").partition(":")
    if at != str(number) or (asked or "before") != when:
        return
    group = os.environ["LAB_OP_KILL_GROUP"]
    if not group.lstrip("-").isdigit():
        with open(group, encoding="utf-8") as file:
            group = file.read().strip()
    try:
        os.killpg(int(group), signal.SIGKILL)
    except ProcessLookupError:
        return


def wait(seconds: float) -> None:
    """Sleep until this process is so old, counted from where its launcher was started."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as file:
            begun = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - begun
    except (OSError, AttributeError):
        age = 0.0  # no /proc: the start comes on top
    time.sleep(max(0.0, seconds - age))


def main() -> int:
    number = log()
    if sys.argv[1:] in (["--version"], ["-v"]):
        wait(float(os.environ.get("LAB_OP_VERSION_LATENCY", "0")))
        out(os.environ.get("LAB_OP_VERSION", "2.39.0"))
        return 0
    kill(number, "before")
    try:
        struck = fault(number)
        if struck == "hang":
            time.sleep(float(os.environ.get("LAB_OP_SLEEP", "3600")))
        wait(float(os.environ.get("LAB_OP_LATENCY", "0")))
        if struck in {"no-accounts", "panic"}:
            sys.stderr.write(FAULTS[struck][1].rstrip("\n") + "\n")
            return FAULTS[struck][0]
        if struck == "garbled":
            out("Update available")
            return 0
        if struck:
            status, text = FAULTS[struck]
            raise OpError(text, 0 if struck == "server-error" and version() < (2, 32, 1) else status)
        arguments = parser().parse_args()
        arguments.run(arguments)
    except OpError as error:
        sys.stdout.flush()
        sys.stderr.write(f"[ERROR] {time.strftime('%Y/%m/%d %H:%M:%S')} {error}\n")
        return error.status
    sys.stdout.flush()
    kill(number, "after")
    if os.environ.get("LAB_OP_WARNING"):
        sys.stderr.write(os.environ["LAB_OP_WARNING"] + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
