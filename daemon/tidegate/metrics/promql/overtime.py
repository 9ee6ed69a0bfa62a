"""`*_over_time`: one number for all samples of a window.

Each function sees the samples of one step's windows as rows and reduces them, all columns at once. Where many windows
overlap, sums come from prefix sums and extremes from tables of doubling spans instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from tidegate.metrics.promql import sums
from tidegate.metrics.promql.panels import Rows, Windows
from tidegate.metrics.promql.values import Flags, Floats

Function: TypeAlias = Callable[[Windows], tuple[Floats, Flags]]
Slab: TypeAlias = Callable[[Floats, Flags | None], Floats]
"""Reduces [rows, columns] with an optional mask to [columns]."""

_OVERLAP = 4
"""From how many times the panel's size in window cells the shared tables pay."""


def _each(windows: Windows, reduce: Slab) -> Floats:
    result = np.zeros((len(windows.lo), windows.panel.values.shape[1]))
    for step, first, last, mask in windows.slabs():
        if last > first:
            result[step] = reduce(windows.panel.values[first:last], mask)
    return result


def _overlapping(windows: Windows) -> bool:
    spans = int((windows.hi.max(axis=1) - windows.lo.min(axis=1)).sum())
    return len(windows.lo) > 1 and spans > _OVERLAP * len(windows.panel.values)


def _counts(rows: Floats, mask: Flags | None) -> Floats:
    return np.full(rows.shape[1], float(len(rows))) if mask is None else mask.sum(axis=0).astype(np.float64)


def _kept(rows: Floats, mask: Flags | None, otherwise: float) -> Floats:
    return rows if mask is None else np.where(mask, rows, otherwise)


# --- picking one sample ------------------------------------------------------------------------------------------


def last(windows: Windows) -> tuple[Floats, Flags]:
    """`last_over_time`."""
    return windows.panel.pick(windows.hi - 1), windows.at_least(1)


def first(windows: Windows) -> tuple[Floats, Flags]:
    """`first_over_time`."""
    return windows.panel.pick(windows.lo), windows.at_least(1)


def count(windows: Windows) -> tuple[Floats, Flags]:
    """`count_over_time`."""
    shape = (len(windows.lo), windows.panel.values.shape[1])
    return np.broadcast_to(windows.panel.wide(windows.count).astype(np.float64), shape), windows.at_least(1)


def present(windows: Windows) -> tuple[Floats, Flags]:
    """`present_over_time`."""
    return np.ones((len(windows.lo), windows.panel.values.shape[1])), windows.at_least(1)


# --- sums --------------------------------------------------------------------------------------------------------


def _sum(rows: Floats, mask: Flags | None) -> Floats:
    return sums.total(_kept(rows, mask, 0.0), sums.over_rows(len(rows)))


def _mean(rows: Floats, mask: Flags | None) -> Floats:
    return sums.mean(_kept(rows, mask, 0.0), sums.over_rows(len(rows)), _counts(rows, mask))


def _prefix(values: Floats, low: int, high: int) -> Floats:
    prefix = np.zeros((high - low + 1, values.shape[1]))
    np.cumsum(values[low:high], axis=0, out=prefix[1:])
    return prefix


def _difference(windows: Windows, prefix: Floats, low: int) -> Floats:
    lo, hi = windows.panel.wide(windows.lo) - low, windows.panel.wide(windows.hi) - low
    if lo.shape[1] == 1:
        return prefix[hi[:, 0]] - prefix[lo[:, 0]]
    return np.take_along_axis(prefix, hi, axis=0) - np.take_along_axis(prefix, lo, axis=0)


def _summed(reduce: Slab, *, mean: bool) -> Function:
    def function(windows: Windows) -> tuple[Floats, Flags]:
        if not _overlapping(windows):
            return _each(windows, reduce), windows.at_least(1)
        low, high = int(windows.lo.min()), int(windows.hi.max())
        if not bool(np.isfinite(windows.panel.values[low:high]).all()):
            return _each(windows, reduce), windows.at_least(1)
        result = _difference(windows, _prefix(windows.panel.values, low, high), low)
        weight = _prefix(np.abs(windows.panel.values), low, high)
        lost = weight.max(axis=0)[None] * 2.0**-52
        doubtful = np.flatnonzero((~(lost * 1e3 <= 1e-9 * np.abs(result)) & windows.at_least(1)).any(axis=1))
        if mean:
            result = result / windows.panel.wide(windows.count)
        if len(doubtful):
            result[doubtful] = _each(windows.part(doubtful), reduce)
        return result, windows.at_least(1)

    return function


total = _summed(_sum, mean=False)
"""`sum_over_time`."""
average = _summed(_mean, mean=True)
"""`avg_over_time`."""


