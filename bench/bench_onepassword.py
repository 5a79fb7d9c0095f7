"""Secrets of 1Password by ansible-playbook: the lookup of this collection and that of community.general, side by side.

``python -m bench.bench_onepassword`` prints one line a measurement. Both sides are whole runs of ``ansible-playbook``
with the same ``lab/op``, each of whose processes takes 0.25 s from start to end. community.general comes with the
package ``ansible`` in its own environment, ``.venv-bench``. What is measured on fewer uses than the row says is scaled,
and the row says so.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from typing import Any

from bench.table import Row, show

ROOT = pathlib.Path(__file__).resolve().parent.parent
OTHER = ROOT / ".venv-bench"
LATENCY = "0.25"
ITEMS, FIELDS, HOSTS = 10, 10, 20


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One ansible-playbook: its seconds, and the processes of op that it started."""

    seconds: float
    processes: int


def compared(work: str, today: Run, ours: Run, *, times: float, processes: int, note: str) -> Row:
    """A row that holds where ours is so many ``times`` faster and starts no more ``processes`` of op.

    With ``times`` 0 the ratio is shown and nothing is asked of it.
    """
    ratio = today.seconds / ours.seconds
    return Row(
        work,
        f"{today.seconds:.1f} s, {today.processes:,} processes of op{note}",
        f"{ours.seconds:.2f} s, {ours.processes} (best of three)",
        f"{ratio:.0f} times faster",
        f"{f'{times:g} times faster, ' if times else ''}at most {processes} process{'es' if processes > 1 else ''}",
        ratio >= times and ours.processes <= processes,
    )


def world() -> dict[str, Any]:
    """A vault file with ITEMS items of FIELDS fields; ``shared`` is a field that all items have."""
    items = [
        {
            "id": f"item{number:022}",
            "title": f"Item {number}",
            "category": "API_CREDENTIAL",
            "fields": [
                {"id": f"f{field}", "type": "CONCEALED", "label": f"f{field}", "value": f"LAB-{number}-{field}"}
                for field in range(FIELDS)
            ],
        }
        for number in range(ITEMS)
    ]
    return {"vaults": [{"id": "v" * 26, "name": "blumeops", "items": items}]}


def other_environment() -> pathlib.Path:
    """``ansible-playbook`` of the package ``ansible``, installed on first use."""
    playbook = OTHER / "bin/ansible-playbook"
    if not playbook.exists():
        venv.create(OTHER, with_pip=True)
        subprocess.run([OTHER / "bin/pip", "install", "-q", "ansible>=12,<13"], check=True)
    return playbook


def play(
    folder: pathlib.Path,
    playbook: pathlib.Path,
    variables: dict[str, str],
    names: Sequence[str],
    hosts: int = 1,
    forks: int = 5,
) -> Run:
    """Run one play that uses every variable of ``names`` once on each of ``hosts`` hosts."""
    how = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": {f"host{n}": how for n in range(hosts)}}}))
    used = " ~ ".join(names) or "'LAB-'"
    tasks = [{"ansible.builtin.assert": {"that": f"({used}) is search('LAB-')", "quiet": True}}]
    content = [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}]
    (folder / "play.yml").write_text(json.dumps(content))
    log = folder / "op.jsonl"
    log.unlink(missing_ok=True)
    environment = {
        "PATH": f"{ROOT / 'lab'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT) if playbook.is_relative_to(ROOT / ".venv") else "",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "LAB_OP_VAULTS": str(folder / "vaults.json"),
        "LAB_OP_LOG": str(log),
        "LAB_OP_LATENCY": LATENCY,
        "LAB_OP_VERSION_LATENCY": LATENCY,
    }
    begun = time.monotonic()
    done = subprocess.run(
        [playbook, "-i", "inventory.json", "-f", str(forks), "play.yml"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - begun
    if done.returncode != 0:
        raise SystemExit(f"the bench's play failed:\n{done.stdout}\n{done.stderr}")
    return Run(seconds, len(log.read_text().splitlines()) if log.exists() else 0)


def one_call(folder: pathlib.Path, ours: pathlib.Path, today: pathlib.Path) -> Row:
    """100 references over 10 items in one call."""
    references = [f"op://blumeops/Item {item}/f{field}" for item in range(ITEMS) for field in range(FIELDS)]
    titles = [f"Item {item}" for item in range(ITEMS) for _ in range(FIELDS)]
    mine = {"found": f"{{{{ query('blumeops.registry.onepassword', *{references}) | join(' ') }}}}"}
    theirs = {
        "found": f"{{{{ query('community.general.onepassword', *{titles}, field='f0', vault='blumeops') | join }}}}"
    }
    best = min((play(folder, ours, mine, ["found"]) for _ in range(3)), key=lambda run: run.seconds)
    return compared(
        f"{ITEMS * FIELDS} references over {ITEMS} items in one call, op of {LATENCY} s",
        play(folder, today, theirs, ["found"]),
        best,
        times=15,
        processes=1,
        note=" (one field for all terms, for a call of theirs has no other way)",
    )


def each_use(folder: pathlib.Path, ours: pathlib.Path, today: pathlib.Path, *, forks: int) -> Row:
    """100 variables over 10 items, each used by 20 hosts, with ``cache: run``.

    In one fork all uses follow each other, so the ratio is that of what they take. In Ansible's five forks theirs wait
    beside each other, while ours wait for the same ten processes of op as in one.
    """
    pairs = [(item, field) for item in range(ITEMS) for field in range(FIELDS)]
    names = [f"secret_{item}_{field}" for item, field in pairs]
    lookup = "{{{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Item {}/f{}', cache='run') }}}}"
    mine = {name: lookup.format(*pair) for name, pair in zip(names, pairs, strict=True)}
    lookup = "{{{{ lookup('community.general.onepassword', 'Item {}', field='f{}', vault='blumeops') }}}}"
    theirs = {name: lookup.format(*pair) for name, pair in zip(names, pairs, strict=True)}
    best = min((play(folder, ours, mine, names, HOSTS, forks) for _ in range(3)), key=lambda run: run.seconds)
    # Theirs: all hosts, and a few of the variables; what the play takes without any is not scaled.
    few = names[: 1 if forks == 1 else 3]
    empty = play(folder, today, theirs, [], HOSTS, forks)
    part = play(folder, today, theirs, few, HOSTS, forks)
    factor = len(names) / len(few)
    scaled = Run(
        empty.seconds + (part.seconds - empty.seconds) * factor, round((part.processes - empty.processes) * factor)
    )
    return compared(
        f"{len(names)} variables over {ITEMS} items, each used by {HOSTS} hosts, `cache: run`, op of {LATENCY} s, "
        f"{'one fork' if forks == 1 else f'{forks} forks'}",
        scaled,
        best,
        times=100 if forks == 1 else 0,
        processes=ITEMS,
        note=f" (scaled from {len(few)} of the variables: {part.seconds:.1f} s, {part.processes})",
    )


def measure() -> list[Row]:
    """All rows of the table."""
    ours, today = ROOT / ".venv/bin/ansible-playbook", other_environment()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        (folder / "vaults.json").write_text(json.dumps(world()))
        return [
            one_call(folder, ours, today),
            each_use(folder, ours, today, forks=1),
            each_use(folder, ours, today, forks=5),
        ]


if __name__ == "__main__":
    sys.exit(show(measure()))
