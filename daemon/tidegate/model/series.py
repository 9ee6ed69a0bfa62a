"""Samples and what a query gives back, as arrays.

Times are int64 milliseconds since the epoch, values float64. Two NaN bit patterns carry meaning inside the sample store:
`STALE` (Prometheus' stale marker: the series ended here) and `ABSENT` (no sample in this slot). They never leave it:
a query result holds plain numbers and ordinary NaN only.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.model import labels as labels_

Times: TypeAlias = npt.NDArray[np.int64]
Values: TypeAlias = npt.NDArray[np.float64]
Columns: TypeAlias = npt.NDArray[np.int32]

STALE_BITS = 0x7FF0000000000002
ABSENT_BITS = 0x7FF0000000000003


@dataclasses.dataclass(frozen=True, slots=True)
class Vector:
    """An instant vector: `values[i]` belongs to `labels[i]`; `times` are the samples' own (a selector) or the query's."""

    labels: tuple[labels_.Labels, ...]
    values: Values
    at_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class Scalar:
    """A number without labels."""

    value: float
    at_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class String:
    """A string literal's value."""

    value: str
    at_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """One series of a matrix: its samples in order of time."""

    labels: labels_.Labels
    times: Times
    values: Values


@dataclasses.dataclass(frozen=True, slots=True)
class Matrix:
    """A range result: the series that have at least one point."""

    series: tuple[Series, ...]


Result: TypeAlias = Vector | Scalar | String | Matrix


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave, with Prometheus' annotations: what its author should know though it worked."""

    result: Result
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


Counts: TypeAlias = tuple[tuple[str, int], ...]
"""(name, number) pairs, largest number first."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cardinality:
    """How many series there are, and of what."""

    series: int
    label_pairs: int
    first_ms: int
    """Time of the oldest sample; 0 without one."""
    last_ms: int
    by_name: Counts = ()
    """Series of a metric name."""
    values_of_label: Counts = ()
    """Distinct values of a label name."""
    bytes_of_label: Counts = ()
    """Bytes of the values of a label name, once for each series."""
    by_pair: Counts = ()
    """Series with a label pair, written `name=value`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Exemplar:
    """A trace behind a sample (OpenMetrics)."""

    labels: labels_.Labels
    value: float
    at_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class Metadata:
    """What a target says of a metric family."""

    name: str
    type: str
    """`counter`, `gauge`, `histogram`, `summary`, `gaugehistogram`, `info`, `stateset` or `unknown`."""
    help: str
    unit: str


def stale() -> float:
    """Prometheus' stale marker, as a value."""
    return float(np.array([STALE_BITS], np.int64).view(np.float64)[0])
