"""Counters over log lines: each batch in the stream is matched once, and the counts become ordinary series.

With a store they are appended as rows of one table; without one (an agent) they are exposed for the server to scrape. A
series that is new is stored as 0 just before its first count, so that `rate` and `increase` see that count too. Counts
begin anew with the process, which PromQL takes for a counter reset.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from tidegate.kit import telemetry
from tidegate.logs.count import counting
from tidegate.logs.kql import view
from tidegate.model import labels as labels_
from tidegate.model import ports, problems, rules

INTERVAL = 5.0
KEY = "log_metrics"
BEFORE = 0.001
"""Seconds between the 0 of a new series and its first count."""


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
        self._book = counting.Book(())
        self._stored: set[labels_.Labels] = set()
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
        self._unusable = telemetry.Counter(
            "tidegate_log_metric_unusable",
            "Lines that match a metric and have no value that its function can use.",
            ["metric"],
            registry=registry,
        )
        self._refused = telemetry.Counter(
            "tidegate_log_metric_samples_refused",
            "Samples of log metrics that the store refused because of its series limit.",
            registry=registry,
        )
        if store is None:
            registry.register(_Exposed(self))

    def set_metrics(self, wanted: Sequence[rules.LogMetric], interval: float | None = None) -> None:
        """What to count from now on. Metrics that did not change go on. Raises `QueryError`."""
        self._book = counting.Book(wanted, self._book.counters, self._clock.now)
        if interval and interval != self._interval:
            self._interval = interval
            self._rescheduled.set()

    def observe(self, lines: ports.LogLines) -> None:
        """A `ports.LogObserver`."""
        if not self._book.counters:
            return
        self._matched.inc(len(lines.bodies))
        self._tell(self._book.count_lines(lines))

    def observe_documents(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """The same for lines that are parsed already."""
        if not self._book.counters:
            return
        self._matched.inc(len(documents))
        for document in documents:
            self._tell(self._book.count(view.View(document)))

    def _tell(self, told: Sequence[tuple[counting.Counter, counting.Reason]]) -> None:
        for one, reason in told:
            (self._overflow if reason == "overflow" else self._unusable).labels(one.rule.name).inc()

    def series(self, *, growing: bool = False) -> dict[labels_.Labels, float]:
        """Every series with its name, and its value; only those of counters when they are asked for.

        Metrics that give the same series add up.
        """
        found: dict[labels_.Labels, float] = {}
        for one in self._book.counters:
            if one.rule.grows or not growing:
                for labels, value in one.series():
                    found[labels] = found.get(labels, 0.0) + value
        return found

    def owners(self) -> dict[str, rules.LogMetric]:
        """The metric of each name."""
        return {name: one.rule for one in self._book.counters for name in one.rule.series}

    def exposition(self) -> bytes:
        """The series in Prometheus' text format."""
        registry = telemetry.Registry()
        registry.register(_Exposed(self))
        return telemetry.exposition(registry)

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
                    self.append(tick.at)
            finally:
                ticks.close()

    def append(self, at: float) -> None:
        """Store one row of all counts (unix seconds), and before it one of zeros for series that are new."""
        if self._store is None:
            return
        found = self.series()
        # A tick may take two rows, see below: the ring is sized for twice as many.
        table = self._store.table(KEY, self._interval / 2)
        fresh = {labels: 0.0 for labels in self.series(growing=True) if labels not in self._stored}
        if any(found[labels] for labels in fresh):
            self._row(table, at - BEFORE, fresh, partial=True)
        self._row(table, at, found, partial=False)
        self._stored = set(found)

    def _row(
        self, table: ports.SampleTable, at: float, found: Mapping[labels_.Labels, float], *, partial: bool
    ) -> None:
        """Append one row of the series that the store takes."""
        import numpy as np  # noqa: PLC0415 - an agent, which has no store, does without

        columns, counts = [], []
        for labels, count in found.items():
            try:
                columns.append(table.column(labels))
            except problems.PermanentError:
                self._refused.inc()
                continue
            counts.append(count)
        table.append(round(at * 1000), np.array(columns, np.int32), np.array(counts, np.float64), partial=partial)


class _Exposed(Collector):
    """The counters, as the registry exposes them."""

    def __init__(self, counters: LogCounters) -> None:
        self._counters = counters

    def describe(self) -> list[Metric]:
        """Nothing is known before the rules are loaded."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One family for each name."""
        families: dict[str, Metric] = {}
        owners = self._counters.owners()
        for labels, value in self._counters.series().items():
            name = labels_.get(labels, labels_.NAME)
            family = families.setdefault(owners[name].name, _family(owners[name]))
            # Under the very name that the rule file gives, whether it ends in `_total` or not.
            family.samples.append(Sample(name, dict(labels_.without(labels, labels_.NAME)), value))
        yield from families.values()


def _family(rule: rules.LogMetric) -> Metric:
    text = rule.help or "Log lines that match a query."
    if rule.function == "count":
        return CounterMetricFamily(rule.name, text)
    kinds = {"sum": "summary", "avg": "summary", "percentile": "histogram"}
    return Metric(rule.name, text, kinds.get(rule.function, "gauge"))
