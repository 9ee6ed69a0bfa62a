"""Function calls as evaluators: windows to vectors, vectors to vectors, numbers and times."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from tidegate.metrics.promql import distribution, frames, lines, overtime, panels, pointwise
from tidegate.metrics.promql.selectors import InstantSelector
from tidegate.metrics.promql.values import (
    SAME_LABELS,
    Context,
    Flags,
    Floats,
    Node,
    RangeNode,
    ScalarNode,
    Vec,
    VectorNode,
    fail,
    unnamed,
)
from tidegate.model import labels as labels_

_COUNTERS = ("_total", "_sum", "_count", "_bucket")


class Number(ScalarNode):
    """A literal."""

    def __init__(self, value: float) -> None:
        self.value = value

    def scalar(self, ctx: Context) -> Floats:
        return np.full(ctx.steps, self.value)


class Time(ScalarNode):
    """`time()`."""

    def scalar(self, ctx: Context) -> Floats:
        return ctx.times / 1000.0


class ScalarOf(ScalarNode):
    """`scalar(x)`: the value of the only series; NaN when there are none or several."""

    def __init__(self, operand: VectorNode) -> None:
        self.operand = operand
        self.children = (operand,)

    def scalar(self, ctx: Context) -> Floats:
        vec = self.operand.vector(ctx)
        if not len(vec):
            return np.full(ctx.steps, np.nan)
        present = vec.mask()
        found = vec.values[np.arange(ctx.steps), present.argmax(axis=1)]
        return np.where(present.sum(axis=1) == 1, found, np.nan)


class VectorOf(VectorNode):
    """`vector(s)`: the number as a series without labels."""

    def __init__(self, number: ScalarNode) -> None:
        self.number = number
        self.children = (number,)

    def vector(self, ctx: Context) -> Vec:
        return Vec(frames.empty(ctx.reader.pool, 1), self.number.scalar(ctx)[:, None])


class WindowCall(VectorNode):
    """A function of one range vector, e.g. `rate`."""

    def __init__(
        self,
        function: Callable[[panels.Windows], tuple[Floats, Flags]],
        operand: RangeNode,
        *,
        keeps_name: bool = False,
    ) -> None:
        self.function = function
        self.operand = operand
        self.children: tuple[Node, ...] = (operand,)
        self.keeps_name = keeps_name

    def vector(self, ctx: Context) -> Vec:
        return self._named(ctx, self.operand.windows(ctx).apply(ctx, self.function))

    def _named(self, ctx: Context, vec: Vec) -> Vec:
        if self.keeps_name or not len(vec):
            return vec
        if ctx.delayed:
            return unnamed(ctx, vec)
        return _strictly_unnamed(ctx, vec)


def _strictly_unnamed(ctx: Context, vec: Vec) -> Vec:
    """Window functions refuse equal label sets even where they are present at different steps."""
    if vec.present is not None:
        alive = np.flatnonzero(vec.present.any(axis=0))
        vec = vec if len(alive) == len(vec) else vec.take(alive)
    result = unnamed(ctx, vec)
    if len(result) != len(vec):
        raise fail(SAME_LABELS)
    return result


class Unnamed(VectorNode):
    """The same vector without metric names."""

    def __init__(self, operand: VectorNode) -> None:
        self.operand = operand
        self.children = (operand,)

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        return _strictly_unnamed(ctx, vec) if len(vec) and not ctx.delayed else unnamed(ctx, vec)


class CounterCall(WindowCall):
    """`rate` and `increase`: say so when a metric's name does not look like a counter's."""

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.windows(ctx).apply(ctx, self.function)
        alive = np.ones(len(vec), np.bool_) if vec.present is None else vec.present.any(axis=0)
        for code in np.unique(frames.column(vec.labels, labels_.NAME)[alive]).tolist():
            name = ctx.texts.text(code)
            if name and not name.endswith(_COUNTERS):
                ctx.notes.info(
                    f'metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "{name}"'
                )
        return self._named(ctx, vec)


class QuantileOverTime(WindowCall):
    """`quantile_over_time(q, x[d])`."""

    def __init__(self, level: ScalarNode, operand: RangeNode) -> None:
        super().__init__(overtime.present, operand)
        self.level = level
        self.children = (level, operand)

    def vector(self, ctx: Context) -> Vec:
        level = self.level.scalar(ctx)
        vec = self.operand.windows(ctx).apply(ctx, lambda each: distribution.quantile(each, level))
        if len(vec):
            ctx.notes.check_quantiles(level[vec.mask().any(axis=1)])
        return self._named(ctx, vec)


class Smoothing(WindowCall):
    """`double_exponential_smoothing(x[d], smoothing factor, trend factor)`."""

    def __init__(self, operand: RangeNode, factor: ScalarNode, trend: ScalarNode) -> None:
        super().__init__(overtime.present, operand)
        self.factor, self.trend = factor, trend
        self.children = (operand, factor, trend)

    def vector(self, ctx: Context) -> Vec:
        factor, trend = self.factor.scalar(ctx), self.trend.scalar(ctx)
        windows = self.operand.windows(ctx)
        looked = np.zeros(ctx.steps, np.bool_)
        for each in windows.windows:
            looked |= each.at_least(1).any(axis=1)
        for name, short, values in (("smoothing", "sf", factor), ("trend", "tf", trend)):
            wrong = values[looked & ~((values > 0) & (values < 1))]
            if len(wrong):
                raise fail(f"invalid {name} factor. Expected: 0 < {short} < 1, got: {wrong[0]:f}")
        return self._named(ctx, windows.apply(ctx, lambda each: lines.smoothed(each, factor, trend)))


class PredictLinear(WindowCall):
    """`predict_linear(x[d], seconds)`."""

    def __init__(self, operand: RangeNode, ahead: ScalarNode) -> None:
        super().__init__(overtime.present, operand)
        self.ahead = ahead
        self.children = (operand, ahead)

    def vector(self, ctx: Context) -> Vec:
        ahead, steps = self.ahead.scalar(ctx), ctx.times
        windows = self.operand.windows(ctx)
        return self._named(ctx, windows.apply(ctx, lambda each: lines.predict(each, steps, ahead)))


class Pointwise(VectorNode):
    """A function of each value, e.g. `abs`, with scalar arguments where it has some."""

    def __init__(self, function: Callable[..., Floats], operand: VectorNode, *numbers: ScalarNode) -> None:
        self.function = function
        self.operand = operand
        self.numbers = numbers
        self.children = (operand, *numbers)

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        numbers = [number.scalar(ctx)[:, None] for number in self.numbers]
        return unnamed(ctx, dataclasses.replace(vec, values=self.function(vec.values, *numbers)))


class Clamp(VectorNode):
    """`clamp(x, low, high)`: nothing at the steps where low is above high."""

    def __init__(self, operand: VectorNode, low: ScalarNode, high: ScalarNode) -> None:
        self.operand = operand
        self.low = low
        self.high = high
        self.children = (operand, low, high)

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        low, high = self.low.scalar(ctx)[:, None], self.high.scalar(ctx)[:, None]
        possible = ~(high < low)
        present = vec.present
        if not bool(possible.all()):
            present = vec.mask() & possible
        return unnamed(ctx, dataclasses.replace(vec, values=pointwise.clamped(vec.values, low, high), present=present))


class Timestamp(VectorNode):
    """`timestamp(x)`: the samples' own times for a selector, the step's time for anything else."""

    def __init__(self, operand: VectorNode) -> None:
        self.operand = operand
        self.children = (operand,)

    def vector(self, ctx: Context) -> Vec:
        if isinstance(self.operand, InstantSelector):
            return unnamed(ctx, self.operand.stamps(ctx))
        vec = self.operand.vector(ctx)
        times = np.broadcast_to(ctx.times[:, None] / 1000.0, vec.values.shape)
        return unnamed(ctx, dataclasses.replace(vec, values=times))


class Fixed(VectorNode):
    """A vector that is the same at every step (`@`): evaluated once."""

    def __init__(self, operand: VectorNode) -> None:
        self.operand = operand
        self.children = (operand,)

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx.once())
        if ctx.steps == 1:
            return vec
        shape = (ctx.steps, len(vec))
        present = None if vec.present is None else np.broadcast_to(vec.present, shape)
        return dataclasses.replace(vec, values=np.broadcast_to(vec.values, shape), present=present)
