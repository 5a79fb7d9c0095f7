"""Holds the policy model to recordings of what zot decided.

``lab/policy --decisions FILE --globs FILE`` reads files shaped as ``policy_decisions.jsonl`` (an ``accessControl``
and questions with zot's answers, one document a line) and ``globs.jsonl`` (a pattern, a repository, whether zot's
matcher matches it and whether it calls the pattern bad), prints how many agree and how many are answered a second, and
exits 1 where one does not agree.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from ansible_collections.blumeops.registry.plugins.module_utils._errors import RegistryError
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import (
    Identity,
    Request,
    decide,
)
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import compile_pattern
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import parse_policy

#: Disagreements shown in full; the rest is counted.
SHOWN = 5


@dataclass
class Tally:
    """How many were asked, the disagreements, and the CPU seconds of answering (reading and compiling excluded)."""

    asked: int
    wrong: list[str]
    seconds: float


def check_decisions(documents: Iterator[dict[str, Any]]) -> Tally:
    """Asks the model every question of the recording; compares the answer and the actions needed."""
    tally = Tally(0, [], 0.0)
    for document in documents:
        policy = parse_policy(document["accessControl"], as_file=False).policy
        requests = [_request(query) for query in document["queries"]]
        if requests:
            decide(policy, requests[0], at_door=False)  # builds what the policy compiles to
        began = time.process_time()
        # The recordings asked zot's authorizer itself: callers without credentials had passed the door.
        decisions = [decide(policy, request, at_door=False) for request in requests]
        tally.seconds += time.process_time() - began
        tally.asked += len(requests)
        for query, decision in zip(document["queries"], decisions, strict=True):
            expected = ("allow" if query["allowed"] else "deny", tuple(query["required_actions"]))
            if (decision.outcome, decision.actions) != expected:
                tally.wrong.append(
                    f"zot: {expected}, model: {(decision.outcome, decision.actions)}, for {json.dumps(query)} "
                    f"under {json.dumps(document['accessControl'])}: {' '.join(decision.explanation())}"
                )
    return tally


def _request(query: dict[str, Any]) -> Request:
    return Request(
        # The recorded callers came with a password: zot gave them the policy's own groups on top of those named.
        identity=Identity(query["user"], tuple(query["groups"]), via="password"),
        method=query["method"],
        repository=query["repository"],
        reference=query["reference"],
        existing_tags=tuple(query["existing_tags"]),
        query_tags=tuple(query.get("query_tags", ())),
    )


def check_globs(pairs: Iterator[dict[str, Any]]) -> Tally:
    """Asks the matcher every pair of the recording."""
    recorded = list(pairs)
    began = time.process_time()
    answers = []
    for pair in recorded:
        pattern = compile_pattern(pair["pattern"])
        answers.append((pattern.matches(pair["repository"]), pattern.complains(pair["repository"])))
    seconds = time.process_time() - began
    wrong = [
        f"zot: {expected}, model: {answer} (matches, bad pattern), for {pair['pattern']!r} on {pair['repository']!r}"
        for pair, answer in zip(recorded, answers, strict=True)
        if answer != (expected := (pair["matches"], pair["bad_pattern"]))
    ]
    return Tally(len(recorded), wrong, seconds)


def read_lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError:
                    raise click.ClickException(f"{path}, line {number} is no JSON: give one object a line.") from None


@click.command(help=__doc__)
@click.option("--decisions", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--globs", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
def main(decisions: pathlib.Path | None, globs: pathlib.Path | None) -> None:
    """Reads the recordings, prints the tallies, exits 1 on a disagreement."""
    if decisions is None and globs is None:
        raise click.UsageError("Give --decisions FILE, --globs FILE, or both.")
    failed = False
    for path, check, noun in ((decisions, check_decisions, "decisions"), (globs, check_globs, "patterns")):
        if path is None:
            continue
        try:
            tally = check(read_lines(path))
        except (KeyError, TypeError, AttributeError) as error:
            raise click.ClickException(f"{path} has another shape than the recordings ({error!r}).") from None
        except RegistryError as error:
            raise click.ClickException(str(error)) from None
        rate = tally.asked / tally.seconds if tally.seconds else 0.0
        click.echo(f"{tally.asked - len(tally.wrong)} of {tally.asked} {noun} agree, {rate:,.0f} {noun} a second")
        for line in tally.wrong[:SHOWN]:
            click.echo(f"  {line}", err=True)
        failed = failed or bool(tally.wrong) or not tally.asked
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
