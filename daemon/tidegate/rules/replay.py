"""Runs rules over history with the code that evaluates them, on the history's own time, and says when alerts fired.

Samples are handed in chunk by chunk, so that memory depends on the queries' look back and not on the time replayed.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from tidegate.kit import telemetry
from tidegate.model import alerts, ports, rules, series
from tidegate.model import labels as labels_
from tidegate.rules import ahead, evaluate, evidence, unittest
from tidegate.rules import audience as audience_
from tidegate.rules import group as group_

Source: TypeAlias = Callable[[Sequence[str], float, float], Iterable[series.Series]]
"""The series that match any of the selectors, with their samples in (start, end] (unix seconds); times in any order."""
_OURS = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
SPACING = 15.0
"""Seconds between samples that the store prepares for; it takes any."""


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """What to replay, in unix seconds."""

    start: float
    end: float
    chunk: float = 3600.0
    warmup: float = 3600.0
    """How long before `start` the rules are evaluated at most for the sake of what they read of each other."""


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
    missing: float = 0.0
    """Seconds by which rules look further back at what the rules make than the replay made it before the span."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reach:
    """How far before the span things begin, in seconds."""

    rules: float
    """Evaluation: what alerts hold, and what is read of series that the rules make themselves."""
    missing: float
    """What the warm-up cuts off of that."""
    kept: float
    """What the store has to keep."""


async def run(
    ruleset: rules.RuleSet,
    selectors: Mapping[str, float],
    span: Span,
    source: Source,
    world: unittest.World,
    audience: audience_.Audience,
    progress: Callable[[float], None] = lambda share: None,  # noqa: ARG005
    steady: Collection[str] = (),
) -> Outcome:
    """Replay rules before an audience. Evaluation begins earlier than the span, so that its start is right.

    `selectors` are those of the series to read, with the seconds of them that an evaluation looks back; `steady` are the
    expressions that read nothing else, so that many of their steps can be evaluated at once.
    """
    engine, _, clean = world(0.0)
    clean()
    reach = _reach(ruleset, engine, span, max(selectors.values(), default=0.0))
    engine, store, clean = world(2 * (reach.kept + span.chunk))
    first = span.start - reach.rules
    try:
        wanted = {**dict.fromkeys(audience.selectors, audience_.LOOKBACK), **selectors}
        begins = {selector: first - lookback for selector, lookback in wanted.items()}
        begin = min(begins.values(), default=first)

        def show(at: float) -> None:
            progress((at - begin) / max(span.end - begin, 1.0))

        history = _History(store, source, begins, span, made(ruleset), show)
        await audience.begin(engine, first)
        replay = _Replay(
            ruleset,
            engine,
            store,
            span,
            audience,
            lambda interval: ahead.Ahead(engine, interval, steady, history.loaded),
        )
        for at, due in itertools.groupby(replay.ticks(first), lambda tick: tick[0]):
            history.to(at)
            await replay.step([group for _, group in due], at)
            show(at)
        await audience.until(span.end)
        return dataclasses.replace(replay.outcome(history.samples), missing=reach.missing)
    finally:
        await audience.close()
        clean()


def made(ruleset: rules.RuleSet) -> frozenset[str]:
    """The metric names that the rules make themselves."""
    every = [rule for group in ruleset.groups for rule in group.rules]
    return frozenset({rule.record for rule in every if isinstance(rule, rules.RecordingRule)} | _OURS)


def _reach(ruleset: rules.RuleSet, engine: ports.QueryEngine, span: Span, longest: float) -> Reach:
    every = [rule for group in ruleset.groups for rule in group.rules]
    own = made(ruleset)
    queries = [engine.prepare(expr) for rule in every for expr in rules.expressions(rule)]
    alerting = [
        (rule, group) for group in ruleset.groups for rule in group.rules if isinstance(rule, rules.AlertingRule)
    ]
    held = max((rule.memory(group.interval) + rule.keep_firing_for for rule, group in alerting), default=0.0)
    read = max((query.lookback for query in queries if not query.names or query.names & own), default=0.0)
    slowest = max((group.interval for group in ruleset.groups), default=0.0)
    lead = held + slowest + min(read, span.warmup)
    return Reach(lead, max(read - span.warmup, 0.0), max(longest, min(read, lead + span.end - span.start)))


def _lead(group: rules.Group, read: Collection[str]) -> float:
    """Seconds before the span at which a group begins: without end when rules read what it makes."""
    alerting = [rule for rule in group.rules if isinstance(rule, rules.AlertingRule)]
    if len(alerting) < len(group.rules) or not _OURS.isdisjoint(read):
        return math.inf
    return max((rule.memory(group.interval) + rule.keep_firing_for for rule in alerting), default=0.0) + group.interval


