"""`rate`, `increase`, `delta`, `irate`, `idelta`, `changes`, `resets`: what happened between the samples of a window.

Extrapolation follows Prometheus' `extrapolatedRate` (promql/functions.go): towards the window's ends, by at most 1.1
sample intervals, and for counters never below zero. Counter resets are found once for all windows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tidegate.metrics.promql.panels import Rows, Windows
from tidegate.metrics.promql.values import Flags, Floats

Function: TypeAlias = Callable[[Windows], tuple[Floats, Flags]]


def extrapolated(span: int, *, counter: bool, per_second: bool) -> Function:
    """`rate` (counter, per second), `increase` (counter) and `delta` over windows of `span` milliseconds."""

    def function(windows: Windows) -> tuple[Floats, Flags]:
        first = windows.panel.pick(windows.lo)
        result = windows.panel.pick(windows.hi - 1) - first
        if counter:
            _add_resets(windows, result)
        result *= _factor(windows, first, result if counter else None, span / 1000.0 if per_second else 1.0)
        return result, windows.at_least(2)

    return function


def _factor(windows: Windows, first: Floats, increase: Floats | None, unit: float) -> Floats:
    """How much more happened in the whole window than between its first and last sample, per unit."""
    panel = windows.panel
    first_time, last_time = panel.pick_time(windows.lo), panel.pick_time(windows.hi - 1)
    sampled = (last_time - first_time) / 1000.0
    spacing = sampled / (windows.count - 1)
    to_start = (first_time - windows.starts[:, None]) / 1000.0
    to_end = (windows.ends[:, None] - last_time) / 1000.0
    to_start = np.where(to_start >= spacing * 1.1, spacing / 2, to_start)
    to_end = np.where(to_end >= spacing * 1.1, spacing / 2, to_end)
    wide_sampled: Floats = panel.wide(sampled)
    wide_start: Floats = panel.wide(to_start)
    if increase is not None:
        to_zero = wide_sampled * (first / increase)
        wide_start = np.where((increase > 0) & (first >= 0) & (to_zero < wide_start), to_zero, wide_start)
    factor: Floats = (wide_sampled + wide_start + panel.wide(to_end)) / wide_sampled
    factor = np.where(wide_sampled != 0, factor, 1.0)
    return factor if unit == 1.0 else factor / unit


def _span(windows: Windows) -> tuple[int, int]:
    return int(windows.lo.min()), int(windows.hi.max())


def _columns(windows: Windows, chosen: Rows) -> tuple[Rows, Rows]:
    """lo and hi of some columns: [steps, 1] or [steps, chosen]."""
    lo, hi = windows.panel.wide(windows.lo), windows.panel.wide(windows.hi)
    if lo.shape[1] > 1:
        lo, hi = lo[:, chosen], hi[:, chosen]
    return lo, hi


def _add_resets(windows: Windows, result: Floats) -> None:
    """Add to each window what its counter had before each reset inside the window."""
    low, high = _span(windows)
    if high - low < 2:
        return
    before, after = windows.panel.values[low : high - 1], windows.panel.values[low + 1 : high]
    drops = after < before
    if not bool(drops.any()):
        return
    chosen = np.flatnonzero(drops.any(axis=0))
    lost = np.where(drops[:, chosen], before[:, chosen], 0.0)
    result[:, chosen] += _between(windows, lost, chosen, low)


def _between(windows: Windows, steps: Floats, chosen: Rows, low: int) -> Floats:
    """[steps, chosen]: the sum of `steps[i]` over the pairs of neighbours (i, i+1) inside each window."""
    lo, hi = _columns(windows, chosen)
    lo = np.minimum(lo - low, len(steps))
    hi = np.maximum(hi - 1 - low, lo)
    if len(lo) > 1 and bool(np.isfinite(steps).all()):
        prefix = np.zeros((len(steps) + 1, steps.shape[1]))
        np.cumsum(steps, axis=0, out=prefix[1:])
        if lo.shape[1] == 1:
            return prefix[hi[:, 0]] - prefix[lo[:, 0]]
        return np.take_along_axis(prefix, hi, axis=0) - np.take_along_axis(prefix, lo, axis=0)
    rows = np.arange(len(steps))[:, None]
    sums = np.empty((len(lo), steps.shape[1]))
    for step in range(len(lo)):
        sums[step] = np.where((rows >= lo[step]) & (rows < hi[step]), steps, 0.0).sum(axis=0)
    return sums


def instant(*, counter: bool) -> Function:
    """`irate` (counter) and `idelta`: between the last two samples."""

    def function(windows: Windows) -> tuple[Floats, Flags]:
        panel = windows.panel
        last, previous = panel.pick(windows.hi - 1), panel.pick(windows.hi - 2)
        result = last - previous
        if counter:
            np.copyto(result, last, where=last < previous)
            elapsed = (panel.pick_time(windows.hi - 1) - panel.pick_time(windows.hi - 2)) / 1000.0
            result /= panel.wide(elapsed)
        return result, windows.at_least(2)

    return function


def counted(*, resets: bool) -> Function:
    """`resets` and `changes`: how many neighbours in a window differ so."""

    def function(windows: Windows) -> tuple[Floats, Flags]:
        result = np.zeros((len(windows.lo), windows.panel.values.shape[1]))
        low, high = _span(windows)
        if high - low >= 2:
            before, after = windows.panel.values[low : high - 1], windows.panel.values[low + 1 : high]
            events = after < before if resets else (after != before) & ~(np.isnan(after) & np.isnan(before))
            chosen = np.flatnonzero(events.any(axis=0))
            result[:, chosen] = _between(windows, events[:, chosen].astype(np.float64), chosen, low)
        return result, windows.at_least(1)

    return function