# --- extremes ----------------------------------------------------------------------------------------------------


def extreme(kind: Literal["min", "max"]) -> Function:
    """`min_over_time` and `max_over_time`; NaN only where there is nothing else."""
    pick = np.fmin if kind == "min" else np.fmax

    def reduce(rows: Floats, mask: Flags | None) -> Floats:
        result: Floats = pick.reduce(_kept(rows, mask, np.nan), axis=0)
        return result

    def function(windows: Windows) -> tuple[Floats, Flags]:
        if _overlapping(windows):
            return _doubled(windows, pick), windows.at_least(1)
        return _each(windows, reduce), windows.at_least(1)

    return function


def _doubled(windows: Windows, pick: np.ufunc) -> Floats:
    """Each window is covered by two spans of a power of two: the extremes of all such spans are made once."""
    lo, hi = windows.panel.wide(windows.lo), windows.panel.wide(windows.hi)
    counts = np.maximum(hi - lo, 1)
    level = np.floor(np.log2(counts)).astype(np.int64)
    table, rows = windows.panel.values, len(windows.panel.values)
    result = np.full((len(lo), table.shape[1]), np.nan)
    for power in range(int(level.max()) + 1):
        if power:
            half = 1 << (power - 1)
            table = pick(table[:-half], table[half:])
        chosen = level == power
        if bool(chosen.any()):
            top = rows - (1 << power)
            left, right = np.minimum(lo, top), np.clip(hi - (1 << power), 0, top)
            found = pick(_rows(table, left), _rows(table, right))
            result = np.where(chosen, found, result)
    return result


def _rows(table: Floats, index: Rows) -> Floats:
    found = table[index[:, 0]] if index.shape[1] == 1 else np.take_along_axis(table, index, axis=0)
    return np.asarray(found, np.float64)


# --- when --------------------------------------------------------------------------------------------------------


def _seconds(windows: Windows, rows: Rows) -> Floats:
    shape = (len(windows.lo), windows.panel.values.shape[1])
    return np.broadcast_to(windows.panel.wide(windows.panel.pick_time(rows)) / 1000.0, shape).copy()


def time_of_first(windows: Windows) -> tuple[Floats, Flags]:
    """`ts_of_first_over_time`, in seconds."""
    return _seconds(windows, windows.lo), windows.at_least(1)


def time_of_last(windows: Windows) -> tuple[Floats, Flags]:
    """`ts_of_last_over_time`, in seconds."""
    return _seconds(windows, windows.hi - 1), windows.at_least(1)


def time_of_extreme(kind: Literal["min", "max"]) -> Function:
    """`ts_of_max_over_time` and `ts_of_min_over_time`: of the last of several equal ones; NaN only where all are."""
    better = np.less_equal if kind == "min" else np.greater_equal

    def function(windows: Windows) -> tuple[Floats, Flags]:
        return _times_of(windows, _places(windows, better)), windows.at_least(1)

    return function


def _times_of(windows: Windows, rows: Rows) -> Floats:
    panel = windows.panel
    times = np.broadcast_to(panel.wide(panel.times), panel.values.shape)
    return np.take_along_axis(times, rows, axis=0) / 1000.0


def _places(windows: Windows, better: np.ufunc) -> Rows:
    """[steps, columns]: the row of the last of each window's best samples, from a table of doubling spans like `_doubled`."""
    lo, hi = windows.panel.wide(windows.lo), windows.panel.wide(windows.hi)
    level = np.floor(np.log2(np.maximum(hi - lo, 1))).astype(np.int64)
    best, rows = windows.panel.values, len(windows.panel.values)
    place = np.broadcast_to(np.arange(rows)[:, None], best.shape)
    result = np.zeros((len(lo), best.shape[1]), np.int64)
    for power in range(int(level.max()) + 1):
        windows.check()
        if power:
            half = 1 << (power - 1)
            later = better(best[half:], best[:-half]) | np.isnan(best[:-half])
            best, place = np.where(later, best[half:], best[:-half]), np.where(later, place[half:], place[:-half])
        chosen = level == power
        if bool(chosen.any()):
            top = rows - (1 << power)
            left, right = np.minimum(lo, top), np.clip(hi - (1 << power), 0, top)
            before, after = _rows(best, left), _rows(best, right)
            later = better(after, before) | np.isnan(before)
            np.copyto(result, np.where(later, _at(place, right), _at(place, left)), where=chosen)
    return result


def _at(places: Rows, index: Rows) -> Rows:
    found: Rows = places[index[:, 0]] if index.shape[1] == 1 else np.take_along_axis(places, index, axis=0)
    return found
