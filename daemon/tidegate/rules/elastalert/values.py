"""ElastAlert2's aggregations of a field: the log metric that keeps its values, and PromQL for a window and the one before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from tidegate.rules.elastalert import drafts, kqltext, reading

FUNCTIONS: Final[Mapping[str, str]] = {
    "sum": "sum",
    "avg": "avg",
    "min": "min",
    "max": "max",
    "percentiles": "percentile",
}
"""Those that there are, and ours."""


@dataclasses.dataclass(frozen=True, slots=True)
class Of:
    """One function of one field."""

    subject: drafts.Subject
    metric: Mapping[str, Any]
    now: str
    """PromQL for the window that ends now."""
    before: str
    """The same for the window before."""
    note: tuple[str, str] | None = None

    def draft(self, expr: str) -> drafts.Draft:
        """An alert of an expression."""
        rules = [{"alert": self.subject.alert, "expr": expr}]
        return drafts.Draft(log_metrics=[dict(self.metric)], rules=rules, notes=[self.note] if self.note else [])


def of(rule: reading.Rule, subject: drafts.Subject, function: str, field: str, window: float) -> Of:
    """What keeps the values, and says them. Raises `NotConvertedError`."""
    name = f"{subject.base}_{drafts.label(field)}"
    query = " and ".join(part for part in (subject.query, f"{kqltext.field(drafts.bare(field))}:*") if part)
    metric: dict[str, Any] = {
        "name": name,
        "query": query,
        "function": FUNCTIONS[function],
        "field": drafts.bare(field),
    }
    if subject.by:
        metric["by"] = dict(subject.by)
    share = rule.number("percentile_range") / 100 if function == "percentiles" else 0.0
    range_ = f"[{drafts.duration(window)}]"
    now, before = (_value(subject, function, name, f"{range_}{ago}", share) for ago in ("", f" offset {range_[1:-1]}"))
    what = "estimated from the buckets of a histogram: give `buckets` around the threshold"
    note = ("percentile_range", what) if function == "percentiles" else None
    return Of(subject, metric, now, before, note)


def _value(subject: drafts.Subject, function: str, name: str, window: str, share: float) -> str:
    """PromQL for the function over a window."""
    every = drafts.over("sum", subject)
    if function == "sum":
        return f"{every} (increase({name}_sum{window}))"
    if function == "avg":
        return f"{every} (increase({name}_sum{window})) / {every} (increase({name}_count{window}))"
    if function == "percentiles":
        by = ", ".join(("le", *subject.by))
        return f"histogram_quantile({share:g}, sum by ({by}) (increase({name}_bucket{window})))"
    return f"{drafts.over(function, subject)} ({function}_over_time({name}{window}))"
