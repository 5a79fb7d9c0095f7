"""Questions to the registry before and after a push: is the key good, is the tag free, what does it hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ansible_collections.blumeops.registry.plugins.module_utils._errors import NotFound, Refused, ServerError
from ansible_collections.blumeops.registry.plugins.module_utils._transport import Transport
from ansible_collections.blumeops.registry.plugins.module_utils._zot import apikeys
from ansible_collections.blumeops.registry.plugins.module_utils._zot.client import ACCEPT_MANIFESTS, Caller, Zot

from .images import DIGEST, Image
from .problem import Problem

#: A key that ends sooner fails a build before it begins, in days: a build must not outlive its key.
MARGIN_DAYS = 1.0
#: From here on the log of each build says how long the key will live, in days.
WARN_DAYS = 21.0


@dataclass(frozen=True, slots=True)
class Target:
    """A tag of the estate's registry. ``url`` as people write it, ``namespace`` before every container's name."""

    url: str
    namespace: str
    container: str
    tag: str

    @property
    def host(self) -> str:
        """Host and port, as image addresses begin."""
        return self.url.partition("://")[2].rstrip("/")

    @property
    def repository(self) -> str:
        """The repository's name in the registry."""
        return f"{self.namespace}/{self.container}"

    @property
    def address(self) -> str:
        """``host/repository:tag``."""
        return f"{self.host}/{self.repository}:{self.tag}"


class Registry:
    """The registry, asked as one identity with one API key, or as nobody where the key is empty."""

    def __init__(self, url: str, identity: str, key: str, *, ca_path: str | None = None) -> None:
        self.url = url
        self.identity = identity
        self.caller: Caller = (identity, apikeys.check_api_key(key, "ZOT_CI_API_KEY")) if key else None
        self._transport = Transport(url, name="the registry", ca_path=ca_path)
        self._zot = Zot(self._transport)

    def check_key(self, now: datetime, *, label: str | None = None) -> str:
        """Prove that the key authenticates and does not end within a day; return a sentence about it.

        Raises:
            Problem: No key is there, it is refused or ends within a day, or the registry has no keys.
            RegistryError: The registry cannot be asked.
        """
        if self.caller is None:
            raise Problem(
                "ZOT_CI_API_KEY is empty: the Actions secret is missing in this repository or not given to this step; "
                "run playbooks/indri.yml --tags forgejo_actions_secrets"
            )
        try:
            # Twice: the entry whose time of last use moved in between is the key in hand.
            found = apikeys.identify(self._zot.keys(self.caller), self._zot.keys(self.caller), label)
        except Refused:
            raise Problem(apikeys.refused(self.identity, self.url)) from None
        except NotFound:
            raise Problem(
                f"{self.url} has no API keys: is http.auth.apikey of its zot true, and is it a zot?"
            ) from None
        except ServerError as error:
            # zot writes down when a key was used: on storage that is read-only it answers 500 to every key.
            raise Problem(
                f"{self.url} answered {error.status} to the question for its API keys: its storage is full or "
                "read-only, see the registry's log and free space"
            ) from None
        verdict = apikeys.assess(found, self.identity, now, warn_days=WARN_DAYS, fail_days=MARGIN_DAYS)
        if verdict.failing:
            raise Problem(f"{verdict.message}; nothing is built with a key that ends within a day")
        return verdict.message

    def check_create(self, target: Target) -> None:
        """Prove, without leaving a trace, that the tag (which is not there) may be pushed.

        Raises:
            Problem: It may not, or the registry takes no pushes at all.
            RegistryError: The registry cannot be asked.
        """
        said = self._zot.ask(self.caller, "create", target.repository, target.tag)
        if said.may is False:
            raise Problem(
                f"{self.identity} may not create {target.address} ({said.status}): grant its group create and read for "
                f"{target.repository} in zot's accessControl; groups are those of the identity's last login"
            )
        if said.may is None:
            raise Problem(
                f"{self.url} answers {said.status} to a push of {target.repository}: it is read-only, or a proxy "
                "in front lets only reads through"
            )

    def image(self, target: Target) -> Image | None:
        """What the tag holds; None where it is not there.

        Raises:
            Problem: Reading is denied, or the answer is none of a registry.
            RegistryError: The registry cannot be asked.
        """
        answer = self._transport.request(
            "GET",
            f"/v2/{target.repository}/manifests/{target.tag}",
            headers={"Accept": ACCEPT_MANIFESTS},
            auth=self.caller,
        )
        if answer.status == 404:
            answer.json()  # a proxy's own 404 does not say that the tag is free
            return None
        if answer.status == 401 and self.caller:
            raise Problem(apikeys.refused(self.identity, self.url))
        if answer.status in {401, 403}:
            raise Problem(
                f"{self.identity} may not read {target.repository} ({answer.status}): grant its group read there"
            )
        if answer.status >= 500:
            raise Problem(
                f"{answer.where} answered {answer.status}: look into the registry's log, and at its free space"
            )
        try:
            image = Image.of_manifest(answer.body)
        except ValueError:
            answer.json()
            raise Problem(f"{answer.where} answered {answer.status} with no manifest: what answers there?") from None
        said = answer.headers.get("Docker-Content-Digest", image.digest)
        if DIGEST.fullmatch(said) and said != image.digest:
            raise Problem(
                f"{answer.where} answered with other bytes than its digest names: what changes them on the way?"
            )
        return image

    def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of a repository; none where it is not there."""
        return self._zot.tags(self.caller, repository)


def preflight(registry: Registry, target: Target, *, label: str | None = None) -> tuple[str, Image | None]:
    """Everything that can be checked before a build; returns a sentence about the key, and what the tag holds.

    Raises:
        Problem, RegistryError: The key is missing, refused or ends within a day; the tag is free and may not be
            made; the registry cannot be asked.
    """
    said = registry.check_key(datetime.now(UTC), label=label)
    stored = registry.image(target)
    if stored is None:
        registry.check_create(target)
    return said, stored
