"""Selectors and subqueries: from the sample store to vectors and windows.

They own time: look-back, offsets, the `@` modifier, staleness. Look-back and ranges are open on the left, as in
Prometheus 3. What happens to the samples afterwards is not their business.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

import numpy as np

from tidegate.metrics import columns
from tidegate.metrics.promql import blocks, panels
from tidegate.metrics.promql.values import Context, Flags, Floats, RangeNode, Times, Vec, VectorNode
from tidegate.model import alerts, series

At: TypeAlias = int | Literal["start", "end"] | None


@dataclasses.dataclass(frozen=True, slots=True)
class When:
    """Where in time a selector looks, relative to the step or fixed."""

    offset: int = 0
    """Milliseconds back."""
    at: At = None
    """A fixed time in milliseconds, the start or end of the query, or the step itself."""

    def fixed(self, ctx: Context) -> int | None:
        """The fixed time, if there is one."""
        if self.at == "start":
            return ctx.query_start
        return ctx.query_end if self.at == "end" else self.at

    def times(self, ctx: Context) -> Times:
        """[steps]: the time looked at for each step."""
        fixed = self.fixed(ctx)
        if fixed is None:
            return ctx.times - self.offset
        return np.full(ctx.steps, fixed - self.offset, np.int64)

    def interval(self, ctx: Context, first: int, last: int) -> tuple[int, int]:
        """The earliest and latest time looked at for steps in [first, last]."""
        fixed = self.fixed(ctx)
        return (first - self.offset, last - self.offset) if fixed is None else (fixed - self.offset,) * 2


def load(ctx: Context, matchers: tuple[alerts.Matcher, ...], start: int, end: int) -> columns.Selection:
    """The samples in (start, end], paid for from the query's budget."""
    try:
        selection = ctx.reader.select(matchers, start, end, ctx.budget.left)
    except columns.TooManyError as error:
        ctx.budget.spend(error.samples)
        raise
    ctx.budget.spend(sum(block.values.size for block in selection.blocks))
    if not ctx.copying:
        ctx.guards.append(selection.intact)
        return selection
    copied = selection.copied()
    whole = selection.intact()
    ctx.guards.append(lambda: whole)
    return copied


class InstantSelector(VectorNode):
    """`name{matchers} offset d @ t`: the newest sample in (t - lookback, t], unless a stale marker came after it."""

    def __init__(self, matchers: tuple[alerts.Matcher, ...], when: When) -> None:
        self.matchers = matchers
        self.when = when

    def plan(self, ctx: Context, first: int, last: int) -> None:
        first, last = self.when.interval(ctx, first, last)
        selection = load(ctx, self.matchers, first - ctx.lookback, last)
        ctx.sources[id(self)] = blocks.source(selection, stale=True, newest=first == last)

    def vector(self, ctx: Context) -> Vec:
        return self._newest(ctx, stamps=False)

    def stamps(self, ctx: Context) -> Vec:
        """The same vector with the samples' own times (seconds) as values."""
        return self._newest(ctx, stamps=True)

    def _newest(self, ctx: Context, *, stamps: bool) -> Vec:
        source, at = ctx.sources[id(self)], self.when.times(ctx)

        def newest(windows: panels.Windows) -> tuple[Floats, Flags]:
            values = windows.panel.pick(windows.hi - 1)
            present = windows.at_least(1) & (values.view(np.int64) != series.STALE_BITS)
            if stamps:
                times = windows.panel.wide(windows.panel.pick_time(windows.hi - 1)) / 1000.0
                values = np.broadcast_to(times, present.shape).copy()
            return values, present

        found = tuple(panels.windows(panel, at - ctx.lookback, at) for panel in source.panels)
        return panels.Ranges(source.labels, found).apply(ctx, newest)


class RangeSelector(RangeNode):
    """`selector[d]`: all samples in (t - d, t]; stale markers are not samples."""

    def __init__(self, matchers: tuple[alerts.Matcher, ...], when: When, span: int) -> None:
        self.matchers = matchers
        self.when = when
        self.span = span

    def plan(self, ctx: Context, first: int, last: int) -> None:
        first, last = self.when.interval(ctx, first, last)
        ctx.sources[id(self)] = blocks.source(load(ctx, self.matchers, first - self.span, last), stale=False)

    def windows(self, ctx: Context) -> panels.Ranges:
        source, ends = ctx.sources[id(self)], self.when.times(ctx)
        found = tuple(panels.windows(panel, ends - self.span, ends) for panel in source.panels)
        return panels.Ranges(source.labels, found)


class Subquery(RangeNode):
    """`expr[d:step]`: the expression's values at the multiples of `step` in (t - d, t]."""

    def __init__(self, inner: VectorNode, when: When, span: int, step: int | None) -> None:
        self.inner = inner
        self.children = (inner,)
        self.when = when
        self.span = span
        self.step = step

    def _grid(self, ctx: Context, first: int, last: int) -> Times:
        step = self.step or ctx.subquery_step
        begin = (first - self.span) // step * step + step
        ctx.budget.hold((last - begin) // step + 1)
        return np.arange(begin, last + 1, step, dtype=np.int64)

    def plan(self, ctx: Context, first: int, last: int) -> None:
        grid = self._grid(ctx, *self.when.interval(ctx, first, last))
        if len(grid):
            self.inner.plan(ctx, int(grid[0]), int(grid[-1]))

    def windows(self, ctx: Context) -> panels.Ranges:
        ends = self.when.times(ctx)
        grid = self._grid(ctx, int(ends.min()), int(ends.max()))
        if not len(grid):
            return panels.Ranges(ctx.nothing().labels, ())
        vec = self.inner.vector(ctx.inner(grid, int(ends.max())))
        ctx.budget.spend(vec.values.size)
        made = blocks.source(_selection(vec, grid), stale=False)
        found = tuple(panels.windows(panel, ends - self.span, ends) for panel in made.panels)
        return panels.Ranges(made.labels, found, vec.drop)


def _selection(vec: Vec, grid: Times) -> columns.Selection:
    if vec.present is None:
        return columns.Selection(vec.labels, (columns.Block(grid, vec.values, gaps=False),))
    bits = np.where(vec.present, vec.values.view(np.int64), series.ABSENT_BITS)
    return columns.Selection(vec.labels, (columns.Block(grid, bits.view(np.float64), gaps=True),))
