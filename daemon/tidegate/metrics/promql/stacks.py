"""Many windows side by side: `[columns, steps, samples]`, so that a function reduces the last axis of all at once.

Steps are taken in batches that fit a processor's cache. Windows of different lengths lie at the front of their row, with
a mask for the rest. Nothing here knows a function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tidegate.metrics.promql.panels import Rows, Windows
from tidegate.metrics.promql.values import Flags, Floats, Times

Cell = TypeVar("Cell", bound=np.generic)

CELLS = 1 << 17
"""About how many samples lie in one stack."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stack:
    """The windows of some steps. Windows may be empty: whoever reduces them says nothing of those."""

    steps: slice
    values: Floats
    """[columns, steps, samples]: a copy, free to be changed; behind a window's end anything."""
    counts: Rows
    """[columns, steps], or [1, steps] where all columns have the same."""
    rows: Rows
    """[columns, steps], or [1, steps]: where each window begins in the panel."""
    mask: Flags | None
    """[columns or 1, steps, samples]: which cells are samples; None when all are."""

    def kept(self, otherwise: float) -> Floats:
        """The values, something else behind the windows' ends."""
        return self.values if self.mask is None else np.where(self.mask, self.values, otherwise)

    @property
    def size(self) -> int:
        """Samples in the longest window."""
        return int(self.values.shape[2])

    @property
    def first(self) -> Floats:
        """[columns, steps]: the first sample of each window."""
        found: Floats = self.values[:, :, 0]
        return found


def stacked(windows: Windows) -> Iterator[Stack]:
    """All steps that have a sample in some window, batch by batch."""
    panel = windows.panel
    lo, hi = panel.wide(windows.lo).T, panel.wide(windows.hi).T
    longest = (hi - lo).max(axis=0)
    if not longest.size or int(longest.max()) <= 0:
        return
    low, high, most = int(lo.min()), int(hi.max()), int(longest.max())
    samples = np.empty((panel.values.shape[1], high - low + most))
    samples[:, : high - low] = panel.values[low:high].T
    samples[:, high - low :] = 0.0
    width = max(CELLS // max(most * len(samples), 1), 1)
    every = np.arange(len(samples))[:, None]
    for begin in range(0, len(windows.lo), width):
        windows.check()
        steps = slice(begin, min(begin + width, len(windows.lo)))
        size = int(longest[steps].max())
        if size <= 0:
            continue
        rows, counts = lo[:, steps], (hi - lo)[:, steps]
        view = np.lib.stride_tricks.sliding_window_view(samples, size, axis=1)
        values = view[every, np.minimum(rows, high) - low]
        mask = None if bool((counts == size).all()) else np.arange(size) < counts[:, :, None]
        yield Stack(steps, values, counts, rows, mask)


def times(windows: Windows, stack: Stack) -> Times:
    """[columns or groups or 1, steps, samples]: when the samples are, in milliseconds; behind a window's end anything."""
    clock, rows = windows.panel.times, stack.rows
    if _grouped(windows):
        rows = windows.lo[stack.steps].T
    places = np.minimum(rows[:, :, None] + np.arange(stack.size), len(clock) - 1)
    found: Times = clock[places, np.arange(clock.shape[1])[:, None, None]]
    return found


def per_column(windows: Windows, grouped: npt.NDArray[Cell]) -> npt.NDArray[Cell]:
    """[groups, ...] to [columns, ...], where columns share their times in groups."""
    owner = windows.panel.owner
    return grouped[owner] if owner is not None and _grouped(windows) else grouped


def _grouped(windows: Windows) -> bool:
    return windows.panel.owner is not None and windows.panel.rank is None
