"""How far tables were sent, as it is found again: after a kill, after growing, and after damage."""

from __future__ import annotations

import pathlib

import pytest

from tidegate.metrics.remote import positions


def test_positions_outlive_the_process(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.positions"
    first = positions.Positions(path, 1000)
    tables = [f"t{number}" for number in range(3 * positions.FIRST)]
    for number, table in enumerate(tables):
        first.put(table, 2000 + number)
    first.put("t0", 9000)
    again = positions.Positions(path, 5000, [*tables[:-1], "new"])
    assert (again.since, again.get("new"), again.get("t0"), again.get("t7")) == (1000, 1000, 9000, 2007)
    assert again.get(tables[-1]) == 1000, "a table that is gone is forgotten"
    third = positions.Positions(path, 6000, tables)
    assert [third.get(table) for table in tables[1:-1]] == [2000 + number for number in range(1, len(tables) - 1)]


@pytest.mark.parametrize("raw", [b"", b"short", b"x" * 64, b"TIDESENT1" + bytes(24)])
def test_a_file_that_is_none_is_set_aside(tmp_path: pathlib.Path, raw: bytes) -> None:
    path = tmp_path / "x.positions"
    path.write_bytes(raw)
    made = positions.Positions(path, 7000, ["t"])
    assert (made.since, made.get("t")) == (7000, 7000)
    assert path.with_suffix(".bad").read_bytes() == raw
    assert positions.Positions(path, 8000).since == 7000
