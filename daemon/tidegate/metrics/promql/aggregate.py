"""`sum`, `avg`, `min`, `max`, `count`, `group`, `stddev`, `stdvar`, `quantile`: many series become one for each group.

Groups are integers made from the label codes; the columns are put in order of groups once, and each step's row is reduced
run by run. `topk`, `bottomk` and `count_values` are in `ranking`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tidegate.metrics import columns
from tidegate.metrics.promql import frames, sums
from tidegate.metrics.promql.values import Context, Flags, Floats, ScalarNode, Vec, VectorNode
from tidegate.model import labels as labels_


@dataclasses.dataclass(frozen=True, slots=True)
class Grouping:
    """`by (...)` or `without (...)`."""

    labels: tuple[str, ...] = ()
    without: bool = False

    def keys(self, frame: columns.LabelFrame) -> columns.LabelFrame:
        """The labels that tell groups apart, and that the result has."""
        if self.without:
            return frames.drop(frame, {labels_.NAME, *self.labels})
        return frames.keep(frame, self.labels)


@dataclasses.dataclass(frozen=True, slots=True)
class Groups:
    """The groups of a frame's rows, in order of their first rows."""

    ids: frames.Ids
    count: int
    first: frames.Ids
    labels: columns.LabelFrame
    order: frames.Ids
    """Rows in order of groups."""
    starts: frames.Ids
    """Where each group begins in `order`."""


def group(frame: columns.LabelFrame, grouping: Grouping) -> Groups:
    """Group the rows of a frame."""
    keys = grouping.keys(frame)
    ids, count = frames.group_rows(keys.codes)
    first = frames.first_rows(ids, count)
    ranks = np.empty(count, np.int64)
    ranks[np.argsort(first)] = np.arange(count)
    ids, first = ranks[ids], np.sort(first)
    if count == 1:
        order, starts = np.arange(len(ids)), np.zeros(1, np.int64)
    else:
        order = np.argsort(ids.astype(np.uint16) if count < 65536 else ids, kind="stable")
        sizes = np.bincount(ids, minlength=count)
        starts = np.cumsum(sizes) - sizes
    return Groups(ids, count, first, frames.take(keys, first), order, starts)


@dataclasses.dataclass(frozen=True, slots=True)
class _Runs:
    """The values of a vector, columns in order of groups."""

    groups: Groups
    values: Floats
    present: Flags | None
    counts: Floats
    """[steps, groups]: how many series are present."""

    def filled(self, otherwise: float) -> Floats:
        """The values, absent ones replaced."""
        return self.values if self.present is None else np.where(self.present, self.values, otherwise)

    def add(self, values: Floats) -> Floats:
        """Sums by group."""
        result: Floats = np.add.reduceat(values, self.groups.starts, axis=1)
        return result

    def shape(self) -> sums.Shape:
        """For compensated sums."""
        ids = self.groups.ids[self.groups.order]
        return sums.over_segments(self.groups.starts, ids, self.values.shape[1])

    def spread(self, grouped: Floats) -> Floats:
        """[steps, groups] to each group's columns."""
        return grouped[:, self.groups.ids[self.groups.order]]


def _runs(vec: Vec, groups: Groups) -> _Runs:
    plain = groups.count == 1
    values = vec.values if plain else vec.values.take(groups.order, axis=1)
    if vec.present is None:
        sizes = np.diff(np.append(groups.starts, len(groups.ids))).astype(np.float64)
        return _Runs(groups, values, None, np.broadcast_to(sizes, (len(values), groups.count)))
    present = vec.present if plain else vec.present.take(groups.order, axis=1)
    counts = np.add.reduceat(present, groups.starts, axis=1, dtype=np.float64)
    return _Runs(groups, values, present, counts)


def _extreme(runs: _Runs, pick: np.ufunc) -> Floats:
    result: Floats = pick.reduceat(runs.filled(np.nan), runs.groups.starts, axis=1)
    return result


