"""The functions and aggregations that PromQL has: their arguments, their results, and which are experimental.

Source: https://prometheus.io/docs/prometheus/latest/querying/functions/. Whether we can evaluate one is the compiler's
business.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tidegate.metrics.promql.tree import ValueType


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """One function."""

    args: tuple[ValueType, ...]
    result: ValueType = "vector"
    variadic: int = 0
    """How many further arguments of the last kind there may be (the last one may be left out); -1 is any number."""
    experimental: bool = False


def _words(text: str) -> list[str]:
    return text.split()


_OF_VECTOR = _words(
    """
    abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_avg histogram_count
    histogram_sum histogram_stddev histogram_stdvar ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan tanh
    timestamp
    """
)
_OF_MATRIX = _words(
    """
    absent_over_time avg_over_time changes count_over_time delta deriv first_over_time idelta increase irate
    last_over_time max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time
    sum_over_time
    """
)
_EXPERIMENTAL_OF_MATRIX = _words(
    """
    mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time
    """
)
_OF_TIME = _words(
    """
    days_in_month day_of_month day_of_week day_of_year hour minute month year
    """
)


def _same(names: Iterable[str], signature: Signature) -> dict[str, Signature]:
    return dict.fromkeys(names, signature)


_EXPERIMENTAL_SCALAR = Signature((), "scalar", experimental=True)
_TWO_SCALARS = Signature(("scalar", "scalar"), "scalar", experimental=True)
FUNCTIONS: Mapping[str, Signature] = MappingProxyType(
    _same(_OF_VECTOR, Signature(("vector",)))
    | _same(_OF_MATRIX, Signature(("matrix",)))
    | _same(_EXPERIMENTAL_OF_MATRIX, Signature(("matrix",), experimental=True))
    | _same(_OF_TIME, Signature(("vector",), variadic=1))
    | {
        "clamp": Signature(("vector", "scalar", "scalar")),
        "clamp_max": Signature(("vector", "scalar")),
        "clamp_min": Signature(("vector", "scalar")),
        "double_exponential_smoothing": Signature(("matrix", "scalar", "scalar"), experimental=True),
        "end": _EXPERIMENTAL_SCALAR,
        "histogram_fraction": Signature(("scalar", "scalar", "vector")),
        "histogram_quantile": Signature(("scalar", "vector")),
        "histogram_quantiles": Signature(("vector", "string", "scalar", "scalar"), variadic=9, experimental=True),
        "info": Signature(("vector", "vector"), variadic=1, experimental=True),
        "integral": Signature(("matrix", "scalar"), variadic=1, experimental=True),
        "label_join": Signature(("vector", "string", "string", "string"), variadic=-1),
        "label_replace": Signature(("vector", "string", "string", "string", "string")),
        "max_of": _TWO_SCALARS,
        "min_of": _TWO_SCALARS,
        "pi": Signature((), "scalar"),
        "predict_linear": Signature(("matrix", "scalar")),
        "quantile_over_time": Signature(("scalar", "matrix")),
        "range": _EXPERIMENTAL_SCALAR,
        "round": Signature(("vector", "scalar"), variadic=1),
        "scalar": Signature(("vector",), "scalar"),
        "sort_by_label": Signature(("vector", "string"), variadic=-1, experimental=True),
        "sort_by_label_desc": Signature(("vector", "string"), variadic=-1, experimental=True),
        "start": _EXPERIMENTAL_SCALAR,
        "start_timestamp": Signature(("vector",), experimental=True),
        "step": _EXPERIMENTAL_SCALAR,
        "time": Signature((), "scalar"),
        "vector": Signature(("scalar",)),
    }
)
PARAMETERS: Mapping[str, ValueType] = MappingProxyType(
    {
        "topk": "scalar",
        "bottomk": "scalar",
        "quantile": "scalar",
        "limitk": "scalar",
        "limit_ratio": "scalar",
        "count_values": "string",
    }
)
"""What aggregations that take a parameter take."""
AGGREGATIONS = frozenset({"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", *PARAMETERS})
EXPERIMENTAL_AGGREGATIONS = frozenset({"limitk", "limit_ratio"})
