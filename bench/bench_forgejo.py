"""How long Actions secrets take: one `uri` task in a loop, as it is done today, and this collection's module.

    python -m bench.bench_forgejo [--repositories 1000]

Everything runs against the stand-in of Forgejo, which waits before each answer as long as a real one was measured to
take for one (7 ms; contracts/forgejo.md section 7). Whole processes are timed, side by side in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests
import yaml

from bench.table import Row, show
from lab.running import ROOT, Part, environment, standin

TOKEN = "bench-token-0123456789"
LATENCY_MS = 7
CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Run:
    """A finished process: wall time in seconds, peak memory in MB."""

    seconds: float
    megabytes: float


def declared(repositories: int, secrets: int) -> list[dict[str, Any]]:
    """So many secrets in each of so many repositories."""

    def values(number: int) -> list[dict[str, str]]:
        return [{"name": f"SECRET_{each}", "value": f"value-{number}-{each}-{'x' * 20}"} for each in range(secrets)]

    return [{"repository": f"eblume/repo{number}", "secrets": values(number)} for number in range(repositories)]


def forge(folder: pathlib.Path, repositories: int, log: pathlib.Path | None = None) -> Part:
    """A stand-in that holds nothing yet."""
    world = folder / "world.json"
    names: dict[str, Any] = {f"eblume/repo{number}": {} for number in range(repositories)}
    content = {"users": {"eblume": {}}, "repos": names, "tokens": {TOKEN: ["eblume", ["all"]]}}
    world.write_text(json.dumps(content))
    logging = ["--log", str(log)] if log else []
    return standin("forgejo", "--world", str(world), "--latency", str(LATENCY_MS), *logging)


def timed(command: Sequence[str], stdin: bytes = b"") -> Run:
    """Run a process to its end. Raises RuntimeError with its output where it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        begun = time.perf_counter()
        env = environment({"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCALHOST_WARNING": "false"})
        process = subprocess.Popen(command, stdin=given, stdout=output, stderr=output, cwd=ROOT, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(output.read().decode(errors="replace")[-2000:])
    return Run(seconds, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024))


def playbook(folder: pathlib.Path, name: str, tasks: list[dict[str, Any]]) -> Run:
    """Run tasks in an ansible-playbook process of their own."""
    path = folder / f"{name}.yml"
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "tasks": tasks,
    }
    path.write_text(yaml.safe_dump([play], sort_keys=False))
    return timed([str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(path)])


