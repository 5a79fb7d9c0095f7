"""The answers of a stand-in of Forgejo: routes, the order of checks, secrets, variables, workflows.

Measured on Forgejo 14.0.0-dev (contracts/forgejo.md). What that page leaves open was read in Forgejo's source
(routers/api/v1/api.go, routers/api/v1/repo/action.go, services/auth) and is marked "(src)".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import datetime
import html
import http
import itertools
import re
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from lab.standins.common import ERROR_BODY
from lab.standins.forgejo_json import Decoder, GoError, Struct, dumps
from lab.standins.forgejo_store import Place, Store
from lab.standins.forgejo_world import Access, Account, Repository, Token, World

#: Measured: Go's (?i)[A-Z] takes the long s and the Kelvin sign for letters too.
NAME = re.compile(r"[A-Za-z_\u017f\u212a][A-Za-z0-9_\u017f\u212a]*")
FORBIDDEN = re.compile(r"GIT(EA|HUB)_", re.IGNORECASE)
NUMBER = re.compile(r"[+-]?[0-9]+")
MOST = 2**63 - 1
NOT_FOUND = "The target couldn't be found."

SECRET = Struct("CreateOrUpdateSecretOption", {"data": "string"})
NEW_VARIABLE = Struct("CreateVariableOption", {"value": "string"})
VARIABLE = Struct("UpdateVariableOption", {"name": "string", "value": "string"})
DISPATCH = Struct("DispatchWorkflowOption", {"ref": "string", "inputs": "map", "return_run_info": "bool"})


class Reply(Exception):
    """An answer that ends the request before all of its checks are through."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


@dataclass(slots=True)
class Call:
    """One request on its way through the checks."""

    request: web.Request
    base: str
    parameters: dict[str, str]
    path: str
    user: Account | None = None
    token: Token | None = None
    body: bytes = b""
    form: dict[str, str] = field(default_factory=dict)
    warning: bool = False

    @property
    def by_admin(self) -> bool:
        return self.user is not None and self.user.admin


Handler = Callable[[Call], web.Response]


