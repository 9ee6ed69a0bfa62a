"""One target's loop: at each tick fetch, parse, label, store, and say how it went.

A failed scrape is data (`up 0`, all series stale), never an exception. Samples carry the tick's time; those with a
timestamp of their own go to a second table. Nothing here knows what the series mean.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Awaitable, Callable

import numpy as np

from tidegate.kit import telemetry
from tidegate.model import labels as labels_
from tidegate.model import ports, problems, series, targets
from tidegate.scrape import exemplars, exposition, families, naming, protocols

INLINE_BYTES = 128 * 1024
"""A larger body is parsed in a thread: the event loop must not wait for it."""
REPORT = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
EXTRA = ("scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes")
"""Stored too where the target's job says `extra_scrape_metrics`."""
MILLISECONDS = 1000
AHEAD_MS = 10 * 60 * MILLISECONDS
"""A sample whose own timestamp is further in the future is dropped, as in Prometheus."""


class Instruments:
    """What all loops count together."""

    def __init__(self, registry: telemetry.Registry) -> None:
        self.scrapes = telemetry.Counter("tidegate_scrapes", "Scrapes.", ["outcome"], registry=registry)
        self.failures = telemetry.Counter("tidegate_scrape_failures", "Failed scrapes.", ["reason"], registry=registry)
        self.samples = telemetry.Counter("tidegate_scrape_samples", "Samples stored by scrapes.", registry=registry)
        self.dropped = telemetry.Counter(
            "tidegate_scrape_samples_dropped", "Samples that were not stored.", ["reason"], registry=registry
        )
        self.exemplars = telemetry.Counter("tidegate_scrape_exemplars", "Exemplars in scrapes.", registry=registry)
        self.exemplars_dropped = telemetry.Counter(
            "tidegate_scrape_exemplars_dropped", "Exemplars that were not kept.", ["reason"], registry=registry
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What one scrape brought."""

    parsed: exposition.Parsed | None
    error: str
    duration: float
    size: int
    """Bytes of the exposition; 0 without one, -1 when it is larger than allowed."""
    counts: tuple[int, int, int] = (0, 0, 0)
    """Samples in the exposition, those that relabelling left, and series that the last one had not."""
    note: str = ""


class Loop:
    """Scrapes one target until told to stop."""

    def __init__(
        self,
        target: targets.Target,
        fetch: Callable[[], Awaitable[protocols.Exposition]],
        store: ports.SampleStore,
        clock: ports.Clock,
        instruments: Instruments,
        keep: Callable[[str], bool] | None,
    ) -> None:
        self.target = target
        self.status = targets.TargetStatus(target)
        self._fetch, self._store, self._clock = fetch, store, clock
        self._counted, self._keep = instruments, keep
        self._table = store.table(target.key, target.interval)
        self._stamped: ports.SampleTable | None = None
        self._stamped_until = -1
        self._epochs = (0, 0)
        self._parser = exposition.Parser(self._resolve, canonical=True)
        self._naming = naming.Naming(target)
        self._reports = REPORT + (EXTRA if target.extra_metrics else ())
        self._tracked: frozenset[int] = frozenset()
        """Columns of the last scrape's samples with timestamps of their own, where their staleness is tracked."""
        self._refused = 0
        self._report = np.zeros(0, np.int32)
        self.exemplars = exemplars.Exemplars()

    @property
    def families(self) -> families.Families:
        """What the last good exposition said of its metrics."""
        return self._parser.families

    async def run(self, ticks: ports.Ticks) -> None:
        """Scrape at every tick."""
        while True:
            tick = await ticks.next()
            await self.scrape(tick.at)

    async def scrape(self, at: float) -> None:
        """Scrape once, for a time (unix seconds)."""
        started = self._clock.now()
        outcome = await self._try(started)
        self._record(round(at * MILLISECONDS), outcome)
        self._counted.scrapes.labels("failed" if outcome.error else "ok").inc()
        self.status = targets.TargetStatus(
            self.target,
            "down" if outcome.error else "up",
            at,
            outcome.duration,
            outcome.parsed.samples if outcome.parsed else 0,
            outcome.error or outcome.note,
        )

    def end(self, at: float) -> None:
        """The target is gone: everything of it is stale."""
        at_ms = round(at * MILLISECONDS)
        self._table.end(at_ms)
        self._store.drop(self.target.key)
        if self._stamped is not None:
            self._store.drop(self._stamped_key)

    @property
    def _stamped_key(self) -> str:
        return f"{self.target.key};timestamps"

    async def _try(self, started: float) -> Outcome:
        self._look_up_again()
        self._refused = 0
        parsed, error, size, counts, note = None, "", 0, (0, 0, 0), ""
        try:
            # First, so that a full store still has room to say that the target is down.
            names = [self._report_labels(name) for name in self._reports]
            self._report = np.array([self._table.column(of) for of in names], np.int32)
            if self.target.refused:
                raise problems.TransientError(self.target.refused, reason="target_limit")
            fetched = await self._fetch()
            size, note = len(fetched.body), fetched.note
            parsed = await self._parse(fetched)
            counts = self._counts(parsed)
            self._check(parsed)
        except (problems.TransientError, problems.PermanentError) as failure:
            self._counted.failures.labels(failure.reason).inc()
            parsed, error = None, str(failure)
            size = -1 if failure.reason == "body_size_limit" else size
        return Outcome(parsed, error, self._clock.now() - started, size, counts, note)

    async def _parse(self, fetched: protocols.Exposition) -> exposition.Parsed:
        if len(fetched.body) <= INLINE_BYTES:
            return self._parser.parse(fetched.body, fetched.format)
        return await asyncio.to_thread(self._parser.parse, fetched.body, fetched.format)

    def _counts(self, parsed: exposition.Parsed) -> tuple[int, int, int]:
        """As Prometheus counts: what stands twice counts twice, and series beyond `sample_limit` are not added."""
        stored, limit = parsed.columns.size + len(parsed.stamped), self.target.limits.samples
        beyond = max(stored - limit, 0) if limit else 0
        return parsed.samples, stored + parsed.duplicates, max(parsed.added - beyond, 0)

    def _check(self, parsed: exposition.Parsed) -> None:
        if self._refused:
            self._counted.dropped.labels("series_limit").inc(self._refused)
            raise problems.TransientError("the limit of series is reached (scrape.series_limit)", reason="series_limit")
        limit, kept = self.target.limits.samples, parsed.columns.size + len(parsed.stamped)
        if limit and kept > limit:
            message = f"{kept} samples are more than sample_limit {limit}"
            raise problems.TransientError(message, reason="sample_limit")

    def _record(self, at_ms: int, outcome: Outcome) -> None:
        columns, values = np.zeros(0, np.int32), np.zeros(0)
        if outcome.parsed is not None:
            columns, values = outcome.parsed.columns, outcome.parsed.values
            self._counted.samples.inc(columns.size + len(outcome.parsed.stamped))
            self._counted.dropped.labels("duplicate").inc(outcome.parsed.duplicates)
            self._keep_exemplars(outcome.parsed, at_ms)
            if self.target.honor_timestamps:
                self._store_stamped(outcome.parsed, at_ms)
            else:
                columns, values = _unstamped(outcome.parsed)
        elif self._tracked:
            self._end_tracked(frozenset(), at_ms)
        report = (float(not outcome.error), outcome.duration, *outcome.counts, *self._extra(outcome))
        fresh = ~np.isin(columns, self._report)  # a target may not speak in our name
        self._table.append(
            at_ms,
            np.concatenate((columns[fresh], self._report)),
            np.concatenate((values[fresh], np.array(report[: self._report.size], np.float64))),
        )

    def _extra(self, outcome: Outcome) -> tuple[float, ...]:
        target = self.target
        return (target.timeout, float(target.limits.samples), float(outcome.size)) if target.extra_metrics else ()

    def _keep_exemplars(self, parsed: exposition.Parsed, at_ms: int) -> None:
        for column, exemplar in parsed.exemplars:
            self._counted.exemplars.inc()
            dropped = self.exemplars.add(self._table.labels(column), exemplar, at_ms)
            if dropped:
                self._counted.exemplars_dropped.labels(dropped).inc()

    def _store_stamped(self, parsed: exposition.Parsed, now_ms: int) -> None:
        """Rows of samples with their own timestamps, oldest first; what is not newer than the last is a repetition."""
        if self.target.track_staleness:
            self._end_tracked(frozenset(column for _, column, _ in parsed.stamped), now_ms)
        if not parsed.stamped:
            return
        if self._stamped is None:
            self._stamped = self._store.table(self._stamped_key, self.target.interval)
        for at_ms, group in itertools.groupby(parsed.stamped, key=lambda sample: sample[0]):
            if at_ms <= self._stamped_until:
                continue
            if at_ms > now_ms + AHEAD_MS:
                self._counted.dropped.labels("out_of_bounds").inc(len(list(group)))
                continue
            row: dict[int, float] = {}
            for _, column, value in group:
                row.setdefault(self._stamped.column(self._table.labels(column)), value)  # the first one counts
            self._stamped.append(
                at_ms, np.fromiter(row, np.int32, len(row)), np.array([*row.values()], np.float64), partial=True
            )
            self._stamped_until = at_ms

    def _end_tracked(self, present: frozenset[int], at_ms: int) -> None:
        """Mark stale what the last scrape had with timestamps of its own and this one has not."""
        gone = self._tracked - present
        self._tracked = present
        if gone and self._stamped is not None and at_ms > self._stamped_until:
            columns = [self._stamped.column(self._table.labels(column)) for column in gone]
            values = np.full(len(columns), series.stale())
            self._stamped.append(at_ms, np.array(columns, np.int32), values, partial=True)
            self._stamped_until = at_ms

    def _resolve(self, exposed: labels_.Labels) -> int:
        """The column of a series as exposed, with the target's labels; `DROPPED` for one that nobody wants."""
        stored = self._naming.stored(exposed)
        if stored is None or (self._keep is not None and not self._keep(labels_.get(stored, labels_.NAME))):
            return exposition.DROPPED
        try:
            return self._table.column(stored)
        except problems.PermanentError:
            self._refused += 1
            return exposition.DROPPED

    def forget(self) -> None:
        """What is wanted has changed: ask again for every series."""
        self._epochs = (-1, -1)

    def _look_up_again(self) -> None:
        """Columns were given back, or some were refused last time: forget what was remembered."""
        epochs = (self._table.epoch, self._stamped.epoch if self._stamped else 0)
        if epochs != self._epochs or self._refused:
            self._report = np.zeros(0, np.int32)
            self._parser.forget()
            self._epochs = epochs

    def _report_labels(self, name: str) -> labels_.Labels:
        return labels_.merge(self.target.labels, {labels_.NAME: name})


def _unstamped(parsed: exposition.Parsed) -> tuple[series.Columns, series.Values]:
    """All samples as if none had a timestamp, each series once."""
    more = {column: value for _, column, value in parsed.stamped}
    fresh = [column for column in more if column not in set(parsed.columns.tolist())]
    columns = np.concatenate((parsed.columns, np.array(fresh, np.int32)))
    return columns, np.concatenate((parsed.values, np.array([more[column] for column in fresh], np.float64)))
