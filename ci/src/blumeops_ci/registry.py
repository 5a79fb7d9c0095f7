"""Questions to the registry before and after a push: is the key good, is the tag free, what does it hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ansible_collections.blumeops.registry.plugins.module_utils._errors import RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._transport import Answer, Transport
from ansible_collections.blumeops.registry.plugins.module_utils._zot import apikeys, questions

from .images import DIGEST, MANIFESTS, Image
from .problem import Problem

#: A key that ends sooner fails a build before it begins, in days: a build must not outlive its key.
MARGIN_DAYS = 1.0


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
        self.has_key = bool(key)
        auth = (identity, apikeys.check_api_key(key, "ZOT_CI_API_KEY")) if key else None
        self._transport = Transport(url, name="the registry", auth=auth, ca_path=ca_path)

    def check_key(self, now: datetime, *, label: str | None = None) -> str:
        """Prove that the key authenticates and does not end within a day; return a sentence about it.

        Raises:
            Problem: It ends within a day, or no key is there.
            RegistryError: It is refused, or the registry cannot be asked.
        """
        if not self.has_key:
            raise Problem(
                "ZOT_CI_API_KEY is empty: the Actions secret is missing in this repository or not given to this step; "
                "run playbooks/indri.yml --tags forgejo_actions_secrets"
            )
        # Twice: the entry whose time of last use moved in between is the key in hand.
        found = apikeys.identify(self._keys(), self._keys(), label)
        verdict = apikeys.assess(found, self.identity, now, warn_days=21, fail_days=MARGIN_DAYS)
        if verdict.failing:
            raise Problem(f"{verdict.message}; nothing is built with a key that ends within a day")
        return verdict.message

    def check_create(self, target: Target) -> None:
        """Prove, without leaving a trace, that the tag (which is not there) may be pushed.

        Raises:
            Problem: It may not, or the registry takes no pushes at all.
        """
        ask = questions.question("create", target.repository, target.tag)
        answer = self._transport.request(ask.method, f"/v2{ask.path.removeprefix('/v2')}", data=ask.body)
        allowed = questions.verdict("create", answer.status)
        if allowed is False:
            raise Problem(
                f"{self.identity} may not create {target.address} ({answer.status}): grant its group create and read "
                f"for {target.repository} in zot's accessControl; groups are those of the identity's last login"
            )
        if allowed is None:
            if not answer.is_json:
                answer.json()  # says that this is HTML, or what else it is
            raise Problem(
                f"{answer.where} answered {answer.status}, so it takes no pushes: is it read-only, or is a proxy in "
                "front that lets only reads through?"
            )

    def image(self, target: Target) -> Image | None:
        """What the tag holds; None where it is not there.

        Raises:
            Problem: Reading is denied, or the answer is none of a registry.
        """
        accept = {"Accept": ", ".join(MANIFESTS)}
        answer = self._transport.request("GET", f"/v2/{target.repository}/manifests/{target.tag}", headers=accept)
        if answer.status == 404 and isinstance(answer.json(), dict):
            return None
        if answer.status != 200:
            raise self._refusal(answer)
        try:
            image = Image.of_manifest(answer.body)
        except ValueError:
            answer.json()
            raise Problem(f"{answer.where} answered with no manifest: is the address the registry itself?") from None
        said = answer.headers.get("Docker-Content-Digest", image.digest)
        if DIGEST.fullmatch(said) and said != image.digest:
            raise Problem(f"{answer.where} answered with a manifest of another digest than it says: a proxy changed it")
        return image

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository; none where it is not there.

        Raises:
            Problem: Reading is denied, or the answer is none of a registry.
        """
        answer = self._transport.request("GET", f"/v2/{repository}/tags/list")
        content = answer.json()
        if answer.status == 404:
            return []
        if answer.status != 200:
            raise self._refusal(answer)
        tags = content.get("tags") if isinstance(content, dict) else None
        return [str(tag) for tag in tags or []]

    def _keys(self) -> list[apikeys.ApiKey]:
        answer = self._transport.request("GET", "/zot/auth/apikey")
        if answer.status == 404:
            raise Problem(
                f"{answer.where} answered 404: the registry has no API keys (http.auth.apikey is false) or is no zot"
            )
        if answer.status != 200:
            raise self._refusal(answer)
        content = answer.json()
        keys = content.get("apiKeys") if isinstance(content, dict) else None
        if not isinstance(keys, list):
            raise Problem(f"{answer.where} answered with no list of API keys: is the address the registry itself?")
        return [apikeys.ApiKey.parse(key) for key in keys]

    def _refusal(self, answer: Answer) -> Problem:
        if answer.status == 401 and self.has_key:
            return Problem(apikeys.refused(self.identity, self.url))
        if answer.status in {401, 403}:
            who = self.identity if self.has_key else "anonymous"
            return Problem(
                f"{answer.where} answered {answer.status}: {who} may not read there; grant read in zot's accessControl"
            )
        if answer.status >= 500:
            return Problem(
                f"{answer.where} answered {answer.status}: look at the registry's log and free space, then run again"
            )
        return Problem(f"{answer.where} answered {answer.status}, which a registry does not: is the address right?")


def preflight(registry: Registry, target: Target, *, label: str | None = None) -> tuple[str, Image | None]:
    """Everything that can be checked before a build; returns a sentence about the key, and what the tag holds.

    Raises:
        Problem | RegistryError: The key is missing, refused or ends within a day; the tag is free and may not be
            made; the registry cannot be asked.
    """
    said = registry.check_key(datetime.now(UTC), label=label)
    stored = registry.image(target)
    if stored is None:
        registry.check_create(target)
    return said, stored


__all__ = ["Problem", "Registry", "RegistryError", "Target", "preflight"]
