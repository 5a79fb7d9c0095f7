# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Secrets and variables of Forgejo Actions over its API; each refusal becomes one sentence that says what to do.

Every status and text that is told apart here was measured on a real server (contracts/forgejo.md).
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._errors import (
    Conflict,
    InvalidInput,
    NotFound,
    RateLimited,
    Refused,
    RegistryError,
    ServerError,
    ServiceError,
    UnexpectedAnswer,
)
from ansible_collections.blumeops.registry.plugins.module_utils._forgejo.scope import REPOSITORY, USER, Scope
from ansible_collections.blumeops.registry.plugins.module_utils._transport import (
    Answer,
    Transport,
    check_header_value,
)

API = "/api/v1"
SCOPE_WORDS = re.compile(r"required scope\(s\): \[([^\]]*)\]")
#: Forgejo cuts a page to this size; without ``page`` it gives everything (contracts/forgejo.md section 2).
PAGE = 50


class Moved(ServiceError):
    """The repository or account has another name now; ``new`` is its new path in the API."""

    def __init__(self, message: str, *, status: int, new: str) -> None:
        super().__init__(message, status=status)
        self.new = new


@dataclass(frozen=True, slots=True)
class Condition:
    """What a repository says about itself that writing a secret does not tell."""

    archived: bool
    actions: bool

    def warning(self, scope: Scope) -> str:
        """One sentence where no job will ever see a secret that is stored here, else nothing."""
        why = "is archived" if self.archived else "" if self.actions else "has Actions turned off"
        return f"{scope} {why}: the secret is stored, but no job will see it" if why else ""


