"""The samples of one source: its ring, its series, and the rules of staleness between one row and the next.

A folder holds `ring` (values) and `labels` (see `owners`). A series that the last
row had and the new one has not gets a stale marker; one that was silent for a whole ring is dead, and its column is given
to another. `epoch` changes when columns were given back, so that whoever remembers columns can look them up again.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.metrics import columns, index, labelfile, owners, ring
from tidegate.model import labels as labels_
from tidegate.model import problems, series

HALF = ".half"
"""At the end of the name of a folder that is being made."""
FIRST_COLUMNS = 4
FEWEST_SLOTS = 32
MOST_SLOTS = 1 << 20
LAST_MS = 1 << 62
PACE = 32
"""Rows over which the time between rows is measured."""
LATE = 4096
"""Fillings of older rows that readers of `after` can still ask for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Filled:
    """What was not stored."""

    duplicates: int
    """Samples that differ from one of the same series and time."""
    late: int
    """Samples older than the newest of their series, or of a time that has no row any more."""


Row: TypeAlias = tuple[int, series.Columns, series.Values]
"""Time, columns and their values."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """What is new in a table; copies."""

    times: series.Times
    values: series.Values
    """[rows, columns]."""
    skipped: int
    """Rows before these that the ring does not have any more."""
    late: tuple[Row, ...]
    """Cells of rows up to the time asked for that were filled since."""
    missed: int
    """Fillings that are not remembered any more."""
    fillings: int
    """To be given the next time."""
    written: int
    """To be given the next time: the number of rows ever written up to the last of these."""


class Table:
    """Implements `ports.SampleTable`. Not safe for concurrent writers; the store's lock guards readers."""

    def __init__(
        self,
        folder: pathlib.Path,
        pool: columns.StringPool,
        dropped: Callable[[str], None],
        lock: contextlib.AbstractContextManager[object],
    ) -> None:
        """Open what `create` made. `lock` guards what tables share. Raises `ring.TornError` or `OSError`."""
        self.folder = folder
        self._lock = lock
        self.epoch = 0
        self.dropped_since: float | None = None
        self.admit: Callable[[int], None] = lambda _: None
        self.came: Callable[[str], None] = lambda _: None
        """Told of the metric name of each new series."""
        self.swept: Callable[[], None] = lambda: None
        """Told when series went."""
        self._dropped = dropped
        self._late: collections.deque[tuple[int, series.Columns]] = collections.deque(maxlen=LATE)
        self.fillings = 0
        """Older rows that were filled, ever."""
        self._renumbered = 0
        """By how much the ring counts its rows less than it did at first."""
        self.ring = ring.Ring(folder / "ring")
        self._owners = owners.Owners(folder / "labels", pool, self.ring.columns)
        self.key, self.interval = self._owners.key, self._owners.interval
        self._want = self.ring.slots
        width = self.ring.columns
        last = self._last_row()
        self._live = np.zeros(width, np.bool_)
        self._live[: last.size] = _real(last)
        self.orphans = int(np.count_nonzero(self._live)) - int(np.count_nonzero(self._live[self._owners.columns()]))
        """Series with samples whose labels did not reach the disk before the machine stopped."""
        self._seen = np.full(width, self.ring.rows - 1, np.int64)
        self.gap_row = self.ring.rows - 1
        """Number of the newest row in which some series had no value."""

    @staticmethod
    def create(folder: pathlib.Path, key: str, interval: float, slots: int) -> None:
        """Make the files of a new table, all or none. Raises `OSError`."""
        half = folder.with_name(folder.name + HALF)
        shutil.rmtree(half, ignore_errors=True)
        try:
            half.mkdir(parents=True)
            labelfile.LabelFile.create(half / "labels", key, interval)
            ring.Ring(half / "ring", slots=slots, columns=FIRST_COLUMNS)
            half.rename(folder)
        except OSError:
            shutil.rmtree(half, ignore_errors=True)
            raise

    @property
    def size(self) -> int:
        """How many series it holds."""
        return len(self._owners)

    @property
    def index(self) -> index.Index:
        """The label sets of its columns."""
        return self._owners.index

    def names(self) -> set[str]:
        """The metric names of its series."""
        return self.index.metric_names()

    def labels(self, column: int) -> labels_.Labels:
        """See `ports.SampleTable`."""
        return self.index.labels(column)

    def column(self, labels: labels_.Labels) -> int:
        """See `ports.SampleTable`."""
        if (found := self._owners.find(labels)) >= 0:
            return found
        with self._lock:
            return self._new_column(labels)

    def _new_column(self, labels: labels_.Labels) -> int:
        self.admit(1)
        column = self._owners.give(labels)
        if column < self._seen.size:
            self._seen[column] = self.ring.rows  # not dead before its first row
        # Rows before this one have nothing in the new column.
        self.gap_row = self.ring.rows - 1
        self.came(labels_.get(labels, labels_.NAME))
        return column

    def append(self, at_ms: int, columns: series.Columns, values: series.Values, *, partial: bool = False) -> None:
        """See `ports.SampleTable`. Raises `ValueError` for columns that belong to no series or stand twice."""
        with self._lock:
            try:
                self._append(at_ms, columns, values, partial=partial)
            except OSError as error:
                self._dropped(f"disk: {error.strerror}")

    def _append(self, at_ms: int, columns: series.Columns, values: series.Values, *, partial: bool) -> None:
        if at_ms <= self.ring.last_time:
            self._dropped("out_of_order")
            return
        self._owners.write()
        self._make_room()
        row = np.full(self.ring.columns, np.nan)
        cells = ring.bits(row)
        cells[:] = series.ABSENT_BITS
        if columns.size:
            self._owners.check(columns)
            row[columns] = values
        now = _real(row)
        if not partial:
            cells[self._live & ~now & (cells == series.ABSENT_BITS)] = series.STALE_BITS
        number = self.ring.rows
        self.ring.write(at_ms, row)
        self._seen[now] = number
        self._live = self._live | now if partial else now
        if int(now.sum()) < self.size:
            self.gap_row = number

    def fill(self, rows: Sequence[Row]) -> Filled:
        """Store samples that come in no order of columns, in rows that are in order of time.

        A series takes no sample older than its newest, and no other value for a time that it has. Rows between those that
        are there cost a new ring: sources whose series have different times are better spread over several tables.
        """
        with self._lock:
            self._make_rows(rows)
            found = [self._fill_row(*row) for row in rows]
            return Filled(sum(one.duplicates for one in found), sum(one.late for one in found))

    def _fill_row(self, at_ms: int, columns: series.Columns, values: series.Values) -> Filled:
        if at_ms > self.ring.last_time:
            columns, values, doubled = _once(columns, values)
            self._append(at_ms, columns, values, partial=True)
            return Filled(doubled, 0)
        return self._fill(at_ms, columns, values)

    def _make_rows(self, rows: Sequence[Row]) -> None:
        """Put in the rows that samples need which are newer than all of their series, but not newer than the table."""
        data, missing = self.ring, []
        for at_ms, of, _ in rows:
            if at_ms >= data.last_time or self._row_at(at_ms) >= 0 or (data.first and at_ms < self._oldest()):
                continue
            number = data.span(at_ms, at_ms)[0]
            if not self._newer(number - 1, of).all():
                missing.append(at_ms)
        if missing:
            self._insert(missing)

    def _oldest(self) -> int:
        return int(self.ring.times[self.ring.first % self.ring.slots])

    def _insert(self, missing: Sequence[int]) -> None:
        """Put empty rows in between."""
        self._owners.write()
        self._make_room()
        before = self.ring
        first, rows = before.first, before.rows
        self.ring = before.resized(before.slots, before.columns, missing)
        # A series without a row yet counts as seen in the next one.
        times = np.append(before.row_times(first, rows), LAST_MS)
        shift = np.searchsorted(np.sort(missing), times) - first
        readable = self._seen >= first
        self._seen[~readable] -= first
        self._seen[readable] += shift[self._seen[readable] - first]
        self._renumbered += rows + len(missing) - self.ring.rows
        self.gap_row = self.ring.rows - 1

    def _fill(self, at_ms: int, columns: series.Columns, values: series.Values) -> Filled:
        self._owners.write()
        self._make_room()
        number = self._row_at(at_ms)
        late = np.ones(columns.size, np.bool_) if number < 0 else self._newer(number, columns)
        kept_columns, kept, doubled = _once(columns[~late], values[~late])
        if kept_columns.size:
            row = self.ring.values[number % self.ring.slots]
            cells, given = ring.bits(row[kept_columns]), ring.bits(kept)
            free = cells == series.ABSENT_BITS
            doubled += int(np.count_nonzero(~free & (cells != given)))
            self.ring.patch(number, kept_columns[free], kept[free])
            self._late.append((at_ms, kept_columns[free]))
            self.fillings += 1
            real = kept_columns[free & (given != series.STALE_BITS)]
            self._seen[real] = np.maximum(self._seen[real], number)
            if number == self.ring.rows - 1:
                self._live[real] = True
        return Filled(doubled, int(np.count_nonzero(late)))

    def _newer(self, number: int, columns: series.Columns) -> npt.NDArray[np.bool_]:
        """Which columns have something in a later row."""
        # A new series has no column in the ring before its first row.
        later = self.ring.window(number + 1, self.ring.rows, 0, self.ring.columns)
        known = columns < later.shape[1]
        found = np.zeros(columns.size, np.bool_)
        found[known] = (later[:, columns[known]].view(np.int64) != series.ABSENT_BITS).any(axis=0)
        return found

    def _row_at(self, at_ms: int) -> int:
        """The number of the readable row of a time; -1 when there is none."""
        first, end = self.ring.span(at_ms - 1, at_ms)
        return first if end > first else -1

    def after(self, at_ms: int, fillings: int, written: int, most: int) -> Rows:
        """The next rows after a time, at most so many; and what was filled into those before since `fillings`.

        `written` is what the last answer said, or -1 for one who asks first.
        """
        with self._lock:
            data = self.ring
            first, end = data.span(at_ms, LAST_MS)
            lost = data.first + self._renumbered - written if first == data.first and written >= 0 else 0
            end = min(end, first + most)
            new = self.fillings - fillings
            recent = list(self._late)[-new:] if new else []
            found = ((at, columns, self._row_at(at)) for at, columns in recent if at <= at_ms)
            late = tuple((at, of, data.values[row % data.slots][of]) for at, of, row in found if row >= 0)
            times, values = data.row_times(first, end).copy(), data.window(first, end, 0, data.columns).copy()
            return Rows(times, values, max(lost, 0), late, new - len(recent), self.fillings, end + self._renumbered)

    def holds(self, labels: labels_.Labels) -> bool:
        """Whether it has this series."""
        return self._owners.find(labels) >= 0

    def pace(self) -> float:
        """Seconds between its last rows, when there are enough of them to tell; 0 otherwise."""
        times = self.ring.row_times(max(self.ring.first, self.ring.rows - PACE), self.ring.rows)
        return float(times[-1] - times[0]) / 1000 / (times.size - 1) if times.size >= PACE // 2 else 0.0

    def end(self, at_ms: int) -> None:
        """See `ports.SampleTable`."""
        if self._live.any():
            self.append(at_ms, np.zeros(0, np.int32), np.zeros(0))

    def want(self, seconds: float) -> bool:
        """Keep this much history from the next row on; False when it is more than a table can keep."""
        wanted = math.ceil(seconds / max(self.interval, 0.001)) + ring.SPARE + 2
        self._want = min(max(wanted, FEWEST_SLOTS), MOST_SLOTS)
        return wanted <= MOST_SLOTS

    def sweep(self) -> int:
        """Give back the columns of series that were silent for a whole ring; how many."""
        self._owners.rested()
        owned = self._owners.columns()
        known = owned[owned < self._seen.size]
        dead = known[self._seen[known] < self.ring.rows - self.ring.slots]
        if not dead.size:
            return 0
        self.epoch += 1
        self.admit(-dead.size)
        self._owners.release(dead)
        self.swept()
        return int(dead.size)

    def close(self) -> None:
        """Write what is pending, and hand the ring to the disk."""
        self._owners.write()
        self.ring.flush()

    def _make_room(self) -> None:
        width = self.ring.columns
        while width < self._owners.width:
            width *= 2
        slots = self.ring.slots if self.ring.slots * 0.5 <= self._want <= self.ring.slots else self._want
        if width == self.ring.columns and slots == self.ring.slots:
            return
        rows = self.ring.rows
        try:
            self.ring = self.ring.resized(slots, width)
        except OSError:
            if width > self.ring.columns:
                raise
            return  # there is room for the row all the same: the history becomes longer when the disk has room, too
        self._seen -= rows - self.ring.rows
        self._renumbered += rows - self.ring.rows
        grown = width - self._live.size
        self._live = np.concatenate((self._live, np.zeros(grown, np.bool_)))
        self._seen = np.concatenate((self._seen, np.full(grown, self.ring.rows)))
        self.gap_row = self.ring.rows

    def _last_row(self) -> series.Values:
        if not self.ring.rows:
            return np.zeros(0)
        row: series.Values = self.ring.values[(self.ring.rows - 1) % self.ring.slots]
        return row


def _once(columns: series.Columns, values: series.Values) -> tuple[series.Columns, series.Values, int]:
    """Each column once, the first time it stands; and how many others differ."""
    distinct, first, inverse = np.unique(columns, return_index=True, return_inverse=True)
    if distinct.size == columns.size:
        return columns, values, 0
    differ = ring.bits(values) != ring.bits(values[first])[inverse]
    return columns[first], values[first], int(np.count_nonzero(differ))


def _real(row: series.Values) -> npt.NDArray[np.bool_]:
    cells = ring.bits(row)
    found: npt.NDArray[np.bool_] = (cells != series.ABSENT_BITS) & (cells != series.STALE_BITS)
    return found


def refused(limit: int) -> problems.PermanentError:
    """What a full store answers."""
    return problems.PermanentError(
        f"the limit of {limit} series is reached (scrape.series_limit)", reason="series_limit"
    )
