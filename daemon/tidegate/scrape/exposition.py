"""Prometheus' text format 0.0.4, parsed with a memory of the series it has seen.

For each target the bytes before a value lead straight to the series' column: a scrape whose lines begin as the last one's
did only converts numbers; else each beginning is looked up, and only lines never seen are read character by character
(`scrape.lines`). Any error fails the whole scrape, as in Prometheus. Where samples go is not known here: `resolve` gives
a column for a label set.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
from collections.abc import Callable

import numpy as np

from tidegate.model import labels as labels_
from tidegate.model import problems, series
from tidegate.scrape import lines

COMMENT = -1
DROPPED = -2
"""Columns of lines that are no samples, and of series that are not wanted."""
SPARE_ENTRIES = 1000
_HEAD, _TAIL = operator.itemgetter(0), operator.itemgetter(2)


@dataclasses.dataclass(frozen=True, slots=True)
class Parsed:
    """One exposition. Samples without a timestamp of their own are in `columns` and `values`, each column once."""

    columns: series.Columns
    values: series.Values
    stamped: tuple[tuple[int, int, float], ...]
    """(milliseconds, column, value) of samples that carry a timestamp."""
    samples: int
    """Sample lines, wanted or not."""
    added: int
    """Series not in the last exposition."""
    duplicates: int
    """Samples left out because the series stood before."""


class Parser:
    """Parses one target's expositions, one after the other."""

    def __init__(self, resolve: Callable[[labels_.Labels], int]) -> None:
        """`resolve` gives a series' column, or `DROPPED`; it is asked once for each series text."""
        self._resolve = resolve
        self._known: dict[bytes, int] = {}
        self._before: frozenset[int] | set[int] = frozenset()
        self._heads: list[bytes] | None = None
        """Beginnings of the last exposition's lines, when each of them was known and had no timestamp."""
        self._picks: list[bool] = []
        """Which of them are wanted samples."""
        self._last = Parsed(np.zeros(0, np.int32), np.zeros(0), (), 0, 0, 0)

    def forget(self) -> None:
        """Columns mean something else from now on."""
        self._known.clear()
        self._heads = None
        self._before = frozenset()

    def parse(self, body: bytes) -> Parsed:
        """Parse one exposition. Raises `TransientError` (reason `parse`) with line and column."""
        split = [line.rpartition(b" ") for line in body.split(b"\n")]
        heads = list(map(_HEAD, split))
        if heads == self._heads:
            values = self._convert(list(itertools.compress(map(_TAIL, split), self._picks)), body)
            return dataclasses.replace(self._last, values=values, added=0)
        return self._look_up(body, heads, list(map(_TAIL, split)))

    def _look_up(self, body: bytes, heads: list[bytes], tails: list[bytes]) -> Parsed:
        """Each line by its beginning."""
        self._heads = None
        found: list[int] = []
        numbers: list[bytes] = []
        stamped: list[tuple[int, int, float]] = []
        body_lines: list[bytes] | None = None
        for at, column in enumerate(map(self._known.get, heads)):
            if column is None:
                body_lines = body_lines or body.split(b"\n")
                line = body_lines[at]
                if line and not line.isspace():
                    self._new(at + 1, line, heads[at], tails[at], found, numbers, stamped)
            elif column != COMMENT:
                found.append(column)
                numbers.append(tails[at])
        parsed = self._finish(found, self._convert(numbers, body), stamped)
        self._remember(heads, parsed)
        return parsed

    def _remember(self, heads: list[bytes], parsed: Parsed) -> None:
        """Keep the shape of an exposition that can be recognised as a whole."""
        columns = [self._known.get(head, COMMENT if not head else None) for head in heads]
        if parsed.duplicates or parsed.stamped or None in columns:
            return
        self._heads, self._last = heads, parsed
        self._picks = [column is not None and column >= 0 for column in columns]

    def _new(
        self,
        at: int,
        line: bytes,
        head: bytes,
        tail: bytes,
        found: list[int],
        numbers: list[bytes],
        stamped: list[tuple[int, int, float]],
    ) -> None:
        """A line whose beginning was never seen, or one with a timestamp."""
        if line.lstrip().startswith(b"#"):
            lines.comment(line, at)
            self._known[head] = COMMENT
            return
        text, _, value = head.rpartition(b" ")
        column = self._known.get(text)
        if column is not None and column != COMMENT and _plain(value) and tail.lstrip(b"-").isdigit():
            stamped.append((int(tail), column, float(value)))
            return
        sample = lines.sample(line, at)
        column = self._resolve(sample.labels)
        if sample.timestamp is not None:
            self._known[sample.text] = column
            stamped.append((sample.timestamp, column, sample.value))
            return
        if sample.text == head:
            self._known[head] = column
        found.append(column)
        numbers.append(sample.number)

    def _convert(self, numbers: list[bytes], body: bytes) -> series.Values:
        try:
            values = np.fromiter(map(float, numbers), np.float64, len(numbers))
        except ValueError:
            raise lines.bad_number(body, numbers) from None
        # Python reads 1_000 as a number; Go and Prometheus do not.
        if b"_" in b" ".join(numbers):
            raise lines.bad_number(body, numbers)
        return values

    def _finish(self, found: list[int], values: series.Values, stamped: list[tuple[int, int, float]]) -> Parsed:
        columns = np.array(found, np.int32)
        total = len(found) + len(stamped)
        if columns.size and int(columns.min()) < 0:
            wanted = columns >= 0
            columns, values = columns[wanted], values[wanted]
        columns, values, doubled = _once(columns, values)
        stamps = tuple(sorted(sample for sample in stamped if sample[1] >= 0))
        now = set(columns.tolist()) | {column for _, column, _ in stamps}
        added = len(now - self._before)
        self._before = now
        if len(self._known) > 2 * total + SPARE_ENTRIES:
            self._known = {text: column for text, column in self._known.items() if column < 0 or column in now}
        return Parsed(columns, values, stamps, total, added, doubled)


def _plain(value: bytes) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return b"_" not in value


def _once(columns: series.Columns, values: series.Values) -> tuple[series.Columns, series.Values, int]:
    """Each column once, the first time it stands; and how many were left out."""
    if not columns.size:
        return columns, values, 0
    seen = np.zeros(int(columns.max()) + 1, np.bool_)
    seen[columns] = True
    if int(seen.sum()) == columns.size:
        return columns, values, 0
    _, first = np.unique(columns, return_index=True)
    first.sort()
    return columns[first], values[first], int(columns.size - first.size)


def failed(message: str) -> problems.TransientError:
    """What a scrape that cannot be used raises."""
    return problems.TransientError(message, reason="parse")