class Client:
    """Forgejo's API for one token; safe to use from several threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    # -- repositories ---------------------------------------------------------------------------------------------

    def condition(self, scope: Scope) -> Condition:
        """Whether a repository is archived or has Actions off."""
        answer = self._send("GET", scope.object_path, scope, "reading")
        body = _object(answer)
        return Condition(bool(body.get("archived")), bool(body.get("has_actions", True)))

    # -- secrets --------------------------------------------------------------------------------------------------

    def secrets(self, scope: Scope) -> dict[str, str]:
        """Names and times of creation (as Forgejo writes them) of all secrets of a repository or organisation."""
        if not scope.has_list:
            raise InvalidInput("Forgejo does not list a user's own secrets")
        return self._all(f"{scope.path}/secrets", scope, lambda item: (str(item["name"]), str(item["created_at"])))

    def put_secret(self, scope: Scope, name: str, value: str) -> bool:
        """Write a secret; True where it was new.

        Where two clients write a new name at once, Forgejo may answer one of them 500 and has stored what the
        other sent (contracts/forgejo.md section 5b): the write is repeated once.
        """
        path = f"{scope.path}/secrets/{_quote(name)}"
        answer = self._call("PUT", path, json={"data": value})
        if answer.status == 500:
            answer = self._call("PUT", path, json={"data": value})
        _expect(answer, scope, f"writing the secret {name}", 201, 204)
        return answer.status == 201

    def delete_secret(self, scope: Scope, name: str) -> bool:
        """Delete a secret; False where there was none."""
        return self._delete(f"{scope.path}/secrets/{_quote(name)}", scope, f"deleting the secret {name}")

    # -- variables ------------------------------------------------------------------------------------------------

    def variables(self, scope: Scope) -> dict[str, str]:
        """Names and values of all variables; a value comes back with CRLF turned into LF."""
        return self._all(f"{scope.path}/variables", scope, lambda item: (str(item["name"]), str(item["data"])))

    def variable(self, scope: Scope, name: str) -> str | None:
        """The value of a variable, None where there is none."""
        answer = self._call("GET", f"{scope.path}/variables/{_quote(name)}")
        if answer.status == 404 and _reason(answer) == "variable not found":
            return None
        _expect(answer, scope, f"reading the variable {name}", 200)
        return str(_object(answer).get("data", ""))

    def create_variable(self, scope: Scope, name: str, value: str) -> None:
        """Create a variable. Of several clients that do so at once exactly one succeeds.

        Raises:
            Conflict: There is one of this name.
        """
        path = f"{scope.path}/variables/{_quote(name)}"
        _expect(self._call("POST", path, json={"value": value}), scope, f"creating the variable {name}", 204)

    def update_variable(self, scope: Scope, name: str, value: str) -> None:
        """Change a variable that exists."""
        path = f"{scope.path}/variables/{_quote(name)}"
        _expect(self._call("PUT", path, json={"value": value}), scope, f"writing the variable {name}", 204)

    def delete_variable(self, scope: Scope, name: str) -> bool:
        """Delete a variable; False where there was none."""
        return self._delete(f"{scope.path}/variables/{_quote(name)}", scope, f"deleting the variable {name}")

    # -- requests -------------------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, **arguments: Any) -> Answer:
        return self._transport.request(method, API + path, **arguments)

    def _send(
        self, method: str, path: str, scope: Scope, doing: str, *, params: dict[str, str] | None = None
    ) -> Answer:
        answer = self._call(method, path, params=params)
        _expect(answer, scope, doing, 200)
        return answer

    def _delete(self, path: str, scope: Scope, doing: str) -> bool:
        answer = self._call("DELETE", path)
        if answer.status == 404 and _reason(answer) in {"secret was not found [name: ]", "variable not found"}:
            return False
        _expect(answer, scope, doing, 204)
        return True

    def _all(self, path: str, scope: Scope, read: Callable[[dict[str, Any]], tuple[str, str]]) -> dict[str, str]:
        """Everything of a list, in one request where the server gives it so, else page by page."""
        doing = f"listing the {path.rpartition('/')[2]}"
        answer = self._send("GET", path, scope, doing)
        items = _list(answer, read)
        total = answer.headers.get("X-Total-Count", "")
        page = 0
        while total.isdigit() and len(items) < int(total):
            page += 1
            answer = self._send("GET", path, scope, doing, params={"page": str(page), "limit": str(PAGE)})
            more = _list(answer, read)
            total = answer.headers.get("X-Total-Count", "")
            if not more:
                break
            items.update(more)
        return items


def connect(parameters: dict[str, Any], *, pool_size: int = 1) -> Transport:
    """A transport to Forgejo from the options of ``_argspec.FORGEJO``; use it with ``with``.

    Raises:
        InvalidInput: An address or a token that cannot be right.
    """
    token = check_header_value(parameters["forgejo_token"], "forgejo_token")
    return Transport(
        parameters["forgejo_url"],
        name="Forgejo",
        auth=f"token {token}",
        timeout=parameters["timeout"],
        ca_path=parameters["ca_path"],
        validate_certs=parameters["validate_certs"],
        retries=parameters["retries"],
        pool_size=pool_size,
    )


def _quote(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def _object(answer: Answer) -> dict[str, Any]:
    body = answer.json()
    if not isinstance(body, dict):
        raise _shape(answer)
    return body


def _list(answer: Answer, read: Callable[[dict[str, Any]], tuple[str, str]]) -> dict[str, str]:
    body = answer.json()
    if not isinstance(body, list):
        raise _shape(answer)
    try:
        return dict(read(item) for item in body)
    except (KeyError, TypeError):
        raise _shape(answer) from None


def _shape(answer: Answer) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"{answer.where} answered with JSON of another shape: is forgejo_url the address of Forgejo?"
    )


def _reason(answer: Answer) -> str:
    """Forgejo's own words for an error."""
    if not answer.is_json:
        return ""
    body = answer.json()
    return str(body.get("message", "")) if isinstance(body, dict) else ""


def _expect(answer: Answer, scope: Scope, doing: str, *statuses: int) -> None:
    """Raise the error that an answer means, unless its status is one of ``statuses``."""
    if answer.status in statuses:
        if answer.status != 200 and answer.body:
            raise UnexpectedAnswer(f"{answer.where} answered {answer.status} with a body, which Forgejo does not do")
        return
    raise _error(answer, scope, doing)