def _variance(runs: _Runs) -> Floats:
    shape = runs.shape()
    anchor = runs.filled(np.nan)[:, runs.groups.starts]
    anchor = np.where(np.isfinite(anchor), anchor, 0.0)
    shifted = runs.filled(0.0) - runs.spread(anchor)
    if runs.present is not None:
        shifted = np.where(runs.present, shifted, 0.0)
    centred = shifted - runs.spread(sums.mean(shifted, shape, runs.counts))
    if runs.present is not None:
        centred = np.where(runs.present, centred, 0.0)
    return sums.total(centred * centred, shape) / runs.counts


def _reduce(op: str, runs: _Runs) -> Floats:  # noqa: PLR0911 - one return for each operator
    match op:
        case "sum":
            return sums.total(runs.filled(0.0), runs.shape())
        case "avg":
            return sums.mean(runs.filled(0.0), runs.shape(), runs.counts)
        case "min":
            return _extreme(runs, np.fmin)
        case "max":
            return _extreme(runs, np.fmax)
        case "count":
            return runs.counts
        case "group":
            return np.ones(runs.counts.shape)
        case "stdvar":
            return _variance(runs)
        case "stddev":
            return np.sqrt(_variance(runs))
    raise ValueError(op)


class Aggregation(VectorNode):
    """An aggregation without a parameter."""

    def __init__(self, op: str, operand: VectorNode, grouping: Grouping) -> None:
        self.op = op
        self.operand = operand
        self.grouping = grouping
        self.children = (operand,)

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        if not len(vec):
            return ctx.nothing()
        groups = group(vec.labels, self.grouping)
        runs = _runs(vec, groups)
        return result(vec, groups, _reduce(self.op, runs), runs.counts > 0)


def result(vec: Vec, groups: Groups, values: Floats, present: Flags) -> Vec:
    """The vector of an aggregation; a group drops its name when its first series does."""
    drop = None if vec.drop is None else vec.drop[groups.first]
    return Vec(groups.labels, values, None if bool(present.all()) else present, drop)


def extremes(parameter: Floats) -> Floats:
    """What Prometheus looks at of a parameter that differs from step to step: NaN, or the smallest and largest."""
    if bool(np.isnan(parameter).any()):
        return np.array([np.nan])
    return np.array([parameter.min(), parameter.max()])


class Quantile(VectorNode):
    """`quantile(q, x)`: NaN values count as smaller than all others."""

    def __init__(self, level: ScalarNode, operand: VectorNode, grouping: Grouping) -> None:
        self.level = level
        self.operand = operand
        self.grouping = grouping
        self.children = (level, operand)

    def vector(self, ctx: Context) -> Vec:
        level, vec = self.level.scalar(ctx), self.operand.vector(ctx)
        ctx.notes.check_quantiles(extremes(level))
        if not len(vec):
            return ctx.nothing()
        groups = group(vec.labels, self.grouping)
        runs = _runs(vec, groups)
        return result(vec, groups, _quantiles(runs, level[:, None]), runs.counts > 0)


def _quantiles(runs: _Runs, level: Floats) -> Floats:
    steps, width = runs.values.shape
    ids = np.broadcast_to(runs.groups.ids[runs.groups.order], (steps, width))
    values, nan = runs.filled(np.inf), np.isnan(runs.filled(0.0))
    absent = np.zeros((steps, width), np.bool_) if runs.present is None else ~runs.present
    order = np.lexsort((np.where(nan, 0.0, values), ~nan, absent, ids), axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    rank = np.where((level >= 0) & (level <= 1), level, 0.0) * np.maximum(runs.counts - 1, 0)
    lower = np.floor(rank)
    upper = np.minimum(np.maximum(runs.counts - 1, 0), lower + 1)
    weight, starts = rank - lower, runs.groups.starts
    low = np.take_along_axis(ordered, (starts + lower).astype(np.int64), axis=1)
    high = np.take_along_axis(ordered, (starts + upper).astype(np.int64), axis=1)
    found = np.where(weight == 0, low, low * (1 - weight) + high * weight)
    found = np.where(level < 0, -np.inf, np.where(level > 1, np.inf, found))
    return np.where(np.isnan(level), np.nan, found)
