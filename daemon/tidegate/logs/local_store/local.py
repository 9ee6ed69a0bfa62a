"""The embedded log store, for one machine without Elasticsearch: an output and a reader over one SQLite database.

One thread writes, each batch in one durable transaction; the document's id is unique, so what is sent again is stored
once. Searches run in threads of their own. Old lines go by age and by size, in slices, counted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import pathlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from tidegate.kit import tasks, telemetry
from tidegate.logs.local_store import database, reading, writing
from tidegate.logs.ship import output
from tidegate.model import logs, ports, problems

Answer = TypeVar("Answer")

LOOK = 30.0
"""Seconds between looks at age."""
FOLLOWED = 1000
"""Lines of one step of following."""
SEARCHERS = 2
"""Searches that run at once; others wait."""
WAITING = 32
"""Searches that wait at most; further ones are refused."""
LONGEST_WAIT = 30.0


class LocalStore:
    """Implements `output.Output` and `ports.LogStore`."""

    name = "embedded"

    def __init__(
        self, folder: pathlib.Path, retention: float, max_bytes: int, clock: ports.Clock, registry: telemetry.Registry
    ) -> None:
        """Open or make the database in a folder; `retention` in seconds. Raises `FatalError`."""
        self._path = folder / "lines.db"
        self._retention, self._clock = retention, clock
        self._log = telemetry.logger("logs.local")
        self._error = ""
        self._asked = 0
        self._local = threading.local()
        self._readers: list[reading.Reader] = []
        self._writing = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="log-store")
        self._reading = concurrent.futures.ThreadPoolExecutor(SEARCHERS, thread_name_prefix="log-search")
        self._instruments(registry)
        try:
            connection, moved = database.prepare(self._path)
        except (OSError, sqlite3.Error) as error:
            raise problems.FatalError(f"cannot open the log store {self._path}: {error}") from error
        if moved:
            self._log.warning("the log store had another shape and was put aside", file=str(moved))
        self._writer = writing.Writer(connection, max_bytes)

    def _instruments(self, registry: telemetry.Registry) -> None:
        self._stored = telemetry.Counter(
            "tidegate_local_logs_stored", "Lines stored in the embedded store.", registry=registry
        )
        self._dropped = telemetry.Counter(
            "tidegate_local_logs_dropped", "Lines that left the embedded store.", ["reason"], registry=registry
        )
        for reason in ("age", "size"):
            self._dropped.labels(reason)
        self._failed = telemetry.Counter(
            "tidegate_local_logs_write_errors", "Tries to store lines that failed.", registry=registry
        )
        self._refused = telemetry.Counter(
            "tidegate_local_logs_searches_refused", "Searches refused because too many waited.", registry=registry
        )
        self._took = telemetry.Histogram(
            "tidegate_local_logs_search_seconds", "Time that searches took, with waiting.", registry=registry
        )

    @property
    def error(self) -> str:
        """See `output.Output`."""
        return self._error

    async def send(self, batch: output.Batch) -> Sequence[output.Rejected]:
        """See `output.Output`. A full or failing disk is tried again, and shown, for as long as it takes."""
        attempt = 0
        while True:
            try:
                stored = await self._in_writer(functools.partial(self._writer.insert, batch, self._clock.now()))
                break
            except sqlite3.Error as error:
                attempt += 1
                await self._wait_after(error, attempt)
        self._error = ""
        self._stored.inc(stored.fresh)
        if await self._in_writer(self._writer.too_large):
            await self._forget("size")
        return stored.refused

    async def search(self, query: str, *, start: float, end: float, limit: int) -> logs.LogPage:
        """See `ports.LogReader`."""
        span = reading.Span(start, end)
        now = self._clock.now()  # here: a clock that follows the loop cannot be read in a thread
        return await self._in_reader(lambda reader: reader.search(query, span, limit, lambda: now))

    async def tail(self, query: str, *, after: int, limit: int) -> reading.Tail:
        """Matching lines in order of arrival, after a cursor that an earlier call gave; -1 begins with what comes next.

        Raises `QueryError` on a bad query, `TransientError` when the store does not answer.
        """
        now = self._clock.now()  # here: a clock that follows the loop cannot be read in a thread
        return await self._in_reader(lambda reader: reader.tail(query, after, limit, lambda: now))

    async def follow(self, query: str, *, cursor: str) -> logs.NewLines:
        """See `ports.LogStore`."""
        if cursor and not cursor.isdecimal():
            raise problems.QueryError("this cursor is none of ours")
        found = await self.tail(query, after=int(cursor or -1), limit=FOLLOWED)
        return logs.NewLines(found.lines, str(found.cursor))

    async def run(self) -> None:
        """Forget old lines from time to time, until cancelled."""
        while True:
            await self.collect()
            await self._clock.sleep(LOOK)

    async def collect(self) -> None:
        """Forget lines that are too old, and the oldest ones beyond the size; give their space back."""
        await self._forget("age")
        if await self._in_writer(self._writer.too_large):
            await self._forget("size")
        while await self._in_writer(self._writer.give_back):
            pass

    async def close(self) -> None:
        """See `output.Output`."""
        for pool in (self._reading, self._writing):
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        self._writer.close()

    async def _wait_after(self, error: sqlite3.Error, attempt: int) -> None:
        self._error = f"cannot write {self._path}: {error}"
        self._failed.inc()
        self._log.error("cannot store lines, trying again", error=str(error), attempt=attempt)
        await self._clock.sleep(tasks.backoff(attempt, longest=LONGEST_WAIT))

    async def _forget(self, reason: writing.Reason) -> None:
        before = self._clock.now() - self._retention
        try:
            while gone := await self._in_writer(functools.partial(self._writer.forget, reason, before)):
                self._dropped.labels(reason).inc(gone)
        except sqlite3.Error as error:
            self._failed.inc()
            self._log.error("cannot forget lines", error=str(error), reason=reason)

    async def _in_writer(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._writing, work)

    async def _in_reader(self, work: Callable[[reading.Reader], Answer]) -> Answer:
        if self._asked >= WAITING:
            self._refused.inc()
            raise problems.TransientError("too many searches at once", reason="busy", after=1.0)
        self._asked += 1
        began = self._clock.now()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, lambda: work(self._reader()))
        except sqlite3.Error as error:
            raise problems.TransientError(f"cannot read the log store: {error}", reason="storage") from None
        finally:
            self._asked -= 1
            self._took.observe(max(self._clock.now() - began, 0.0))

    def _reader(self) -> reading.Reader:
        """This thread's reader."""
        reader: reading.Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = reading.Reader(self._path)
            self._readers.append(reader)
        return reader
