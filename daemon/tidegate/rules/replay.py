"""Runs rules over history with the code that evaluates them, on the history's own time, and says when alerts fired.

Samples are handed in chunk by chunk, so that memory depends on the queries' look back and not on the time replayed.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from tidegate.kit import telemetry
from tidegate.model import alerts, ports, rules
from tidegate.model import labels as labels_
from tidegate.rules import evaluate, evidence, unittest
from tidegate.rules import group as group_

Sample: TypeAlias = tuple[int, labels_.Labels, float]
"""Unix milliseconds, series, value."""
Source: TypeAlias = Callable[[Sequence[str], float, float], Iterable[Sample]]
"""Samples of the series that match any of the selectors, in (start, end] (unix seconds), in any order."""
SPACING = 15.0
"""Seconds between samples that the store prepares for; it takes any."""


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """What to replay, in unix seconds."""

    start: float
    end: float
    chunk: float = 3600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Firing:
    """An alert from when it fired until it was over; `end` is the end of the replay for one that still fires."""

    labels: labels_.Labels
    start: float
    end: float
    over: bool
    peak: float


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay came to."""

    firings: tuple[Firing, ...]
    evaluations: int
    failures: dict[str, str]
    """By rule, `group: name`: the first error that it had."""
    samples: int


async def run(
    ruleset: rules.RuleSet,
    selectors: Sequence[str],
    span: Span,
    source: Source,
    world: unittest.World,
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005
) -> Outcome:
    """Replay rules. Evaluation begins earlier than the span, by the longest `for` and look back, so that its start is right."""
    engine, _, clean = world(0.0)
    clean()
    reach = max((_lookback(engine, rule) for group in ruleset.groups for rule in group.rules), default=0.0)
    engine, store, clean = world(2 * (reach + span.chunk))
    try:
        history = _History(store, source, selectors, span)
        replay = _Replay(ruleset, engine, store, span)
        first = span.start - replay.hold - reach
        await history.to(first - reach, first)
        for at, group in replay.ticks(first):
            await history.to(first - reach, at)
            await replay.step(group, at)
            progress((at - first) / max(span.end - first, 1.0))
        return replay.outcome(history.samples)
    finally:
        clean()


def _lookback(engine: ports.QueryEngine, rule: rules.Rule) -> float:
    return max(engine.prepare(expr).lookback for expr in rules.expressions(rule))


class _History:
    """Puts the source's samples into the store, a chunk ahead of the evaluations."""

    def __init__(self, store: ports.SampleStore, source: Source, selectors: Sequence[str], span: Span) -> None:
        self._store, self._source, self._selectors, self._span = store, source, selectors, span
        self._loaded = -math.inf
        self.samples = 0

    async def to(self, start: float, at: float) -> None:
        """Have everything up to a time."""
        self._loaded = max(self._loaded, start)
        while self._loaded < at:
            end = min(self._loaded + self._span.chunk, self._span.end)
            # A source may wait for a server: in a thread, since commands ask with an event loop of their own.
            self._put(await asyncio.to_thread(self._read, self._loaded, end))
            self._loaded = end if end > self._loaded else at

    def _read(self, start: float, end: float) -> list[Sample]:
        return list(self._source(self._selectors, start, end))

    def _put(self, samples: Iterable[Sample]) -> None:
        rows: dict[tuple[str, int], dict[labels_.Labels, float]] = collections.defaultdict(dict)
        for at_ms, labels, value in samples:
            rows[_target(labels), at_ms][labels] = value
        for key, at_ms in sorted(rows):
            found = rows[key, at_ms]
            table = self._store.table(key, SPACING)
            columns = np.array([table.column(labels) for labels in found], np.int32)
            table.append(at_ms, columns, np.array([*found.values()], np.float64), partial=True)
            self.samples += len(found)


def _target(labels: labels_.Labels) -> str:
    """The series of one target share their times."""
    return f"{labels_.get(labels, 'job')};{labels_.get(labels, 'instance')}"


class _Replay:
    """The groups, and what their alerts did."""

    def __init__(self, ruleset: rules.RuleSet, engine: ports.QueryEngine, store: ports.SampleStore, span: Span) -> None:
        traces = evidence.Evidence(ruleset.log_metrics)
        world = evaluate.World(engine, store, "", {}, 0.0, traces, lambda _: None)
        counted = group_.Instruments(telemetry.Registry())
        self._groups = [
            group_.Group(one, world, unittest.Nobody(), unittest.Still(), counted) for one in ruleset.groups
        ]
        every = [(rule, group) for group in ruleset.groups for rule in group.rules]
        self.hold = max(
            (rule.memory(group.interval) for rule, group in every if isinstance(rule, rules.AlertingRule)), default=0.0
        )
        self._span = span
        self._open: dict[tuple[str, labels_.Labels], alerts.Alert] = {}
        self._firings: list[Firing] = []
        self._failures: dict[str, str] = {}
        self._evaluations = 0

    def ticks(self, first: float) -> Iterator[tuple[float, group_.Group]]:
        """Every group's times in order; groups due at once in the order of the files."""
        due = [math.ceil(first / group.group.interval) * group.group.interval for group in self._groups]
        while due and min(due) <= self._span.end:
            at = min(due)
            for number, group in enumerate(self._groups):
                if due[number] == at:
                    yield at, group
                    due[number] = at + group.group.interval

    async def step(self, group: group_.Group, at: float) -> None:
        """One evaluation of one group."""
        await group.evaluate_at(at)
        self._evaluations += len(group.rules)
        for status in group.status.rules:
            if status.error:
                rule = status.rule
                name = rule.alert if isinstance(rule, rules.AlertingRule) else rule.record
                self._failures.setdefault(f"{group.group.name}: {name}", status.error)
        for alerting in group.alerting:
            self._follow(alerting, at)

    def _follow(self, rule: evaluate.Alerting, at: float) -> None:
        firing = {(rule.key, key): one for key, one in rule.alerts.items() if one.state == "firing"}
        for key in [key for key in self._open if key[0] == rule.key and key not in firing]:
            self._close(self._open.pop(key), at, over=True)
        self._open |= firing

    def _close(self, alert: alerts.Alert, at: float, *, over: bool) -> None:
        if at >= self._span.start:
            start = max(alert.fired_at, self._span.start)
            self._firings.append(Firing(alert.labels, start, at, over, alert.peak))

    def outcome(self, samples: int) -> Outcome:
        """Everything so far."""
        for alert in self._open.values():
            self._close(alert, self._span.end, over=False)
        self._open = {}
        found = tuple(sorted(self._firings, key=lambda one: (one.start, one.labels)))
        return Outcome(found, self._evaluations, self._failures, samples)
