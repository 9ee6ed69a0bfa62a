"""Which tables hold which metric names, and what selectors found there.

What a selector found is remembered until a series of its metric name comes or goes, so that one new series does not make
every rule search again. Selectors that fix no name look at every table. What matching means is the index's business.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tidegate.metrics import index
from tidegate.metrics import table as table_
from tidegate.model import alerts
from tidegate.model import labels as labels_

REMEMBERED = 8192
"""Selectors whose columns are remembered."""
ANY = ""
Found = list[tuple[table_.Table, npt.NDArray[np.int64]]]
Matchers = tuple[alerts.Matcher, ...]


class Directory:
    """The tables by metric name. Not safe for concurrent use; the store's lock guards it."""

    def __init__(self, verdicts: index.Verdicts) -> None:
        self._verdicts = verdicts
        self._tables: dict[str, table_.Table] = {}
        self._by_name: dict[str, dict[str, table_.Table]] = collections.defaultdict(dict)
        self._found: dict[str, dict[Matchers, Found]] = collections.defaultdict(dict)
        self._remembered = 0

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
            self._remembered -= len(self._found.pop(forgotten, ()))

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

    def _forget(self) -> None:
        self._found.clear()
        self._remembered = 0


def _fixed(matchers: Sequence[alerts.Matcher]) -> str:
    """The metric name that a selector fixes."""
    fixed = (one.value for one in matchers if one.name == labels_.NAME and one.op == "=")
    return next(fixed, ANY)
