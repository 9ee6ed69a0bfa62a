"""Samples prepared for window functions: blocks put together, gaps closed, and the windows of all steps.

A `Panel` holds the samples of some series, column by column in order of time. Columns share timestamps where they can:
all of them (one block), block by block (many small blocks, padded to a common length), or each has its own (blocks with
gaps, whose columns are moved up until no gap is left). A window is then a slice [lo, hi) of rows, computed once per
group of columns. Nothing here knows a function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from tidegate.metrics import columns
from tidegate.metrics.promql.values import Context, Flags, Floats, Times, Vec

Rows: TypeAlias = npt.NDArray[np.int64]
Cell = TypeVar("Cell", bound=np.generic)


def _never() -> None:
    """Windows outside of a query have all the time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Panel:
    """Samples of some series, without gaps. G is the number of column groups that share their timestamps."""

    where: slice | npt.NDArray[np.int64]
    """Which series of the selection the columns are."""
    values: Floats
    """[slots, columns]."""
    times: Times
    """[slots, G]: milliseconds; G is 1, a number of blocks, or the number of columns."""
    owner: npt.NDArray[np.int64] | None
    """[columns]: each column's group, where G is a number of blocks."""
    clock: Times
    """[raw slots, groups]: the timestamps before gaps were closed; unused slots are later than any time."""
    rank: npt.NDArray[np.int32] | None
    """[raw slots + 1, columns]: how many samples a column has before a raw slot, where gaps were closed."""

    @property
    def everything(self) -> bool:
        """Whether the columns are all series of the selection, in order."""
        return isinstance(self.where, slice) and self.where == slice(None)

    def before(self, at: Times) -> Rows:
        """[steps, G]: how many samples are at or before each time."""
        if self.clock.shape[1] == 1:
            rows = np.searchsorted(self.clock[:, 0], at, side="right")[:, None]
        elif len(at) == 1:
            rows = (self.clock <= at[0]).sum(axis=0)[None]
        else:
            found = [np.searchsorted(column, at, side="right") for column in self.clock.T]
            rows = np.stack(found, axis=1)
        if self.rank is None:
            return rows
        if self.clock.shape[1] == 1:
            return self.rank[rows[:, 0]].astype(np.int64)
        if self.owner is not None:
            rows = rows[:, self.owner]
        return np.take_along_axis(self.rank, rows, axis=0).astype(np.int64)

    def wide(self, grouped: npt.NDArray[Cell]) -> npt.NDArray[Cell]:
        """[steps, G] to something that broadcasts with [steps, columns]."""
        if self.owner is None or self.rank is not None:
            return grouped
        return grouped.take(self.owner, axis=1)

    def pick(self, rows: Rows) -> Floats:
        """[steps, columns]: the values at these rows ([steps, G])."""
        rows = np.minimum(np.maximum(rows, 0), len(self.values) - 1)
        if rows.shape[1] == 1:
            return self.values[rows[:, 0]]
        if len(rows) == 1:
            first = int(rows[0, 0])
            if bool((rows == first).all()):
                return self.values[first : first + 1]
        wide = self.wide(rows)
        if not self.values.flags.c_contiguous:
            return np.take_along_axis(self.values, wide, axis=0)
        width = self.values.shape[1]
        found: Floats = self.values.reshape(-1).take(wide * width + np.arange(width))
        return found

    def pick_time(self, rows: Rows) -> Times:
        """[steps, G]: the times at these rows."""
        rows = np.minimum(np.maximum(rows, 0), len(self.values) - 1)
        if rows.shape[1] == 1:
            return self.times[rows[:, 0], :1]
        return np.take_along_axis(self.times, rows, axis=0)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """What a selector selected."""

    labels: columns.LabelFrame
    panels: tuple[Panel, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Windows:
    """The windows of all steps over one panel: rows [lo, hi)."""

    panel: Panel
    lo: Rows
    """[steps, G]."""
    hi: Rows
    starts: Times
    """[steps], exclusive."""
    ends: Times
    """[steps], inclusive."""
    check: Callable[[], None] = _never
    """To be called now and then by whoever takes long: raises when the query's time is over."""

    @property
    def count(self) -> Rows:
        """[steps, G]: how many samples each window has."""
        return self.hi - self.lo

    def at_least(self, samples: int) -> Flags:
        """[steps, columns]: which windows have so many samples."""
        enough = self.panel.wide(self.count >= samples)
        return np.broadcast_to(enough, (len(self.lo), self.panel.values.shape[1]))

    def slabs(self) -> Iterator[tuple[int, int, int, Flags | None]]:
        """For each step: its number, the rows that its windows span, and a mask [rows, columns] unless all are equal."""
        for step in range(len(self.lo)):
            self.check()
            lo, hi = self.lo[step], self.hi[step]
            first, last = int(lo.min()), int(hi.max())
            if last <= first:
                yield step, first, first, None
            elif len(lo) == 1 or (first == int(lo.max()) and last == int(hi.min())):
                yield step, first, last, None
            else:
                rows = np.arange(first, last)[:, None]
                inside = (rows >= lo) & (rows < hi)
                yield step, first, last, self.panel.wide(inside)

    def part(self, steps: npt.NDArray[np.int64]) -> Windows:
        """The windows of some steps."""
        return Windows(self.panel, self.lo[steps], self.hi[steps], self.starts[steps], self.ends[steps], self.check)


@dataclasses.dataclass(frozen=True, slots=True)
class Ranges:
    """A range vector at every step."""

    labels: columns.LabelFrame
    windows: tuple[Windows, ...]
    drop: Flags | None = None

    def apply(self, ctx: Context, function: Callable[[Windows], tuple[Floats, Flags]]) -> Vec:
        """The vector of a window function: values and presence [steps, columns] for each panel."""
        shape = (ctx.steps, len(self.labels))
        ctx.budget.hold(shape[0] * shape[1])
        found = [dataclasses.replace(each, check=ctx.budget.check) for each in self.windows]
        if len(found) == 1 and found[0].panel.everything:
            values, present = function(found[0])
            return Vec(self.labels, values, None if bool(present.all()) else present, self.drop)
        result, exists = np.zeros(shape), np.zeros(shape, np.bool_)
        for windows in found:
            result[:, windows.panel.where], exists[:, windows.panel.where] = function(windows)
        return Vec(self.labels, result, None if bool(exists.all()) else exists, self.drop)


def windows(panel: Panel, starts: Times, ends: Times) -> Windows:
    """Windows (start, end] of each step."""
    lo, hi = panel.before(starts), panel.before(ends)
    return Windows(panel, lo, np.maximum(hi, lo), starts, ends)