class Forgejo:
    """The API over a world and a store."""

    def __init__(self, world: World, store: Store, *, latency: float = 0.0) -> None:
        self.world = world
        self.store = store
        self.latency = latency
        self._allow = itertools.count()
        self.routes = self._routes()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app[ERROR_BODY] = lambda status: {"message": "" if status >= 500 else f"fault {status}", "url": "/api/swagger"}
        app.router.add_route("*", r"/{path:[\s\S]*}", self.handle)
        app.on_response_prepare.append(_headers)
        return app

    # -- routing --------------------------------------------------------------------------------------------------

    def _routes(self) -> list[tuple[tuple[str, ...], dict[str, Handler]]]:
        routes: dict[str, dict[str, Handler]] = {
            "version": {"GET": self._version},
            "settings/api": {"GET": self._settings},
            "user": {"GET": self._user},
            "repos/{owner}/{repo}": {"GET": self._repository},
            "repos/{owner}/{repo}/actions/workflows/{file}/dispatches": {"POST": self._dispatch},
            "repos/{owner}/{repo}/actions/runs": {"GET": self._runs},
            "repos/{owner}/{repo}/actions/runs/{run}": {"GET": self._run},
            "repos/{owner}/{repo}/actions/tasks": {"GET": self._tasks},
        }
        for base, enter in (
            ("repos/{owner}/{repo}", self._enter_repository),
            ("orgs/{org}", self._enter_organisation),
            ("user", self._enter_user),
        ):
            if base != "user":  # there is no list of a user's own secrets
                routes[f"{base}/actions/secrets"] = {"GET": _at(enter, self._list_secrets)}
            routes[f"{base}/actions/secrets/{{name}}"] = {
                "PUT": _at(enter, self._put_secret),
                "DELETE": _at(enter, self._delete_secret),
            }
            routes[f"{base}/actions/variables"] = {"GET": _at(enter, self._list_variables)}
            routes[f"{base}/actions/variables/{{name}}"] = {
                "GET": _at(enter, self._get_variable),
                "POST": _at(enter, self._create_variable),
                "PUT": _at(enter, self._update_variable),
                "DELETE": _at(enter, self._delete_variable),
            }
        return [(tuple(pattern.split("/")), methods) for pattern, methods in routes.items()]

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        if self.latency:
            await asyncio.sleep(self.latency)
        # Slashes are squeezed and a last one is cut before routing, which works on the escaped path (src).
        path = re.sub(r"/+", "/", request.rel_url.raw_path).rstrip("/")
        base = f"{request.scheme}://{request.host}"
        if path == "/api/healthz":
            return _health()
        if not f"{path}/".startswith("/api/v1/"):
            return _no_route()
        methods, parameters = self._match(path.split("/")[3:]) or ({}, {})
        call = Call(request, base, parameters, path, body=await request.read())
        call.form = await _form(call)
        try:
            # Measured: who asks is found out before the route, so a wrong token gets its 401 where there is none, too.
            self._authenticate(call)
            handler = methods.get(request.method)
            if not methods:
                response = _no_route()
            elif handler is None:
                # Measured: Allow names one of the verbs, another one from call to call.
                verbs = sorted(methods)
                response = web.Response(status=405, headers={"Allow": verbs[next(self._allow) % len(verbs)]})
            else:
                response = handler(call)
        except Reply as reply:
            response = reply.response
        if call.warning:
            response.headers["Warning"] = "token and access_token API authentication is deprecated"
        return response

    def _match(self, segments: list[str]) -> tuple[dict[str, Handler], dict[str, str]] | None:
        for pattern, methods in self.routes:
            if len(pattern) != len(segments):
                continue
            pairs = list(zip(pattern, segments, strict=True))
            if all(part == segment or part[0] == "{" for part, segment in pairs):
                return methods, {part[1:-1]: urllib.parse.unquote(segment) for part, segment in pairs if part[0] == "{"}
        return None

    # -- who asks -------------------------------------------------------------------------------------------------

    def _authenticate(self, call: Call) -> None:
        """Find out who asks; 401 for a credential that is wrong, 403 for an account that is blocked."""
        header = call.request.headers.get("Authorization", "")
        words = header.split()
        secret = ""
        for key in ("token", "access_token"):
            secret = secret or call.form.get(key, "") or call.request.query.get(key, "")
        call.warning = bool(secret)
        if not secret and len(words) == 2 and words[0].lower() in {"token", "bearer"}:
            secret = words[1]
        if secret:
            call.token = self.world.tokens.get(secret)
            if call.token is None:
                raise _error(call, 401, "user does not exist [uid: 0, name: ]")
            call.user = call.token.user
        elif len(words) == 2 and words[0].lower() == "basic":
            self._basic(call, words[1])
        if call.user is not None and call.user.prohibited:
            message = "This account is prohibited from signing in, please contact your site administrator."
            raise Reply(_json({"message": message}, 403))
        if call.user is not None and call.user.must_change_password:
            message = f"You must change your password. Change it at: {call.base}//user/change_password"
            raise Reply(_json({"message": message}, 403))

    def _basic(self, call: Call, encoded: str) -> None:
        """Basic credentials: a token as password (or alone as the user name), or a name and a password (src)."""
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = colon = password = ""
        if not colon:  # measured: as if nothing were given
            name = password = ""
        call.token = self.world.tokens.get(name if password in {"", "x-oauth-basic"} else password)
        if call.token is not None:
            call.user = call.token.user
            return
        account = self.world.account(name)
        if account is not None and account.is_org:
            raise _error(call, 401, f"user's password isn't set [uid: {account.id}, name: {account.name}]")
        if account is None:
            raise _error(call, 401, f"user does not exist [uid: 0, name: {name}]")
        if account.password is None or account.password != password:
            raise _error(call, 401, f"user's password is invalid [uid: {account.id}, name: {account.name}]")
        if account.prohibited:
            raise _error(call, 401, f"user is not allowed login [uid: {account.id}, name: {account.name}]")
        call.user = account

    def _require_scope(self, call: Call, category: str) -> None:
        if call.token is None:
            return
        level = "write" if call.request.method in {"POST", "PUT", "PATCH", "DELETE"} else "read"
        if not call.token.allows(level, category):
            raise _error(call, 403, f"token does not have at least one of required scope(s): [{level}:{category}]")

    def _require_token(self, call: Call) -> None:
        if call.user is None:
            raise _error(call, 401, "token is required")

    # -- where to -------------------------------------------------------------------------------------------------

    def _visible_repository(self, call: Call) -> Repository:
        """Scope, existence, renames and visibility, in this order."""
        self._require_scope(call, "repository")
        owner_name, repo_name = call.parameters["owner"], call.parameters["repo"]
        owner = self.world.account(owner_name)
        if owner is None:
            raise self._moved_account(call, owner_name, "GetUserByName")
        repo = self.world.repository(owner_name, repo_name)
        if repo is None:
            raise self._moved_repository(call, owner, repo_name)
        if self.world.access(repo, call.user) is Access.NONE:
            raise _not_found(call)
        if call.token is not None and call.token.public_only and repo.private:
            raise _error(call, 403, "token scope is limited to public repos")
        return repo

    def _moved_account(self, call: Call, name: str, what: str) -> Reply:
        new = self.world.renamed.get(name.lower())
        if new is None:
            return _not_found(call, what, f"user redirect does not exist [name: {name.lower()}]")
        return _redirect(call, 307, urllib.parse.quote(name), urllib.parse.quote(new))

    def _moved_repository(self, call: Call, owner: Account, name: str) -> Reply:
        new = self.world.renamed.get(f"{owner.name}/{name}".lower())
        repo = self.world.repository(*new.split("/", 1)) if new else None
        if repo is None or self.world.access(repo, call.user) is Access.NONE:
            return _not_found(call)
        return _redirect(call, 301, f"{call.parameters['owner']}/{name}", repo.full_name)

    def _enter_repository(self, call: Call) -> tuple[str, int, int]:
        repo = self._visible_repository(call)
        self._require_token(call)
        if self.world.access(repo, call.user) is not Access.OWNER:
            raise _error(call, 403, "user should be the owner of the repo")
        return f"repos/{repo.full_name}", 0, repo.id

    def _enter_organisation(self, call: Call) -> tuple[str, int, int]:
        self._require_scope(call, "organization")
        org = self.world.organisation(call.parameters["org"])
        if org is None:
            raise self._moved_account(call, call.parameters["org"], "GetOrgByName")
        if call.token is not None and call.token.public_only and org.visibility != "public":
            raise _error(call, 403, "token scope is limited to public orgs")
        self._require_token(call)
        assert call.user is not None
        if not self.world.owns_organisation(org, call.user):
            raise _error(call, 403, "Must be an organization owner")
        return f"orgs/{org.name}", org.id, 0

    def _enter_user(self, call: Call) -> tuple[str, int, int]:
        self._require_scope(call, "user")
        self._require_token(call)
        assert call.user is not None
        return f"users/{call.user.name}", call.user.id, 0

    # -- secrets --------------------------------------------------------------------------------------------------

    def _list_secrets(self, call: Call, where: tuple[str, int, int]) -> web.Response:
        secrets = self.store.place(where[0]).secrets
        return _page(call, [{"name": name, "created_at": _stamp(secrets[name].created)} for name in sorted(secrets)])

    def _put_secret(self, call: Call, where: tuple[str, int, int]) -> web.Response:
        value = _bind(call, SECRET, "data")["data"]
        name = _valid_name(call)
        with self.store.writing():
            if self.store.collides(where[0], name):
                raise _duplicate(call, "secret")
            new = self.store.put_secret(where[0], name, value)
        return web.Response(status=201 if new else 204)

    def _delete_secret(self, call: Call, where: tuple[str, int, int]) -> web.Response:
        name = _valid_name(call)
        with self.store.writing():
            if self.store.place(where[0]).secrets.pop(name, None) is None:
                raise _error(call, 404, "secret was not found [name: ]")
        return web.Response(status=204)

    # -- variables ------------------------------------------------------------------------------------------------

    def _list_variables(self, call: Call, where: tuple[str, int, int]) -> web.Response:
        variables = self.store.place(where[0]).variables
        return _page(call, [_variable(where, name, variables[name]) for name in sorted(variables)])

    def _known_variable(self, call: Call, place: Place) -> str:
        name = call.parameters["name"].upper()
        if name not in place.variables:
            raise _error(call, 404, "variable not found")
        return name

    def _get_variable(self, call: Call, where: tuple[str, int, int]) -> web.Response:
        place = self.store.place(where[0])
        name = self._known_variable(call, place)
        return _json(_variable(where, name, place.variables[name]))

    def _create_variable(self, call: Call, where: tuple[str, int, int]) -> web.Response:
        value = _bind(call, NEW_VARIABLE, "value")["value"]
        variables = self.store.place(where[0]).variables
        if call.parameters["name"].upper() in variables:
            raise _error(call, 409, f"variable name {call.parameters['name']} already exists")
        name = _valid_name(call, variable=True)
        with self.store.writing():
            variables[name] = value.replace("\r\n", "\n")
        return web.Response(status=204)

    def _update_variable(self, call: Call, where: tuple[str, int, int]) -> web.Response:
        values = _bind(call, VARIABLE, "value")
        place = self.store.place(where[0])
        old = self._known_variable(call, place)
        name = _valid_name(call, values["name"] or old, variable=True)
        if name != old and name in place.variables:
            raise _duplicate(call, "action_variable")
        with self.store.writing():
            del place.variables[old]
            place.variables[name] = values["value"].replace("\r\n", "\n")
        return web.Response(status=204)

    def _delete_variable(self, call: Call, where: tuple[str, int, int]) -> web.Response:
        _valid_name(call, variable=True)
        place = self.store.place(where[0])
        name = self._known_variable(call, place)
        with self.store.writing():
            del place.variables[name]
        return web.Response(status=204)

    # -- the rest -------------------------------------------------------------------------------------------------

    def _version(self, call: Call) -> web.Response:
        return _json({"version": "14.0.0-dev"})

    def _settings(self, call: Call) -> web.Response:
        return _json({
            "max_response_items": 50,
            "default_paging_num": 30,
            "default_git_trees_per_page": 1000,
            "default_max_blob_size": 10485760,
        })  # fmt: skip

    def _user(self, call: Call) -> web.Response:
        self._enter_user(call)
        assert call.user is not None
        return _json({"id": call.user.id, "login": call.user.name, "is_admin": call.user.admin})

    def _repository(self, call: Call) -> web.Response:
        repo = self._visible_repository(call)
        access = self.world.access(repo, call.user)
        return _json({
            "id": repo.id,
            "owner": {"id": repo.owner.id, "login": repo.owner.name},
            "name": repo.name,
            "full_name": repo.full_name,
            "private": repo.private,
            "archived": repo.archived,
            "has_actions": repo.has_actions,
            "default_branch": repo.branches[0],
            "html_url": f"{call.base}/{repo.full_name}",
            "permissions": {
                "admin": access >= Access.ADMIN,
                "push": access >= Access.WRITE,
                "pull": access >= Access.READ,
            },
        })  # fmt: skip

    # -- workflows ------------------------------------------------------------------------------------------------

    def _actions_repository(self, call: Call) -> Repository:
        repo = self._visible_repository(call)
        if not repo.has_actions and not call.by_admin and self.world.access(repo, call.user) < Access.ADMIN:
            message = "user should have specific read permission or be a repo admin or a site admin"
            raise _error(call, 403, message)
        return repo

    def _dispatch(self, call: Call) -> web.Response:
        repo = self._actions_repository(call)
        self._require_token(call)
        assert call.user is not None
        if self.world.access(repo, call.user) < Access.WRITE:
            raise _error(call, 403, "user should have a permission to write to a repo")
        if repo.archived:
            raise _error(call, 423, f"<Repository {repo.id}:{repo.full_name}> is archived")
        body = _bind(call, DISPATCH)
        if not body["ref"]:
            raise _error(call, 400, "ref is empty")
        ref = _expand(repo, body["ref"])
        if ref is None:
            raise _server_error(call, f"could not expand reference '{body['ref']}'")
        workflow = repo.workflows.get(call.parameters["file"])
        if workflow is None:
            raise _server_error(call, "workflow not found")
        inputs = _inputs(call, workflow, body["inputs"])
        with self.store.writing():
            run = self._new_run(call, repo, workflow, ref, inputs)
        if not body["return_run_info"]:
            return web.Response(status=204)
        return _json({"id": run["id"], "run_number": run["index_in_repo"], "jobs": list(workflow.get("jobs", []))}, 201)

    def _new_run(
        self, call: Call, repo: Repository, workflow: dict[str, Any], ref: str, inputs: dict[str, str]
    ) -> dict[str, Any]:
        assert call.user is not None
        runs = self.store.place(f"repos/{repo.full_name}").runs
        self.store.last_run += 1
        file, now = call.parameters["file"], _stamp(self.store.now())
        run = {
            "id": self.store.last_run,
            "title": workflow.get("name", f".forgejo/workflows/{file}"),
            "workflow_id": file,
            "index_in_repo": len(runs) + 1,
            "trigger_user": {"id": call.user.id, "login": call.user.name},
            "commit_sha": workflow.get("sha", "0" * 40),
            "event": "workflow_dispatch",
            "trigger_event": "workflow_dispatch",
            "inputs": inputs,
            "prettyref": ref.rpartition("/")[2],
            "status": workflow.get("result", "waiting"),
            "created": now,
            "updated": now,
            "html_url": f"{call.base}/{repo.full_name}/actions/runs/{len(runs) + 1}",
            "jobs": list(workflow.get("jobs", [])),
        }
        runs.append(run)
        return run

    def _runs(self, call: Call) -> web.Response:
        repo = self._actions_repository(call)
        runs = self.store.place(f"repos/{repo.full_name}").runs
        query = call.request.query
        wanted = [
            _run_view(run)
            for run in reversed(runs)
            if _fits(run["status"], query.getall("status", []))
            and _fits(run["event"], query.getall("event", []))
            and query.get("workflow_id", "") in {"", run["workflow_id"]}
            and query.get("head_sha", "") in {"", run["commit_sha"]}
            and _number(query.get("run_number", "")) in {0, run["index_in_repo"]}
        ]
        return _json({"workflow_runs": _slice(call, wanted), "total_count": len(wanted)})

    def _run(self, call: Call) -> web.Response:
        repo = self._actions_repository(call)
        for run in self.store.place(f"repos/{repo.full_name}").runs:
            if run["id"] == _number(call.parameters["run"]):
                return _json(_run_view(run))
        raise _error(call, 404, "resource does not exist")

    def _tasks(self, call: Call) -> web.Response:
        """Tasks of runners: a run that waits has none."""
        repo = self._actions_repository(call)
        tasks = [
            {
                "id": run["id"],
                "name": job,
                "head_branch": run["prettyref"],
                "head_sha": run["commit_sha"],
                "run_number": run["index_in_repo"],
                "event": run["event"],
                "display_title": run["title"],
                "status": run["status"],
                "workflow_id": run["workflow_id"],
                "url": run["html_url"],
                "created_at": run["created"],
                "updated_at": run["updated"],
                "run_started_at": run["created"],
            }
            for run in reversed(self.store.place(f"repos/{repo.full_name}").runs)
            if run["status"] != "waiting"
            for job in run["jobs"]
        ]
        return _json({"workflow_runs": _slice(call, tasks), "total_count": len(tasks)})


