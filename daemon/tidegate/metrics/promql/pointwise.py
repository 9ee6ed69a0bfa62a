"""Functions of one number: mathematics, rounding, dates. They work on whole arrays and know no labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.metrics.promql.values import Floats

Function: TypeAlias = Callable[[Floats], Floats]
Days: TypeAlias = npt.NDArray[np.datetime64]
Parts: TypeAlias = npt.NDArray[np.int64]


def _sign(x: Floats) -> Floats:
    return np.where(x < 0, -1.0, np.where(x > 0, 1.0, x))


MATHS: Mapping[str, Function] = MappingProxyType(
    {
        "abs": np.abs,
        "ceil": np.ceil,
        "floor": np.floor,
        "exp": np.exp,
        "sqrt": np.sqrt,
        "ln": np.log,
        "log2": np.log2,
        "log10": np.log10,
        "sin": np.sin,
        "cos": np.cos,
        "tan": np.tan,
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "sinh": np.sinh,
        "cosh": np.cosh,
        "tanh": np.tanh,
        "asinh": np.arcsinh,
        "acosh": np.arccosh,
        "atanh": np.arctanh,
        "rad": lambda x: x * np.pi / 180,
        "deg": lambda x: x * 180 / np.pi,
        "sgn": _sign,
    }
)


def rounded(x: Floats, nearest: Floats) -> Floats:
    """`round`: ties go up; by the inverse, as Prometheus does."""
    inverse = 1.0 / nearest
    return np.floor(x * inverse + 0.5) / inverse


def largest(a: Floats, b: Floats) -> Floats:
    """The larger number as Go's `math.Max` has it: NaN when one is, unless the other is +Inf."""
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, np.maximum(a, b))


def smallest(a: Floats, b: Floats) -> Floats:
    """The smaller number as Go's `math.Min` has it: NaN when one is, unless the other is -Inf."""
    return np.where(np.isneginf(a) | np.isneginf(b), -np.inf, np.minimum(a, b))


def clamped(x: Floats, low: Floats, high: Floats) -> Floats:
    """`clamp`."""
    return largest(low, smallest(high, x))


def _civil(x: Floats) -> tuple[Days, Parts, npt.NDArray[np.bool_]]:
    """Day, second of the day, and which values are times at all."""
    usable = np.isfinite(x) & (np.abs(x) < 1e14)
    seconds = np.trunc(np.where(usable, x, 0.0)).astype(np.int64)
    return (seconds // 86400).astype("datetime64[D]"), seconds % 86400, usable


def _of_day(part: Callable[[Days], Parts]) -> Function:
    def function(x: Floats) -> Floats:
        day, _, usable = _civil(x)
        return np.where(usable, part(day).astype(np.float64), np.nan)

    return function


def _of_clock(part: Callable[[Parts], Parts]) -> Function:
    def function(x: Floats) -> Floats:
        _, second, usable = _civil(x)
        return np.where(usable, part(second).astype(np.float64), np.nan)

    return function


def _number(day: Days, unit: str) -> Parts:
    """The number of the day's month or year since 1970."""
    numbers: Parts = day.astype(f"datetime64[{unit}]").astype(np.int64)
    return numbers


def _first(numbers: Parts, unit: str) -> Parts:
    """The number of the first day of months or years."""
    days: Parts = numbers.astype(f"datetime64[{unit}]").astype("datetime64[D]").astype(np.int64)
    return days


def _within(day: Days, unit: str) -> Parts:
    """The day's number within its month or year, from 1."""
    return day.astype(np.int64) - _first(_number(day, unit), unit) + 1


def _month_length(day: Days) -> Parts:
    month = _number(day, "M")
    return _first(month + 1, "M") - _first(month, "M")


DATES: Mapping[str, Function] = MappingProxyType(
    {
        "minute": _of_clock(lambda second: second // 60 % 60),
        "hour": _of_clock(lambda second: second // 3600),
        "day_of_week": _of_day(lambda day: (day.astype(np.int64) + 4) % 7),
        "day_of_month": _of_day(lambda day: _within(day, "M")),
        "day_of_year": _of_day(lambda day: _within(day, "Y")),
        "days_in_month": _of_day(_month_length),
        "month": _of_day(lambda day: _number(day, "M") % 12 + 1),
        "year": _of_day(lambda day: _number(day, "Y") + 1970),
    }
)
"""Parts of a time in UTC, given in unix seconds. Values that are not times give NaN."""
