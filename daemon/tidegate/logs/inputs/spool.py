"""The spool of one input: what was received and is not stored yet, on disk, bounded.

`put` returns when the records are on disk; all that comes while one sync runs shares the next one. A file goes when the
reader's checkpoint on disk says that all of it is stored. When there is no room, records are refused, or the oldest file is
given up, and what of it the reader had not taken is counted.
"""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Protocol

from tidegate.kit import clock as clock_
from tidegate.kit import tasks, telemetry
from tidegate.logs.inputs import instruments, segments
from tidegate.logs.read import checkpoint
from tidegate.model import ports, receiving

BACKLOG = 16 * 1024 * 1024
"""Bytes that may wait in memory for the disk."""
LARGEST_SEGMENT = 64 * 1024 * 1024
SHARE = 16
"""A file is at most such a part of the whole."""
PATIENCE = 0.5


class FullError(Exception):
    """There is no room; later there may be."""


class TooLargeError(Exception):
    """More than the spool could ever take at once."""


class Reader(Protocol):
    """Who reads the spool's files."""

    async def abandon(self, path: str, first_digest: str) -> int:
        """Read no more of a file, and say how far it was read."""

    async def save(self) -> None:
        """Put the checkpoint on disk, and tell the spools."""


@dataclasses.dataclass(slots=True)
class _Waiting:
    data: bytes
    records: int
    done: asyncio.Future[None] | None


class Spool:
    """The spool of one input, in a folder of its own."""

    def __init__(
        self,
        name: str,
        folder: pathlib.Path,
        config: receiving.Spool,
        clock: ports.Clock,
        metrics: instruments.Instruments,
    ) -> None:
        self.name = name
        self.folder = folder
        self.reader: Reader | None = None
        """Asked how far it read before a file is given up."""
        self.last = b""
        """The newest record that was there when it was opened; empty when there was none."""
        self._clock = clock
        self._metrics = metrics
        self._log = telemetry.logger("logs.spool")
        self._files = segments.Appender(folder)
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        """Something was written or removed."""
        metrics.begin(name)
        self.use(config)

    def use(self, config: receiving.Spool) -> None:
        """Go on with other bounds."""
        self.largest = largest(config)
        """Most bytes that are taken at once."""
        self._config = config
        self._metrics.spool_limit.labels(self.name).set(config.max_bytes)
        self._longest = min(config.max_bytes // SHARE, LARGEST_SEGMENT)
        self._changed.set()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(each.size for each in self._files.closed) + (self._files.current.size if self._files.current else 0)

    async def open(self) -> None:
        """Find what is there from before. Raises `OSError`."""
        await asyncio.to_thread(self._files.recover)
        self._metrics.spool_bytes.labels(self.name).set(self.size)
        self.last = b""
        for segment in reversed(self._files.closed):
            self.last = self.last or await asyncio.to_thread(segments.last_record, segment)

    async def put(self, data: bytes, records: int, *, wait: bool = False) -> None:
        """Return when whole records are on disk. With `wait` a full spool and a failing disk are waited for.

        Raises `FullError` or `OSError` without `wait`, and `TooLargeError`.
        """
        if len(data) > self.largest:
            raise TooLargeError
        attempt = 0
        while True:
            if self._fits(data):
                done = asyncio.get_running_loop().create_future()
                self._enqueue(_Waiting(data, records, done))
                try:
                    await done
                except OSError:
                    if not wait:
                        raise
                    attempt += 1
                    await self._clock.sleep(tasks.backoff(attempt))
                else:
                    return
            elif not wait and not self._has_room(data):
                raise FullError
            else:
                self._changed.clear()
                if self.reader is not None:  # what is stored may be free at once
                    await self.reader.save()
                await clock_.wait(self._clock, self._changed, PATIENCE)

    def offer(self, data: bytes, records: int) -> bool:
        """Take records without waiting for the disk; False when there is no room."""
        if not self._fits(data):
            return False
        self._enqueue(_Waiting(data, records, None))
        return True

    async def stored(self, entries: Iterable[checkpoint.Entry]) -> None:
        """A checkpoint is on disk: remove the files that are stored."""
        files = self._files
        if not files.closed:
            return
        reached = {entry.first_digest: entry.offset for entry in entries if entry.first_length}
        done = [each for each in files.closed if reached.get(each.digest, -1) >= each.size]
        if done:
            files.closed = [each for each in files.closed if each not in done]
            await asyncio.to_thread(_remove, done)
            self._told()

    async def drain(self) -> None:
        """Wait until what was taken is on disk, or failed."""
        if self._writer is not None:
            await asyncio.wait({self._writer})

    # --- writing ------------------------------------------------------------------------------------------------

    def _fits(self, data: bytes) -> bool:
        return self._waiting_bytes + len(data) <= BACKLOG + len(data) * (not self._waiting) and self._has_room(data)

    def _has_room(self, data: bytes) -> bool:
        drops = self._config.when_full == "drop-oldest"
        return drops or self.size + self._waiting_bytes + len(data) + segments.MOST_HEADER <= self._config.max_bytes

    def _enqueue(self, item: _Waiting) -> None:
        self._waiting.append(item)
        self._waiting_bytes += len(item.data)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting, []
                try:
                    await self._write(taken)
                except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                    self._failed(taken, error)
                self._waiting_bytes -= sum(len(each.data) for each in taken)
                self._told()
        finally:
            self._writer = None

    async def _write(self, taken: list[_Waiting]) -> None:
        data = b"".join([each.data for each in taken])
        if self._config.when_full == "drop-oldest":
            await self._make_room(len(data))
        segment = await asyncio.to_thread(self._files.write, data)
        if segment.size >= self._longest:
            self._files.end()
        for each in taken:
            self._metrics.received.labels(self.name).inc(each.records)
            if each.done is not None and not each.done.done():
                each.done.set_result(None)

    def _failed(self, taken: list[_Waiting], error: Exception) -> None:
        """Tell everybody whose records are not surely on disk. What got there all the same is shipped, too."""
        self._log.error("cannot write the spool", folder=str(self.folder), reason=str(error))
        self._metrics.spool_errors.labels(self.name).inc()
        wrong = error if isinstance(error, OSError) else OSError(str(error))
        for each in taken:
            if each.done is None:
                self._metrics.refused.labels(self.name, "disk").inc(each.records)
            elif not each.done.done():
                each.done.set_exception(wrong)

    async def _make_room(self, wanted: int) -> None:
        while self.size + wanted + segments.MOST_HEADER > self._config.max_bytes:
            if not self._files.closed:
                self._files.end()
            if not self._files.closed:
                return
            oldest = self._files.closed.pop(0)
            position = await self.reader.abandon(str(oldest.path), oldest.digest) if self.reader else 0
            records, size = await asyncio.to_thread(segments.drop, oldest, position)
            self._metrics.dropped_lines.labels(self.name).inc(records)
            self._metrics.dropped_bytes.labels(self.name).inc(size)
            self._log.warning("the spool is full, its oldest file is given up", input=self.name, records=records)

    def _told(self) -> None:
        self._metrics.spool_bytes.labels(self.name).set(self.size)
        self._changed.set()


def largest(config: receiving.Spool) -> int:
    """Most bytes that a spool takes at once."""
    return config.max_bytes // 2


def _remove(done: Iterable[segments.Segment]) -> None:
    for each in done:
        each.path.unlink(missing_ok=True)
