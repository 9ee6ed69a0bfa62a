"""Reads one exposition line by line: known beginnings are looked up, new ones split at a glance, the rest read with care.

Gives what stands there, sample by sample; what is wanted, doubled or new is judged by `scrape.exposition`. With `known`
empty and `careful` set this is the slow and exact way, which every other way is held to.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from tidegate.model import labels as labels_
from tidegate.scrape import families, lines, openmetrics, quick, textformat
from tidegate.scrape.protocols import Format

COMMENT = -1
"""The column of a line that is no sample."""
_NOTHING: Mapping[str, int] = {}
_STAMP = re.compile(r"-?[0-9]{1,18}", re.ASCII)


Context: TypeAlias = str
"""See `quick.Sets.context`."""
Known: TypeAlias = Mapping[Context, Mapping[str, int]]
"""Columns by the beginnings of lines (without the last space), in each context."""


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """The lines of one exposition."""

    form: Format
    whole: Sequence[str]
    cut: Sequence[str]
    """The lines without exemplars."""
    extras: Mapping[int, str]
    """Exemplars as written, by the index of their line: what stands after ` # {`."""
    length: int
    """Characters of the lines without exemplars."""


def page(text: str, form: Format) -> Page:
    """Split a text into lines. Raises `TransientError` where OpenMetrics does not end as it should."""
    if form is Format.TEXT:
        whole = text.split("\n")
        return Page(form, whole, whole, {}, len(text) - len(whole) + 1)
    whole = openmetrics.body_lines(text)
    cut, extras = whole, {}
    if openmetrics.EXEMPLAR in text:
        cut = list(whole)
        for index, line in enumerate(whole):
            if openmetrics.EXEMPLAR in line and not line.startswith("#"):
                cut[index], _, extras[index] = line.partition(openmetrics.EXEMPLAR)
    return Page(form, whole, cut, extras, sum(map(len, cut)))


def timestamp(raw: str, form: Format) -> int | None:
    """A timestamp in milliseconds; None for what is none."""
    if form is Format.OPENMETRICS:
        return openmetrics.milliseconds(raw)
    return int(raw) if _STAMP.fullmatch(raw) else None


class Reading:
    """One exposition as it is read."""

    def __init__(
        self, given: Page, resolve: Callable[[labels_.Labels], int], *, canonical: bool, careful: bool = False
    ) -> None:
        """`resolve` gives a series' column. `careful` leaves every line to the grammar."""
        self._page, self._resolve, self._careful = given, resolve, careful
        grammar = openmetrics if given.form is Format.OPENMETRICS else textformat
        self._sample, self._comment_of = grammar.sample, grammar.comment
        self._sets = quick.Sets(normal=canonical)
        size = len(given.whole)
        self.columns = [COMMENT] * size
        """For each line; `COMMENT` for what is no sample, and for a sample with a timestamp."""
        self.prefixes: dict[int, str] = {}
        """What stands before the value, of lines where it is not simply the line without its last word."""
        self.tails = [""] * size
        """For each line its value as written; empty for what is no sample."""
        self.glued: list[int] = []
        """Lines whose value does not stand behind a space: what begins alike may be another series."""
        self.stamped: list[tuple[int, int, float]] = []
        """(milliseconds, column, value)."""
        self.stamps: dict[int, int] = {}
        """The columns of samples with timestamps, by the index of their line."""
        self.stamped_heads: dict[Context, dict[str, int]] = {}
        """Columns of samples with timestamps, as in `Known`."""
        self.contexts: list[tuple[int, Context]] = [(0, self._sets.context)]
        """Where one begins, by the index of the line."""
        self.exemplars: list[tuple[int, lines.Exemplar]] = []
        self.families = families.Families()

    def run(self, known: Known) -> None:
        """Read. Raises `TransientError` with line and column."""
        if self._careful:
            for index in range(len(self._page.whole)):
                self._with_care(index)
            return
        columns, tails = self.columns, self.tails
        of, resolve, get = self._sets.of, self._resolve, known.get(self._sets.context, _NOTHING).get
        for index, line in enumerate(self._page.cut):
            head, _, tail = line.rpartition(" ")
            column = get(head) if known else None
            if column is None:
                labels = of(head) if line[:1] != "#" else None
                if labels is None:
                    self._irregular(index, get)
                    get = known.get(self._sets.context, _NOTHING).get
                    continue
                column = resolve(labels)
            columns[index], tails[index] = column, tail
        for index in self._page.extras:
            if columns[index] != COMMENT:
                self._exemplar(index, columns[index])

    def _comment(self, index: int, line: str) -> None:
        said = (None if self._careful else quick.comment(line)) or self._comment_of(line, index + 1)
        if said is not None:
            self.families.add(said)
            if said[0] == "TYPE":
                self._sets.enter(said[2])
                if self._sets.context != self.contexts[-1][1]:
                    self.contexts.append((index, self._sets.context))

    def _irregular(self, index: int, get: Callable[[str], int | None]) -> None:
        """A comment, a line with a timestamp, or one to be read with care."""
        line = self._page.cut[index]
        if line[:1] == "#":
            self._comment(index, line)
            return
        head, _, tail = line.rpartition(" ")
        text, _, raw = head.rpartition(" ")
        value, stamp = lines.number(raw), timestamp(tail, self._page.form)
        if value is None or stamp is None:
            self._with_care(index)
            return
        column = get(text)
        if column is None:
            labels = self._sets.of(text)
            if labels is None:
                self._with_care(index)
                return
            column = self._resolve(labels)
        self.tails[index] = f"{raw} {tail}"
        self._add_stamped(index, text, stamp, column, value)
        if index in self._page.extras:
            self._exemplar(index, column, stamp)

    def _add_stamped(self, index: int, head: str, stamp: int, column: int, value: float) -> None:
        self.stamps[index] = column
        self.stamped.append((stamp, column, value))
        self.stamped_heads.setdefault(self._sets.context, {})[head] = column

    def _with_care(self, index: int) -> None:
        line = self._page.whole[index]
        if self._page.form is Format.TEXT and (not line.strip(" \t") or line.lstrip(" \t").startswith("#")):
            self._comment(index, line)
            return
        if line.startswith("#"):
            self._comment(index, line)
            return
        sample = self._sample(line, index + 1)
        column = self._resolve(self._sets.corrected(sample.labels))
        self.prefixes[index] = sample.prefix
        spaced = sample.prefix[-1:] in (" ", "\t")
        if sample.timestamp is not None:
            head = sample.prefix[:-1] if spaced else sample.prefix
            self.tails[index] = self._page.cut[index][len(sample.prefix) :]
            self._add_stamped(index, head, sample.timestamp, column, sample.value)
        else:
            self.columns[index], self.tails[index] = column, sample.number
        if not spaced:
            self.glued.append(index)
        if sample.exemplar is not None and (
            self._careful or index not in self._page.extras or sample.timestamp is not None
        ):
            self._exemplar_of(column, sample.exemplar, sample.timestamp)

    def _exemplar(self, index: int, column: int, stamp: int | None = None) -> None:
        found = openmetrics.exemplar(self._page.extras[index])
        if found is None:
            self._sample(self._page.whole[index], index + 1)  # says where and why
            raise lines.failed(f"line {index + 1}: not an exemplar: {lines.show(self._page.extras[index])}")
        self._exemplar_of(column, found, stamp)

    def _exemplar_of(self, column: int, found: lines.Exemplar, stamp: int | None = None) -> None:
        """An exemplar without a time has its sample's."""
        if found.at_ms is None and stamp is not None:
            found = dataclasses.replace(found, at_ms=stamp)
        self.exemplars.append((column, found))
