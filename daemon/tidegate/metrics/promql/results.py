"""From vectors to what a query gives back. The only place where every series' labels become strings."""

from __future__ import annotations

import numpy as np

from tidegate.metrics.promql import frames, panels
from tidegate.metrics.promql.values import SAME_LABELS, Context, Floats, Times, Vec, cleared, fail
from tidegate.model import labels as labels_
from tidegate.model import series


def vector(ctx: Context, vec: Vec, at_ms: int) -> series.Vector:
    """An instant result, in the vector's order."""
    if vec.present is not None:
        vec = vec.take(np.flatnonzero(vec.present[0]))
    return series.Vector(tuple(ctx.texts.labels(vec.labels)), np.ascontiguousarray(vec.values[0]), at_ms)


def matrix(ctx: Context, chunks: list[tuple[Times, Vec]]) -> series.Matrix:
    """A range result from the vectors of consecutive steps, ordered by labels."""
    parts: dict[labels_.Labels, list[tuple[Times, Floats]]] = {}
    for times, vec in chunks:
        alive = np.arange(len(vec)) if vec.present is None else np.flatnonzero(vec.present.any(axis=0))
        values = np.ascontiguousarray(vec.values.T)
        for labels, index in zip(ctx.texts.labels(frames.take(vec.labels, alive)), alive.tolist(), strict=True):
            mask = None if vec.present is None else vec.present[:, index]
            point = (times, values[index]) if mask is None else (times[mask], values[index][mask])
            parts.setdefault(labels, []).append(point)
    return series.Matrix(tuple(_series(labels, points) for labels, points in sorted(parts.items())))


def _series(labels: labels_.Labels, points: list[tuple[Times, Floats]]) -> series.Series:
    times, values = zip(*points, strict=True)
    return series.Series(labels, np.concatenate(times), np.concatenate(values))


def windows(ctx: Context, ranges: panels.Ranges) -> series.Matrix:
    """The samples themselves: the instant result of a range selector or subquery."""
    labels = ctx.texts.labels(ranges.labels if ranges.drop is None else cleared(ranges.labels, ranges.drop))
    found: dict[labels_.Labels, series.Series] = {}
    for each in ranges.windows:
        panel, count = each.panel, each.panel.values.shape[1]
        lo = np.broadcast_to(panel.wide(each.lo), (1, count))[0].tolist()
        hi = np.broadcast_to(panel.wide(each.hi), (1, count))[0].tolist()
        times = np.broadcast_to(panel.wide(panel.times), panel.values.shape)
        for column, row in enumerate(np.arange(len(labels))[panel.where].tolist()):
            if hi[column] <= lo[column]:
                continue
            if labels[row] in found:
                raise fail(SAME_LABELS)
            span = slice(lo[column], hi[column])
            values = np.ascontiguousarray(panel.values[span, column])
            found[labels[row]] = series.Series(labels[row], times[span, column].copy(), values)
    return series.Matrix(tuple(found[key] for key in sorted(found)))
