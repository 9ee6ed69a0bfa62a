"""Functions of one number: mathematics, rounding, dates. They work on whole arrays and know no labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.metrics.promql.values import Floats

Function: TypeAlias = Callable[[Floats], Floats]
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


def clamped(x: Floats, low: Floats, high: Floats) -> Floats:
    """`clamp`; NaN limits give NaN."""
    return np.maximum(low, np.minimum(high, x))


def _civil(x: Floats) -> tuple[npt.NDArray[np.datetime64], Parts, npt.NDArray[np.bool_]]:
    """Day, second of the day, and which values are times at all."""
    usable = np.isfinite(x) & (np.abs(x) < 1e14)
    seconds = np.trunc(np.where(usable, x, 0.0)).astype(np.int64)
    return (seconds // 86400).astype("datetime64[D]"), seconds % 86400, usable


def _date(part: Callable[[npt.NDArray[np.datetime64], Parts], Parts]) -> Function:
    def function(x: Floats) -> Floats:
        day, second, usable = _civil(x)
        return np.where(usable, part(day, second).astype(np.float64), np.nan)

    return function


def _months(day: npt.NDArray[np.datetime64]) -> Parts:
    return day.astype("datetime64[M]").astype(np.int64)


def _days(from_: npt.NDArray[np.datetime64], to: npt.NDArray[np.datetime64]) -> Parts:
    return (to.astype("datetime64[D]") - from_.astype("datetime64[D]")).astype(np.int64)


DATES: Mapping[str, Function] = MappingProxyType(
    {
        "minute": _date(lambda day, second: second // 60 % 60),
        "hour": _date(lambda day, second: second // 3600),
        "day_of_week": _date(lambda day, second: (day.astype(np.int64) + 4) % 7),
        "day_of_month": _date(lambda day, second: _days(day.astype("datetime64[M]"), day) + 1),
        "day_of_year": _date(lambda day, second: _days(day.astype("datetime64[Y]"), day) + 1),
        "days_in_month": _date(
            lambda day, second: _days(day.astype("datetime64[M]"), day.astype("datetime64[M]") + np.timedelta64(1, "M"))
        ),
        "month": _date(lambda day, second: _months(day) % 12 + 1),
        "year": _date(lambda day, second: _months(day) // 12 + 1970),
    }
)
"""Parts of a time in UTC, given in unix seconds. Values that are not times give NaN."""
