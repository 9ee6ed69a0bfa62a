"""A sample store in memory, for tests of whatever reads series: from lists of series and their samples."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import re2

from tidegate.metrics import columns
from tidegate.model import alerts, series
from tidegate.model import labels as labels_

STALE = np.array([series.STALE_BITS], np.int64).view(np.float64)[0]
"""The stale marker. Assigning it through Python floats may lose its bits: use `Points.bits`."""


@dataclasses.dataclass
class Points:
    """The samples of one series."""

    times: list[int] = dataclasses.field(default_factory=list)
    bits: list[int] = dataclasses.field(default_factory=list)

    def add(self, at_ms: int, value: float | None) -> None:
        """A sample; None is the stale marker. A second one at the same time replaces the first."""
        bits = series.STALE_BITS if value is None else int(np.array([value], np.float64).view(np.int64)[0])
        if self.times and self.times[-1] == at_ms:
            self.bits[-1] = bits
            return
        self.times.append(at_ms)
        self.bits.append(bits)


class MemorySeries:
    """A `columns.SeriesReader`. Series with the same timestamps share a block, like the series of one target."""

    def __init__(self) -> None:
        self._pool = columns.StringPool()
        self.series: dict[labels_.Labels, Points] = {}

    @property
    def pool(self) -> columns.StringPool:
        return self._pool

    def add(self, labels: labels_.Labels, samples: Iterable[tuple[int, float | None]]) -> None:
        """Samples in order of time."""
        points = self.series.setdefault(labels, Points())
        for at_ms, value in samples:
            points.add(at_ms, value)

    def load(self, text: str, values: Sequence[float | None], step: float = 15.0, start: float = 0.0) -> None:
        """One series from `name` or `name|a=b,c=d` and values at equal steps (seconds)."""
        name, _, rest = text.partition("|")
        pairs = dict(pair.split("=", 1) for pair in rest.split(",") if pair)
        times = (round((start + step * index) * 1000) for index in range(len(values)))
        self.add(labels_.make({**pairs, labels_.NAME: name} if name else pairs), zip(times, values, strict=False))

    def select(
        self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int, most: int | None = None
    ) -> columns.Selection:
        rows: dict[tuple[int, ...], list[tuple[labels_.Labels, list[int]]]] = {}
        checks = [test(matcher) for matcher in matchers]
        for labels, points in self.series.items():
            if not all(check(labels) for check in checks):
                continue
            inside = [index for index, at in enumerate(points.times) if start_ms < at <= end_ms]
            if inside:
                times = tuple(points.times[index] for index in inside)
                rows.setdefault(_frame(times), []).append((labels, [points.times.index(at) for at in times]))
        return self._selection(rows)

    def _selection(self, rows: dict[tuple[int, ...], list[tuple[labels_.Labels, list[int]]]]) -> columns.Selection:
        sets: list[labels_.Labels] = []
        blocks: list[columns.Block] = []
        for found in rows.values():
            times = sorted({self.series[labels].times[index] for labels, indices in found for index in indices})
            bits = np.full((len(times), len(found)), series.ABSENT_BITS, np.int64)
            for column, (labels, indices) in enumerate(found):
                points = self.series[labels]
                at = np.searchsorted(times, [points.times[index] for index in indices])
                bits[at, column] = [points.bits[index] for index in indices]
                sets.append(labels)
            gaps = bool(((bits | 1) == series.ABSENT_BITS).any())
            blocks.append(columns.Block(np.array(times, np.int64), bits.view(np.float64), gaps))
        return columns.Selection(columns.frame(self._pool, sets), tuple(blocks))


def _frame(times: tuple[int, ...]) -> tuple[int, ...]:
    """Series whose samples come at the same phase of the same step share a block, even when some have gaps."""
    step = min((b - a for a, b in itertools.pairwise(times)), default=0)
    return (step, times[0] % step) if step else (0, 0)


def test(matcher: alerts.Matcher) -> Callable[[labels_.Labels], bool]:
    """What a matcher asks of a label set."""
    if matcher.op in {"=", "!="}:
        return lambda labels: (labels_.get(labels, matcher.name) == matcher.value) == (matcher.op == "=")
    pattern = re2.compile(f"^(?s:{matcher.value})$")
    return lambda labels: bool(pattern.match(labels_.get(labels, matcher.name))) == (matcher.op == "=~")
