"""Which tables hold which metric names, and what selectors found there.

What a selector found is remembered until a series of its metric name comes or goes, so that one new series does not make
every rule search again. Selectors that fix no name look at every table. What matching means is the index's business.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tidegate.metrics import columns, index
from tidegate.metrics import table as table_
from tidegate.model import alerts
from tidegate.model import labels as labels_

REMEMBERED = 8192
"""Selectors whose columns are remembered."""
CELLS = 2_000_000
"""Label codes (4 bytes each) that are remembered for whole selections."""
ANY = ""
Found = list[tuple[table_.Table, npt.NDArray[np.int64]]]
Matchers = tuple[alerts.Matcher, ...]


class Directory:
    """The tables by metric name. Not safe for concurrent use; the store's lock guards it."""

    def __init__(self, pool: columns.StringPool) -> None:
        self._pool = pool
        self._verdicts = index.Verdicts(pool)
        self._tables: dict[str, table_.Table] = {}
        self._by_name: dict[str, dict[str, table_.Table]] = collections.defaultdict(dict)
        self._found: dict[str, dict[Matchers, Found]] = collections.defaultdict(dict)
        self._frames: dict[Matchers, columns.LabelFrame] = {}
        """The last asked for is the last."""
        self._remembered = self._cells = 0

    def put(self, one: table_.Table, names: Iterable[str]) -> None:
        """A table, with the metric names of all its series."""
        if one.key in self._tables:
            self.remove(one)
        self._tables[one.key] = one
        for name in names:
            self._by_name[name][one.key] = one

    def came(self, one: table_.Table, name: str) -> None:
        """A table has one more series of this metric name."""
        self._by_name[name][one.key] = one
        for forgotten in (name, ANY):
            gone = self._found.pop(forgotten, {})
            self._remembered -= len(gone)
            for matchers in gone:
                self._drop(matchers)

    def remove(self, one: table_.Table) -> None:
        """A table is gone."""
        self._tables.pop(one.key, None)
        for name in [name for name, holders in self._by_name.items() if holders.pop(one.key, None) and not holders]:
            del self._by_name[name]
        self._forget()

    def find(self, matchers: Matchers) -> Found:
        """Tables with the columns of the series that meet all conditions, where there are some."""
        name = _fixed(matchers)
        found = self._found[name].get(matchers)
        if found is None:
            if self._remembered >= REMEMBERED:
                self._forget()
            holders = self._tables if name == ANY else self._by_name.get(name, {})
            searched = ((one, one.index.find(matchers, self._verdicts)) for one in holders.values())
            found = self._found[name][matchers] = [(one, wanted) for one, wanted in searched if wanted.size]
            self._remembered += 1
        return found

    def frame(self, matchers: Matchers) -> columns.LabelFrame:
        """The label sets of all series that `find` gives, table by table. The newest few are remembered."""
        made = self._frames.pop(matchers, None)
        if made is None:
            made = _frame(self._pool, self.find(matchers))
            self._cells += made.codes.size
        self._frames[matchers] = made
        while self._cells > CELLS and len(self._frames) > 1:
            self._drop(next(iter(self._frames)))
        return made

    def forget(self) -> None:
        """Forget everything that was found: codes stand for other texts now."""
        self._verdicts = index.Verdicts(self._pool)
        self._forget()

    def _drop(self, matchers: Matchers) -> None:
        frame = self._frames.pop(matchers, None)
        if frame is not None:
            self._cells -= frame.codes.size

    def _forget(self) -> None:
        self._found.clear()
        self._frames.clear()
        self._remembered = self._cells = 0


def _frame(pool: columns.StringPool, found: Found) -> columns.LabelFrame:
    names = tuple(sorted({name for one, _ in found for name in one.index.names}))
    parts = [one.index.codes(wanted, names) for one, wanted in found]
    return used(
        columns.LabelFrame(pool, names, np.concatenate(parts) if parts else np.zeros((0, len(names)), np.int32))
    )


def used(frame: columns.LabelFrame) -> columns.LabelFrame:
    """Without the labels that no row has."""
    there = np.flatnonzero(frame.codes.any(axis=0)).tolist()
    if len(there) == len(frame.names):
        return frame
    return columns.LabelFrame(frame.pool, tuple(frame.names[place] for place in there), frame.codes[:, there])


def _fixed(matchers: Sequence[alerts.Matcher]) -> str:
    """The metric name that a selector fixes."""
    fixed = (one.value for one in matchers if one.name == labels_.NAME and one.op == "=")
    return next(fixed, ANY)
