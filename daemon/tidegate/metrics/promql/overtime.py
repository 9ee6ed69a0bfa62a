"""`*_over_time`, `deriv` and `predict_linear`: one number for all samples of a window.

Each function sees the samples of one step's windows as rows and reduces them, all columns at once. Where many windows
overlap, sums come from prefix sums and extremes from tables of doubling spans instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from tidegate.metrics.promql import sums
from tidegate.metrics.promql.panels import Rows, Windows
from tidegate.metrics.promql.values import Flags, Floats, Times

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


def _variance(rows: Floats, mask: Flags | None) -> Floats:
    counts, shape = _counts(rows, mask), sums.over_rows(len(rows))
    anchor = rows[0] if mask is None else rows[mask.argmax(axis=0), np.arange(rows.shape[1])]
    shifted = _kept(rows - anchor, mask, 0.0)
    centred = _kept(shifted - sums.mean(shifted, shape, counts), mask, 0.0)
    return sums.total(centred * centred, shape) / counts


def variance(windows: Windows) -> tuple[Floats, Flags]:
    """`stdvar_over_time`."""
    return _each(windows, _variance), windows.at_least(1)


def deviation(windows: Windows) -> tuple[Floats, Flags]:
    """`stddev_over_time`."""
    return np.sqrt(_each(windows, _variance)), windows.at_least(1)


# --- extremes and quantiles --------------------------------------------------------------------------------------


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


def quantile(windows: Windows, levels: Floats) -> tuple[Floats, Flags]:
    """`quantile_over_time`; `levels` [steps]. NaN samples count as smaller than all others."""
    result = np.zeros((len(windows.lo), windows.panel.values.shape[1]))
    for step, begin, end, mask in windows.slabs():
        if end > begin:
            rows = windows.panel.values[begin:end]
            result[step] = quantiles(
                np.sort(_kept(rows, mask, np.inf), axis=0), _holes(rows, mask), _counts(rows, mask), levels[step]
            )
    return result, windows.at_least(1)


def _holes(rows: Floats, mask: Flags | None) -> Floats:
    found: Floats = np.isnan(_kept(rows, mask, 0.0)).sum(axis=0, dtype=np.float64)
    return found


def quantiles(ordered: Floats, nans: Floats, counts: Floats, level: float) -> Floats:
    """Quantiles of sorted columns (NaN last in the rows, though they rank first), by Prometheus' interpolation."""
    if np.isnan(level):
        return np.full(len(counts), np.nan)
    if level < 0 or level > 1:
        return np.full(len(counts), -np.inf if level < 0 else np.inf)
    rank = level * (counts - 1)
    lower = np.maximum(np.floor(rank), 0)
    upper = np.minimum(counts - 1, lower + 1)
    weight = rank - np.floor(rank)
    low = _ranked(ordered, lower - nans)
    return np.where(weight == 0, low, low * (1 - weight) + _ranked(ordered, upper - nans) * weight)


def _ranked(ordered: Floats, rank: Floats) -> Floats:
    index = np.clip(rank, 0, len(ordered) - 1).astype(np.int64)
    return np.where(rank < 0, np.nan, ordered[index, np.arange(ordered.shape[1])])


def median_deviation(windows: Windows) -> tuple[Floats, Flags]:
    """`mad_over_time`: the median distance from the median; NaN as soon as one sample is."""

    def reduce(rows: Floats, mask: Flags | None) -> Floats:
        counts = _counts(rows, mask)
        none = np.zeros(rows.shape[1])
        median = quantiles(np.sort(_kept(rows, mask, np.inf), axis=0), none, counts, 0.5)
        apart = np.abs(rows - median)
        ordered = np.sort(_kept(apart, mask, np.inf), axis=0)
        return np.where(_holes(rows, mask) > 0, np.nan, quantiles(ordered, _holes(apart, mask), counts, 0.5))

    return _each(windows, reduce), windows.at_least(1)


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
    pick = np.fmin if kind == "min" else np.fmax

    def function(windows: Windows) -> tuple[Floats, Flags]:
        panel = windows.panel
        result = np.zeros((len(windows.lo), panel.values.shape[1]))
        for step, begin, end, mask in windows.slabs():
            if end > begin:
                rows = panel.values[begin:end]
                there = np.ones(rows.shape, np.bool_) if mask is None else np.broadcast_to(mask, rows.shape)
                best = pick.reduce(np.where(there, rows, np.nan), axis=0)
                hits = there & ((rows == best) | np.isnan(best))
                found = len(rows) - 1 - hits[::-1].argmax(axis=0)
                times = np.broadcast_to(panel.wide(panel.times[begin:end]), rows.shape)
                result[step] = times[found, np.arange(rows.shape[1])] / 1000.0
        return result, windows.at_least(1)

    return function


