"""The sample store at its edges: shapes, wrapping, foreign folders, and what a selector shows of a window."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from tests.support import samples
from tidegate.kit import clock, telemetry
from tidegate.metrics import ring, store
from tidegate.model import labels, ports, series

FIRST = labels.make(__name__="m", i="0")
SECOND = labels.make(__name__="m", i="1")


def open_store(folder: pathlib.Path) -> tuple[store.Store, telemetry.Registry]:
    registry = telemetry.Registry()
    return store.Store(folder, clock.SystemClock(), registry, retention=1.0, keep="rules"), registry


def put(table: ports.SampleTable, at: int, values: dict[labels.Labels, float], *, partial: bool = False) -> None:
    places = np.array([table.column(one) for one in values], np.int32)
    table.append(at, places, np.array([*values.values()], np.float64), partial=partial)


def test_a_row_that_is_not_newer_is_dropped_and_counted(tmp_path: pathlib.Path) -> None:
    one, registry = open_store(tmp_path)
    table = one.table("t", 15.0)
    put(table, 10, {FIRST: 1.0})
    put(table, 10, {FIRST: 2.0})
    put(table, 9, {FIRST: 3.0})
    assert samples.read(one) == {labels.text(FIRST): [(10, 1.0)]}
    assert registry.get_sample_value("tidegate_store_rows_dropped_total", {"reason": "out_of_order"}) == 2


def test_a_partial_row_ends_nothing_and_the_next_full_one_does(tmp_path: pathlib.Path) -> None:
    one, _ = open_store(tmp_path)
    table = one.table("t", 15.0)
    put(table, 1, {FIRST: 1.0, SECOND: 1.0})
    put(table, 2, {SECOND: 2.0}, partial=True)
    put(table, 3, {SECOND: 3.0})
    assert samples.read(one) == {
        labels.text(FIRST): [(1, 1.0), (3, "stale")],
        labels.text(SECOND): [(1, 1.0), (2, 2.0), (3, 3.0)],
    }


def test_end_marks_each_live_series_once(tmp_path: pathlib.Path) -> None:
    one, _ = open_store(tmp_path)
    table = one.table("t", 15.0)
    put(table, 1, {FIRST: 1.0})
    table.end(2)
    table.end(3)
    assert samples.read(one) == {labels.text(FIRST): [(1, 1.0), (2, "stale")]}


def test_the_time_between_stop_and_restart_is_a_gap_without_a_marker(tmp_path: pathlib.Path) -> None:
    one, _ = open_store(tmp_path)
    put(one.table("t", 15.0), 1000, {FIRST: 1.0})
    one.close()
    again, _ = open_store(tmp_path)
    assert samples.read(again) == {labels.text(FIRST): [(1000, 1.0)]}
    put(again.table("t", 15.0), 900_000, {FIRST: 2.0})
    assert samples.read(again) == {labels.text(FIRST): [(1000, 1.0), (900_000, 2.0)]}


def test_a_window_is_in_order_wherever_the_ring_wraps(tmp_path: pathlib.Path) -> None:
    one, _ = open_store(tmp_path)
    table = one.table("t", 15.0)
    for at in range(1, 100):
        put(table, at, {FIRST: float(at), SECOND: -float(at)})
        low = max(at - 15, 0)
        shown = samples.read(one, low, at)
        assert shown[labels.text(FIRST)] == [(then, float(then)) for then in range(low + 1, at + 1)]
        assert shown[labels.text(SECOND)] == [(then, -float(then)) for then in range(low + 1, at + 1)]


def test_the_window_is_open_on_the_left_and_closed_on_the_right(tmp_path: pathlib.Path) -> None:
    one, _ = open_store(tmp_path)
    table = one.table("t", 15.0)
    for at in (10, 20, 30):
        put(table, at, {FIRST: float(at)})
    assert samples.read(one, 10, 20) == {labels.text(FIRST): [(20, 20.0)]}
    assert samples.read(one, 30, 40) == {}


@pytest.mark.parametrize("columns", [[0, 0], [-1], [7]])
def test_a_row_with_wrong_columns_is_refused_and_changes_nothing(tmp_path: pathlib.Path, columns: list[int]) -> None:
    one, _ = open_store(tmp_path)
    table = one.table("t", 15.0)
    put(table, 1, {FIRST: 1.0})
    with pytest.raises(ValueError, match=r"twice|no series"):
        table.append(2, np.array(columns, np.int32), np.ones(len(columns)))
    assert samples.read(one) == {labels.text(FIRST): [(1, 1.0)]}


def test_more_series_than_the_first_ring_has_columns_keep_their_samples(tmp_path: pathlib.Path) -> None:
    one, _ = open_store(tmp_path)
    table = one.table("t", 15.0)
    many = [labels.make(__name__="m", i=str(number)) for number in range(300)]
    for at in range(1, 11):
        put(table, at, {series_: float(at) for series_ in many[: 30 * at]})
    shown = samples.read(one)
    assert len(shown) == 300
    assert shown[labels.text(many[0])] == [(at, float(at)) for at in range(1, 11)]
    assert shown[labels.text(many[299])] == [(10, 10.0)]


def test_special_values_come_back_bit_for_bit(tmp_path: pathlib.Path) -> None:
    one, _ = open_store(tmp_path)
    table = one.table("t", 15.0)
    cells = np.array([0x7FF8000000000001, -(1 << 63), 1, 0x7FF0000000000000, series.STALE_BITS], np.int64)
    for at, cell in enumerate(cells, 1):
        table.append(at, np.array([table.column(FIRST)], np.int32), np.array([cell]).view(np.float64))
    found = one.select(samples.EVERYTHING, 0, 10).blocks[0]
    assert np.array(found.values[:, 0]).view(np.int64).tolist() == cells.tolist()


def test_a_ring_file_says_how_it_is_torn(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ring"
    ring.Ring(path, slots=32, columns=4)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ring.TornError, match="32 slots of 4 columns"):
        ring.Ring(path)
