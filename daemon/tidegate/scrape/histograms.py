"""Whether the samples of an OpenMetrics histogram agree with each other: buckets in order, count, sum, the last bucket.

Part of `scrape.strict`, which says what is asked and feeds one family's samples in their order.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

from tidegate.model import labels as labels_
from tidegate.scrape import lines


def bound(text: str) -> bool:
    """Whether a text is a bucket's upper bound: a number, and infinity only as `+Inf`."""
    value = lines.number(text)
    return value is not None and not math.isnan(value) and (value != math.inf or text == "+Inf")


class Check:
    """The histograms of one family, one after the other."""

    def __init__(self) -> None:
        self._metric: Hashable = None
        self._place: lines.Reader | None = None
        self._bound: float | None = None
        self._value = 0.0
        self._negative = False
        self._count: float | None = None
        self._sum: float | None = None
        self._gauge = False

    def add(self, suffix: str, metric: Hashable, sample: lines.Sample, place: lines.Reader) -> None:
        """The next sample. `metric` names the histogram and its time. Raises `TransientError`."""
        if metric != self._metric:
            self.end()
            self._start()
        self._metric, self._place = metric, place
        if suffix == "_bucket":
            self._bucket(float(labels_.get(sample.labels, "le")), sample.value, place)
        elif suffix in ("_count", "_gcount"):
            self._count = sample.value
        elif suffix in ("_sum", "_gsum"):
            self._sum = sample.value
            self._gauge = suffix == "_gsum"

    def end(self) -> None:
        """There are no more samples of this histogram. Raises `TransientError`."""
        if self._place is None:
            return
        wrong = self._wrong()
        if wrong:
            raise self._place.error(0, wrong)

    def _start(self) -> None:
        self._bound = self._count = self._sum = None
        self._value = 0.0
        self._negative = self._gauge = False

    def _bucket(self, bound: float, value: float, place: lines.Reader) -> None:
        if self._bound is not None and bound <= self._bound:
            raise place.error(0, "the buckets are not in the order of `le`")
        if value < self._value:
            raise place.error(0, "a bucket has less than the one before")
        self._bound, self._value = bound, value
        self._negative = self._negative or bound < 0

    def _wrong(self) -> str:
        if self._bound != math.inf:
            return "a histogram without its last bucket, `+Inf`"
        if self._count is not None and self._count != self._value:
            return "the count of a histogram is not that of its last bucket"
        if (self._sum is None) != (self._count is None):
            return "a histogram has a sum without a count, or a count without a sum"
        if self._negative and self._sum is not None and not self._gauge:
            return "a histogram with negative buckets has no sum"
        if self._gauge and not self._negative and self._sum is not None and self._sum < 0:
            return "a sum is negative, and no bucket is"
        return ""