def _at(
    enter: Callable[[Call], tuple[str, int, int]], handler: Callable[[Call, tuple[str, int, int]], web.Response]
) -> Handler:
    """A handler behind the checks of its place; ``enter`` gives the place's key and its owner and repository ids."""
    return lambda call: handler(call, enter(call))


# -- answers ------------------------------------------------------------------------------------------------------


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["Cache-Control"] = "max-age=0, private, must-revalidate, no-transform"


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=dumps(value), status=status, headers={"Content-Type": "application/json;charset=utf-8", **(headers or {})}
    )


def _error(call: Call, status: int, message: str) -> Reply:
    return Reply(_json({"message": message, "url": f"{call.base}/api/swagger"}, status))


def _server_error(call: Call, message: str) -> Reply:
    """500, whose reason only a site admin is told."""
    return _error(call, 500, message if call.by_admin else "")


def _duplicate(call: Call, table: str) -> Reply:
    """500 of the unique index over owner, repository and name."""
    columns = ", ".join(f"{table}.{column}" for column in ("owner_id", "repo_id", "name"))
    return _server_error(call, f"UNIQUE constraint failed: {columns}")


def _not_found(call: Call, message: str = NOT_FOUND, *errors: str) -> Reply:
    return Reply(_json({"message": message, "url": f"{call.base}/api/swagger", "errors": list(errors)}, 404))


