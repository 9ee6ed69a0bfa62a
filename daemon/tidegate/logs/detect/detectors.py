"""Log rules in the stream: shows each batch to the detectors, and makes series of what they know.

With a store the series are appended as rows of one table; without one (an agent) they are exposed for the server to scrape.
What detectors know is saved every few seconds and read back at the next start.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegate.kit import telemetry
from tidegate.logs.detect import book, state
from tidegate.model import labels as labels_
from tidegate.model import ports, problems, rules

INTERVAL: Final = 5.0
KEY: Final = "log_rules"
BEHIND: Final = 30.0
"""Seconds that reading may lag behind before time stands still for the detectors."""


class LogDetectors:
    """All detectors of a configuration."""

    def __init__(
        self,
        store: ports.SampleStore | None,
        schedule: ports.Schedule,
        clock: ports.Clock,
        registry: telemetry.Registry,
        *,
        folder: pathlib.Path | None,
        lag: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Without a store the series are exposed by the registry; without a folder nothing outlives the process.

        `lag` says how many seconds ago the oldest line was written that was not read yet.
        """
        self._store, self._schedule, self._clock, self._folder, self._lag = store, schedule, clock, folder, lag
        self._book = book.Book(())
        self._begun = False
        self._read_to = clock.now()
        self._log = telemetry.logger("logs.detect")
        self._error = ""
        self._dropped: dict[str, int] = {}
        self._forgotten = telemetry.Counter(
            "tidegate_log_rule_forgotten",
            "Values, templates, streams or keys that a log rule forgot because of its limit.",
            ["rule"],
            registry=registry,
        )
        self._refused = telemetry.Counter(
            "tidegate_log_rule_samples_refused",
            "Samples of log rules that the store refused because of its series limit.",
            registry=registry,
        )
        self._wrong = telemetry.Counter(
            "tidegate_log_rule_state_errors",
            "Times that the state of log rules could not be read or written.",
            registry=registry,
        )
        self._behind = telemetry.Gauge(
            "tidegate_log_rule_behind",
            "Whether lines wait to be read for so long that silences and sequences are not judged.",
            registry=registry,
        )
        if store is None:
            registry.register(_Exposed(self))

    def set_detectors(self, wanted: Sequence[rules.LogDetector]) -> None:
        """What to look for from now on. Detectors that did not change go on. Raises `QueryError`."""
        states: Mapping[str, Any] = {}
        if not self._begun and self._folder is not None:
            states, wrong = state.load(self._folder)
            if wrong:
                self._say("what log rules know was not readable and is learned anew", wrong)
        self._book = book.Book(wanted, self._book.detectors, self._clock.now, states)
        self._begun = True
        for wrong in self._book.wrong:
            self._say("what a log rule knows was not readable and is learned anew", wrong)

    def observe(self, lines: ports.LogLines) -> None:
        """A `ports.LogObserver`."""
        if self._book.detectors:
            self._book.see_lines(lines, self._clock.now())

    def observe_document(self, document: Mapping[str, Any]) -> None:
        """The same for a line that is parsed already."""
        self._book.see(document, self._clock.now())

    def series(self) -> dict[labels_.Labels, float]:
        """Every series with its name, and its value."""
        return {labels: value for one in self._book.detectors for labels, value in one.series(self._read_to)}

    async def run(self) -> None:
        """Settle, store and save at every tick, until cancelled."""
        ticks = self._schedule.every(KEY, INTERVAL)
        try:
            while True:
                tick = await ticks.next()
                self.append(tick.at)
                await self.save()
        finally:
            ticks.close()

    def append(self, at: float) -> None:
        """Let time pass, and store one row of all series (unix seconds)."""
        behind = self._lag() > BEHIND
        self._behind.set(behind)
        if not behind:
            self._read_to = max(self._clock.now(), self._read_to)
        for one in self._book.detectors:
            one.settle(self._read_to)
            self._count(one.rule.name, one.dropped)
        if self._store is not None and self._book.detectors:
            self._row(self._store.table(KEY, INTERVAL), at)

    async def save(self) -> None:
        """Write down what is known."""
        if self._folder is None or not self._book.detectors:
            return
        try:
            await asyncio.to_thread(state.save, self._folder, self._book.states(self._read_to))
        except OSError as error:
            text = f"{self._folder}: {error.strerror or error}"
            if text != self._error:
                self._say("what log rules know cannot be written", text)
            self._error = text
        else:
            self._error = ""

    def _row(self, table: ports.SampleTable, at: float) -> None:
        """Append one row of the series that the store takes."""
        import numpy as np  # noqa: PLC0415 - an agent, which has no store, does without

        columns, found = [], []
        for labels, value in self.series().items():
            try:
                columns.append(table.column(labels))
            except problems.PermanentError:
                self._refused.inc()
                continue
            found.append(value)
        table.append(round(at * 1000), np.array(columns, np.int32), np.array(found, np.float64))

    def _count(self, rule: str, dropped: int) -> None:
        self._forgotten.labels(rule.removeprefix("log_rule:")).inc(max(dropped - self._dropped.get(rule, 0), 0))
        self._dropped[rule] = dropped

    def _say(self, what: str, reason: str) -> None:
        self._wrong.inc()
        self._log.error(what, reason=reason)


class _Exposed(Collector):
    """The series, as the registry exposes them."""

    def __init__(self, of: LogDetectors) -> None:
        self._of = of

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is known before the rules are loaded."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family for each name."""
        families: dict[str, GaugeMetricFamily] = {}
        for labels, value in self._of.series().items():
            name = labels_.get(labels, labels_.NAME)
            family = families.setdefault(name, GaugeMetricFamily(name, "What a log rule found."))
            family.add_sample(name, dict(labels_.without(labels, labels_.NAME)), value)
        yield from families.values()