class _History:
    """Puts the source's samples into the store, a chunk ahead of the evaluations."""

    def __init__(
        self,
        store: ports.SampleStore,
        source: Source,
        begins: Mapping[str, float],
        span: Span,
        without: Collection[str],
        show: Callable[[float], None],
    ) -> None:
        """`begins` says from when on the series of each selector are read.

        Series whose names are in `without` are left out: the rules make them anew. `show` is told how far it is.
        """
        self._store, self._source, self._begins, self._span = store, source, begins, span
        self._without, self._show = without, show
        self._loaded = min(begins.values(), default=span.start)
        self.samples = 0

    def loaded(self) -> float:
        """Up to when everything is there."""
        return self._loaded

    def to(self, at: float) -> None:
        """Have everything up to a time."""
        while self._loaded < at:
            end = min(self._loaded + self._span.chunk, self._span.end)
            # A source may ask a server with an event loop of its own: in a thread. Here nobody else is to go on meanwhile.
            with concurrent.futures.ThreadPoolExecutor(1) as thread:
                self._put(thread.submit(self._read, self._loaded, end).result())
            self._loaded = end if end > self._loaded else at
            self._show(min(self._loaded, at))

    def _read(self, start: float, end: float) -> list[series.Series]:
        due = [selector for selector, begin in self._begins.items() if begin < end]
        return list(self._source(due, start, end)) if due else []

    def _put(self, found: Iterable[series.Series]) -> None:
        targets: dict[str, list[series.Series]] = collections.defaultdict(list)
        for one in found:
            if one.times.size and labels_.get(one.labels, labels_.NAME) not in self._without:
                targets[_target(one.labels)].append(one)
        for key in sorted(targets):
            self._append(self._store.table(key, SPACING), targets[key])

    def _append(self, table: ports.SampleTable, found: Sequence[series.Series]) -> None:
        """Append the samples of one target, a row for each time. Of two samples of a series at one time the later counts."""
        own = np.array([table.column(one.labels) for one in found], np.int32)
        columns = np.repeat(own, [one.times.size for one in found])
        times = np.concatenate([one.times for one in found])
        values = np.concatenate([one.values for one in found])
        order = np.lexsort((columns, times))
        times, columns, values = times[order], columns[order], values[order]
        last = np.append((np.diff(times) != 0) | (np.diff(columns) != 0), True)
        times, columns, values = times[last], columns[last], values[last]
        bounds = [0, *(np.flatnonzero(np.diff(times)) + 1).tolist(), times.size]
        for begin, end in itertools.pairwise(bounds):
            table.append(int(times[begin]), columns[begin:end], values[begin:end], partial=True)
        self.samples += times.size


def _target(labels: labels_.Labels) -> str:
    """The series of one target share their times."""
    return f"{labels_.get(labels, 'job')};{labels_.get(labels, 'instance')}"


class _Replay:
    """The groups, and what their alerts did."""

    def __init__(
        self,
        ruleset: rules.RuleSet,
        engine: ports.QueryEngine,
        store: ports.SampleStore,
        span: Span,
        audience: audience_.Audience,
        faster: Callable[[float], ports.QueryEngine],
    ) -> None:
        world = evaluate.World(
            engine,
            store,
            audience.external_url,
            audience.external_labels,
            audience.resolved_retention,
            evidence.Evidence(ruleset),
            lambda _: None,
            statuses=audience.statuses,
        )
        counted = group_.Instruments(telemetry.Registry())
        self._groups = [
            group_.Group(
                one,
                dataclasses.replace(world, engine=faster(one.interval)),
                audience.book,
                audience_.Still(),
                counted,
            )
            for one in ruleset.groups
        ]
        self._read = frozenset(
            name for group in self._groups for rule in group.rules for query in rule.queries for name in query.names
        )
        self._audience = audience
        self._span = span
        self._open: dict[tuple[str, labels_.Labels], alerts.Alert] = {}
        self._firings: list[Firing] = []
        self._failures: dict[str, str] = {}
        self._evaluations = 0

    def ticks(self, first: float) -> Iterator[tuple[float, group_.Group]]:
        """Every group's times in order; groups due at once in the order of the files."""
        begins = [max(first, self._span.start - _lead(group.group, self._read)) for group in self._groups]
        due = [
            math.ceil(begin / group.group.interval) * group.group.interval
            for begin, group in zip(begins, self._groups, strict=True)
        ]
        while due and min(due) <= self._span.end:
            at = min(due)
            for number, group in enumerate(self._groups):
                if due[number] == at:
                    yield at, group
                    due[number] = at + group.group.interval

    async def step(self, groups: Sequence[group_.Group], at: float) -> None:
        """One evaluation of all groups that are due at a time."""
        await self._audience.until(at)
        for group in groups:
            await group.evaluate_at(at)
            self._look(group, at)
        await self._audience.evaluated(at, [group.status for group in self._groups])

    def _look(self, group: group_.Group, at: float) -> None:
        """See what the group's rules did."""
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
