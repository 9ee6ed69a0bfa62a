"""The table of what became of the lines of each case: rows as tests write them, and the published page made of them."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable

from tests.faults import cases

VARIABLE = "TIDEGATE_FAULTS_TABLE"
"""Of the environment: the file that rows are appended to, when the whole table is wanted."""
FAKE = "fake"
HEAD = "case, lost, doubled-sent, doubled-stored, counted"


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What became of the lines of one case."""

    case: str
    lost: int
    doubled_sent: int
    doubled_stored: int
    counted: int
    by: str = ""
    """The counter that the agent exports."""
    server: str = FAKE

    def text(self) -> str:
        """As it is printed."""
        return f"{self.case}, {self.lost}, {self.doubled_sent}, {self.doubled_stored}, {self.counted}"


def add(row: Row) -> None:
    """Print a row, and keep it when the whole table is wanted and names its case."""
    print(row.text())
    if (path := os.environ.get(VARIABLE)) and row.case in cases.ALL:
        with pathlib.Path(path).open("a") as file:
            file.write(json.dumps(dataclasses.asdict(row)) + "\n")


def load(path: pathlib.Path) -> list[Row]:
    """Every row that was kept, in the order of the cases."""
    found = {Row(**json.loads(line)) for line in path.read_text().splitlines()}
    return sorted(found, key=lambda row: (cases.ALL.index(row.case), row.server, dataclasses.astuple(row)))


def missing(rows: Iterable[Row]) -> list[str]:
    """Cases without a row."""
    had = {row.case for row in rows}
    return [name for name in cases.ALL if name not in had]


def markdown(rows: Iterable[Row]) -> str:
    """Tables for the page, one for each group."""
    rows, parts = list(rows), []
    for group, names in cases.GROUPS.items():
        lines = [_line(row) for name in names for row in rows if row.case == name]
        head = "| case | lost | doubled, sent | doubled, stored | counted |\n|---|---|---|---|---|\n"
        parts.append(f"### {group}\n\n{head}" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(row: Row) -> str:
    counted = f"{row.counted} in `tidegate_logs_{row.by}`" if row.by else "-"
    name = row.case if row.server == FAKE else f"{row.case} ({row.server})"
    return f"| {name} | {row.lost} | {row.doubled_sent} | {row.doubled_stored} | {counted} |"
