"""Sums that do not lose small terms to large ones of opposite sign.

Prometheus sums with Kahan's and Neumaier's compensation. A running compensation is a loop over samples; here the terms
are split on a common grid instead (error-free extraction: all parts of one level add without rounding), which works on
whole arrays. It runs only where plain summation is doubtful: where terms cancel or overflow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Reduce: TypeAlias = Callable[[Floats], Floats]

_CANCELLED = 8.0
_LEVELS = 8
_SCALE = 2.0**-64


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """How to reduce the terms to sums, and to spread a number per sum back over its terms."""

    add: Reduce
    largest: Reduce
    spread: Reduce
    terms: float
    """An upper bound of the terms of one sum."""


def over_rows(rows: int) -> Shape:
    """Sums down the rows of [rows, columns]."""
    return Shape(lambda x: x.sum(axis=0), lambda x: x.max(axis=0), lambda x: x[None], rows)


def over_segments(starts: npt.NDArray[np.int64], ids: npt.NDArray[np.int64], terms: int) -> Shape:
    """Sums of runs of columns of [steps, columns]; `ids` gives each column's run."""
    return Shape(
        lambda x: np.add.reduceat(x, starts, axis=1),
        lambda x: np.maximum.reduceat(x, starts, axis=1),
        lambda x: x[:, ids],
        terms,
    )


def total(terms: Floats, shape: Shape, plain: Floats | None = None) -> Floats:
    """Compensated sums. `plain` are the sums by ordinary addition, where they are there already."""
    result = shape.add(terms) if plain is None else plain
    size = shape.add(np.abs(terms))
    doubtful = (size > _CANCELLED * np.abs(result)) & (size > 0)
    if not bool(doubtful.any()):
        return result
    finite = np.isfinite(terms)
    sound = shape.add((~finite).astype(np.float64)) == 0
    exact = _extract(np.where(finite, terms, 0.0) * _SCALE, shape) / _SCALE
    return np.where((doubtful | ~np.isfinite(result)) & sound, exact, result)


def mean(terms: Floats, shape: Shape, counts: Floats) -> Floats:
    """Compensated means, which do not overflow while the mean itself does not."""
    result = shape.add(terms)
    size = shape.add(np.abs(terms))
    good = np.isfinite(size) & ((size <= _CANCELLED * np.abs(result)) | (size == 0))
    if bool(good.all()):
        return result / counts
    finite = np.isfinite(terms)
    sound = shape.add((~finite).astype(np.float64)) == 0
    exact = _extract(np.where(finite, terms, 0.0) * _SCALE, shape) / counts / _SCALE
    return np.where(~good & sound, exact, result / counts)


def _extract(rest: Floats, shape: Shape) -> Floats:
    guard = 2.0 ** np.ceil(np.log2(shape.terms + 2.0))
    parts: list[Floats] = []
    for _ in range(_LEVELS):
        top = shape.largest(np.abs(rest))
        if not bool((top > 0).any()):
            break
        grid = shape.spread(np.where(top > 0, guard * np.exp2(np.ceil(np.log2(np.where(top > 0, top, 1.0)))), 0.0))
        high = (grid + rest) - grid
        parts.append(shape.add(high))
        rest = rest - high
    result = np.zeros_like(shape.largest(rest))
    for part in reversed(parts):
        result = result + part
    return result
