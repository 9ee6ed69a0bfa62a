"""Samples that come in any order of series: what a table takes, what it shows, and what one who follows it is given."""

from __future__ import annotations

import pathlib
import random

import numpy as np
import pytest

from tests.gate import fakes
from tests.support import samples
from tidegate.kit import telemetry
from tidegate.metrics import store as store_
from tidegate.metrics import table as table_
from tidegate.model import labels, series

SERIES = 4


class Follower:
    """Reads what is new, again and again."""

    def __init__(self, table: table_.Table) -> None:
        self._table = table
        self._at, self._fillings, self._written = 0, 0, -1
        self.got: dict[int, list[tuple[int, float]]] = {}
        self.skipped = 0

    def read(self, most: int) -> None:
        rows = self._table.after(self._at, self._fillings, self._written, most)
        self._fillings, self._written = rows.fillings, rows.written
        self.skipped += rows.skipped
        for at_ms, columns, values in rows.late:
            self._take(at_ms, columns.tolist(), values)
        for at_ms, values in zip(rows.times.tolist(), rows.values, strict=True):
            present = np.flatnonzero(values.view(np.int64) != series.ABSENT_BITS)
            self._take(at_ms, present.tolist(), values[present])
            self._at = at_ms

    def _take(self, at_ms: int, columns: list[int], values: series.Values) -> None:
        for column, value in zip(columns, values.tolist(), strict=True):
            self.got.setdefault(column, []).append((at_ms, value))


def drawn(rng: random.Random, base: int) -> dict[int, dict[int, float]]:
    """Rows: values by column, by time."""
    rows: dict[int, dict[int, float]] = {}
    for _ in range(rng.randint(1, 5)):
        at_ms = 1000 * (base + rng.randint(0, 8))
        rows.setdefault(at_ms, {})[rng.randrange(SERIES)] = float(rng.randint(0, 3))
    return rows


@pytest.mark.parametrize("seed", range(40))
def test_each_series_is_ordered_by_itself(tmp_path: pathlib.Path, seed: int) -> None:
    rng = random.Random(seed)
    store = store_.Store(tmp_path, fakes.Clock(), telemetry.Registry(), retention=60.0)
    table = store.own_table("t", 15.0)
    names = [labels.make(__name__=f"m{number}") for number in range(SERIES)]
    kept: dict[int, list[tuple[int, float]]] = {number: [] for number in range(SERIES)}
    follower = Follower(table)
    for step in range(200):
        rows = drawn(rng, step + 1)
        columns = {number: table.column(names[number]) for row in rows.values() for number in row}
        given = [
            (at_ms, np.array([columns[each] for each in row], np.int32), np.array(list(row.values())))
            for at_ms, row in sorted(rows.items())
        ]
        late = duplicates = 0
        for at_ms, row in sorted(rows.items()):
            for number, value in row.items():
                newest = kept[number][-1] if kept[number] else (0, 0.0)
                if at_ms < newest[0]:
                    late += 1
                elif at_ms == newest[0]:
                    duplicates += newest[1] != value
                else:
                    kept[number].append((at_ms, value))
        assert table.fill(given) == table_.Filled(duplicates, late)
        if rng.random() < 0.5:
            follower.read(rng.randint(1, 9))
        if rng.random() < 0.05:
            store.sweep()
    for _ in range(200):
        follower.read(3)
    assert follower.skipped == 0
    found = samples.read(store)
    for number, name in enumerate(names):
        expected = kept[number]
        assert follower.got[table.column(name)] == expected
        shown = found[labels.text(name)]
        assert len(shown) > 2
        assert shown == expected[-len(shown) :]


def test_rows_older_than_a_full_ring_are_refused(tmp_path: pathlib.Path) -> None:
    store = store_.Store(tmp_path, fakes.Clock(), telemetry.Registry(), retention=60.0)
    table = store.own_table("t", 15.0)
    one, other = (table.column(labels.make(__name__=name)) for name in "ab")
    for step in range(100):
        table.fill([(1000 * (step + 1), np.array([one], np.int32), np.array([float(step)]))])
    assert table.fill([(500, np.array([other], np.int32), np.array([1.0]))]) == table_.Filled(0, 1)
    assert table.fill([(99_500, np.array([other], np.int32), np.array([1.0]))]) == table_.Filled(0, 0)
    assert samples.read(store)["b"] == [(99_500, 1.0)]


def test_what_was_filled_is_there_after_a_restart(tmp_path: pathlib.Path) -> None:
    store = store_.Store(tmp_path, fakes.Clock(), telemetry.Registry())
    table = store.own_table("t", 15.0)
    one, other = (table.column(labels.make(__name__=name)) for name in "ab")
    table.fill([(at, np.array([one], np.int32), np.array([1.0])) for at in (1000, 3000)])
    table.fill([(at, np.array([other], np.int32), np.array([2.0])) for at in (2000, 2500)])
    again = store_.Store(tmp_path, fakes.Clock(), telemetry.Registry())
    assert samples.read(again) == {"a": [(1000, 1.0), (3000, 1.0)], "b": [(2000, 2.0), (2500, 2.0)]}
