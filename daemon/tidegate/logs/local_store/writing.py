"""Writes the embedded store, from one thread: whole batches in, the oldest lines out in slices."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson

from tidegate.logs.ecs import lines
from tidegate.logs.local_store import database, narrow
from tidegate.logs.ship import output

SLICE = 2000
"""Lines deleted in one transaction."""
SLACK = 0.95
"""Part of the allowed size that is left once it was exceeded, so that not every batch has to delete."""
_PARAMETERS = 500
_VACUUMED = 2000
"""Pages given back to the file system in one step."""
_LOOSE = 4000
"""Free pages that are kept for the next lines."""
Reason = Literal["age", "size"]


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch."""

    fresh: int
    """Documents that were new."""
    refused: tuple[output.Rejected, ...]


class Writer:
    """Owns the writing connection."""

    def __init__(self, connection: sqlite3.Connection, max_bytes: int) -> None:
        self._connection = connection
        self._max_bytes = max_bytes

    def insert(self, batch: output.Batch, now: float) -> Stored:
        """Store a batch, each id once, durably. Raises `sqlite3.Error`, with nothing stored."""
        documents, refused = _documents(batch)
        fresh = self._fresh(batch.ids)
        rows, texts = [], []
        with database.transaction(self._connection):
            place = self._last_place()
            for number, document in enumerate(documents):
                if document is None or number not in fresh:
                    continue
                place += 1
                columns, words = narrow.row(document)
                rows.append((place, batch.ids[number], lines.at(document) or now, *columns, batch.bodies[number]))
                texts.append((place, words))
            self._connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", texts)
        return Stored(len(rows), refused)

    def too_large(self) -> bool:
        """Whether the store is larger than it may be."""
        return database.size(self._connection) > self._max_bytes

    def forget(self, reason: Reason, before: float) -> int:
        """Delete one slice of the oldest lines, if any are due; how many. `before` in unix seconds, for `age`."""
        if reason == "size":
            if database.size(self._connection) <= self._max_bytes * SLACK:
                return 0
            before = float("inf")
        with database.transaction(self._connection):
            gone = self._connection.execute(
                "SELECT place FROM lines WHERE at < ? ORDER BY at LIMIT ?", (before, SLICE)
            ).fetchall()
            self._connection.executemany("DELETE FROM lines WHERE place = ?", gone)
            self._connection.executemany("DELETE FROM words WHERE rowid = ?", gone)
        return len(gone)

    def give_back(self) -> bool:
        """Give some free pages back to the file system; whether there are more."""
        if database.pragma(self._connection, "freelist_count") <= _LOOSE:
            return False
        # `execute` steps once, which gives back a single page.
        self._connection.executescript(f"PRAGMA incremental_vacuum({_VACUUMED})")
        return True

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _last_place(self) -> int:
        found = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'lines'").fetchone()
        return int(found[0]) if found else 0

    def _fresh(self, ids: Sequence[str]) -> set[int]:
        """Places in the batch of documents that are not stored yet, each id once."""
        known: set[str] = set()
        for at in range(0, len(ids), _PARAMETERS):
            some = ids[at : at + _PARAMETERS]
            marks = ",".join("?" * len(some))
            found = self._connection.execute(f"SELECT id FROM lines WHERE id IN ({marks})", some)  # noqa: S608 - marks only
            known.update(row[0] for row in found)
        fresh = set()
        for number, one in enumerate(ids):
            if one not in known:
                known.add(one)
                fresh.add(number)
        return fresh


def _documents(batch: output.Batch) -> tuple[Sequence[Mapping[str, Any] | None], tuple[output.Rejected, ...]]:
    """The documents; None for those that are none, which are refused."""
    try:
        found: list[Any] = list(batch.documents())
    except orjson.JSONDecodeError:
        found = [_document(body) for body in batch.bodies]
    refused = []
    for number, one in enumerate(found):
        if not isinstance(one, dict):
            refused.append(output.Rejected(number, 400, "not a JSON object"))
            found[number] = None
    return found, tuple(refused)


def _document(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
