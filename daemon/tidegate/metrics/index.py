"""The label sets of one table's columns as code arrays, and the search for those that match.

Matching works on distinct codes: a pattern is tried once for each value it meets, ever. A label that a series lacks
counts as empty (Prometheus' rule). Codes come from the store's one string pool.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tidegate.kit import matchers as matchers_
from tidegate.metrics import columns
from tidegate.model import alerts
from tidegate.model import labels as labels_

FIRST = 64


class Verdicts:
    """Remembers which texts a condition accepts, by code."""

    def __init__(self, pool: columns.StringPool) -> None:
        self._pool = pool
        self._known: dict[alerts.Matcher, dict[int, bool]] = {}

    def accepted(self, matcher: alerts.Matcher, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """For each code whether its text meets the condition."""
        if matcher.op in ("=", "!="):
            wanted = self._pool.codes.get(matcher.value, -1)
            equal: npt.NDArray[np.bool_] = codes == wanted
            return equal if matcher.op == "=" else ~equal
        known = self._known.setdefault(matcher, {})
        distinct, inverse = np.unique(codes, return_inverse=True)
        new = [code for code in distinct.tolist() if code not in known]
        if new:
            test, texts = matchers_.condition(matcher, newlines=True), self._pool.texts
            known.update((code, test(texts[code])) for code in new)
        verdicts = np.fromiter((known[code] for code in distinct.tolist()), np.bool_, distinct.size)
        found: npt.NDArray[np.bool_] = verdicts[inverse]
        return found


class Index:
    """Label sets by column. Columns of no series have the code 0 everywhere and are never found."""

    def __init__(self, pool: columns.StringPool) -> None:
        self._pool = pool
        self.names: list[str] = [labels_.NAME]
        self._place = {labels_.NAME: 0}
        self._codes = np.zeros((FIRST, 1), np.int32)
        self._used = np.zeros(FIRST, np.bool_)
        self._asked: tuple[tuple[str, ...], npt.NDArray[np.int64] | None] = ((), None)
        """The names last asked for with their places; None where one is not here."""

    @property
    def generation(self) -> int:
        """See `columns.StringPool`."""
        return self._pool.generation

    def put(self, column: int, labels: labels_.Labels) -> None:
        """A column belongs to a series from now on."""
        for name, _ in labels:
            if name not in self._place:
                self._asked = (), None
                self._place[name] = len(self.names)
                self.names.append(name)
        if column >= len(self._used) or len(self.names) > self._codes.shape[1]:
            self._grow(column + 1)
        self._codes[column] = 0
        for name, value in labels:
            self._codes[column, self._place[name]] = self._pool.code(value)
        self._used[column] = True

    def put_all(self, given: npt.NDArray[np.int64], names: Sequence[str], codes: npt.NDArray[np.int32]) -> None:
        """Columns belong to series that all have these label names; `codes` is [columns, names]."""
        for name in names:
            if name not in self._place:
                self._asked = (), None
                self._place[name] = len(self.names)
                self.names.append(name)
        if given.size and (int(given.max()) >= len(self._used) or len(self.names) > self._codes.shape[1]):
            self._grow(int(given.max()) + 1)
        self._codes[given] = 0
        places = np.array([self._place[name] for name in names], np.int64)
        self._codes[given[:, None], places] = codes
        self._used[given] = True

    def remove(self, free: npt.NDArray[np.int64]) -> None:
        """Columns belong to nobody any more."""
        self._used[free] = False
        self._codes[free] = 0

    def find(self, matchers: Sequence[alerts.Matcher], verdicts: Verdicts) -> npt.NDArray[np.int64]:
        """Columns of the series that meet all conditions, ascending."""
        found = np.flatnonzero(self._used)
        for matcher in sorted(matchers, key=lambda one: (one.name != labels_.NAME, one.op != "=")):
            if not found.size:
                break
            place = self._place.get(matcher.name)
            codes = self._codes[found, place] if place is not None else np.zeros(1, np.int32)
            accepted = verdicts.accepted(matcher, codes)
            found = found[accepted] if place is not None else found if bool(accepted[0]) else found[:0]
        return found

    def codes(self, found: npt.NDArray[np.int64], names: tuple[str, ...]) -> npt.NDArray[np.int32]:
        """[series, names] codes of some columns."""
        if names != self._asked[0]:
            places = [self._place.get(name, -1) for name in names]
            self._asked = names, None if -1 in places else np.array(places)
        if self._asked[1] is not None:
            whole: npt.NDArray[np.int32] = self._codes[found[:, None], self._asked[1]]
            return whole
        out = np.zeros((found.size, len(names)), np.int32)
        for target, name in enumerate(names):
            place = self._place.get(name)
            if place is not None:
                out[:, target] = self._codes[found, place]
        return out

    def labels(self, column: int) -> labels_.Labels:
        """The label set of one column."""
        texts = self._pool.texts
        pairs = zip(self.names, self._codes[column].tolist(), strict=False)
        return tuple(sorted((name, texts[code]) for name, code in pairs if code))

    def everything(self, columns_: int) -> npt.NDArray[np.int32]:
        """[columns, names] codes of all columns up to one; 0 where there is no series."""
        out = np.zeros((columns_, len(self.names)), np.int32)
        rows = min(columns_, len(self._codes))
        wide = min(self._codes.shape[1], len(self.names))
        out[:rows, :wide] = self._codes[:rows, :wide]
        return out

    def mark(self, used: npt.NDArray[np.bool_]) -> None:
        """Mark the codes of all names and values that it has."""
        used[self._codes] = True
        used[[self._pool.code(name) for name in self.names]] = True

    def metric_names(self) -> set[str]:
        """The metric names of all columns."""
        texts = self._pool.texts
        return {texts[code] for code in np.unique(self._codes[self._used, 0]).tolist()}

    def _grow(self, columns_: int) -> None:
        tall = max(len(self._used), 1 << (columns_ - 1).bit_length())
        wide = max(self._codes.shape[1], len(self.names))
        codes = np.zeros((tall, wide), np.int32)
        codes[: self._codes.shape[0], : self._codes.shape[1]] = self._codes
        used = np.zeros(tall, np.bool_)
        used[: self._used.size] = self._used
        self._codes, self._used = codes, used
