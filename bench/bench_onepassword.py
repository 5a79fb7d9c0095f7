"""Secrets of 1Password by ansible-playbook: the lookup of this collection and that of community.general, side by side.

``python -m bench.bench_onepassword`` prints one line a measurement. Both sides run the same ``lab/op``, each of whose
processes takes 0.25 s from start to end, in Ansible's default number of forks, each as a whole ``ansible-playbook``;
community.general comes with the package ``ansible`` in its own environment, ``.venv-bench``. What is measured on fewer
uses than the row says is scaled, and the row says so.
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

ROOT = pathlib.Path(__file__).resolve().parent.parent
OTHER = ROOT / ".venv-bench"
LATENCY = "0.25"
ITEMS, FIELDS, HOSTS = 10, 10, 20


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One ansible-playbook: its seconds, and the processes of op that it started."""

    seconds: float
    processes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``bar`` is the ratio that must be reached; ``most`` bounds the processes of op."""

    work: str
    today: Run
    ours: Run
    bar: float
    most: int
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.today.seconds / self.ours.seconds

    @property
    def holds(self) -> bool:
        return self.ratio >= self.bar and self.ours.processes <= self.most

    def __str__(self) -> str:
        return (
            f"{self.work}: {self.today.seconds:.1f} s and {self.today.processes} processes of op today, "
            f"{self.ours.seconds:.2f} s and {self.ours.processes} here: {self.ratio:.0f} times faster "
            f"(at least {self.bar:.0f}, at most {self.most} processes: {'holds' if self.holds else 'MISSED'})"
            f"{f'; {self.note}' if self.note else ''}"
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
    folder: pathlib.Path, playbook: pathlib.Path, variables: dict[str, str], names: Sequence[str], hosts: int
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
        [playbook, "-i", "inventory.json", "play.yml"], cwd=folder, env=environment, capture_output=True, text=True
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
    best = min((play(folder, ours, mine, ["found"], 1) for _ in range(3)), key=lambda run: run.seconds)
    return Row(
        f"{ITEMS * FIELDS} references over {ITEMS} items in one call",
        play(folder, today, theirs, ["found"], 1),
        best,
        bar=15,
        most=1,
        note="one call of theirs has one field for all its terms",
    )


def each_use(folder: pathlib.Path, ours: pathlib.Path, today: pathlib.Path) -> Row:
    """100 variables over 10 items, each used by 20 hosts, with ``cache: run``."""
    pairs = [(item, field) for item in range(ITEMS) for field in range(FIELDS)]
    names = [f"secret_{item}_{field}" for item, field in pairs]
    lookup = "{{{{ lookup('blumeops.registry.onepassword', 'op://blumeops/Item {}/f{}', cache='run') }}}}"
    mine = {name: lookup.format(*pair) for name, pair in zip(names, pairs, strict=True)}
    lookup = "{{{{ lookup('community.general.onepassword', 'Item {}', field='f{}', vault='blumeops') }}}}"
    theirs = {name: lookup.format(*pair) for name, pair in zip(names, pairs, strict=True)}
    best = min((play(folder, ours, mine, names, HOSTS) for _ in range(3)), key=lambda run: run.seconds)
    # Theirs: all hosts, so in as many forks, with few of the variables; what the play takes without any is not scaled.
    few = names[:3]
    empty = play(folder, today, theirs, [], HOSTS)
    part = play(folder, today, theirs, few, HOSTS)
    factor = len(names) / len(few)
    scaled = Run(
        empty.seconds + (part.seconds - empty.seconds) * factor, round((part.processes - empty.processes) * factor)
    )
    return Row(
        f"{len(names)} variables over {ITEMS} items, each used by {HOSTS} hosts, cache: run",
        scaled,
        best,
        bar=100,
        most=ITEMS,
        note=f"today measured with {len(few)} variables ({part.seconds:.1f} s, {part.processes} processes) and scaled",
    )


def measure() -> list[Row]:
    """Both measurements."""
    ours, today = ROOT / ".venv/bin/ansible-playbook", other_environment()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        (folder / "vaults.json").write_text(json.dumps(world()))
        return [one_call(folder, ours, today), each_use(folder, ours, today)]


def main() -> None:
    """Print the measurements; exit status 1 where a bar is missed."""
    rows = measure()
    for row in rows:
        print(row)
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
