"""Runs the steps of a workflow without a runner: real bash, real commands, the contexts that the steps use.

What it is not: `uses: actions/checkout` is a ``git checkout`` in a clone that is there already; expressions are those
that our workflows have (names with dots, ``fromJSON``, ``!=``); a job's conditions, its matrix and the label of its
runner are for the caller to look at.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

WORKFLOWS = Path(__file__).parents[3] / "ci" / "workflows"


@dataclass(slots=True)
class Ended:
    """How a job ended: the name of the step that failed, if any, everything that was printed, its outputs."""

    failed: str | None
    output: str
    outputs: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)


def load(file: str) -> dict[str, Any]:
    """A workflow. YAML 1.1 reads the key ``on`` as true."""
    content = yaml.safe_load((WORKFLOWS / file).read_text())
    content["on"] = content.pop(True)
    return content


def run_job(
    workflow: dict[str, Any], name: str, contexts: dict[str, Any], *, checkout: Path, environment: dict[str, str]
) -> Ended:
    """Run the steps of a job in ``checkout`` until one fails.

    Args:
        contexts: ``inputs``, ``github``, ``matrix``, ``needs``, ``secrets``.
        environment: Given to every step, over the workflow's own ``env``: where the lab is.
    """
    job, steps = workflow["jobs"][name], {}
    ended = Ended(None, "")
    contexts = {**contexts, "steps": steps}
    for number, step in enumerate(job["steps"]):
        label = step.get("name") or step["uses"]
        if "uses" in step:
            assert step["uses"].startswith("actions/checkout@")
            wanted = evaluate(step.get("with", {}).get("ref", ""), contexts)
            subprocess.run(
                ["git", "-C", str(checkout), "checkout", "--quiet", "--detach", wanted or "HEAD"], check=True
            )
            continue
        ended.ran.append(label)
        outputs = checkout.parent / f"{name}-{number}.outputs"
        outputs.write_text("")
        variables = {
            key: evaluate(value, contexts) for key, value in {**job.get("env", {}), **step.get("env", {})}.items()
        }
        # The command line that a runner makes of `shell: bash`.
        assert workflow["defaults"]["run"]["shell"] == "bash"
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", evaluate(step["run"], contexts)]
        done = subprocess.run(
            shell,
            cwd=checkout,
            env={**os.environ, **variables, "GITHUB_OUTPUT": str(outputs), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        ended.output += done.stdout
        if done.returncode:
            ended.failed = label
            return ended
        if "id" in step:
            lines = outputs.read_text().splitlines()
            steps[step["id"]] = {"outputs": dict(line.split("=", 1) for line in lines)}
    ended.outputs = {key: evaluate(value, contexts) for key, value in job.get("outputs", {}).items()}
    return ended


def evaluate(text: str, contexts: dict[str, Any]) -> str:
    """Replace each ``${{ … }}`` by its value, as text; what is not there is empty."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: str(value_of(found[1], contexts) or ""), text)


def value_of(expression: str, contexts: dict[str, Any]) -> Any:
    """The value of one expression."""
    if called := re.fullmatch(r"fromJSON\((.*)\)", expression):
        return json.loads(value_of(called[1], contexts))
    if compared := re.fullmatch(r"(\S+) != '(.*)'", expression):
        return value_of(compared[1], contexts) != compared[2]
    assert re.fullmatch(r"[a-zA-Z_]+(\.[a-zA-Z_]+)+", expression), expression
    value: Any = contexts
    for name in expression.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
