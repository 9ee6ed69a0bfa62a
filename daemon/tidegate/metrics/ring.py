"""One memory-mapped ring of rows: `[slot, column]` float64 values, one int64 timestamp and one checksum a slot.

A row is written values first, then its timestamp, then the count of rows, so a process that is killed loses at most the
row in flight; the checksums find rows of which only a part reached the disk before the machine itself stopped. The oldest
`SPARE` slots are never shown: the next rows go there, so what a reader holds stays as it is while they are written
(`intact` tells). Growing writes a new file beside the old one and renames it.
"""

from __future__ import annotations

import mmap
import os
import pathlib
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tidegate.model import series

SPARE = 8
MAGIC = b"TIDERING"
VERSION = 2
HEADER = 4096
_FIXED = struct.Struct("<8sIIqqI")  # magic, version, reserved, slots, columns, checksum of what is before
_ROWS_AT = 64
_SUMMED = 1 << 32
"""Set in a slot whose checksum counts; without it the row was being filled."""
RECENT_MS = 300_000
"""How old the newest rows are that a system may not have written to the disk yet: those are checked when a ring is opened."""


class TornError(Exception):
    """The file is not a ring of ours, or not a whole one."""


class Ring:
    """One ring file, open for writing by one process."""

    def __init__(self, path: pathlib.Path, *, slots: int = 0, columns: int = 0) -> None:
        """Make a ring (`slots` given), or open one. Raises `TornError` or `OSError`."""
        self.path = path
        if slots:
            _create(path, slots, columns)
        with path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            if size < HEADER:
                raise TornError(f"{size} bytes are too few for a header")
            self._map = mmap.mmap(file.fileno(), 0)
        self.slots, self.columns = _header(self._map, size)
        self._count = np.frombuffer(self._map, np.int64, 1, _ROWS_AT)
        self.times: series.Times = np.frombuffer(self._map, np.int64, self.slots, HEADER)
        self._sums = np.frombuffer(self._map, np.int64, self.slots, HEADER + 8 * self.slots)
        start = HEADER + 16 * self.slots
        flat = np.frombuffer(self._map, np.float64, self.slots * self.columns, start)
        self.values: series.Values = flat.reshape(self.slots, self.columns)
        self._check()
        self._finish()
        self.damaged = 0 if slots else self._clean()
        """Rows that did not have their checksum when the ring was opened; they hold nothing now."""

    @property
    def rows(self) -> int:
        """Rows ever written."""
        return int(self._count[0])

    @property
    def first(self) -> int:
        """Number of the oldest row that may be read."""
        return max(self.rows - (self.slots - SPARE), 0)

    @property
    def last_time(self) -> int:
        """Timestamp of the newest row; -1 without one."""
        return int(self.times[(self.rows - 1) % self.slots]) if self.rows else -1

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._map)

    def write(self, at_ms: int, row: series.Values) -> None:
        """Add a row; `row` may be shorter than the ring is wide."""
        slot = self.rows % self.slots
        self.values[slot, : row.size] = row
        if row.size < self.columns:
            self.values[slot, row.size :].view(np.int64)[:] = series.ABSENT_BITS
        self.times[slot] = at_ms
        self._sums[slot] = self._sum(slot)
        self._count[0] = self.rows + 1

    def patch(self, number: int, columns: series.Columns, values: series.Values) -> None:
        """Write some cells of a row that is there."""
        slot = number % self.slots
        self._sums[slot] = 0
        self.values[slot][columns] = values
        self._sums[slot] = self._sum(slot)

    def intact(self, first: int) -> bool:
        """Whether rows from a number on are still what they were, so that views of them may be used."""
        return self.rows - first <= self.slots

    def row_times(self, first: int, end: int) -> series.Times:
        """Timestamps of rows [first, end)."""
        start, stop = first % self.slots, (end - 1) % self.slots + 1
        if end <= first:
            return self.times[:0]
        return self.times[start:stop] if start < stop else np.concatenate((self.times[start:], self.times[:stop]))

    def window(self, first: int, end: int, low: int, high: int) -> series.Values:
        """Values of rows [first, end) and columns [low, high): a view, or a copy where the ring wraps."""
        start, stop = first % self.slots, (end - 1) % self.slots + 1
        if end <= first:
            return self.values[:0, low:high]
        if start < stop:
            return self.values[start:stop, low:high]
        return np.concatenate((self.values[start:, low:high], self.values[:stop, low:high]))

    def span(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """Numbers [first, end) of the readable rows with start_ms < time <= end_ms."""
        end = self.rows
        first = max(end - (self.slots - SPARE), 0)
        times = self.row_times(first, end)
        return first + int(times.searchsorted(start_ms, "right")), first + int(times.searchsorted(end_ms, "right"))

    def resized(self, slots: int, columns: int, more: Sequence[int] = ()) -> Ring:
        """The same readable rows in a ring of another shape, under the same path; this one stays readable.

        With `more`, empty rows of those times are put between them.
        """
        temporary = self.path.with_suffix(".new")
        try:
            bigger = Ring(temporary, slots=slots, columns=columns)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        first = max(self.first, self.rows - (slots - SPARE))
        width = min(columns, self.columns)
        waiting = sorted(more, reverse=True)
        for number in range(first, self.rows):
            slot = number % self.slots
            at_ms = int(self.times[slot])
            while waiting and waiting[-1] < at_ms:
                bigger.write(waiting.pop(), self.values[slot, :0])
            bigger.write(at_ms, self.values[slot, :width])
        temporary.replace(self.path)
        bigger.path = self.path
        return bigger

    def rest(self) -> None:
        """Let the system have the memory of rows that nobody reads; they come back from its cache when somebody does."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def flush(self) -> None:
        """Hand everything to the disk."""
        self._map.flush()

    def _sum(self, slot: int) -> int:
        return _SUMMED | zlib.crc32(self.values[slot].data, zlib.crc32(self.times[slot : slot + 1].data))

    def _finish(self) -> None:
        """Count rows that are whole and were not counted before the process ended."""
        for _ in range(self.slots - 1):
            slot = self.rows % self.slots
            if self.times[slot] <= self.last_time or self._sums[slot] != self._sum(slot):
                break
            self._count[0] = self.rows + 1

    def _clean(self) -> int:
        """Take the values out of recent rows that do not have their checksum; how many there were."""
        found = 0
        for number in range(self.span(self.last_time - RECENT_MS, self.last_time)[0], self.rows):
            slot = number % self.slots
            if self._sums[slot] and self._sums[slot] != self._sum(slot):
                self.values[slot].view(np.int64)[:] = series.ABSENT_BITS
                self._sums[slot] = self._sum(slot)
                found += 1
        return found

    def _check(self) -> None:
        times = self.row_times(self.first, self.rows)
        if self.rows < 0 or (times.size > 1 and not bool((np.diff(times) > 0).all())):
            raise TornError("the rows are not in order of time")


def bits(values: series.Values) -> npt.NDArray[np.int64]:
    """The bit patterns of values."""
    return values.view(np.int64)


def _create(path: pathlib.Path, slots: int, columns: int) -> None:
    with path.open("wb") as file:
        fixed = _FIXED.pack(MAGIC, VERSION, 0, slots, columns, 0)[:-4]
        file.write(fixed + struct.pack("<I", zlib.crc32(fixed)))
        file.flush()
        # Not sparse: a full disk must be an error here, not a signal at some later write.
        os.posix_fallocate(file.fileno(), 0, HEADER + 16 * slots + 8 * slots * columns)


def _header(data: mmap.mmap, size: int) -> tuple[int, int]:
    raw = data[: _FIXED.size]
    magic, version, _, slots, columns, checksum = _FIXED.unpack(raw)
    if magic != MAGIC or version != VERSION:
        raise TornError("the file is of another kind or version")
    if checksum != zlib.crc32(raw[:-4]):
        raise TornError("the header is damaged")
    if size != HEADER + 16 * slots + 8 * slots * columns:
        raise TornError(f"{size} bytes do not hold {slots} slots of {columns} columns")
    return int(slots), int(columns)
