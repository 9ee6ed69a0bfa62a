"""Samples prepared for window functions: blocks put together, gaps closed, and the windows of all steps.

A `Panel` holds the samples of some series, column by column in order of time. Columns share timestamps where they can:
all of them (one block), block by block (many small blocks, padded to a common length), or each has its own (blocks with
gaps, whose columns are moved up until no gap is left). A window is then a slice [lo, hi) of rows, computed once per
group of columns. Nothing here knows a function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from tidegate.metrics import columns
from tidegate.metrics.promql import frames
from tidegate.metrics.promql.values import Context, Flags, Floats, Times, Vec
from tidegate.model import series

Rows: TypeAlias = npt.NDArray[np.int64]
Cell = TypeVar("Cell", bound=np.generic)

BIG_BLOCK = 1 << 16
"""Cells from which a block is used as it is, instead of being copied together with others."""
_NEVER = np.iinfo(np.int64).max


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
        return grouped[:, self.owner]

    def pick(self, rows: Rows) -> Floats:
        """[steps, columns]: the values at these rows ([steps, G])."""
        rows = np.minimum(np.maximum(rows, 0), len(self.values) - 1)
        if rows.shape[1] == 1:
            return self.values[rows[:, 0]]
        if len(rows) == 1:
            first = int(rows[0, 0])
            if bool((rows == first).all()):
                return self.values[first : first + 1]
        wide = rows if self.owner is None or self.rank is not None else rows[:, self.owner]
        return np.take_along_axis(self.values, wide, axis=0)

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
        return Windows(self.panel, self.lo[steps], self.hi[steps], self.starts[steps], self.ends[steps])


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
        if len(self.windows) == 1 and self.windows[0].panel.everything:
            values, present = function(self.windows[0])
            return Vec(self.labels, values, None if bool(present.all()) else present, self.drop)
        result, exists = np.zeros(shape), np.zeros(shape, np.bool_)
        for windows in self.windows:
            result[:, windows.panel.where], exists[:, windows.panel.where] = function(windows)
        return Vec(self.labels, result, None if bool(exists.all()) else exists, self.drop)


def windows(panel: Panel, starts: Times, ends: Times) -> Windows:
    """Windows (start, end] of each step."""
    lo, hi = panel.before(starts), panel.before(ends)
    return Windows(panel, lo, np.maximum(hi, lo), starts, ends)


# --- making panels -----------------------------------------------------------------------------------------------


def source(selection: columns.Selection, *, stale: bool, newest: bool = False) -> Source:
    """Panels of a selection.

    `stale` keeps the stale markers as samples (an instant selector looks at them); `newest` says that only each series'
    newest sample will be looked at.
    """
    selection = _merged(selection)
    if newest:
        selection = columns.Selection(selection.labels, tuple(_newest(block) for block in selection.blocks))
    spans: list[tuple[int, columns.Block]] = []
    start = 0
    for block in selection.blocks:
        width = block.values.shape[1]
        if width and len(block.times):
            spans.append((start, block))
        start += width
    if len(spans) == 1 and spans[0][1].values.shape[1] == len(selection.labels):
        return Source(selection.labels, tuple(_single(slice(None), spans[0][1], stale)))
    return Source(selection.labels, tuple(_panels(spans, stale)))


def _newest(block: columns.Block) -> columns.Block:
    last = block.values[-1:]
    if len(block.times) < 2 or (block.gaps and bool((last.view(np.int64) == series.ABSENT_BITS).any())):
        return block
    return columns.Block(block.times[-1:], last, gaps=False)


def _panels(spans: list[tuple[int, columns.Block]], stale: bool) -> Iterator[Panel]:
    small: list[tuple[int, columns.Block]] = []
    for start, block in spans:
        if block.values.size >= BIG_BLOCK:
            yield from _single(slice(start, start + block.values.shape[1]), block, stale)
        else:
            small.append((start, block))
    small.sort(key=lambda item: len(item[1].times))
    while small:
        limit = len(small[0][1].times) * 3 // 2 + 8
        batch = [item for item in small if len(item[1].times) <= limit]
        small = small[len(batch) :]
        yield from _batch(batch, stale)


def _single(where: slice, block: columns.Block, stale: bool) -> Iterator[Panel]:
    times = block.times[:, None]
    yield from _closed(where, block.values, times, None, times, block.gaps, stale)


def _batch(batch: list[tuple[int, columns.Block]], stale: bool) -> Iterator[Panel]:
    if len(batch) == 1:
        start, block = batch[0]
        yield from _single(slice(start, start + block.values.shape[1]), block, stale)
        return
    slots = max(len(block.times) for _, block in batch)
    widths = [block.values.shape[1] for _, block in batch]
    clock = np.full((slots, len(batch)), _NEVER, np.int64)
    values = np.zeros((slots, sum(widths)))
    left = 0
    for index, (_, block) in enumerate(batch):
        used = len(block.times)
        clock[:used, index] = block.times
        values[:used, left : left + widths[index]] = block.values
        left += widths[index]
    starts = np.array([start for start, _ in batch], np.int64)
    where = np.repeat(starts - np.cumsum([0, *widths[:-1]]), widths) + np.arange(left)
    owner = np.repeat(np.arange(len(batch)), widths)
    gaps = any(block.gaps for _, block in batch)
    if bool((clock == clock[:, :1]).all()):
        yield from _closed(where, values, clock[:, :1], None, clock[:, :1], gaps, stale)
    else:
        yield from _closed(where, values, clock, owner, clock, gaps, stale)


def _closed(
    where: slice | npt.NDArray[np.int64],
    values: Floats,
    times: Times,
    owner: npt.NDArray[np.int64] | None,
    clock: Times,
    gaps: bool,
    stale: bool,
) -> Iterator[Panel]:
    if not gaps:
        yield Panel(where, values, times, owner, clock, None)
        return
    bits = values.view(np.int64)
    gap = bits == series.ABSENT_BITS if stale else (bits | 1) == series.ABSENT_BITS
    holes = gap.any(axis=0)
    if not bool(holes.any()):
        yield Panel(where, values, times, owner, clock, None)
        return
    indices = (
        np.arange(values.shape[1])[where] if isinstance(where, slice) and where == slice(None) else _indices(where)
    )
    whole, broken = np.flatnonzero(~holes), np.flatnonzero(holes)
    if len(whole):
        yield Panel(indices[whole], values[:, whole], times, None if owner is None else owner[whole], clock, None)
    yield _compact(indices[broken], values[:, broken], ~gap[:, broken], clock, None if owner is None else owner[broken])


def _indices(where: slice | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.arange(where.start, where.stop) if isinstance(where, slice) else where


def _compact(
    where: npt.NDArray[np.int64],
    values: Floats,
    valid: Flags,
    clock: Times,
    owner: npt.NDArray[np.int64] | None,
) -> Panel:
    slots, width = values.shape
    rank = np.zeros((slots + 1, width), np.int32)
    np.cumsum(valid, axis=0, out=rank[1:])
    height = max(int(rank[-1].max()), 1)
    row, column = np.nonzero(valid)
    target = rank[row, column]
    moved = np.zeros((height, width))
    moved[target, column] = values[row, column]
    times = np.zeros((height, width), np.int64)
    times[target, column] = clock[row, 0] if clock.shape[1] == 1 else clock[row, _owners(owner)[column]]
    return Panel(where, moved, times, owner if clock.shape[1] > 1 else None, clock, rank)


def _owners(owner: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64]:
    if owner is None:
        raise ValueError("a clock per block needs the owner of each column")
    return owner


def _merged(selection: columns.Selection) -> columns.Selection:
    """One series for each label set: the same series may come from two sources, one after the other."""
    codes = selection.labels.codes
    if len(selection.blocks) < 2 or _told_apart(selection) or not frames.has_duplicates(codes):
        return selection
    ids, count = frames.group_rows(codes)
    doubled = np.bincount(ids, minlength=count)[ids] > 1
    rest: list[columns.Block] = []
    order: list[npt.NDArray[np.int64]] = []
    parts: list[tuple[columns.Block, npt.NDArray[np.int64]]] = []
    start = 0
    for block in selection.blocks:
        mine = np.arange(start, start + block.values.shape[1])
        start += len(mine)
        single = np.flatnonzero(~doubled[mine])
        order.append(mine[single])
        rest.append(columns.Block(block.times, block.values[:, single], block.gaps))
        both = np.flatnonzero(doubled[mine])
        if len(both):
            parts.append((columns.Block(block.times, block.values[:, both], block.gaps), ids[mine[both]]))
    kept, joined = _joined(parts)
    first = frames.first_rows(ids, count)
    rows = np.concatenate([*order, first[kept]])
    return columns.Selection(frames.take(selection.labels, rows), (*rest, joined))


def _told_apart(selection: columns.Selection) -> bool:
    """Whether the labels that are the same all over a block (a target's own) differ from block to block."""
    codes = selection.labels.codes
    widths = np.array([block.values.shape[1] for block in selection.blocks if block.values.shape[1]])
    starts = np.cumsum(widths) - widths
    own = [
        index
        for index in range(codes.shape[1])
        if bool((codes[:, index] == np.repeat(codes[starts, index], widths)).all())
    ]
    return bool(own) and not frames.has_duplicates(codes[starts][:, own])


def _joined(
    parts: Sequence[tuple[columns.Block, npt.NDArray[np.int64]]],
) -> tuple[npt.NDArray[np.int64], columns.Block]:
    """One block of the series that several blocks hold. Where two have a sample at one time, the later block's counts."""
    kept = np.unique(np.concatenate([ids for _, ids in parts]))
    times = np.unique(np.concatenate([block.times for block, _ in parts]))
    bits = np.full((len(times), len(kept)), series.ABSENT_BITS, np.int64)
    for block, ids in parts:
        rows, cells = np.searchsorted(times, block.times), np.searchsorted(kept, ids)
        new = block.values.view(np.int64)
        target = np.ix_(rows, cells)
        bits[target] = np.where(new == series.ABSENT_BITS, bits[target], new)
    return kept, columns.Block(times, bits.view(np.float64), gaps=True)
