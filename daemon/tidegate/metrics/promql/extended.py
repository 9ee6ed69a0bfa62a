"""`anchored` and `smoothed` range selectors: windows that reach to the samples around their edges.

Experimental in Prometheus (`promql-extended-range-selectors`), whose rules these are. Anchored windows begin with the last
sample at or before their start; smoothed ones begin and end with values interpolated between the samples around the edges.
Start timestamps are not kept here, so that no reset is known but from values.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from tidegate.metrics.promql import blocks, panels
from tidegate.metrics.promql.panels import Rows
from tidegate.metrics.promql.selectors import When, load
from tidegate.metrics.promql.values import Context, Flags, Floats, Node, Times, Vec, VectorNode, fail
from tidegate.model import alerts

Kind = Literal["anchored", "smoothed"]
ALLOWED: dict[str, tuple[str, ...]] = {
    "anchored": ("changes", "delta", "increase", "rate", "resets"),
    "smoothed": ("delta", "increase", "rate"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Selector:
    """What is selected, and how."""

    matchers: tuple[alerts.Matcher, ...]
    when: When
    span: int
    """Milliseconds; 0 for an instant selector."""
    kind: Kind


@dataclasses.dataclass(frozen=True, slots=True)
class _Edges:
    """For each step and column group: the rows that matter, and the edges of the window."""

    panel: panels.Panel
    first: Rows
    """The last row at or before the start, or the first one there is."""
    last: Rows
    low: Rows
    start: Times
    """[steps, 1]."""
    end: Times
    usable: Flags
    """[steps, G]: whether there is a result at all."""

    def time(self, rows: Rows) -> Times:
        """[steps, G]."""
        return self.panel.pick_time(rows)


class Extended(Node):
    """Loads the samples of a selector with those around its windows."""

    def __init__(self, selector: Selector) -> None:
        self.selector = selector
        self.when = selector.when

    def plan(self, ctx: Context, first: int, last: int) -> None:
        low, high = self.when.interval(ctx, first, last)
        ahead = ctx.lookback if self.selector.kind == "smoothed" else 0
        selection = load(ctx, self.selector.matchers, low - self.selector.span - ctx.lookback, high + ahead)
        ctx.sources[id(self)] = blocks.source(selection, stale=False)

    def windows(self, ctx: Context) -> panels.Ranges:
        """All samples that may matter for each step."""
        source, ends = ctx.sources[id(self)], self.when.times(ctx)
        ahead = ctx.lookback if self.selector.kind == "smoothed" else 0
        starts = ends - self.selector.span - ctx.lookback
        found = tuple(panels.windows(panel, starts, ends + ahead) for panel in source.panels)
        return panels.Ranges(source.labels, found)

    def edges(self, ctx: Context, windows: panels.Windows) -> _Edges:
        """Where each window begins and ends, by Prometheus' rules."""
        panel, ends = windows.panel, self.when.times(ctx)
        starts = ends - self.selector.span
        final = windows.hi - 1
        first = windows.lo + np.maximum(np.minimum(panel.before(starts), final) - windows.lo - 1, 0)
        last = final
        if self.selector.kind == "smoothed":
            last = np.minimum(np.maximum(panel.before(ends - 1), windows.lo), final)
        start, end = starts[:, None], ends[:, None]
        usable = (windows.count > 0) & (panel.pick_time(last) > start)
        if self.selector.kind == "smoothed":
            usable &= panel.pick_time(first) <= end
        return _Edges(panel, first, last, windows.lo, start, end, usable)


class ExtendedCall(VectorNode):
    """A function of an extended window."""

    def __init__(self, name: str, selector: Selector) -> None:
        """Raises `QueryError` for a function that cannot be used so."""
        allowed = ALLOWED[selector.kind]
        if name not in allowed:
            raise fail(f"{selector.kind} modifier can only be used with: {', '.join(allowed)} - not with {name}")
        self.name = name
        self.source = Extended(selector)
        self.children = (self.source,)

    def vector(self, ctx: Context) -> Vec:
        return self.source.windows(ctx).apply(ctx, lambda windows: self._each(ctx, windows))

    def _each(self, ctx: Context, windows: panels.Windows) -> tuple[Floats, Flags]:
        edges = self.source.edges(ctx, windows)
        shape = (ctx.steps, windows.panel.values.shape[1])
        usable = np.broadcast_to(windows.panel.wide(edges.usable), shape)
        if self.name in ("changes", "resets"):
            return _events(edges, resets=self.name == "resets"), usable
        return self._grown(edges), usable

    def _grown(self, edges: _Edges) -> Floats:
        counter = self.name != "delta"
        smoothed = self.source.selector.kind == "smoothed"
        left = _left(edges, smoothed=smoothed, counter=counter)
        right = _right(edges, smoothed=smoothed, counter=counter)
        result = right - left
        if counter:
            result += _lost(edges, left, right)
        return result / (self.source.selector.span / 1000.0) if self.name == "rate" else result


