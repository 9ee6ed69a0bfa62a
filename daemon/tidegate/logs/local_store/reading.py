"""Searches the embedded store: SQL narrows by time, columns and words, the KQL matcher decides.

One reader per thread. Work is bounded: so many hits are counted, so many documents read, and the total says when it is a
lower bound.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator

import orjson

from tidegate.logs import kql
from tidegate.logs.ecs import lines
from tidegate.logs.kql import interpret, matcher
from tidegate.logs.local_store import database, narrow
from tidegate.model import logs

COUNTED = 10_000
"""Hits that are counted exactly."""
SCANNED = 100_000
"""Documents that one search reads at most."""
FEW = 20_000
"""With at most so many candidates by words, only these are looked at; with more, all lines in order of time are."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tail:
    """New lines in order of arrival, and where to go on."""

    lines: tuple[logs.LogLine, ...]
    cursor: int


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """From when to when, both included, in unix seconds."""

    start: float
    end: float


class Reader:
    """Owns a reading connection."""

    def __init__(self, path: pathlib.Path) -> None:
        """Raises `sqlite3.Error`."""
        self._connection = database.connect(path)
        self._connection.execute("PRAGMA query_only=1")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def search(self, query: str, span: Span, limit: int, now: matcher.Now) -> logs.LogPage:
        """See `ports.LogReader`. Raises `QueryError` or `sqlite3.Error`."""
        node = interpret.of(kql.parse(query))
        narrowed = narrow.narrow(node)
        if narrowed.everything:
            return self._newest(span, limit)
        matches = matcher.runs(matcher.test(node, now))
        found: list[logs.LogLine] = []
        total = scanned = 0
        for place in self._candidates(narrowed, span):
            scanned += 1
            document = self._document(place)
            if document is not None and matches(document):
                total += 1
                if len(found) < limit:
                    found.append(lines.line(document, str(place)))
                if total > COUNTED:
                    return logs.LogPage(tuple(found), COUNTED, at_least=True)
        return logs.LogPage(tuple(found), total, at_least=scanned >= SCANNED)

    def tail(self, query: str, after: int, limit: int, now: matcher.Now) -> Tail:
        """At most `limit` matching lines that arrived after a cursor; a negative cursor is the newest line's.

        Raises `QueryError` or `sqlite3.Error`.
        """
        matches = matcher.compile(kql.parse(query), now)
        newest = int(self._connection.execute("SELECT coalesce(max(place), 0) FROM lines").fetchone()[0])
        if after < 0:
            return Tail((), newest)
        found: list[logs.LogLine] = []
        cursor = after
        rows = self._connection.execute(
            "SELECT place, document FROM lines WHERE place > ? ORDER BY place LIMIT ?", (after, SCANNED)
        )
        for place, raw in rows:
            if len(found) >= limit:
                break
            cursor = place
            document = orjson.loads(raw)
            if matches(document):
                found.append(lines.line(document, str(place)))
        rows.close()
        return Tail(tuple(found), cursor)

    def _newest(self, span: Span, limit: int) -> logs.LogPage:
        """The newest lines, whatever they say: nothing but those shown is read."""
        both = (span.start, span.end)
        rows = self._connection.execute(
            "SELECT document, place FROM lines WHERE at >= ? AND at <= ? ORDER BY at DESC, place DESC LIMIT ?",
            (*both, limit),
        ).fetchall()
        counted = self._connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM lines WHERE at >= ? AND at <= ? LIMIT ?)", (*both, COUNTED + 1)
        ).fetchone()[0]
        found = tuple(lines.line(orjson.loads(raw), str(place)) for raw, place in rows)
        return logs.LogPage(found, min(counted, COUNTED), at_least=counted > COUNTED)

    def _document(self, place: int) -> dict[str, object] | None:
        """A document; None when it was forgotten meanwhile."""
        row = self._connection.execute("SELECT document FROM lines WHERE place = ?", (place,)).fetchone()
        return orjson.loads(row[0]) if row else None

    def _candidates(self, narrowed: narrow.Narrowed, span: Span) -> Iterator[int]:
        """Places of lines that may match, newest first."""
        conditions = ["at >= ?", "at <= ?", *narrowed.conditions]
        values: list[object] = [span.start, span.end, *narrowed.values]
        source = "lines INDEXED BY lines_at"
        if narrowed.words and self._few(narrowed.words):
            source = "(SELECT rowid AS found FROM words WHERE words MATCH ?) CROSS JOIN lines ON place = found"
            values.insert(0, narrowed.words)
        elif narrowed.words:
            conditions.append("place IN (SELECT rowid FROM words WHERE words MATCH ?)")
            values.append(narrowed.words)
        where = " AND ".join(conditions)
        sql = f"SELECT place FROM {source} WHERE {where} ORDER BY at DESC, place DESC LIMIT ?"  # noqa: S608 - our own words only
        for (place,) in self._connection.execute(sql, (*values, SCANNED)):
            yield place

    def _few(self, words: str) -> bool:
        count = "SELECT count(*) FROM (SELECT rowid FROM words WHERE words MATCH ? LIMIT ?)"
        return int(self._connection.execute(count, (words, FEW + 1)).fetchone()[0]) <= FEW
