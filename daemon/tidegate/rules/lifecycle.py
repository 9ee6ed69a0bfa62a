"""The life of one rule's alerts: inactive, pending, firing, resolved. Pure: a result in, changed alerts out.

Prometheus' semantics (`rules/alerting.go`): pending until `for` has passed, then firing; firing for `keep_firing_for` from
the first evaluation on at which the expression did not hold; a pending alert that ends leaves no trace; a resolved one is
kept for a while, and starts anew when the expression holds again. Beyond Prometheus: the worst value is remembered, times
of firing and resolving, and a firing alert whose target does not answer goes on firing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

from tidegate.model import alerts
from tidegate.model import labels as labels_
from tidegate.rules import losses


@dataclasses.dataclass(frozen=True, slots=True)
class Hit:
    """One series of the expression's result, as an alert."""

    labels: labels_.Labels
    annotations: labels_.Labels
    value: float
    generator_url: str = ""
    log_query: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """The rule's durations, in seconds, and which way is worse."""

    hold: float = 0.0
    keep_firing_for: float = 0.0
    resolved_retention: float = 900.0
    lower_is_worse: bool = False


Book = Mapping[labels_.Labels, alerts.Alert]


def step(
    book: Book, hits: Iterable[Hit], rule: str, times: Times, at: float, lost: losses.Lost = losses.never
) -> dict[labels_.Labels, alerts.Alert]:
    """All alerts of the rule after an evaluation at a time (unix seconds); `lost` ones cannot be judged."""
    after: dict[labels_.Labels, alerts.Alert] = {}
    for hit in hits:
        after[hit.labels] = _holds(book.get(hit.labels), hit, rule, times, at)
    for key, alert in book.items():
        if key not in after:
            ended = _held_no_more(alert, times, at, lost)
            if ended is not None:
                after[key] = ended
    return after


def _holds(before: alerts.Alert | None, hit: Hit, rule: str, times: Times, at: float) -> alerts.Alert:
    if before is None or before.state == "resolved":
        before = alerts.Alert(hit.labels, "pending", rule, active_at=at, value=hit.value, peak=hit.value)
    firing = before.state == "firing" or at - before.active_at >= times.hold
    return dataclasses.replace(
        before,
        state="firing" if firing else "pending",
        annotations=hit.annotations,
        fired_at=before.fired_at or (at if firing else 0.0),
        last_seen=at,
        keep_since=0.0,
        no_data_since=0.0,
        value=hit.value,
        peak=worse(before.peak, hit.value, lower=times.lower_is_worse),
        generator_url=hit.generator_url,
        log_query=hit.log_query,
    )


def _held_no_more(before: alerts.Alert, times: Times, at: float, lost: losses.Lost) -> alerts.Alert | None:
    if before.state == "pending":
        return None
    if before.state == "firing":
        if lost(before.labels):
            return before if before.no_data_since else dataclasses.replace(before, no_data_since=at)
        if before.no_data_since:
            before = dataclasses.replace(before, no_data_since=0.0)
        if times.keep_firing_for and not before.keep_since:
            return dataclasses.replace(before, keep_since=at)
        if times.keep_firing_for and at - before.keep_since < times.keep_firing_for:
            return before
        return dataclasses.replace(before, state="resolved", resolved_at=at, keep_since=0.0)
    return before if at - before.resolved_at <= times.resolved_retention else None


def worse(one: float, other: float, *, lower: bool) -> float:
    """The worse of two values; a number is worse than NaN."""
    if math.isnan(one):
        return other
    if math.isnan(other):
        return one
    return min(one, other) if lower else max(one, other)
