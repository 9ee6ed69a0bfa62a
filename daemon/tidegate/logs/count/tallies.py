"""What one series of a log metric remembers of the lines it saw, for each function that a metric can have.

Counts, sums and histograms only grow, as Prometheus' counters do, so that those of several agents can be added up. The
smallest, the largest and the number of different values are of a window that slides in six steps, and are not there when
no line was seen in it.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeAlias

from tidegate.logs.count import distinct
from tidegate.model import labels as labels_
from tidegate.model import rules

PARTS: Final = 6
"""Steps of a window."""
Sample: TypeAlias = tuple[str, labels_.Labels, float]
"""What is added to the metric's name, further labels, the value."""


class Tally(Protocol):
    """The memory of one series."""

    def add(self, values: Sequence[Any], now: float) -> None:
        """One line, with the values of the metric's field."""

    def samples(self, now: float) -> Iterator[Sample]:
        """What it says now (unix seconds)."""


@dataclasses.dataclass(slots=True)
class Count:
    """How many lines."""

    lines: float = 0.0

    def add(self, values: Sequence[Any], now: float) -> None:  # noqa: ARG002 - as the others
        """See `Tally`."""
        self.lines += 1

    def samples(self, now: float) -> Iterator[Sample]:  # noqa: ARG002
        """See `Tally`."""
        yield "", (), self.lines


@dataclasses.dataclass(slots=True)
class Sum:
    """The sum of the values, and how many there were."""

    total: float = 0.0
    count: float = 0.0

    def add(self, values: Sequence[Any], now: float) -> None:  # noqa: ARG002
        """See `Tally`."""
        self.total += math.fsum(values)
        self.count += len(values)

    def samples(self, now: float) -> Iterator[Sample]:  # noqa: ARG002
        """See `Tally`."""
        yield "_sum", (), self.total
        yield "_count", (), self.count


class Histogram:
    """How many values were at most each bound: a classic histogram."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0.0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, values: Sequence[Any], now: float) -> None:  # noqa: ARG002
        """See `Tally`."""
        for value in values:
            self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._total += math.fsum(values)

    def samples(self, now: float) -> Iterator[Sample]:  # noqa: ARG002
        """See `Tally`."""
        sums = list(itertools.accumulate(self._counts))
        for bound, count in zip((*map(_bound, self._bounds), "+Inf"), sums, strict=True):
            yield "_bucket", (("le", bound),), count
        yield "_sum", (), self._total
        yield "_count", (), sums[-1]


class Window:
    """One value over the lines of the last so many seconds."""

    def __init__(self, seconds: float, put: Callable[[Any, Sequence[Any]], Any], read: Callable[[list[Any]], float]):
        """`put` makes of a part's memory (None at first) and values the new one; `read` makes a value of all parts'."""
        self._step = seconds / PARTS
        self._put, self._read = put, read
        self._parts: collections.deque[tuple[int, Any]] = collections.deque()

    def add(self, values: Sequence[Any], now: float) -> None:
        """See `Tally`."""
        number = int(now // self._step)
        self._forget(number)
        if not self._parts or self._parts[-1][0] < number:
            self._parts.append((number, None))
        last, memory = self._parts[-1]
        self._parts[-1] = last, self._put(memory, values)

    def samples(self, now: float) -> Iterator[Sample]:
        """See `Tally`."""
        self._forget(int(now // self._step))
        if self._parts:
            yield "", (), self._read([memory for _, memory in self._parts])

    def _forget(self, number: int) -> None:
        while self._parts and not number - PARTS < self._parts[0][0] <= number:  # a clock may go back, too
            self._parts.popleft()


def maker(metric: rules.LogMetric) -> Callable[[], Tally]:
    """What makes the memory of each series of a metric."""
    window = metric.window
    if metric.function == "percentile":
        return lambda: Histogram(metric.bounds)
    if metric.function in ("sum", "avg"):
        return Sum
    if metric.function == "min":
        return lambda: Window(window, _smaller, min)
    if metric.function == "max":
        return lambda: Window(window, _larger, max)
    if metric.function == "distinct":
        return lambda: Window(window, distinct.put, distinct.number)
    return Count


def _smaller(memory: float | None, values: Sequence[float]) -> float:
    return min(values) if memory is None else min(memory, *values)


def _larger(memory: float | None, values: Sequence[float]) -> float:
    return max(values) if memory is None else max(memory, *values)


def _bound(value: float) -> str:
    """As Prometheus' clients write it."""
    return repr(float(value))
