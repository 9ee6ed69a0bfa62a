"""Which function of a range vector is worked out by what. Functions that take more than a range are in `compiler`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tidegate.metrics.promql import distribution, lines, overtime, rates

WINDOW: Mapping[str, rates.Function] = MappingProxyType(
    {
        "irate": rates.instant(counter=True),
        "idelta": rates.instant(counter=False),
        "changes": rates.counted(resets=False),
        "resets": rates.counted(resets=True),
        "deriv": lines.slope,
        "avg_over_time": overtime.average,
        "sum_over_time": overtime.total,
        "min_over_time": overtime.extreme("min"),
        "max_over_time": overtime.extreme("max"),
        "count_over_time": overtime.count,
        "last_over_time": overtime.last,
        "first_over_time": overtime.first,
        "present_over_time": overtime.present,
        "stddev_over_time": distribution.deviation,
        "stdvar_over_time": distribution.variance,
        "mad_over_time": distribution.median_deviation,
        "ts_of_first_over_time": overtime.time_of_first,
        "ts_of_last_over_time": overtime.time_of_last,
        "ts_of_max_over_time": overtime.time_of_extreme("max"),
        "ts_of_min_over_time": overtime.time_of_extreme("min"),
    }
)
EXTRAPOLATED = MappingProxyType({"rate": (True, True), "increase": (True, False), "delta": (False, False)})
KEEPS_NAME = frozenset({"last_over_time", "first_over_time"})
