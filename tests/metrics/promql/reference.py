"""Window functions written once more, sample by sample, from Prometheus' documentation: the oracle of the fast ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

Sample: TypeAlias = tuple[int, float]
Window: TypeAlias = Sequence[Sample]


def window(samples: Sequence[tuple[int, float | None]], start: int, end: int) -> list[Sample]:
    """The samples in (start, end], without stale markers."""
    return [(at, value) for at, value in samples if start < at <= end and value is not None]


def newest(samples: Sequence[tuple[int, float | None]], at: int, lookback: int) -> float | None:
    """What an instant selector sees."""
    inside = [value for when, value in samples if at - lookback < when <= at]
    return inside[-1] if inside else None


def extrapolated(points: Window, start: int, end: int, *, counter: bool, per_second: bool) -> float | None:
    """`rate`, `increase`, `delta`."""
    if len(points) < 2:
        return None
    change = points[-1][1] - points[0][1]
    if counter:
        for (_, before), (_, after) in itertools.pairwise(points):
            if after < before:
                change += before
    sampled = (points[-1][0] - points[0][0]) / 1000
    spacing = sampled / (len(points) - 1)
    to_start, to_end = (points[0][0] - start) / 1000, (end - points[-1][0]) / 1000
    if to_start >= spacing * 1.1:
        to_start = spacing / 2
    if to_end >= spacing * 1.1:
        to_end = spacing / 2
    if counter and change > 0 and points[0][1] >= 0:
        to_start = min(to_start, sampled * (points[0][1] / change))
    result = change * (sampled + to_start + to_end) / sampled
    return result / ((end - start) / 1000) if per_second else result


def instant(points: Window, *, counter: bool) -> float | None:
    """`irate`, `idelta`."""
    if len(points) < 2:
        return None
    (before_at, before), (after_at, after) = points[-2:]
    if not counter:
        return after - before
    return (after if after < before else after - before) / ((after_at - before_at) / 1000)


def resets(points: Window) -> float | None:
    """`resets`."""
    return float(sum(b[1] < a[1] for a, b in itertools.pairwise(points))) if points else None


def changes(points: Window) -> float | None:
    """`changes`."""
    pairs = itertools.pairwise(points)
    return float(sum(b[1] != a[1] and not math.isnan(a[1] + b[1]) for a, b in pairs)) if points else None


def _values(points: Window) -> list[float]:
    return [value for _, value in points]


def variance(points: Window) -> float | None:
    """`stdvar_over_time`."""
    if not points:
        return None
    mean = math.fsum(_values(points)) / len(points)
    return math.fsum((value - mean) ** 2 for value in _values(points)) / len(points)


def quantile(points: Window, level: float) -> float | None:
    """`quantile_over_time` for levels between 0 and 1."""
    if not points:
        return None
    ordered = sorted(_values(points))
    rank = level * (len(ordered) - 1)
    lower = math.floor(rank)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] * (1 - (rank - lower)) + ordered[upper] * (rank - lower)


def slope(points: Window) -> float | None:
    """`deriv`."""
    if len(points) < 2:
        return None
    times = [at / 1000 for at, _ in points]
    values = _values(points)
    if all(value == values[0] for value in values):
        return 0.0
    time_mean, mean = math.fsum(times) / len(times), math.fsum(values) / len(values)
    up = math.fsum((t - time_mean) * (v - mean) for t, v in zip(times, values, strict=True))
    return up / math.fsum((t - time_mean) ** 2 for t in times)


FUNCTIONS: dict[str, Callable[[Window, int, int], float | None]] = {
    "rate": lambda w, s, e: extrapolated(w, s, e, counter=True, per_second=True),
    "increase": lambda w, s, e: extrapolated(w, s, e, counter=True, per_second=False),
    "delta": lambda w, s, e: extrapolated(w, s, e, counter=False, per_second=False),
    "irate": lambda w, s, e: instant(w, counter=True),
    "idelta": lambda w, s, e: instant(w, counter=False),
    "resets": lambda w, s, e: resets(w),
    "changes": lambda w, s, e: changes(w),
    "deriv": lambda w, s, e: slope(w),
    "sum_over_time": lambda w, s, e: math.fsum(_values(w)) if w else None,
    "avg_over_time": lambda w, s, e: math.fsum(_values(w)) / len(w) if w else None,
    "min_over_time": lambda w, s, e: min(_values(w)) if w else None,
    "max_over_time": lambda w, s, e: max(_values(w)) if w else None,
    "count_over_time": lambda w, s, e: float(len(w)) if w else None,
    "last_over_time": lambda w, s, e: w[-1][1] if w else None,
    "first_over_time": lambda w, s, e: w[0][1] if w else None,
    "present_over_time": lambda w, s, e: 1.0 if w else None,
    "stdvar_over_time": lambda w, s, e: variance(w),
}
