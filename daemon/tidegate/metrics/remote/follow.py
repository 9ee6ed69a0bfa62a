"""Reads the store for one receiver: what each table has after the time up to which it was sent, cut into messages.

The rings are the queue. Nothing is copied before it is sent, an outage needs no memory, and what a ring overwrote before
it was sent is counted. Tables are dealt to shards by their keys, so that a series is always sent in order. How messages
travel is not known here.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tidegate.metrics import ring
from tidegate.metrics import store as store_
from tidegate.metrics import table as table_
from tidegate.metrics.remote import encode, layout, positions
from tidegate.model import series

ROWS = 64
"""Rows of one table that are taken out at once."""
Dropped = Callable[[str, int], None]
Marks = tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """Samples that are sent together."""

    pieces: tuple[encode.Piece, ...]
    samples: int
    newest_ms: int
    marks: Marks
    """Times up to which tables are sent once this is acknowledged."""


@dataclasses.dataclass(slots=True)
class _Followed:
    """What is known of one table."""

    layout: layout.Layout
    fillings: int
    written: int = -1
    waiting: int = 0
    """Samples that waited when it was last looked at."""


class Follower:
    """Hands out what one receiver has not got yet."""

    def __init__(self, store: store_.Store, naming: layout.Naming, sent: positions.Positions, dropped: Dropped) -> None:
        self._store, self._naming, self._sent, self._dropped = store, naming, sent, dropped
        self._known: dict[str, _Followed] = {}
        self._turns: dict[int, int] = {}
        """Where each shard begins next, so that no table waits for all others."""

    def gather(self, shard: int, of: int, samples: int, most: int, oldest_ms: int) -> list[Message]:
        """The next messages of one shard: some `samples`, at most `most` in each, none older than `oldest_ms`. Blocks."""
        made = _Maker(most)
        tables = [one for one in self._store.tables() if of == 1 or zlib.crc32(one.key.encode()) % of == shard]
        turn = self._turns.get(shard, 0) % max(len(tables), 1)
        for number, one in enumerate(tables[turn:] + tables[:turn]):
            if made.total >= samples:
                self._turns[shard] = turn + number
                break
            self._take(one, made, samples, oldest_ms)
        return made.finish()

    def acknowledge(self, message: Message) -> None:
        """Its samples were dealt with, one way or the other."""
        for table, at_ms in message.marks:
            self._sent.put(table, at_ms)

    def pending(self, now_ms: int) -> tuple[int, float]:
        """Samples that wait (rows times series, so rather too many), and the age of the oldest in seconds. Blocks."""
        waiting, age, there = 0, 0, set()
        for one in self._store.tables():
            there.add(one.key)
            data = one.ring
            first, end = data.span(self._sent.get(one.key), table_.LAST_MS)
            number = (end - first) * one.size
            if one.key in self._known:
                self._known[one.key].waiting = number
            if number:
                waiting += number
                age = max(age, now_ms - int(data.times[first % data.slots]))
        self._forget(there)
        return waiting, age / 1000

    def _forget(self, there: set[str]) -> None:
        """Let go of tables that the store gave up."""
        for key in list(self._known.keys() - there):
            self._dropped("expired", self._known.pop(key).waiting)

    def _take(self, one: table_.Table, made: _Maker, samples: int, oldest_ms: int) -> None:
        position = self._sent.get(one.key)
        known = self._known.get(one.key)
        if known is None:
            known = self._known[one.key] = _Followed(layout.Layout(self._naming), one.fillings)
        if one.ring.last_time <= position and one.fillings == known.fillings:
            return
        rows = one.after(position, known.fillings, known.written, _rows(samples - made.total, one.size))
        skipped = rows.skipped if known.written >= 0 else _skipped(one, position, rows.times)
        if skipped or rows.missed:
            self._dropped("overwritten", skipped * one.size + rows.missed)
        known.fillings, known.written = rows.fillings, rows.written
        for late in rows.late:
            self._add(one, known.layout, made, late, oldest_ms)
        present = ring.bits(rows.values) != series.ABSENT_BITS
        for number, at_ms in enumerate(rows.times.tolist()):
            filled = np.flatnonzero(present[number])
            self._add(one, known.layout, made, (at_ms, filled, rows.values[number][filled]), oldest_ms)
            made.mark(one.key, at_ms)

    def _add(
        self,
        one: table_.Table,
        known: layout.Layout,
        made: _Maker,
        row: tuple[int, npt.NDArray[np.integer], series.Values],
        oldest_ms: int,
    ) -> None:
        at_ms, of, values = row
        found, kept = known.group(one, of)
        reason = "too_old" if at_ms < oldest_ms else "" if encode.EARLIEST <= at_ms < encode.LATEST else "time"
        self._dropped("relabel", of.size - len(found))
        if reason:
            self._dropped(reason, len(found))
        else:
            made.add(at_ms, values if len(found) == of.size else values[kept], found)


def _skipped(one: table_.Table, position: int, times: series.Times) -> int:
    """How many rows the ring lost since a time, after a restart: as many as its interval has room for."""
    first, end = one.ring.span(position - 1, position)
    if first < end or not times.size or not one.ring.first:
        return 0
    return max(round((int(times[0]) - position) / (one.interval * 1000)) - 1, 0)


def _rows(samples: int, width: int) -> int:
    return max(min(samples // max(width, 1), ROWS), 1)


class _Maker:
    """Cuts samples into messages."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._done: list[Message] = []
        self._pieces: list[encode.Piece] = []
        self._marks: dict[str, int] = {}
        self._filled, self._newest = 0, 0
        self.total = 0

    def add(self, at_ms: int, values: series.Values, of: encode.Group) -> None:
        """Samples of one time."""
        for start, end in self._cuts(len(of)):
            self._pieces.append(encode.Piece(at_ms, values[start:end], of, start, end))
            self._filled += end - start
            self._newest = max(self._newest, at_ms)
        self.total += len(of)

    def _cuts(self, size: int) -> Iterator[tuple[int, int]]:
        start = 0
        while start < size:
            if self._filled >= self._most:
                self._close()
            end = min(size, start + self._most - self._filled)
            yield start, end
            start = end

    def mark(self, table: str, at_ms: int) -> None:
        """All of a table up to this time has been added."""
        self._marks[table] = at_ms

    def finish(self) -> list[Message]:
        """All messages; the last may not be full."""
        if self._pieces or self._marks:
            self._close()
        return self._done

    def _close(self) -> None:
        self._done.append(Message(tuple(self._pieces), self._filled, self._newest, tuple(self._marks.items())))
        self._pieces, self._marks, self._filled, self._newest = [], {}, 0, 0