def _no_route() -> web.Response:
    return web.Response(text="404 page not found\n", status=404)


def _redirect(call: Call, status: int, old: str, new: str) -> Reply:
    """Where it is now; only the answer to a GET has a body (measured for 301; Go's http.Redirect)."""
    location = call.path.replace(old, new, 1)
    if call.request.query_string:
        location += f"?{call.request.rel_url.raw_query_string}"
    headers = {"Location": location}
    if call.request.method != "GET":
        return Reply(web.Response(status=status, headers=headers))
    text = f'<a href="{html.escape(location)}">{http.HTTPStatus(status).phrase}</a>.\n\n'
    return Reply(web.Response(status=status, headers=headers, text=text, content_type="text/html", charset="utf-8"))


def _health() -> web.Response:
    check = {"status": "pass", "time": _stamp(0)}
    return _json({
        "status": "pass",
        "description": "Forgejo: Beyond coding. We forge.",
        "checks": {"cache:ping": [check], "database:ping": [check]},
    })  # fmt: skip


def _stamp(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _variable(where: tuple[str, int, int], name: str, value: str) -> dict[str, Any]:
    _, owner, repo = where
    return {"owner_id": owner, "repo_id": repo, "name": name, "data": value}


def _number(text: str) -> int:
    """Go's Atoi as the server uses it: 0 for what is no number, the nearest int64 for what is too large."""
    return max(-MOST - 1, min(int(text), MOST)) if NUMBER.fullmatch(text) else 0


def _slice(call: Call, items: list[Any]) -> list[Any]:
    """The page that was asked for; everything where ``page`` is not 1 or more."""
    page, limit = (_number(call.request.query.get(key, "")) for key in ("page", "limit"))
    if page < 1:
        return items
    size = 30 if limit <= 0 else min(limit, 50)
    # Measured: the product overflows Go's int64, and an offset that is not above 0 is none.
    offset = ((page - 1) * size + MOST + 1) % (2 * (MOST + 1)) - MOST - 1
    return items[max(offset, 0) :][:size]


def _page(call: Call, items: list[Any]) -> web.Response:
    headers = {"X-Total-Count": str(len(items)), "Access-Control-Expose-Headers": "X-Total-Count"}
    return _json(_slice(call, items), headers=headers)


# -- bodies -------------------------------------------------------------------------------------------------------


async def _form(call: Call) -> dict[str, str]:
    """Fields of a form body; the first of each name."""
    content_type = call.request.headers.get("Content-Type", "")
    if call.request.method not in {"POST", "PUT", "PATCH"}:
        return {}
    pairs: Iterable[tuple[str, Any]] = ()
    if "form-urlencoded" in content_type:
        text = call.body.decode("utf-8", "replace")
        pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, separator="&")
    elif "multipart/form-data" in content_type:
        pairs = (await call.request.post()).items()
    form: dict[str, str] = {}
    for key, value in pairs:
        if isinstance(value, str):
            form.setdefault(key, value)
    return form


