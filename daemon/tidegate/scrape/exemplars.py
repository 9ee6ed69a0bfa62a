"""The newest exemplars of one target, in a ring: what OpenMetrics says stands behind a sample.

Kept as Prometheus keeps them: one that equals its series' newest is no news, one that is older is dropped, and so is one
whose labels are longer than OpenMetrics allows. What falls out of the ring is the oldest.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable

from tidegate.model import labels as labels_
from tidegate.model import series
from tidegate.scrape import lines

LIMIT = 1000
"""Exemplars of one target."""
LENGTH = 128
"""Characters of an exemplar's label names and values."""


class Exemplars:
    """A ring of (series, exemplar), oldest first."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._ring: collections.deque[tuple[labels_.Labels, series.Exemplar]] = collections.deque()
        self._newest: dict[labels_.Labels, series.Exemplar] = {}

    def add(self, of: labels_.Labels, found: lines.Exemplar, at_ms: int) -> str:
        """Keep an exemplar of a series; `at_ms` is its time when it has none. Why it was dropped, or an empty text."""
        if sum(len(name) + len(value) for name, value in found.labels) > LENGTH:
            return "too_long"
        one = series.Exemplar(found.labels, found.value, at_ms if found.at_ms is None else found.at_ms)
        newest = self._newest.get(of)
        if newest is not None:
            if one.at_ms < newest.at_ms:
                return "out_of_order"
            timed = one if found.at_ms is not None else dataclasses.replace(one, at_ms=newest.at_ms)
            if timed == newest:
                return ""
        self._ring.append((of, one))
        self._newest[of] = one
        if len(self._ring) > self._limit:
            gone, old = self._ring.popleft()
            if self._newest.get(gone) is old:
                del self._newest[gone]
        return ""

    def select(
        self, wanted: Callable[[labels_.Labels], bool], start_ms: int, end_ms: int
    ) -> dict[labels_.Labels, list[series.Exemplar]]:
        """Those of some series between two times, both included, oldest first."""
        found: dict[labels_.Labels, list[series.Exemplar]] = {}
        for of, one in self._ring:
            if start_ms <= one.at_ms <= end_ms and (of in found or wanted(of)):
                found.setdefault(of, []).append(one)
        return found
