"""The life of one rule's alerts: inactive, pending, firing, resolved. Pure: a result in, changed alerts out.

Prometheus' semantics (`rules/alerting.go`): pending until `for` has passed, then firing; firing for `keep_firing_for` from
the first evaluation on at which the expression did not hold; a pending alert that ends leaves no trace; a resolved one is
kept for a while, and starts anew when the expression holds again. Beyond Prometheus: the worst value is remembered, times
of firing and resolving, and a firing alert goes on that cannot be judged, or that has not improved enough.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

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
    since: float | None = None
    """The first evaluation in a row at which it held, where that may be before the alert's own life."""


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """The rule's durations, in seconds, and which way is worse."""

    hold: float = 0.0
    keep_firing_for: float = 0.0
    resolved_retention: float = 900.0
    lower_is_worse: bool = False


def _never(of: labels_.Labels) -> Literal[""]:  # noqa: ARG001 - one signature for all
    """Nothing is held."""
    return ""


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of alerts for which the expression does not hold."""

    lost: losses.Lost = losses.never
    """Whether its target does not answer."""
    held: Callable[[labels_.Labels], Literal["", "band", "no data"]] = _never
    """Why it goes on firing; empty when it does not."""
    counts: Mapping[labels_.Labels, int] | None = None
    """In how many of the last evaluations the expression held, for a rule that asks `n of m`."""
    needed: int = 0
    """The `n`."""

    def enough(self, key: labels_.Labels, *, needed: int) -> bool:
        """Whether it held in so many of the last evaluations."""
        return self.counts is not None and self.counts.get(key, 0) >= needed


PLAIN = Judgement()
Book = Mapping[labels_.Labels, alerts.Alert]


def step(
    book: Book, hits: Iterable[Hit], rule: str, times: Times, at: float, judged: Judgement = PLAIN
) -> dict[labels_.Labels, alerts.Alert]:
    """All alerts of the rule after an evaluation at a time (unix seconds)."""
    after: dict[labels_.Labels, alerts.Alert] = {}
    for hit in hits:
        before = book.get(hit.labels)
        enough = judged.counts is None or judged.enough(hit.labels, needed=judged.needed)
        # What fires and held too rarely of late is over, though it holds just now.
        if enough or before is None or before.state != "firing":
            after[hit.labels] = _holds(before, hit, rule, times, at, enough=enough)
    for key, alert in book.items():
        if key not in after:
            ended = _goes_on(alert, at, judged) or _held_no_more(alert, times, at, judged.lost)
            if ended is not None:
                after[key] = ended
    return after


def _goes_on(before: alerts.Alert, at: float, judged: Judgement) -> alerts.Alert | None:
    """An alert that stays as it is though the expression does not hold now."""
    if before.state == "pending":
        return before if judged.enough(before.labels, needed=1) else None
    if before.state != "firing" or judged.lost(before.labels):
        return None
    why = judged.held(before.labels)
    if why == "no data":
        since = before.no_data_since or at
    elif why or judged.enough(before.labels, needed=judged.needed):
        since = 0.0
    else:
        return None
    if (before.no_data_since, before.keep_since) == (since, 0.0):
        return before
    return dataclasses.replace(before, no_data_since=since, keep_since=0.0)


def _holds(
    before: alerts.Alert | None, hit: Hit, rule: str, times: Times, at: float, *, enough: bool = True
) -> alerts.Alert:
    if before is None or before.state == "resolved":
        since = at if hit.since is None else hit.since
        before = alerts.Alert(hit.labels, "pending", rule, active_at=since, value=hit.value, peak=hit.value)
    firing = before.state == "firing" or (enough and at - before.active_at >= times.hold)
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