def _error(answer: Answer, scope: Scope, doing: str) -> RegistryError:
    status, reason = answer.status, _reason(answer)
    if status in {301, 302, 303, 307, 308}:
        return _moved(answer, scope)
    if not answer.is_json and status != 405 and not (status >= 500 or status == 429):
        if status == 404:
            return UnexpectedAnswer(
                f"{answer.where} does not exist there: forgejo_url must be the address of Forgejo itself, without /api"
            )
        answer.json()
    kind, text = _explain(status, reason, scope, doing)
    return kind(f"{doing} of {scope} failed: {text}", status=status, reason=reason)


def _explain(status: int, reason: str, scope: Scope, doing: str) -> tuple[type[ServiceError], str]:
    """The error class and the sentence for what Forgejo answered; its own words only where they say more."""
    if status == 401:
        return Refused, "Forgejo does not accept forgejo_token: make a new one, or copy it again as a whole"
    if status == 403:
        return Refused, _forbidden(reason, scope)
    if status == 404:
        hidden = "does not exist, or the token may not see it"
        if scope.kind == USER:
            return NotFound, f"Forgejo does not find it{f' ({reason})' if reason else ''}: is its version supported?"
        if scope.kind != REPOSITORY:
            return NotFound, f"the organisation {scope.name} {hidden} (a user is no organisation)"
        if reason == "GetUserByName":
            return NotFound, f"there is no account {scope.name.partition('/')[0]}: check the repository's owner"
        if reason == "variable not found":
            return NotFound, "it was deleted meanwhile: run again"
        return NotFound, f"the repository {hidden}: check its name and the token"
    if status == 400:
        return ServiceError, f"Forgejo does not take the name ({reason})"
    if status == 409:
        return Conflict, "somebody else has created it meanwhile"
    if status == 422:
        return ServiceError, f"Forgejo does not take the value ({reason})"
    if status == 429:
        return RateLimited, "Forgejo is asked too often: wait, or lower concurrency"
    if status >= 500:
        more = f" ({reason})" if reason else ""
        return ServerError, f"Forgejo answered {status}{more}: look into its log, then run again"
    return ServiceError, f"Forgejo answered {status}, which is not expected here: is its version supported?"


def _forbidden(reason: str, scope: Scope) -> str:
    """The sentence for a 403, by Forgejo's reason."""
    if found := SCOPE_WORDS.search(reason):
        return f"the token lacks the scope {found[1]}: make one that has it"
    if reason == "user should be the owner of the repo":
        return (
            "the token's user does not own it: secrets need an owner of the repository "
            "(a collaborator, even with admin rights, is none) or a site administrator"
        )
    if reason == "Must be an organization owner":
        return "the token's user is not in the organisation's Owners team, which its secrets need"
    if "limited to public" in reason:
        return f"the token is limited to what is public and {scope} is not: make one without that limit"
    if "prohibited from signing in" in reason:
        return "the token's account is blocked: ask a site administrator, or use another account"
    if "change your password" in reason:
        return "the token's account must change its password first: sign in with it once"
    return f"Forgejo refuses it{f' ({reason})' if reason else ''}: check the rights of the token"


def _moved(answer: Answer, scope: Scope) -> RegistryError:
    """A rename (a relative Location in the API), or a redirect of something in front of Forgejo."""
    location = urllib.parse.urlsplit(answer.headers.get("Location", ""))
    found = re.fullmatch(rf"{API}/(?:repos/([^/]+/[^/]+)|orgs/([^/]+))(?:/.*)?", location.path)
    if location.netloc or not found or scope.kind == USER:
        to = f" to {location.scheme}://{location.netloc.rpartition('@')[2]}" if location.netloc else ""
        return UnexpectedAnswer(f"{answer.where} redirects{to}: set forgejo_url to the final address")
    new = urllib.parse.unquote(found[1] or found[2])
    message = f"{scope} has been renamed to {new}: use that name (nothing was written, writes are not redirected)"
    return Moved(message, status=answer.status, new=new)
