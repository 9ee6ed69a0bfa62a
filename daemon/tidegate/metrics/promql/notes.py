"""What a query's author should know though the query worked: Prometheus' annotations, without positions.

A text stands once. What is said of repaired histograms is put together into one text for the whole query.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from tidegate.metrics.promql import gotext


@dataclasses.dataclass(frozen=True, slots=True)
class Repair:
    """Buckets whose counts were not monotonic."""

    low: float
    """The lowest upper bound of them."""
    high: float
    difference: float
    """The largest one that was made good."""
    samples: int
    """How many histograms, counted at each step."""
    first: int
    """Milliseconds."""
    last: int

    def and_(self, other: Repair) -> Repair:
        """Both."""
        return Repair(
            min(self.low, other.low),
            max(self.high, other.high),
            max(self.difference, other.difference),
            self.samples + other.samples,
            min(self.first, other.first),
            max(self.last, other.last),
        )

    def __str__(self) -> str:
        return (
            f"from buckets {gotext.shortest(self.low)} to {gotext.shortest(self.high)}, "
            f"with a max diff of {self.difference:.2g}, over {self.samples} samples "
            f"from {gotext.instant(self.first)} to {gotext.instant(self.last)}"
        )


class Notes:
    """The annotations of one evaluation."""

    __slots__ = ("_infos", "_repairs", "_warnings")

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}
        self._repairs: dict[str, Repair] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Each text once."""
        return tuple(self._warnings)

    @property
    def infos(self) -> tuple[str, ...]:
        """Each text once."""
        return (*self._infos, *(f"{text}, {repair}" for text, repair in self._repairs.items()))

    def warn(self, text: str) -> None:
        """The result is likely wrong."""
        self._warnings[f"PromQL warning: {text}"] = None

    def info(self, text: str) -> None:
        """The result may be not what was meant."""
        self._infos[f"PromQL info: {text}"] = None

    def repaired(self, text: str, repair: Repair) -> None:
        """Some histograms had to be repaired."""
        key = f"PromQL info: {text}"
        before = self._repairs.get(key)
        self._repairs[key] = repair if before is None else before.and_(repair)

    def check_quantiles(self, levels: npt.NDArray[np.float64]) -> None:
        """Warn of quantiles that are none."""
        for level in np.unique(levels[~((levels >= 0) & (levels <= 1))]).tolist():
            self.warn(f"quantile value should be between 0 and 1, got {gotext.shortest(level)}")
