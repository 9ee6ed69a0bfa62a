"""The series of one table as a receiver is to see them: external labels, relabelling, and their bytes, worked out once.

A column is looked up when it first has something to send, and again when the table gave columns back. Where samples come
from and how they are sent is not known here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tidegate.kit import relabel
from tidegate.metrics import columns
from tidegate.metrics import table as table_
from tidegate.metrics.remote import encode
from tidegate.model import labels as labels_

Columns = npt.NDArray[np.integer]
_NOTHING = np.zeros(0, np.int32)


@dataclasses.dataclass(frozen=True, slots=True)
class Naming:
    """From a stored series to the one that is sent."""

    external: Mapping[str, str]
    """Put on series that do not have them."""
    steps: relabel.Relabelling
    pool: columns.StringPool
    """Texts of what is sent, for version 2.0."""

    def sent(self, stored: labels_.Labels) -> labels_.Labels:
        """The label set that is sent; empty when relabelling drops the series."""
        pairs = {**self.external, **dict(stored)}
        return labels_.make(pairs) if self.steps.apply(pairs) else ()


class Layout:
    """Bytes and codes of a table's series, by column."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._epoch = 0
        self._generation = 0
        self._codes = np.zeros((0, 0), np.int32)
        self._known = np.zeros(0, np.bool_)
        self._kept = np.zeros(0, np.bool_)
        self._prefixes: list[bytes] = []
        """The series of version 1.0 with zeros for value and time; empty when it is not sent."""
        self._texts: list[npt.NDArray[np.int32]] = []
        """Names and values in turn, as codes of the pool."""
        self._last_of: Columns = _NOTHING
        self._last = (encode.group([], []), np.zeros(0, np.bool_))

    def group(self, table: table_.Table, of: Columns) -> tuple[encode.Group, npt.NDArray[np.bool_]]:
        """What is sent of some columns that have samples, and which of them are sent.

        No lock is needed: a column keeps its series for as long as the ring shows a sample of it.
        """
        if table.epoch != self._epoch:
            self._forget_changed(table)
        elif np.array_equal(of, self._last_of):
            return self._last
        self._learn(table, of)
        kept = self._kept[of]
        wanted = of[kept].tolist()
        self._last = (
            encode.group([self._prefixes[each] for each in wanted], [self._texts[each] for each in wanted]),
            kept,
        )
        self._last_of = of
        return self._last

    def _learn(self, table: table_.Table, of: Columns) -> None:
        """Look up the columns that are not known."""
        self._widen(int(of.max(initial=-1)) + 1)
        for column in of[~self._known[of]].tolist():
            stored = table.labels(column)
            named = self._naming.sent(stored)
            self._known[column], self._kept[column] = bool(stored), bool(named)
            self._prefixes[column] = encode.series_1(named) if named else b""
            code = self._naming.pool.code
            texts = [code(text) for pair in named for text in pair]
            self._texts[column] = np.array(texts, np.int32) if named else _NOTHING

    def _widen(self, width: int) -> None:
        more = width - self._known.size
        if more > 0:
            nothing = np.zeros(more, np.bool_)
            self._known, self._kept = np.concatenate((self._known, nothing)), np.concatenate((self._kept, nothing))
            self._prefixes += [b""] * more
            self._texts += [_NOTHING] * more

    def _forget_changed(self, of: table_.Table) -> None:
        """Columns were given back, and perhaps to others: those whose label set changed are not known any more."""
        fresh = of.index.everything(self._known.size)
        before = np.zeros_like(fresh)
        if of.index.generation == self._generation:  # else a code may stand for another text
            before[: self._codes.shape[0], : self._codes.shape[1]] = self._codes
        self._generation = of.index.generation
        self._known &= ~(fresh != before).any(axis=1)
        self._codes, self._epoch = fresh, of.epoch
