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
        self._codes = np.zeros((0, 0), np.int32)
        self._known = np.zeros(0, np.bool_)
        self.kept = np.zeros(0, np.bool_)
        """Which columns are sent."""
        self.prefixes: list[bytes] = []
        """The series of version 1.0 with zeros for value and time."""
        self.codes: list[npt.NDArray[np.int32]] = []
        """Names and values in turn, as codes of the pool."""

    def learn(self, of: table_.Table, present: npt.NDArray[np.bool_]) -> None:
        """Look up the columns that have something to send and are not known.

        No lock is needed: a column keeps its series for as long as the ring shows a sample of it.
        """
        self._widen(present.size)
        if of.epoch != self._epoch:
            self._forget_changed(of)
        for column in np.flatnonzero(present & ~self._known).tolist():
            stored = of.labels(column)
            named = self._naming.sent(stored)
            self._known[column], self.kept[column] = bool(stored), bool(named)
            self.prefixes[column] = encode.series_1(named) if named else b""
            code = self._naming.pool.code
            texts = [code(text) for pair in named for text in pair]
            self.codes[column] = np.array(texts, np.int32) if named else _NOTHING

    def _widen(self, width: int) -> None:
        more = width - self._known.size
        if more > 0:
            nothing = np.zeros(more, np.bool_)
            self._known, self.kept = np.concatenate((self._known, nothing)), np.concatenate((self.kept, nothing))
            self.prefixes += [b""] * more
            self.codes += [_NOTHING] * more

    def _forget_changed(self, of: table_.Table) -> None:
        """Columns were given back, and perhaps to others: those whose label set changed are not known any more."""
        fresh = of.index.everything(self._known.size)
        before = np.zeros_like(fresh)
        before[: self._codes.shape[0], : self._codes.shape[1]] = self._codes
        self._known &= ~(fresh != before).any(axis=1)
        self._codes, self._epoch = fresh, of.epoch
