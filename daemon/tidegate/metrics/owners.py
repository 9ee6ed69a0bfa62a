"""Which series each column of one table belongs to: the label sets, in memory and in the label file.

A series keeps its column until it is dead; a column that was given back rests until the next sweep, so that whoever still
remembers it is told and hits nobody else. Nothing here knows of samples.
"""

from __future__ import annotations

import array
import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tidegate.metrics import columns, index, labelfile
from tidegate.model import labels as labels_
from tidegate.model import series

COMPACT_BYTES = 256
"""Bytes of the label file for each living series at which it is written anew."""


class Owners:
    """Not safe for concurrent writers."""

    def __init__(self, path: pathlib.Path, pool: columns.StringPool, width: int) -> None:
        """Read a label file; `width` is how many columns have a place for samples.

        Raises `ring.TornError` or `OSError`.
        """
        self.index = index.Index(pool)
        self._pool = pool
        self._path = path
        self._columns: dict[bytes, int] = {}
        """By the codes of their names and values: a tenth of what the label sets would take."""
        self._free: list[int] = []
        self._resting: list[int] = []
        """Given back by the last sweep, to nobody yet."""
        self._file = labelfile.LabelFile(path)
        self.key, self.interval = self._read(width)

    def __len__(self) -> int:
        """How many series there are."""
        return len(self._columns)

    @property
    def width(self) -> int:
        """How many columns are needed."""
        return len(self._columns) + len(self._free) + len(self._resting)

    def columns(self) -> npt.NDArray[np.int64]:
        """The columns that belong to somebody, in no order."""
        return np.fromiter(self._columns.values(), np.int64, len(self._columns))

    def find(self, labels: labels_.Labels) -> int:
        """The column of a series; -1 when it has none."""
        known = self._pool.codes
        key = array.array("i", [known.get(text, -1) for pair in labels for text in pair]).tobytes()
        return self._columns.get(key, -1)

    def give(self, labels: labels_.Labels) -> int:
        """A column for a series that has none."""
        column = self._free.pop() if self._free else self.width
        code = self._pool.code
        self._columns[array.array("i", [code(text) for pair in labels for text in pair]).tobytes()] = column
        self._file.came(column, labels)
        self.index.put(column, labels)
        return column

    def rested(self) -> None:
        """What rests may be given away from now on."""
        self._free, self._resting = self._free + self._resting, []

    def release(self, gone: npt.NDArray[np.int64]) -> None:
        """Columns belong to nobody any more. Raises `OSError` when the disk does not take it yet."""
        if not gone.size:
            return
        lost = set(gone.tolist())
        self._columns = {key: column for key, column in self._columns.items() if column not in lost}
        self.index.remove(gone)
        self._resting = gone.tolist()
        self._file.went(self._resting)
        self._file.write()
        self._compact()

    def write(self) -> None:
        """Put what is new on disk. Raises `OSError`; then it is pending still."""
        self._file.write()

    def check(self, given: series.Columns) -> None:
        """Raises `ValueError` for columns that belong to no series or stand twice."""
        if int(given.max()) >= self.width or int(given.min()) < 0:
            raise ValueError("a column that belongs to no series")
        if (self._free or self._resting) and np.isin(given, self._free + self._resting).any():
            raise ValueError("a column that was given back: look the series up again")
        seen = np.zeros(self.width, np.bool_)
        seen[given] = True
        if int(np.count_nonzero(seen)) != given.size:
            raise ValueError("a series stands twice in one row")

    def _compact(self) -> None:
        """Write the label file anew when most of it speaks of series that are gone."""
        if self._path.stat().st_size < COMPACT_BYTES * (1 + len(self._columns)):
            return
        living = ((column, self.index.labels(column)) for column in self._columns.values())
        self._file.rewrite(self.key, self.interval, living)

    def _read(self, width: int) -> tuple[str, float]:
        """Replay the label file. A series may stand there twice after a crash: what was said last counts."""
        key, interval, told = self._file.read(self._pool)
        owners: dict[int, bytes] = {}
        for event in told:
            if isinstance(event, labelfile.Went):
                self._disown(owners, event.columns.tolist())
            else:
                self._own(owners, event)
        # Without a row the ring has no column for it yet.
        self._disown(owners, [column for column in owners if column >= width])
        self._free = sorted(set(range(max(owners, default=-1) + 1)) - set(owners))
        return key, interval

    def _own(self, owners: dict[int, bytes], event: labelfile.Came) -> None:
        keys, given = event.keys(self._pool), event.columns.tolist()
        if not owners.keys().isdisjoint(given):
            self._disown(owners, given)
        if not self._columns.keys().isdisjoint(keys):
            self._disown(owners, [self._columns[key] for key in keys if key in self._columns])
        owners.update(zip(given, keys, strict=True))
        self._columns.update(zip(keys, given, strict=True))
        self.index.put_all(event.columns, event.names, event.codes)

    def _disown(self, owners: dict[int, bytes], gone: Sequence[int]) -> None:
        known = [column for column in gone if column in owners]
        for column in known:
            del self._columns[owners.pop(column)]
        self.index.remove(np.array(known, np.int64))
