"""Parses one target's expositions one after the other, with a memory of the last one.

A scrape whose lines begin as the last one's did only converts the numbers that changed; any other is read line by line
(`scrape.reading`), with the beginnings of the last one known. Any error fails the whole scrape, as in Prometheus. Where
samples go is not known here: `resolve` gives a column for a label set.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tidegate.model import labels as labels_
from tidegate.model import problems, series
from tidegate.scrape import families, lines, openmetrics, quick, reading
from tidegate.scrape.protocols import Format

DROPPED = -2
"""Column of a series that is not wanted."""
_NOWHERE, _NO_SAMPLE = -1, -2


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
    exemplars: tuple[tuple[int, lines.Exemplar], ...] = ()
    """(column, exemplar) of those that did not stand so on the same line of the last exposition."""


@dataclasses.dataclass(slots=True)
class _Shape:
    """The last exposition, line by line."""

    form: Format
    lines: Sequence[str]
    """Without exemplars; empty when `prefixes` are made."""
    prefixes: Sequence[str]
    """What stands before the value; the whole of what is no sample. Empty until they are needed."""
    odd: Mapping[int, str]
    """Those that are not simply the line without its value."""
    length: int
    """Characters of all prefixes."""
    tails: list[str]
    """The values as written; empty for what is no sample, and once prefixes are made for what has a timestamp."""
    extras: Mapping[int, str]
    """Exemplars as written, by their line."""
    columns: series.Columns
    """`reading.COMMENT` for what is no sample."""
    slots: series.Columns
    """Where each value stands among the values: `_NOWHERE`, and `_NO_SAMPLE` for what is none."""
    stamps: dict[int, int]
    """The columns of samples with timestamps, by their line."""
    stamped: dict[reading.Context, dict[str, int]]
    """Columns of samples with timestamps, by the beginnings of their lines."""
    contexts: list[tuple[int, reading.Context]]
    """Where one begins, by the index of the line."""
    parsed: Parsed
    restless: bool = False
    """Whether most values changed the last time: then each is converted without a look at the one before."""
    sampled: list[bool] = dataclasses.field(default_factory=list)
    """Which lines are samples without a timestamp."""
    others: list[bool] = dataclasses.field(default_factory=list)
    """Which are not."""
    sample_slots: series.Columns = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    """Their slots."""

    def prepare(self) -> None:
        """Make the prefixes."""
        if self.lines:
            prefixes = list(map(str.removesuffix, self.lines, self.tails))
            for index, prefix in self.odd.items():
                prefixes[index] = prefix
            sampled = self.slots != _NO_SAMPLE
            self.sampled, self.others, self.sample_slots = sampled.tolist(), (~sampled).tolist(), self.slots[sampled]
            for index in np.flatnonzero(~sampled).tolist():
                if index in self.stamps:
                    self.tails[index] = ""
                else:
                    prefixes[index] = sys.intern(prefixes[index])  # long texts that many targets share
            self.prefixes, self.lines, self.odd = prefixes, (), {}
            self.length = sum(map(len, prefixes))

    def known(self) -> reading.Known:
        """Columns by the beginnings of lines."""
        self.prepare()
        known = {context: dict(heads) for context, heads in self.stamped.items()}
        columns = self.columns.tolist()
        ends = [*(start for start, _ in self.contexts[1:]), len(columns)]
        for (start, context), end in zip(self.contexts, ends, strict=True):
            heads = known.setdefault(context, {})
            for prefix, column in zip(self.prefixes[start:end], columns[start:end], strict=True):
                if column != reading.COMMENT and prefix[-1:] in (" ", "\t"):
                    heads[prefix[:-1]] = column
        return known


_NOTHING = Parsed(np.zeros(0, np.int32), np.zeros(0), (), 0, 0, 0)


class Parser:
    """Parses one target's expositions, one after the other."""

    def __init__(self, resolve: Callable[[labels_.Labels], int], *, canonical: bool = False) -> None:
        """`resolve` gives a series' column, or `DROPPED`; it is asked once for each new series text.

        It is given labels without a value too: with `honor_labels` they take the target's away.

        With `canonical` the label sets are those that Prometheus 3 stores: see `scrape.canonical`.
        """
        self._resolve = resolve
        self._canonical = canonical
        self._shape: _Shape | None = None
        self._before: series.Columns = np.zeros(0, np.int32)
        self.families = families.Families()
        """What the last good exposition said of its metric families."""

    def forget(self) -> None:
        """Columns mean something else from now on."""
        self._shape = None
        self._before = np.zeros(0, np.int32)

    def parse(self, body: bytes, form: Format = Format.TEXT) -> Parsed:
        """Parse one exposition. Raises `TransientError` (reason `parse`) with line and column."""
        if not body:
            return _NOTHING  # as in Prometheus no error in any format, and what was known stays known
        text = body.decode("utf-8", "surrogateescape")
        page = reading.page(text, form)
        shape = self._shape
        if shape is not None and shape.form is not form:
            shape = None
        parsed = _again(shape, page) if shape is not None else None
        return parsed if parsed is not None else self._anew(shape, page, careful=_odd(body, text))

    def _anew(self, shape: _Shape | None, page: reading.Page, *, careful: bool) -> Parsed:
        """Line by line."""
        read = reading.Reading(page, self._resolve, canonical=self._canonical, careful=careful)
        try:
            read.run(shape.known() if shape is not None else {})
        except problems.TransientError:
            if careful:
                raise
            return self._anew(None, page, careful=True)  # which finds the first of several errors
        columns = np.fromiter(read.columns, np.int32, len(read.columns))
        texts = list(itertools.compress(read.tails, (columns != reading.COMMENT).tolist()))
        values = quick.numbers(texts, "".join(texts))
        if values is None and not careful:
            return self._anew(None, page, careful=True)
        if values is None:
            values = np.array([lines.number(raw) for raw in texts], np.float64)
        parsed, slots = self._judged(read, columns, values)
        for index in read.glued:
            read.prefixes[index], read.tails[index] = page.cut[index], ""
        self._shape = _Shape(
            *(page.form, page.cut, (), read.prefixes, 0, read.tails, page.extras),
            *(columns, slots, read.stamps, read.stamped_heads, read.contexts, parsed),
        )
        self.families = read.families
        return parsed

    def _judged(
        self, read: reading.Reading, of_lines: series.Columns, values: series.Values
    ) -> tuple[Parsed, series.Columns]:
        """What is wanted of what was read, and for each line where its value went."""
        at = np.flatnonzero(of_lines != reading.COMMENT)
        wanted = np.flatnonzero(of_lines[at] >= 0)
        first = _firsts(of_lines[at[wanted]])
        kept = wanted[first]
        slots = np.full(of_lines.size, _NO_SAMPLE, np.int32)
        slots[at] = _NOWHERE
        slots[at[kept]] = np.arange(kept.size, dtype=np.int32)
        parsed = Parsed(
            of_lines[at[kept]],
            values[kept],
            tuple(sorted(sample for sample in read.stamped if sample[1] >= 0)),
            at.size + len(read.stamped),
            0,
            wanted.size - kept.size,
            tuple(pair for pair in read.exemplars if pair[0] >= 0),
        )
        return dataclasses.replace(parsed, added=self._added(parsed)), slots

    def _added(self, parsed: Parsed) -> int:
        now = parsed.columns
        if parsed.stamped:
            now = np.unique(np.concatenate((now, np.array([column for _, column, _ in parsed.stamped], np.int32))))
        known = int(np.isin(now, self._before, assume_unique=True).sum()) if self._before.size else 0
        self._before = now
        return now.size - known


