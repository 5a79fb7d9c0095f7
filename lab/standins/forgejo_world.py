"""Who and what a stand-in of Forgejo holds: accounts, organisations, repositories, tokens, and who may do what.

The world file is JSON in the shape of ``contracts/forgejo/world.json``; more keys than that file uses are:

* users: ``admin``, ``password``, ``prohibited``, ``must_change_password``
* orgs: ``owners``, ``members``, ``visibility`` (public, limited, private), ``teams`` as
  ``{name: {"permission": "read|write|admin", "members": [...], "repos": [...]}}``
* repos: ``private``, ``archived``, ``has_actions``, collaborators by ``read``, ``write``, ``admin``; ``branches``,
  ``tags``, and ``workflows`` as ``{file: {"inputs": {name: {...}}, "jobs": [...], "result": "success"}}``
* renamed: old name -> new name, of a repository (``owner/old: owner/new``) or of an account (``old: new``)
"""

from __future__ import annotations

import enum
import json
import pathlib
from dataclasses import dataclass, field
from typing import Any


class Access(enum.IntEnum):
    """What somebody may do with a repository."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3
    OWNER = 4


@dataclass(frozen=True, slots=True)
class Account:
    """A user or an organisation; they share names and ids."""

    id: int
    name: str
    is_org: bool = False
    admin: bool = False
    password: str | None = None
    prohibited: bool = False
    must_change_password: bool = False
    owners: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()
    visibility: str = "public"
    teams: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository and its collaborators (lower-case user name -> access)."""

    id: int
    owner: Account
    name: str
    private: bool = False
    archived: bool = False
    has_actions: bool = True
    collaborators: dict[str, Access] = field(default_factory=dict)
    branches: tuple[str, ...] = ("main",)
    tags: tuple[str, ...] = ()
    workflows: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{self.owner.name}/{self.name}"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token: whose it is and what it is for."""

    user: Account
    scopes: frozenset[str]

    @property
    def public_only(self) -> bool:
        return "public-only" in self.scopes

    def allows(self, level: str, category: str) -> bool:
        """Whether the token has the scope; ``write`` includes ``read`` and ``all`` everything."""
        wanted = {"all", f"write:{category}"} | ({f"read:{category}"} if level == "read" else set())
        return bool(self.scopes & wanted)


class World:
    """The world file, with names looked up as Forgejo does: without regard to case."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.accounts: dict[str, Account] = {}
        for name, user in data.get("users", {}).items():
            self._add(Account(len(self.accounts) + 1, name, **user))
        for name, org in data.get("orgs", {}).items():
            self._add(
                Account(
                    len(self.accounts) + 1,
                    name,
                    is_org=True,
                    owners=_names(org.get("owners", ())),
                    members=_names(org.get("members", ())),
                    visibility=org.get("visibility", "public"),
                    teams=tuple(org.get("teams", {}).values()),
                )
            )
        self.repos: dict[str, Repository] = {}
        for full_name, repo in data.get("repos", {}).items():
            owner, _, name = full_name.partition("/")
            settings = dict(repo)
            collaborators = {
                user.lower(): access
                for access in (Access.READ, Access.WRITE, Access.ADMIN)
                for user in settings.pop(access.name.lower(), ())
            }
            for key in ("branches", "tags"):
                if key in settings:
                    settings[key] = tuple(settings[key])
            account = self.accounts[owner.lower()]
            self.repos[full_name.lower()] = Repository(
                len(self.repos) + 1, account, name, collaborators=collaborators, **settings
            )
        self.tokens = {
            name: Token(self.accounts[user.lower()], frozenset(scopes))
            for name, (user, scopes) in data.get("tokens", {}).items()
        }
        self.renamed = {old.lower(): new for old, new in data.get("renamed", {}).items()}

    @classmethod
    def load(cls, path: pathlib.Path) -> World:
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def _add(self, account: Account) -> None:
        self.accounts[account.name.lower()] = account

    def account(self, name: str) -> Account | None:
        return self.accounts.get(name.lower())

    def organisation(self, name: str) -> Account | None:
        account = self.account(name)
        return account if account and account.is_org else None

    def repository(self, owner: str, name: str) -> Repository | None:
        return self.repos.get(f"{owner}/{name}".lower())

    def access(self, repo: Repository, user: Account | None) -> Access:
        """What ``user`` (None: not signed in) may do with ``repo``."""
        owner = repo.owner
        if user is not None and (user.admin or user is owner):
            return Access.OWNER
        name = user.name.lower() if user else ""
        given = [repo.collaborators.get(name, Access.NONE)] if user else [Access.NONE]
        if owner.is_org and user is not None:
            if name in owner.owners:
                return Access.OWNER
            for team in owner.teams:
                if name in _names(team.get("members", ())) and repo.name.lower() in _names(team.get("repos", ())):
                    access = Access[team.get("permission", "read").upper()]
                    # Measured: a team with the permission admin passes where an owner is asked for.
                    given.append(Access.OWNER if access is Access.ADMIN else access)
        if not repo.private and self._sees(owner, user):
            given.append(Access.READ)
        return max(given)

    def _sees(self, owner: Account, user: Account | None) -> bool:
        if owner.visibility == "public":
            return True
        if user is None:
            return False
        return owner.visibility == "limited" or user.name.lower() in owner.members | owner.owners

    def owns_organisation(self, org: Account, user: Account) -> bool:
        return user.admin or user.name.lower() in org.owners


def _names(names: Any) -> frozenset[str]:
    return frozenset(name.lower() for name in names)
