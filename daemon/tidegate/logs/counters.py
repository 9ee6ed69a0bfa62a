"""Counters over log lines: each batch in the stream is matched once, and the counts become ordinary series.

With a store they are appended as rows of one table; without one (an agent) they are exposed for the server to scrape. A
counter without `by` starts at 0 when it is loaded, so that `rate` sees its first increase. Counts begin anew with the
process, which PromQL takes for a counter reset.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from tidegate.kit import telemetry
from tidegate.logs import fields, kql
from tidegate.logs.kql import matcher
from tidegate.model import labels as labels_
from tidegate.model import ports, problems, rules

INTERVAL = 5.0
KEY = "log_metrics"
OVERFLOW = (("overflow", "true"),)


@dataclasses.dataclass(slots=True)
class _Metric:
    """One counter, compiled."""

    rule: rules.LogMetric
    matches: matcher.Matches
    fields: tuple[tuple[str, str], ...]
    counts: dict[tuple[str, ...], float] = dataclasses.field(default_factory=dict)
    overflow: float = 0.0

    def observe(self, document: Mapping[str, Any]) -> bool:
        """Count a document if it matches; whether it went over the limit."""
        if not self.matches(document):
            return False
        key = tuple(_first(document, field) for _, field in self.fields)
        if key not in self.counts and len(self.counts) >= self.rule.series_limit:
            self.overflow += 1
            return True
        self.counts[key] = self.counts.get(key, 0.0) + 1
        return False

    def series(self) -> Iterator[tuple[labels_.Labels, float]]:
        """Each series (without its name) and its count."""
        for key, count in self.counts.items():
            named = {name: value for (name, _), value in zip(self.fields, key, strict=True)}
            yield labels_.merge(self.rule.labels, named), count
        if self.overflow:
            yield labels_.merge(self.rule.labels, OVERFLOW), self.overflow


class LogCounters:
    """All counters of a configuration."""

    def __init__(
        self,
        store: ports.SampleStore | None,
        schedule: ports.Schedule,
        clock: ports.Clock,
        registry: telemetry.Registry,
        interval: float = INTERVAL,
    ) -> None:
        """`interval` in seconds between rows. Without a store the counters are exposed by the registry."""
        self._store, self._schedule, self._clock = store, schedule, clock
        self._interval = interval
        self._metrics: list[_Metric] = []
        self._rescheduled = asyncio.Event()
        self._matched = telemetry.Counter(
            "tidegate_log_metric_documents", "Documents that log metrics looked at.", registry=registry
        )
        self._overflow = telemetry.Counter(
            "tidegate_log_metric_overflow",
            "Lines counted under overflow because of a metric's series_limit.",
            ["metric"],
            registry=registry,
        )
        self._refused = telemetry.Counter(
            "tidegate_log_metric_rows_refused", "Rows of log metrics that the store refused.", registry=registry
        )
        if store is None:
            registry.register(_Exposed(self))

    def set_metrics(self, wanted: Sequence[rules.LogMetric], interval: float | None = None) -> None:
        """What to count from now on. Metrics that did not change go on. Raises `QueryError`."""
        kept = {_identity(one.rule): one for one in self._metrics}
        self._metrics = [kept.get(_identity(rule)) or _made(rule, self._clock) for rule in wanted]
        if interval and interval != self._interval:
            self._interval = interval
            self._rescheduled.set()

    def observe(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """A `ports.LogObserver`."""
        if not self._metrics:
            return
        self._matched.inc(len(documents))
        for one in self._metrics:
            over = sum(one.observe(document) for document in documents)
            if over:
                self._overflow.labels(one.rule.name).inc(over)

    def series(self) -> dict[labels_.Labels, float]:
        """Every series with its name, and its count."""
        return {
            labels_.merge(labels, {labels_.NAME: one.rule.name}): count
            for one in self._metrics
            for labels, count in one.series()
        }

    async def run(self) -> None:
        """Append a row at every tick, until cancelled."""
        if self._store is None:
            await asyncio.Event().wait()
            return
        while True:
            self._rescheduled.clear()
            ticks = self._schedule.every(KEY, self._interval)
            try:
                while not self._rescheduled.is_set():
                    tick = await ticks.next()
                    self._append(self._store, tick.at)
            finally:
                ticks.close()

    def _append(self, store: ports.SampleStore, at: float) -> None:
        found = self.series()
        table = store.table(KEY, self._interval)
        try:
            columns = np.array([table.column(labels) for labels in found], np.int32)
        except problems.PermanentError:
            self._refused.inc()
            return
        table.append(round(at * 1000), columns, np.array([*found.values()], np.float64))


class _Exposed(Collector):
    """The counters, as the registry exposes them."""

    def __init__(self, counters: LogCounters) -> None:
        self._counters = counters

    def describe(self) -> list[CounterMetricFamily]:
        """Nothing is known before the rules are loaded."""
        return []

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One family for each name."""
        families: dict[str, CounterMetricFamily] = {}
        for labels, count in self._counters.series().items():
            name = labels_.get(labels, labels_.NAME)
            family = families.setdefault(name, CounterMetricFamily(name, "Log lines counted by a rule file."))
            family.samples.append(_sample(name, labels_.without(labels, labels_.NAME), count))
        yield from families.values()


def _sample(name: str, labels: labels_.Labels, count: float) -> Any:
    """A sample under the very name that the rule file gives, whether it ends in `_total` or not."""
    return Sample(name, dict(labels), count)


def _made(rule: rules.LogMetric, clock: ports.Clock) -> _Metric:
    named = tuple((label, fields.resolve(field)) for label, field in rule.by)
    made = _Metric(rule, matcher.compile(kql.parse(rule.query), clock.now), named)
    if not rule.by:
        made.counts[()] = 0.0
    return made


def _identity(rule: rules.LogMetric) -> rules.LogMetric:
    return dataclasses.replace(rule, place=rules.Place(), help="")


def _first(document: Mapping[str, Any], field: str) -> str:
    found = matcher.values(document, field)
    return str(found[0]) if found and found[0] is not None else ""