class SmoothedInstant(VectorNode):
    """`name smoothed`: between the samples around a time, on the line between them."""

    def __init__(self, selector: Selector) -> None:
        self.source = Extended(selector)
        self.children = (self.source,)

    def vector(self, ctx: Context) -> Vec:
        return self.source.windows(ctx).apply(ctx, lambda windows: self._each(ctx, windows))

    def _each(self, ctx: Context, windows: panels.Windows) -> tuple[Floats, Flags]:
        panel, at = windows.panel, self.source.when.times(ctx)
        after = np.clip(panel.before(at - 1), windows.lo, windows.hi)
        there = after < windows.hi
        exact = there & (panel.pick_time(after) == at[:, None])
        between = there & ~exact & (after > windows.lo)
        values = np.where(panel.wide(exact), panel.pick(after), panel.pick(after - 1))
        line = _line(panel, after - 1, after, at[:, None], counter=False)
        usable = (windows.count > 0) & (exact | (after > windows.lo))
        shape = (ctx.steps, panel.values.shape[1])
        return np.where(panel.wide(between), line, values), np.broadcast_to(panel.wide(usable), shape)


def _line(panel: panels.Panel, one: Rows, other: Rows, at: Times, *, counter: bool) -> Floats:
    """The value at a time, on the line through two samples; a counter that fell began at 0."""
    y1, y2 = panel.pick(one), panel.pick(other)
    if counter:
        y1 = np.where(y2 < y1, 0.0, y1)
    x1, x2 = panel.pick_time(one), panel.pick_time(other)
    share = (at - x1) / np.where(x2 == x1, 1, x2 - x1)
    return np.asarray(y1 + (y2 - y1) * panel.wide(share), np.float64)


def _left(edges: _Edges, *, smoothed: bool, counter: bool) -> Floats:
    values = edges.panel.pick(edges.first)
    if not smoothed:
        return values
    before = edges.panel.wide(edges.time(edges.first) < edges.start)
    line = _line(edges.panel, edges.first, edges.first + 1, edges.start, counter=counter)
    return np.where(before, line, values)


def _right(edges: _Edges, *, smoothed: bool, counter: bool) -> Floats:
    values = edges.panel.pick(edges.last)
    if not smoothed:
        return values
    beyond = (edges.time(edges.last) > edges.end) & (edges.last > edges.low)
    line = _line(edges.panel, edges.last - 1, edges.last, edges.end, counter=counter)
    return np.where(edges.panel.wide(beyond), line, values)


def _inner(edges: _Edges) -> tuple[Rows, Rows]:
    """Rows strictly inside each window: [first, last], perhaps none."""
    first = edges.first + (edges.time(edges.first) <= edges.start)
    return first, edges.last - (edges.time(edges.last) >= edges.end)


def _lost(edges: _Edges, left: Floats, right: Floats) -> Floats:
    """What a counter had before each of its resets, those at the edges among them."""
    panel = edges.panel
    first, last = _inner(edges)
    some = panel.wide(first <= last)
    head, tail = panel.pick(first), panel.pick(last)
    lost = np.where(some & (head < left), left, 0.0)
    lost = lost + np.where(some, np.where(right < tail, tail, 0.0), np.where(right < left, left, 0.0))
    before, after = panel.values[:-1], panel.values[1:]
    return lost + _sums(panel, np.where(after < before, before, 0.0), first, last)


def _events(edges: _Edges, *, resets: bool) -> Floats:
    before, after = edges.panel.values[:-1], edges.panel.values[1:]
    changed = (after != before) & ~(np.isnan(after) & np.isnan(before))
    found = (after < before) if resets else changed
    return _sums(edges.panel, found.astype(np.float64), edges.first, edges.last)


def _sums(panel: panels.Panel, steps: Floats, first: Rows, last: Rows) -> Floats:
    """[steps, columns]: sums over the neighbours inside [first, last]; `steps[i]` is of the rows i and i + 1."""
    prefix = np.zeros((len(panel.values), panel.values.shape[1]))
    if len(steps):
        np.cumsum(np.nan_to_num(steps), axis=0, out=prefix[1:])
    table = dataclasses.replace(panel, values=prefix)
    first = np.clip(first, 0, len(prefix) - 1)
    last = np.maximum(np.clip(last, 0, len(prefix) - 1), first)
    return table.pick(last) - table.pick(first)