def loop(url: str, scopes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As it is done today: one HTTP task in a loop over every secret."""
    items = [{"repo": scope["repository"], **secret} for scope in scopes for secret in scope["secrets"]]
    return [
        {
            "name": "Put each secret",
            "ansible.builtin.uri": {
                "url": url + "/api/v1/repos/{{ item.repo }}/actions/secrets/{{ item.name }}",
                "method": "PUT",
                "headers": {"Authorization": f"token {TOKEN}"},
                "body": {"data": "{{ item.value }}"},
                "body_format": "json",
                "status_code": [201, 204],
            },
            "loop": items,
            "loop_control": {"label": "{{ item.name }}"},
            "register": "put",
            "changed_when": "put.status == 201",
            "no_log": True,
        }
    ]


def arguments(url: str, scopes: list[dict[str, Any]]) -> dict[str, Any]:
    """Arguments of the module."""
    given = {"forgejo_url": url, "forgejo_token": TOKEN, "ledger_key": "bench-ledger-key-0123"}
    return {**given, "concurrency": CONCURRENCY, "scopes": scopes}


def module(url: str, scopes: list[dict[str, Any]]) -> Run:
    """Run the module as a process, as Ansible does."""
    command = [sys.executable, "-m", "ansible_collections.blumeops.registry.plugins.modules.forgejo_actions_secrets"]
    return timed(command, json.dumps({"ANSIBLE_MODULE_ARGS": arguments(url, scopes)}).encode())


def requests_of(log: pathlib.Path) -> list[tuple[str, str]]:
    """Methods and paths that a stand-in was asked for."""
    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    return [(line["method"], line["path"]) for line in lines]


def small(folder: pathlib.Path) -> list[Row]:
    """60 secrets in 4 repositories: the first run, and one with nothing changed."""
    scopes, log = declared(4, 15), folder / "log"
    with forge(folder, 4) as part:
        today = [playbook(folder, "today", loop(part.url, scopes)).seconds for _ in range(2)]
    empty = playbook(folder, "empty", [{"ansible.builtin.meta": "noop"}]).seconds
    runs = []
    for _ in range(3):
        with forge(folder, 4, log) as part:
            task = {"blumeops.registry.forgejo_actions_secrets": arguments(part.url, scopes)}
            first = playbook(folder, "ours", [task]).seconds
            log.write_text("")
            runs.append((first, playbook(folder, "ours", [task]).seconds))
            asked = requests_of(log)
    ours = [min(seconds) for seconds in zip(*runs, strict=True)]
    writes = sum(method != "GET" for method, _ in asked)
    most = max(sum(f"/repo{number}" in path for _, path in asked) for number in range(4))
    rows = []
    for index, name in enumerate(("first run", "nothing changed")):
        ratio = today[index] / ours[index]
        measured = f"{ratio:.0f} times faster (an empty playbook takes {empty:.1f} s)"
        bar, holds = "15 times faster", ratio >= 15
        if index:
            measured = f"{ratio:.0f} times faster, {writes} writes, {most} requests a repository"
            bar, holds = f"{bar}, no write, at most 3 requests a repository", holds and not writes and most <= 3
        work = f"60 secrets in 4 repositories, {name}"
        rows.append(Row(work, f"{today[index]:.1f} s", f"{ours[index]:.2f} s (best of three)", measured, bar, holds))
    return rows


def bare(url: str, asked: list[tuple[str, str]]) -> float:
    """Seconds of a bare concurrent client for the same requests; it decides nothing and looks at no answer."""
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=CONCURRENCY))
    session.headers["Authorization"] = f"token {TOKEN}"

    def send(request: tuple[str, str]) -> None:
        method, path = request
        body = {} if method in {"GET", "DELETE"} else {"json": {"data": "x" * 40, "value": "x" * 1500}}
        session.request(method, url + path, timeout=30, **body)  # type: ignore[arg-type]

    begun = time.perf_counter()
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(send, asked))
    return time.perf_counter() - begun


def large(folder: pathlib.Path, repositories: int) -> Row:
    """Many repositories, beside a tenth of them (three times, before, between and after) and a bare client."""
    few, log = repositories // 10, folder / "log"

    def tenth() -> float:
        with forge(folder, few) as part:
            return module(part.url, declared(few, 10)).seconds / few

    tenths = [tenth()]
    log.write_text("")
    with forge(folder, repositories, log) as part:
        whole = module(part.url, declared(repositories, 10))
    tenths.append(tenth())
    with forge(folder, repositories) as part:
        plain = bare(part.url, requests_of(log))
    tenths.append(tenth())
    growth, over = whole.seconds / repositories / statistics.mean(tenths), whole.seconds / plain
    return Row(
        f"{repositories:,} repositories, 10 secrets each",
        f"bare client {plain:.1f} s",
        f"{whole.seconds:.1f} s",
        f"{growth:.2f} of the time a secret at {few}, {over:.2f} of the bare client, {whole.megabytes:.0f} MB",
        "within 1.3, within 1.5, under 300 MB",
        growth <= 1.3 and over <= 1.5 and whole.megabytes < 300,
    )


def measure(repositories: int = 1000) -> list[Row]:
    """All rows of the table."""
    with tempfile.TemporaryDirectory(prefix="bench-forgejo-") as name:
        folder = pathlib.Path(name)
        return [*small(folder), large(folder, repositories)]


def main() -> int:
    """Print the table; the exit status is 1 where a bar does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repositories", type=int, default=1000)
    return show(measure(parser.parse_args().repositories))


if __name__ == "__main__":
    sys.exit(main())
