"""Start a build by Forgejo's API, and say where to look for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.blumeops.registry.plugins.module_utils._transport import Answer, Transport, check_header_value

from .problem import Problem


@dataclass(frozen=True, slots=True)
class Run:
    """A dispatched run: the page that shows it, or the workflow's page where the forge does not tell."""

    workflow: str
    page: str


class Forge:
    """One repository of a Forgejo.

    Args:
        url: Address of the forge, without ``/api/v1``.
        repository: ``OWNER/NAME``.
        token: A token with scope write:repository.
    """

    def __init__(self, url: str, repository: str, token: str, *, ca_path: str | None = None) -> None:
        if not token.strip():
            raise Problem(
                "FORGE_TOKEN is empty: give a token of the forge with scope write:repository in the environment"
            )
        self.url = url.rstrip("/")
        self.repository = repository
        header = f"token {check_header_value(token, 'FORGE_TOKEN')}"
        self._transport = Transport(url, name="the forge", auth=header, ca_path=ca_path)

    def dispatch(self, workflow: str, branch: str, inputs: dict[str, str]) -> Run:
        """Start ``workflow`` as it is on ``branch``.

        Raises:
            Problem: The forge does not do it; the sentence says why, as far as it tells.
            RegistryError: It cannot be asked.
        """
        answer = self._transport.request(
            "POST",
            f"/api/v1/repos/{self.repository}/actions/workflows/{workflow}/dispatches",
            json={"ref": branch, "inputs": inputs, "return_run_info": True},
        )
        page = f"{self.url}/{self.repository}/actions"
        if answer.status == 204:  # a Forgejo that does not know return_run_info
            return Run(workflow, f"{page}?workflow={workflow}")
        if answer.status == 201:
            content = answer.json()
            number = content.get("run_number") if isinstance(content, dict) else None
            return Run(workflow, f"{page}/runs/{number}" if isinstance(number, int) else f"{page}?workflow={workflow}")
        raise Problem(self._why(answer, workflow, branch))

    def _why(self, answer: Answer, workflow: str, branch: str) -> str:
        """The sentence for an answer, by what was measured (contracts of Forgejo, 8).

        A branch or a workflow that is not there is 500, whose message only a site admin sees.
        """
        if answer.status in {301, 307}:
            return f"{self.repository} has moved: set FORGE_REPOSITORY to its new name"
        message = _message(answer.json())
        if answer.status == 401:
            return f"the forge at {self.url} refuses FORGE_TOKEN: make a new one with scope write:repository"
        if answer.status == 403:
            return (
                f"FORGE_TOKEN may not start workflows of {self.repository} ({message}): "
                "it needs scope write:repository and the right to write"
            )
        if answer.status == 404:
            return (
                f"the forge at {self.url} shows no repository {self.repository} with Actions to this token: "
                "check FORGE_REPOSITORY and the token's owner"
            )
        if answer.status == 500 and "workflow not found" in message:
            return f"{self.repository} has no workflow {workflow} on {branch}: put it into .forgejo/workflows/ and push"
        if answer.status == 500 and "could not expand reference" in message:
            return (
                f"{self.repository} has no branch {branch!r}: set FORGE_BRANCH to the branch that holds the workflows"
            )
        if answer.status == 500:
            return (
                f"the forge at {self.url} answered 500 to the dispatch: most likely .forgejo/workflows/{workflow} "
                f"or the branch {branch!r} is not there"
            )
        reason = message or "it gave no reason"
        return f"the forge at {self.url} answered {answer.status} to the dispatch of {workflow}: {reason}"


def _message(content: Any) -> str:
    return str(content.get("message") or "") if isinstance(content, dict) else ""
