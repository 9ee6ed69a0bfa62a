"""The embedded log store: SQLite with full-text search, for one machine without Elasticsearch.

One thread writes, each batch in one durable transaction; the document's id is unique, so what is sent again is stored
once. A search narrows by time, level, service and words in SQL, and lets the KQL matcher decide. Old lines go by age and
by size, in slices, counted. This is the only home of sqlite3.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import pathlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import orjson

from tidegate.kit import tasks, telemetry
from tidegate.logs import kql, lines, narrow, output
from tidegate.logs.kql import matcher
from tidegate.model import logs, ports, problems

Given = TypeVar("Given")

SLICE = 5000
"""Lines deleted in one transaction."""
LOOK = 30.0
"""Seconds between looks at age and size."""
COUNTED = 10_000
"""Hits that are counted exactly."""
SCANNED = 200_000
"""Documents that one search reads at most; then its total is a lower bound."""
PARAMETERS = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
  place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL NOT NULL,
  level TEXT NOT NULL, service TEXT NOT NULL, document BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS lines_at ON lines (at);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, tokenize = "unicode61 remove_diacritics 0");
"""


class LocalStore:
    """Implements `output.Output` and `ports.LogReader`."""

    name = "embedded"

    def __init__(
        self, folder: pathlib.Path, retention: float, max_bytes: int, clock: ports.Clock, registry: telemetry.Registry
    ) -> None:
        """Open or make the database. Raises `FatalError`."""
        self._path = folder / "lines.db"
        self._retention, self._max_bytes, self._clock = retention, max_bytes, clock
        self._log = telemetry.logger("logs.local")
        self._error = ""
        self._reading = threading.local()
        self._writer = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="log-store")
        self._readers = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="log-search")
        self._opened: list[sqlite3.Connection] = []
        self._stored = telemetry.Counter(
            "tidegate_local_logs_stored", "Lines in the embedded store.", registry=registry
        )
        self._dropped = telemetry.Counter(
            "tidegate_local_logs_dropped", "Lines that left the embedded store.", ["reason"], registry=registry
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._write = self._writer.submit(self._prepare).result()
        except (OSError, sqlite3.Error) as error:
            raise problems.FatalError(f"cannot open the log store {self._path}: {error}") from error

    @property
    def error(self) -> str:
        """See `output.Output`."""
        return self._error

    async def send(self, batch: output.Batch) -> Sequence[output.Rejected]:
        """See `output.Output`. A full or failing disk is tried again, and shown, for as long as it takes."""
        attempt = 0
        while True:
            try:
                stored = await self._in_writer(self._insert, batch)
            except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
                attempt += 1
                self._error = f"cannot write {self._path}: {error}"
                self._log.error("cannot store lines, trying again", error=str(error), attempt=attempt)
                await self._clock.sleep(tasks.backoff(attempt, longest=30.0))
                continue
            self._error = ""
            self._stored.inc(stored)
            return ()

    async def search(self, query: str, *, start: float, end: float, limit: int) -> logs.LogPage:
        """See `ports.LogReader`."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, self._search, query, start, end, limit)
        except sqlite3.Error as error:
            raise problems.TransientError(f"cannot read the log store: {error}", reason="storage") from None

    async def run(self) -> None:
        """Forget old lines from time to time, until cancelled."""
        while True:
            await self.collect()
            await self._clock.sleep(LOOK)

    async def collect(self) -> None:
        """Forget lines that are too old, and the oldest ones beyond the size."""
        for reason in ("age", "size"):
            while (gone := await self._in_writer(self._forget, reason)) > 0:
                self._dropped.labels(reason).inc(gone)

    async def close(self) -> None:
        """See `output.Output`."""
        for pool in (self._readers, self._writer):
            pool.shutdown(wait=True)
        for connection in self._opened:
            connection.close()

    async def _in_writer(self, work: Callable[[Given], int], given: Given) -> int:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, given)

    def _prepare(self) -> sqlite3.Connection:
        connection = self._connect()
        connection.executescript(_SCHEMA)
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")
        self._opened.append(connection)
        return connection

    # --- writing, in the writer's thread -------------------------------------------------------------------------

    def _insert(self, batch: output.Batch) -> int:
        fresh = self._fresh(batch.ids)
        rows, texts = [], []
        with _transaction(self._write):
            place = int(self._write.execute("SELECT coalesce(max(place), 0) FROM lines").fetchone()[0])
            for number, document in enumerate(batch.documents()):
                if number not in fresh:
                    continue
                place += 1
                line = lines.line(document)
                rows.append((place, batch.ids[number], line.at, line.level, line.service, batch.bodies[number]))
                texts.append((place, f"{line.message}\n{lines.text(document, 'error.message')}"))
            self._write.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._write.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", texts)
        return len(rows)

    def _fresh(self, ids: Sequence[str]) -> set[int]:
        """Places in the batch of documents that are not stored yet, each id once."""
        known: set[str] = set()
        for at in range(0, len(ids), PARAMETERS):
            some = ids[at : at + PARAMETERS]
            marks = ",".join("?" * len(some))
            known.update(row[0] for row in self._write.execute(f"SELECT id FROM lines WHERE id IN ({marks})", some))  # noqa: S608 - marks only
        fresh = set()
        for number, one in enumerate(ids):
            if one not in known:
                known.add(one)
                fresh.add(number)
        return fresh

    def _forget(self, reason: str) -> int:
        """Delete one slice of the oldest lines, if they are due; how many."""
        if reason == "size" and self._size() <= self._max_bytes:
            return 0
        before = self._clock.now() - self._retention if reason == "age" else float("inf")
        with _transaction(self._write):
            places = self._write.execute("SELECT place FROM lines WHERE at < ? ORDER BY at LIMIT ?", (before, SLICE))
            gone = places.fetchall()
            self._write.executemany("DELETE FROM lines WHERE place = ?", gone)
            self._write.executemany("DELETE FROM words WHERE rowid = ?", gone)
        if gone:
            self._write.execute("PRAGMA incremental_vacuum")
        return len(gone)

    def _size(self) -> int:
        """Bytes in use."""
        pages, free, size = (
            int(self._write.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    # --- reading, in the searchers' threads ----------------------------------------------------------------------

    def _search(self, query: str, start: float, end: float, limit: int) -> logs.LogPage:
        tree = kql.parse(query)
        matches = matcher.compile(tree, self._clock.now)
        conditions, values = narrow.conditions(tree)
        sql = " AND ".join(["at >= ?", "at <= ?", *conditions])
        rows = self._reader().execute(
            f"SELECT document FROM lines WHERE {sql} ORDER BY at DESC, place DESC LIMIT ?",  # noqa: S608 - our own words only
            (start, end, *values, SCANNED),
        )
        found: list[logs.LogLine] = []
        total = scanned = 0
        for (raw,) in rows:
            scanned += 1
            document = orjson.loads(raw)
            if matches(document):
                total += 1
                if len(found) < limit:
                    found.append(lines.line(document))
                if total >= COUNTED:
                    break
        rows.close()
        return logs.LogPage(tuple(found), total, at_least=total >= COUNTED or scanned >= SCANNED)

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._reading, "connection", None)
        if connection is None:
            connection = self._reading.connection = self._connect()
        return connection


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
