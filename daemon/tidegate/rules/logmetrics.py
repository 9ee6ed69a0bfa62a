"""Log metrics as rule files give them: what can be wrong with one beyond its form, and what is made of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Final

from tidegate.model import labels as labels_
from tidegate.model import rules
from tidegate.rules import files

BOUNDS: Final = tuple(float(f"{digits}e{power}") for power in range(-3, 5) for digits in ("1", "2.5", "5"))[:-2]
"""Of a percentile that says none: from 0.001 to 10,000, for seconds and milliseconds alike."""
MOST_BOUNDS: Final = 200


def wrong(metric: files.LogMetric) -> Iterator[tuple[str, str, str]]:
    """Code, summary, and the field that each problem is about."""
    if metric.function != "count" and not metric.field:
        yield "rule-log-metric-field", f"`function: {metric.function}` needs a `field`", ""
    if metric.function == "count" and metric.field:
        yield "rule-log-metric-field", "`field` has no meaning without a `function`: `count` counts lines", "field"
    if metric.buckets and metric.function != "percentile":
        yield "rule-log-metric-buckets", "`buckets` are those of `function: percentile`", "buckets"
    rising = all(low < high for low, high in itertools.pairwise(metric.buckets))
    if not rising or not all(map(math.isfinite, metric.buckets)) or len(metric.buckets) > MOST_BOUNDS:
        yield (
            "rule-log-metric-buckets",
            f"`buckets` are at most {MOST_BOUNDS} rising numbers, without infinity",
            "buckets",
        )
    taken = {"overflow", *(["le"] if metric.function == "percentile" else [])}
    for name in sorted(taken & {*metric.by, *metric.labels}):
        yield "rule-label-name", f"the label {name!r} is ours here", "by" if name in metric.by else "labels"


def made(metric: files.LogMetric, place: rules.Place) -> rules.LogMetric:
    """The metric."""
    bounds = tuple(metric.buckets) or BOUNDS if metric.function == "percentile" else ()
    return rules.LogMetric(
        metric.name,
        metric.query,
        tuple(sorted(metric.by.items())),
        labels_.make(metric.labels),
        metric.help,
        metric.series_limit,
        metric.function,
        metric.field,
        bounds,
        metric.window,
        place,
    )