def _again(shape: _Shape, page: reading.Page) -> Parsed | None:
    """The same lines as the last time but for their values; None when they are not."""
    if len(page.cut) != len(shape.tails):
        return None
    shape.prepare()
    tails = list(map(str.removeprefix, page.cut, shape.prefixes))
    # A beginning that is not there is not taken away, and shows in the sum.
    if len("".join(tails)) + shape.length != page.length:
        return None
    stamped = _stamped(shape, page, tails)
    if stamped is None:
        return None
    values, exemplars = _values(shape, tails), _exemplars(shape, page)
    if values is None or exemplars is None:
        return None
    parsed = dataclasses.replace(shape.parsed, values=values, stamped=stamped, added=0, exemplars=exemplars)
    shape.tails, shape.extras, shape.parsed = tails, page.extras, parsed
    return parsed


def _stamped(shape: _Shape, page: reading.Page, tails: list[str]) -> tuple[tuple[int, int, float], ...] | None:
    """The samples with timestamps, which are taken out of `tails`; None when one cannot be read."""
    if not shape.stamps:
        return ()
    if page.extras:
        return None  # an exemplar may need its sample's time
    split = [tails[index].partition(" ") for index in shape.stamps]
    texts = [value for value, _, _ in split]
    values = quick.numbers(texts, "".join(texts))
    if values is None:
        return None
    found = []
    for (index, column), value, (_, _, raw) in zip(shape.stamps.items(), values.tolist(), split, strict=True):
        at_ms = reading.timestamp(raw, page.form)
        if at_ms is None:
            return None
        tails[index] = ""
        if column >= 0:
            found.append((at_ms, column, value))
    return tuple(sorted(found))


def _values(shape: _Shape, tails: list[str]) -> series.Values | None:
    """The values; None when one cannot be read, or something stands where there was no sample."""
    if shape.restless:
        texts = list(itertools.compress(tails, shape.sampled))
        joined, slots = "".join(texts), shape.sample_slots
        if any(itertools.compress(tails, shape.others)):
            return None
    else:
        changed = list(map(operator.ne, tails, shape.tails))
        texts = list(itertools.compress(tails, changed))
        joined, slots = "".join(texts), shape.slots[np.fromiter(changed, np.bool_, len(changed))]
        if (slots == _NO_SAMPLE).any():
            return None
    numbers = quick.numbers(texts, joined)
    if numbers is None:
        return None
    shape.restless = 2 * len(texts) > shape.sample_slots.size
    if numbers.size == shape.parsed.values.size == shape.sample_slots.size:
        return numbers  # all of them, each with a place of its own
    values = shape.parsed.values.copy()
    wanted = slots >= 0
    values[slots[wanted]] = numbers[wanted]
    return values


def _exemplars(shape: _Shape, page: reading.Page) -> tuple[tuple[int, lines.Exemplar], ...] | None:
    """Those that changed; None when one cannot be read."""
    found = []
    for index, text in page.extras.items():
        if shape.extras.get(index) != text:
            exemplar = openmetrics.exemplar(text)
            if exemplar is None:
                return None
            column = int(shape.columns[index])
            if column >= 0:
                found.append((column, exemplar))
    return tuple(found)


def _odd(body: bytes, text: str) -> bool:
    """Whether some of the body was not UTF-8: then the grammar has to say whether that matters."""
    if text.isascii():
        return False
    try:
        return not body.decode("utf-8")
    except UnicodeDecodeError:
        return True


def _firsts(columns: series.Columns) -> series.Columns:
    """Where each column stands for the first time, in order."""
    if columns.size:
        seen = np.zeros(int(columns.max()) + 1, np.bool_)
        seen[columns] = True
        if int(seen.sum()) < columns.size:
            return np.sort(np.unique(columns, return_index=True)[1]).astype(np.int32)
    return np.arange(columns.size, dtype=np.int32)