def smoothed(windows: Windows, factors: Floats, trends: Floats) -> tuple[Floats, Flags]:
    """`double_exponential_smoothing`; both factors [steps], between 0 and 1."""
    result = np.zeros((len(windows.lo), windows.panel.values.shape[1]))
    for step, begin, end, mask in windows.slabs():
        if end - begin > 1:
            rows = windows.panel.values[begin:end]
            there = np.ones(rows.shape, np.bool_) if mask is None else np.broadcast_to(mask, rows.shape)
            result[step] = _levels(rows, there, float(factors[step]), float(trends[step]))
    return result, windows.at_least(2)


def _levels(rows: Floats, there: Flags, factor: float, trend: float) -> Floats:
    """The smoothed level after the last sample of each column."""
    level, before, slope_ = np.zeros(rows.shape[1]), np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    seen = np.zeros(rows.shape[1], np.int64)
    for row, here in zip(rows, there, strict=True):
        slope_ = np.where(here & (seen == 1), row - level, slope_)
        slope_ = np.where(here & (seen > 1), trend * (level - before) + (1 - trend) * slope_, slope_)
        fresh = factor * row + (1 - factor) * (level + slope_)
        before = np.where(here & (seen > 0), level, before)
        level = np.where(here, np.where(seen == 0, row, fresh), level)
        seen = seen + here
    return level


# --- straight lines ----------------------------------------------------------------------------------------------


def slope(windows: Windows) -> tuple[Floats, Flags]:
    """`deriv`: the slope of the least-squares line, per second."""
    return _line(windows, None), windows.at_least(2)


def predict(windows: Windows, steps: Times, ahead: Floats) -> tuple[Floats, Flags]:
    """`predict_linear`: the least-squares line `ahead` seconds after each step; both [steps], `steps` in milliseconds."""
    return _line(windows, (steps - windows.ends) / 1000.0 + ahead), windows.at_least(2)


def _line(windows: Windows, target: Floats | None) -> Floats:
    panel = windows.panel
    result = np.zeros((len(windows.lo), panel.values.shape[1]))
    for step, begin, end, mask in windows.slabs():
        if end - begin < 2:
            continue
        origin = int(windows.ends[step])
        clock = (panel.wide(panel.times[begin:end]) - origin) / 1000.0
        at = None if target is None else float(target[step])
        result[step] = _fitted(
            panel.values[begin:end], np.broadcast_to(clock, (end - begin, result.shape[1])), mask, at
        )
    return result


def _fitted(y: Floats, x: Floats, mask: Flags | None, at: float | None) -> Floats:
    counts, shape = _counts(y, mask), sums.over_rows(len(y))
    start = y[0] if mask is None else y[mask.argmax(axis=0), np.arange(y.shape[1])]
    constant = (y == start if mask is None else (y == start) | ~mask).all(axis=0)
    x_mean = sums.mean(_kept(x, mask, 0.0), shape, counts)
    y_mean = sums.mean(_kept(y, mask, 0.0), shape, counts)
    x_off, y_off = _kept(x - x_mean, mask, 0.0), _kept(y - y_mean, mask, 0.0)
    gradient = sums.total(x_off * y_off, shape) / sums.total(x_off * x_off, shape)
    flat = np.where(np.isinf(start), np.nan, 0.0)
    gradient = np.where(constant, flat, gradient)
    if at is None:
        return gradient
    return np.where(constant, start + flat + 0.0 * at, y_mean + gradient * (at - x_mean))
