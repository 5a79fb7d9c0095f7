"""One line of the table of figures, the same for all measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """What was done, how long it takes today and with this collection, what came of it, and its bar."""

    work: str
    today: str
    ours: str
    measured: str = ""
    bar: str = ""
    holds: bool = True

    def __str__(self) -> str:
        mark = ("holds" if self.holds else "MISSED") if self.bar else ""
        return f"| {self.work} | {self.today} | {self.ours} | {self.measured} | {self.bar} | {mark} |"


HEAD = "| work | today | this collection | measured | must be | |\n| --- | --- | --- | --- | --- | --- |"


def show(rows: Sequence[Row]) -> int:
    """Print the table; returns 1 where a bar does not hold, for the exit status."""
    print(HEAD)
    for row in rows:
        print(row)
    return int(not all(row.holds for row in rows))
