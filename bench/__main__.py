"""``make bench``: every figure that the project claims, side by side with what people use today, in one run.

``--write`` puts the table into docs/bench.md, with the date and the versions.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys

from bench import bench_forgejo, bench_onepassword, bench_policy
from bench.table import HEAD, Row, show
from lab.running import ROOT

TEXT = """# Figures

`make bench` prints this table, and exits with 1 where a bar does not hold. Everything is measured in one run, side by
side, against the stand-ins of the lab; whole processes unless a line says otherwise. Ratios are what counts: the
seconds are those of one machine.

{table}

Measured on {date} with {versions}, on {machine}.
"""


def versions() -> str:
    """What was measured, by name and version."""
    names = ("ansible-core", "requests", "onepasswordconnectsdk")
    ours = [f"{name} {importlib.metadata.version(name)}" for name in names]
    galaxy = ROOT / ".venv-bench" / "bin" / "ansible-galaxy"
    listed = [galaxy, "collection", "list", "--format", "json", "community.general"]
    other = subprocess.run(listed, capture_output=True, text=True, check=True)
    (found,) = {about["community.general"]["version"] for about in json.loads(other.stdout).values() if about}
    return ", ".join([f"Python {platform.python_version()}", *ours, f"community.general {found}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/bench.md")
    write = parser.parse_args().write
    rows: list[Row] = [*bench_forgejo.measure(), *bench_onepassword.measure(), *bench_policy.measure()]
    status = show(rows)
    if write:
        text = TEXT.format(
            table="\n".join([HEAD, *map(str, rows)]),
            date=datetime.date.today().isoformat(),
            versions=versions(),
            machine=f"{os.cpu_count()} processors ({platform.system()} {platform.machine()})",
        )
        (ROOT / "docs" / "bench.md").write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
