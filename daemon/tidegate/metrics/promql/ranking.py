"""`topk`, `bottomk`, `sort`, `sort_desc`, `count_values`: results that depend on the order or identity of values."""

from __future__ import annotations

import dataclasses

import numpy as np

from tidegate.metrics.promql import frames, gotext
from tidegate.metrics.promql.aggregate import Grouping, group
from tidegate.metrics.promql.values import Context, Flags, Floats, ScalarNode, Vec, VectorNode, fail, merge

_INT64 = 2.0**63


def _worst_last(values: Floats, *, descending: bool) -> tuple[Floats, Flags]:
    """Sort keys, most significant last: NaN is behind all others in both directions."""
    nan = np.isnan(values)
    usable = np.where(nan, 0.0, values)
    return -usable if descending else usable, nan


class Sort(VectorNode):
    """`sort` and `sort_desc`; results of range queries are ordered by labels, so there they change nothing."""

    def __init__(self, operand: VectorNode, *, descending: bool) -> None:
        self.operand = operand
        self.descending = descending
        self.children = (operand,)

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        if not ctx.single or ctx.steps != 1:
            if not ctx.still:
                ctx.notes.warn("sort is ineffective for range queries since results are always ordered by labels")
            return vec
        return vec.take(np.lexsort(_worst_last(vec.values[0], descending=self.descending)))


def _largest(values: Floats, k: int) -> Flags | None:
    """[steps, series]: the k largest of each row, the first ones of equals; None where NaN makes that harder."""
    bound = np.partition(values, len(values[0]) - k, axis=1)[:, len(values[0]) - k, None]
    if bool(np.isnan(values).any()):
        return None
    above: Flags = values > bound
    equal: Flags = values == bound
    if not bool((equal.sum(axis=1) == 1).all()):
        equal &= equal.cumsum(axis=1) <= k - above.sum(axis=1, keepdims=True)
    above |= equal
    return above


class TopK(VectorNode):
    """`topk` and `bottomk`: of each group the k series with the largest (smallest) values at each step."""

    def __init__(self, k: ScalarNode, operand: VectorNode, grouping: Grouping, *, largest: bool) -> None:
        self.k = k
        self.operand = operand
        self.grouping = grouping
        self.largest = largest
        self.children = (k, operand)

    def vector(self, ctx: Context) -> Vec:
        k, vec = sizes(self.k, ctx), self.operand.vector(ctx)
        if k is None or not len(vec):
            return ctx.nothing()
        groups = group(vec.labels, self.grouping)
        if groups.count == 1 and not ctx.single and vec.present is None and bool((k == k[0]).all()):
            chosen = _largest(vec.values if self.largest else -vec.values, int(min(k[0], len(vec))))
            if chosen is not None:
                return dataclasses.replace(vec, present=chosen)
        ids = np.broadcast_to(groups.ids, vec.values.shape)
        present = vec.mask()
        values, nan = _worst_last(vec.values, descending=self.largest)
        order = np.lexsort((values, nan, ~present, ids), axis=1)
        rank = np.arange(len(vec)) - groups.starts[np.take_along_axis(ids, order, axis=1)]
        chosen = np.zeros_like(present)
        np.put_along_axis(chosen, order, rank < k[:, None], axis=1)
        found = Vec(vec.labels, vec.values, chosen & present, vec.drop)
        if ctx.single and ctx.steps == 1:
            shown = order[0]
            return found.take(shown[chosen[0, shown] & present[0, shown]])
        return found


def sizes(parameter: ScalarNode, ctx: Context) -> Floats | None:
    """How many series are wanted at each step; None when it is none at any."""
    k = parameter.scalar(ctx)
    usable = k[~np.isnan(k)]
    if len(usable) and len(usable) == len(k) and float(usable.max()) < 1:
        return None
    if len(usable) < len(k):
        raise fail("Parameter value is NaN")
    if float(k.min()) <= -_INT64:
        raise fail(f"Scalar value {gotext.shortest(float(k.min()))} underflows int64")
    if float(k.max()) >= _INT64:
        raise fail(f"Scalar value {gotext.shortest(float(k.max()))} overflows int64")
    return np.trunc(k)


class CountValues(VectorNode):
    """`count_values("label", x)`: how many series have each value; the value becomes a label."""

    def __init__(self, label: str, operand: VectorNode, grouping: Grouping) -> None:
        self.label = label
        self.operand = operand
        self.grouping = grouping
        self.children = (operand,)

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        present = vec.mask()
        steps, series = np.nonzero(present)
        if not len(steps):
            return ctx.nothing()
        distinct, inverse = np.unique(vec.values[steps, series].view(np.int64), return_inverse=True)
        codes = np.array([ctx.texts.code(number(value)) for value in distinct.view(np.float64).tolist()], np.int32)
        cells = frames.put(frames.take(vec.labels, series), self.label, codes[inverse])
        keys = Grouping((*self.grouping.labels, self.label)) if not self.grouping.without else self.grouping
        groups = group(cells, keys)
        values = np.zeros((ctx.steps, groups.count))
        flat = np.bincount(steps * groups.count + groups.ids, minlength=ctx.steps * groups.count)
        values[:] = flat.reshape(ctx.steps, groups.count)
        return merge(Vec(groups.labels, values, values > 0))


def number(value: float) -> str:
    """A value as a label: Go's shortest decimal without exponent."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-")
