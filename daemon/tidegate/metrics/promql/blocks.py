"""From a selection's blocks to panels: small blocks put together, gaps closed, one series for each label set.

It knows how the store hands out samples (`columns.Selection`); windows and functions see panels only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tidegate.metrics import columns
from tidegate.metrics.promql import frames
from tidegate.metrics.promql.panels import Panel, Source
from tidegate.metrics.promql.values import Flags, Floats, Times
from tidegate.model import series

BIG_BLOCK = 1 << 16
"""Cells from which a block is used as it is, instead of being copied together with others."""
_NEVER = np.iinfo(np.int64).max


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
