"""What the policy model costs: decisions a second, comparing large policies, and automata side by side with libraries.

``python -m bench.bench_policy`` prints one line a measurement and exits 1 where a bar is missed. It all runs in this
process, on one core. No result is kept between decisions: every one is about another identity, repository and tag.
"""

from __future__ import annotations

import copy
import gc
import resource
import statistics
import string
import sys
import time
from collections.abc import Callable
from typing import Any

from automata.fa.dfa import DFA
from automata.fa.nfa import NFA
from greenery import parse
from wcmatch import glob as wcmatch_glob

from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.decide import Identity, Request, decide
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.examine import Options, examine
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.match import compile_pattern
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.model import parse_policy
from ansible_collections.blumeops.registry.plugins.module_utils._zot_policy.regions import find_regions
from bench.table import Row, show

DECISIONS = 50_000
ROUNDS = 5
ROOT: dict[str, Any] = {
    "anonymousPolicy": ["read"],
    "defaultPolicy": ["read"],
    "policies": [
        {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
        {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
    ],
}
#: The estate's: one block for everything, one for what is pulled through.
ESTATE: dict[str, Any] = {
    "repositories": {
        "**": ROOT,
        **{f"{host}/**": {**ROOT, "policies": ROOT["policies"][1:]} for host in ("docker.io", "ghcr.io", "quay.io")},
    },
    "metrics": {"anonymousPolicy": ["read"]},
}

#: What stands for today's way where nobody has one.
NOBODY = "—"


def seconds(work: Callable[[], object], rounds: int = 1) -> float:
    """CPU seconds of one core, the best of so many rounds: what the machine does besides does not count."""
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def requests(count: int) -> list[Request]:
    """So many requests, each of another identity, repository and tag."""
    methods, groups = ("GET", "PUT", "DELETE", "POST-UPLOAD"), (("artifact-workloads",), ("admins",), ())
    hosts = ("blumeops", "docker.io/library", "team/a", "quay.io")
    return [
        Request(
            Identity(f"user-{number}", groups[number % 3]),
            methods[number % 4],
            f"{hosts[number % 4]}/app-{number}",
            f"v1.0.{number}-abc1234" if number % 4 < 3 else "",
            ("latest", f"v1.0.{number}-abc1234") if number % 8 == 1 else (),
        )
        for number in range(count)
    ]


def decisions() -> list[Row]:
    """How many a second, and whether ten times as many take ten times as long."""
    policy = parse_policy(ESTATE).policy

    def deciding(asked: list[Request]) -> Callable[[], None]:
        def work() -> None:
            for request in asked:
                decide(policy, request)

        return work

    many = requests(10 * DECISIONS)
    # Side by side and the middle of all rounds, for a machine's speed changes from one second to the next.
    rounds = [(seconds(deciding(many[:DECISIONS])), seconds(deciding(many))) for _ in range(ROUNDS)]
    one = min(few for few, _ in rounds) / DECISIONS
    times = statistics.median(all_ / few for few, all_ in rounds) / 10
    return [
        Row(
            f"{DECISIONS:,} decisions on the estate's policy (CPU time)",
            NOBODY,
            f"{1 / one:,.0f} a second",
            bar="at least 100,000 a second",
            holds=1 / one >= 100_000,
        ),
        Row(
            "a decision at ten times as many",
            NOBODY,
            f"{times:.2f} times as long",
            bar="within 1.3",
            holds=times <= 1.3,
        ),
    ]


def large(blocks: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The estate's policy with so many per-path blocks, and the same with a rule changed in every other one."""
    source = copy.deepcopy(ESTATE)
    for number in range(blocks):
        name = f"blumeops/app-{number}" if number % 3 else f"team-{number % 17}/service-{number}/**"
        own = {"users": [f"deployer-{number % 40}"], "actions": ["read", "create"]}
        source["repositories"][name] = {**ROOT, "policies": [*ROOT["policies"], own]}
    changed = copy.deepcopy(source)
    for name in list(changed["repositories"])[4::2]:
        changed["repositories"][name]["policies"][-1]["actions"].append("update")
    return {"http": {"accessControl": source}}, {"http": {"accessControl": changed}}


def comparisons() -> list[Row]:
    """All that zot_policy_check does with large policies: lint, tables and the comparison."""
    rows = []
    for blocks, bar in ((300, 2.0), (2000, 20.0)):
        before, after = large(blocks)
        options = Options(config=after, live_config=before)
        changes = len(examine(options).result["comparison"]["changes"])
        took = seconds(lambda options=options: examine(options), 2)  # type: ignore[misc]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        work = f"a policy of {blocks} blocks linted and compared with another"
        told = f"{took:.2f} s, {changes} changes, process at {peak} MB"
        rows.append(Row(work, NOBODY, told, bar=f"under {bar:g} s", holds=took < bar))
    return rows


def matching() -> Row:
    """A glob against many names, side by side with wcmatch, which is close to doublestar but not the same."""
    names = [f"blumeops/app-{number}/v{number % 9}" for number in range(20_000)]
    pattern = "blumeops/**/{v1,v2,v[5-7]}"
    compiled = compile_pattern(pattern)
    flags = wcmatch_glob.GLOBSTAR | wcmatch_glob.BRACE | wcmatch_glob.DOTGLOB | wcmatch_glob.FORCEUNIX
    ours = seconds(lambda: [compiled.matches(name) for name in names], 3)
    theirs = seconds(lambda: [wcmatch_glob.globmatch(name, pattern, flags=flags) for name in names], 3)
    return Row(
        f"{len(names):,} names against {pattern}",
        f"wcmatch: {theirs / len(names) * 1e6:.1f} µs each",
        f"{ours / len(names) * 1e6:.1f} µs each",
        f"{theirs / ours:.0f} times faster",
    )


def automata() -> Row:
    """Where each of 33 globs can win: here, and with the two libraries of automata."""
    alphabet = string.ascii_lowercase + string.digits + "._-/"
    segment = "(" + "|".join(string.ascii_lowercase + string.digits + "_") + ")*"
    globs, plain, written = [], [], []
    for number in range(11):
        globs += [f"blumeops/app{number}-*", f"team{number}/*/prod", f"**/svc{number}"]
        plain += [f"blumeops/app{number}-{segment}", f"team{number}/{segment}/prod", f"({segment}/)*svc{number}"]
        written += [f"blumeops/app{number}-[^/]*", f"team{number}/[^/]*/prod", f"([^/]*/)*svc{number}"]

    def with_automata_lib() -> None:
        machines = [DFA.from_nfa(NFA.from_regex(one, input_symbols=set(alphabet))) for one in plain]
        longer = machines[0]
        for machine in machines[1:]:
            wins = machine - longer
            wins.isempty()
            longer = longer | machine

    def with_greenery() -> None:
        machines = [parse(one).to_fsm() for one in written]
        longer = machines[0]
        for machine in machines[1:]:
            (machine - longer).empty()
            longer = longer | machine

    ours, one, other = seconds(lambda: find_regions([globs]), 3), seconds(with_automata_lib), seconds(with_greenery)
    return Row(
        f"where each of {len(globs)} globs can win",
        f"automata-lib: {one:.2f} s, greenery: {other:.2f} s",
        f"{ours:.2f} s",
        f"{one / ours:.0f} and {other / ours:.0f} times faster",
    )


def measure() -> list[Row]:
    """All measurements."""
    return [*decisions(), *comparisons(), matching(), automata()]


if __name__ == "__main__":
    sys.exit(show(measure()))