def _bind(call: Call, struct: Struct, required: str = "") -> dict[str, Any]:
    """The fields of a request's body; 422 in Go's words where it is refused."""
    content_type = call.request.headers.get("Content-Type", "")
    if "form-urlencoded" in content_type or "multipart/form-data" in content_type:
        values = struct.zero()
        for key, kind in struct.fields.items():
            if kind == "string":
                # Go's ParseForm: what the body says goes first, even where it is empty.
                values[key] = call.form.get(key, call.request.query.get(key, ""))
    elif "json" in content_type:
        try:
            values = Decoder(call.body, struct).decode()
        except GoError as error:
            raise _error(call, 422, f"[]: {error}") from None
    else:
        kind = "Unsupported" if content_type else "Empty"
        raise _error(call, 422, f"[]: {kind} Content-Type")
    if required and not values[required]:
        raise _error(call, 422, f"[{struct.go_name(required)}]: Required")
    return values


def _valid_name(call: Call, name: str | None = None, *, variable: bool = False) -> str:
    """The name in upper case; 400 where the server does not take it."""
    name = call.parameters["name"] if name is None else name
    if not NAME.fullmatch(name) or FORBIDDEN.match(name):
        raise _error(call, 400, "invalid secret name")
    if variable and name.upper() == "CI":
        raise _error(call, 400, "env name cannot be ci")
    return name.upper()


def _expand(repo: Repository, ref: str) -> str | None:
    """The full name of a branch or tag; None where the repository has none such."""
    for prefix, names in (("refs/heads/", repo.branches), ("refs/tags/", repo.tags)):
        if ref.removeprefix(prefix) in names:
            return prefix + ref.removeprefix(prefix)
    return None


def _inputs(call: Call, workflow: dict[str, Any], given: dict[str, str]) -> dict[str, str]:
    """The inputs that the workflow declares; 400 where one that it requires is missing."""
    inputs: dict[str, str] = {}
    for name, declared in workflow.get("inputs", {}).items():
        value = given.get(name, "") or declared.get("default", "")
        if not value and declared.get("required"):
            raise _error(call, 400, f"input required for '{declared.get('description') or name}'")
        if value:
            inputs[name] = value
    return inputs


def _run_view(run: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key not in {"inputs", "jobs"}}


def _fits(value: str, wanted: list[str]) -> bool:
    return not wanted or value in wanted
