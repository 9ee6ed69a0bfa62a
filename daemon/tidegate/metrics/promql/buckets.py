"""`histogram_quantile` and `histogram_fraction` over classic histograms (`le` buckets).

Buckets of all histograms lie in arrays [steps, histograms, buckets]; loops run over bucket positions only. Repair of
counts that are not monotonic, and interpolation, follow Prometheus (promql/quantile.go).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from tidegate.metrics.promql import frames, notes
from tidegate.metrics.promql import histograms as histograms_
from tidegate.metrics.promql.values import Context, Floats, ScalarNode, Vec, VectorNode, merge, unnamed
from tidegate.model import labels as labels_

_REPAIRED = (
    "input to histogram_quantile needed to be fixed for monotonicity "
    "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)
_SMALL = 1e-12
_TINY = np.finfo(np.float64).tiny


def repaired(counts: Floats) -> tuple[Floats, Floats | None]:
    """Counts made monotonic, tiny differences levelled; and by how much each was below the one before, if some were."""
    before, after = counts[:, :, :-1], counts[:, :, 1:]
    if bool(((after == before) | (after - before > 4 * _SMALL * after)).all()):
        return counts, None
    counts = counts.copy()
    lacking = np.zeros_like(counts)
    previous = counts[:, :, 0].copy()
    for index in range(1, counts.shape[2]):
        current = counts[:, :, index]
        distance, size = np.abs(previous - current), np.abs(previous) + np.abs(current)
        zero = (previous == 0) | (current == 0) | (size < _TINY)
        level = (previous == current) | np.where(zero, distance < _SMALL * _TINY, distance / size < _SMALL)
        falls = (current < previous) & ~level
        lacking[:, :, index] = np.where(falls, previous - current, 0.0)
        counts[:, :, index] = np.where(level | falls, previous, current)
        previous = counts[:, :, index]
    return counts, lacking


def measured_quantile(ctx: Context, histograms: histograms_.Histograms, numbers: list[Floats]) -> Floats:
    """`histogram_quantile`, with a note about each metric whose counts had to be repaired."""
    counts, lacking = repaired(histograms.counts)
    if lacking is not None and bool(lacking.any()):
        usable = (histograms.top(histograms.bounds) == np.inf) & ((numbers[0] >= 0) & (numbers[0] <= 1))[:, None]
        _note_repairs(ctx, histograms, np.where(usable[:, :, None], lacking, 0.0))
    return quantile(dataclasses.replace(histograms, counts=counts), numbers[0])


def _note_repairs(ctx: Context, histograms: histograms_.Histograms, lacking: Floats) -> None:
    bounds = np.broadcast_to(histograms.bounds, lacking.shape)
    names = frames.column(histograms.series.labels, labels_.NAME) if ctx.delayed else np.zeros(lacking.shape[1])
    for code in np.unique(names).tolist():
        where = (lacking > 0) & (names == code)[None, :, None]
        if not bool(where.any()):
            continue
        times = ctx.times[where.any(axis=(1, 2))]
        found = notes.Repair(
            float(bounds[where].min()),
            float(bounds[where].max()),
            float(lacking[where].max()),
            int(where.any(axis=2).sum()),
            int(times[0]),
            int(times[-1]),
        )
        ctx.notes.repaired(_REPAIRED + histograms_.for_metric(ctx, int(code)), found)


def measured_fraction(_: Context, histograms: histograms_.Histograms, numbers: list[Floats]) -> Floats:
    """`histogram_fraction`."""
    return fraction(histograms, numbers[0], numbers[1])


def quantile(histograms: histograms_.Histograms, level: Floats) -> Floats:
    """[steps, H]: the quantile by linear interpolation in its bucket; `level` [steps]. Counts must be monotonic."""
    counts = histograms.counts
    bounds, used = histograms.bounds, histograms.used
    total = histograms.top(counts)
    q = level[:, None]
    rank = q * total
    index = np.arange(counts.shape[2])
    inner = index < (used - 1)[:, :, None]
    bucket = (used - 1) - (inner & (counts >= rank[:, :, None])).sum(axis=2)

    at = histograms.at
    start = np.where(bucket > 0, at(bounds, bucket - 1), 0.0)
    before = np.where(bucket > 0, at(counts, bucket - 1), 0.0)
    end = at(bounds, bucket)
    result = start + (end - start) * ((rank - before) / (at(counts, bucket) - before))
    result = np.where((bucket == 0) & (end <= 0), end, result)
    result = np.where(bucket == used - 1, at(bounds, used - 2), result)
    empty = (histograms.top(bounds) != np.inf) | (used < 2) | (total == 0)
    result = np.where(empty, np.nan, result)
    return np.where(np.isnan(q), np.nan, np.where(q < 0, -np.inf, np.where(q > 1, np.inf, result)))


def fraction(histograms: histograms_.Histograms, low: Floats, high: Floats) -> Floats:
    """[steps, H]: the share of observations in (low, high]; both [steps]."""
    lower, upper = low[:, None], high[:, None]
    total = histograms.top(histograms.counts)
    part = (_rank(histograms, upper, total) - _rank(histograms, lower, total)) / total
    part = np.where(lower >= upper, 0.0, part)
    bad = (histograms.top(histograms.bounds) != np.inf) | (total == 0) | np.isnan(lower) | np.isnan(upper)
    return np.where(bad, np.nan, part)


def _rank(histograms: histograms_.Histograms, value: Floats, total: Floats) -> Floats:
    """[steps, H]: how many observations are at or below `value`."""
    bounds, counts = histograms.bounds, histograms.counts
    floor = np.where(bounds[:, :, 0] <= 0, -np.inf, 0.0)
    rank, found, before = total.copy(), np.zeros(total.shape, np.bool_), np.zeros(total.shape)
    for index in range(bounds.shape[2]):
        ceiling, count = bounds[:, :, index], counts[:, :, index]
        live = (index < histograms.used) & ~found
        at_floor = live & (floor >= value)
        inside = live & ~at_floor & (floor < value) & (ceiling > value)
        linear = before + (count - before) * (value - floor) / (ceiling - floor)
        linear = np.where(np.isneginf(floor), count, linear)
        rank = np.where(at_floor, before, np.where(inside, linear, rank))
        found |= at_floor | inside
        floor, before = ceiling, count
    return np.minimum(rank, total)


Measure: TypeAlias = Callable[[Context, histograms_.Histograms, list[Floats]], Floats]


class HistogramFunction(VectorNode):
    """`histogram_quantile(q, x)` and `histogram_fraction(low, high, x)`."""

    def __init__(self, measure: Measure, numbers: list[ScalarNode], operand: VectorNode) -> None:
        self.measure = measure
        self.numbers = numbers
        self.operand = operand
        self.children = (*numbers, operand)

    def vector(self, ctx: Context) -> Vec:
        numbers = [number.scalar(ctx) for number in self.numbers]
        if self.measure is measured_quantile:
            ctx.notes.check_quantiles(numbers[0])
        histograms = histograms_.collect(ctx, self.operand.vector(ctx))
        if histograms is None:
            return ctx.nothing()
        series = histograms.series
        values = self.measure(ctx, histograms, numbers)
        return unnamed(ctx, Vec(series.labels, values, histograms.there(), series.drop))


class Quantiles(VectorNode):
    """`histogram_quantiles(x, "label", q...)`: several quantiles at once, told apart by a label."""

    def __init__(self, operand: VectorNode, label: str, levels: list[ScalarNode]) -> None:
        self.label = label
        self.levels = levels
        self.operand = operand
        self.children = (operand, *levels)

    def vector(self, ctx: Context) -> Vec:
        levels = [level.scalar(ctx) for level in self.levels]
        for level in levels:
            ctx.notes.check_quantiles(level)
        histograms = histograms_.collect(ctx, self.operand.vector(ctx))
        if histograms is None:
            return ctx.nothing()
        parts = [part for level in levels for part in self._each(ctx, histograms, level)]
        drops = [part.drop for part in parts if part.drop is not None]
        together = Vec(
            frames.stack([part.labels for part in parts]),
            np.concatenate([part.values for part in parts], axis=1),
            np.concatenate([part.mask() for part in parts], axis=1),
            np.concatenate(drops) if drops else None,
        )
        return merge(together)

    def _each(self, ctx: Context, histograms: histograms_.Histograms, level: Floats) -> Iterator[Vec]:
        """The quantile's series: one for each histogram and each value that the level has at some step."""
        series = histograms.series
        values, there = measured_quantile(ctx, histograms, [level]), histograms.there()
        for wanted in np.unique(level).tolist():
            now = np.isnan(level) if np.isnan(wanted) else level == wanted
            vec = unnamed(ctx, Vec(series.labels, values, there & now[:, None], series.drop))
            code = np.full(len(vec), ctx.texts.code(_level(wanted)), np.int32)
            yield dataclasses.replace(vec, labels=frames.put(vec.labels, self.label, code))


def _level(value: float) -> str:
    """A quantile as a label's value, in OpenMetrics' form."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    return repr(value)
