"""Reads a store back as plain dictionaries."""

from __future__ import annotations

import numpy as np

from tidegate.kit import matchers
from tidegate.metrics import columns
from tidegate.model import labels, series

EVERYTHING = (matchers.make("__name__", "=~", ".+"),)


def read(
    store: columns.SeriesReader, start_ms: int = 0, end_ms: int = 10**15
) -> dict[str, list[tuple[int, float | str]]]:
    """For each series (as text) its (milliseconds, value), `stale` for a stale marker; absent cells are left out."""
    found = store.select(EVERYTHING, start_ms, end_ms)
    out: dict[str, list[tuple[int, float | str]]] = {}
    row = 0
    for block in found.blocks:
        cells = np.ascontiguousarray(block.values).view(np.int64)
        for place in range(cells.shape[1]):
            out[labels.text(found.labels.labels(row))] = [
                (int(at), "stale" if cell == series.STALE_BITS else float(value))
                for at, cell, value in zip(block.times, cells[:, place], block.values[:, place], strict=True)
                if cell != series.ABSENT_BITS
            ]
            row += 1
    return out
