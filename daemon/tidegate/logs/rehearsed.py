"""Log lines of a rehearsal: read, counted and found as in production, but given by a test and kept in memory."""

from __future__ import annotations

import orjson

from tidegate.kit import telemetry
from tidegate.logs import kql
from tidegate.logs.count import counters
from tidegate.logs.detect import detectors
from tidegate.logs.ecs import encode, lines
from tidegate.logs.formats import base, choice, times
from tidegate.logs.kql import interpret, matcher
from tidegate.logs.process import redact
from tidegate.model import logs, ports, rules, settings

SPACING = counters.INTERVAL


class Lines:
    """Implements `ports.LogReader` over the lines given so far."""

    def __init__(self, ruleset: rules.RuleSet, store: ports.SampleStore, start: float) -> None:
        """Counts into the store from a time (unix seconds) on. Raises `QueryError`."""
        self._now = start
        self._next = start
        self._counters = counters.LogCounters(store, _Unscheduled(), _Clock(self), telemetry.Registry())
        self._counters.set_metrics(ruleset.log_metrics)
        unheard = telemetry.Registry()
        self._detectors = detectors.LogDetectors(store, _Unscheduled(), _Clock(self), unheard, folder=None)
        self._detectors.set_detectors(ruleset.log_detectors)
        self._found: list[logs.LogLine] = []
        self._redactors: list[tuple[settings.LogInput, redact.Redactor | None]] = []

    def take(self, raw: str, source: settings.LogInput, at: float) -> None:
        """A line is written at a time, not earlier than the last one."""
        self.until(at)
        self._now = at
        chosen = choice.of(source)
        whole = raw.encode()
        wrapped = chosen.split(whole) if chosen.split else None
        line = chosen.parse(wrapped.content if wrapped else whole)
        encoder = encode.Encoder(encode.Static.of(source, source.paths[0], "localhost"))
        encoder.created(times.stamp(at))
        if not line.zoned:
            chosen.settle(line, times.stamp(at))
        if wrapped and wrapped.time and not line.zoned:
            line.time = wrapped.time
        body = encoder.body(_timed(line, at), 0, stream=wrapped.stream if wrapped else "")
        if redactor := self._redactor(source):
            (body,) = redactor.bodies([body])
        document = orjson.loads(body)
        self._counters.observe_documents([document])
        self._detectors.observe_document(document)
        self._found.append(lines.line(document))

    def _redactor(self, source: settings.LogInput) -> redact.Redactor | None:
        """The one of a source: it remembers between lines that it is inside of a key."""
        for known, found in self._redactors:
            if known is source:
                return found
        self._redactors.append((source, redact.of(source)))
        return self._redactors[-1][1]

    def until(self, at: float) -> None:
        """Store the rows of counts that are due before a time."""
        while self._next < at:
            self._row()

    def finish(self, at: float) -> None:
        """Store the rows that are due at a time too."""
        self.until(at)
        if self._next <= at:
            self._row()
        self._now = at

    def _row(self) -> None:
        self._now = self._next
        self._counters.append(self._next)
        self._detectors.append(self._next)
        self._next += SPACING

    @property
    def now(self) -> float:
        """The time that has come (unix seconds)."""
        return self._now

    async def search(self, query: str, *, start: float, end: float, limit: int) -> logs.LogPage:
        """See `ports.LogReader`."""
        matches = matcher.runs(matcher.test(interpret.of(kql.parse(query)), lambda: self._now))
        found = [one for one in reversed(self._found) if start <= one.at <= end and matches(one.document)]
        return logs.LogPage(tuple(found[:limit]), len(found))


def _timed(line: base.Line, at: float) -> base.Line:
    """A line that does not say its time is of the time at which it was written."""
    line.time = line.time or times.stamp(at)
    return line


class _Clock:
    """The time of the lines."""

    def __init__(self, of: Lines) -> None:
        self._of = of

    def now(self) -> float:
        """Unix seconds."""
        return self._of.now

    async def sleep(self, seconds: float) -> None:
        """Nobody waits for a test's lines."""


class _Unscheduled:
    """Rows are asked for."""

    def every(self, key: str, interval: float) -> ports.Ticks:
        """Never called."""
        raise NotImplementedError(f"{key} every {interval} s")
