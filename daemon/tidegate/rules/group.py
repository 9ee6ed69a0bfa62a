"""One group's evaluation: its rules one after the other at one timestamp, each seeing what the earlier ones made."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable, Collection

from tidegate.kit import telemetry
from tidegate.model import alerts, ports, problems, rules, series
from tidegate.model import labels as labels_
from tidegate.rules import evaluate, unknowns

INLINE = 0.005
"""Seconds: a rule that took longer last time is evaluated in a thread, so that the event loop is not kept waiting."""
LONGEST_PAUSE = 0.02
"""Seconds between two rules of a group, at most."""
SHORTEST_TURN = 0.002
"""Seconds of evaluation after which others get a turn; cheap rules share one."""
QUIET = 60.0
"""Seconds between two writes of an alert in which only its value changed."""


class Instruments:
    """What all groups count together."""

    def __init__(self, registry: telemetry.Registry) -> None:
        self.evaluations = telemetry.Counter("tidegate_rule_evaluations", "Evaluations of rules.", registry=registry)
        self.failures = telemetry.Counter(
            "tidegate_rule_evaluation_failures", "Evaluations of rules that failed.", ["group"], registry=registry
        )
        self.missed = telemetry.Counter(
            "tidegate_rule_group_iterations_missed",
            "Iterations skipped because of slow ones.",
            ["group"],
            registry=registry,
        )
        self.seconds = telemetry.Histogram(
            "tidegate_rule_group_duration_seconds", "Time to evaluate a group.", registry=registry
        )
        self.templates = telemetry.Counter(
            "tidegate_rule_template_failures", "Templates that could not be rendered.", registry=registry
        )


class Group:
    """A loaded group."""

    def __init__(
        self, group: rules.Group, world: evaluate.World, book: ports.AlertBook, clock: ports.Clock, counted: Instruments
    ) -> None:
        self.group = group
        self._log = telemetry.logger("rules")
        self._world, self._book, self._clock, self._counted = world, book, clock, counted
        self.rules = _made(group, world.of(group))
        self.keys = group.rule_keys()
        self._tables = [world.store.table(key, group.interval) for key in self.keys]
        self._statuses = [ports.RuleStatus(rule) for rule in group.rules]
        self._written: list[dict[str, tuple[float, alerts.Alert]]] = [{} for _ in self.rules]
        self._empty = [False] * len(self.rules)
        """Rules whose table is known to hold no live series: nothing has to be written while it stays so."""
        self._last = self._duration = 0.0
        self._missed = 0

    @property
    def status(self) -> ports.GroupStatus:
        """How it is doing."""
        return ports.GroupStatus(self.group, tuple(self._statuses), self._last, self._duration, self._missed)

    @property
    def alerting(self) -> list[evaluate.Alerting]:
        """Its alerting rules."""
        return [rule for rule in self.rules if isinstance(rule, evaluate.Alerting)]

    def same(self, world: evaluate.World) -> bool:
        """Whether its surroundings are still those of `world`, so that it can go on as it is."""
        return (
            self._world.external_url == world.external_url
            and self._world.external_labels == world.external_labels
            and self._world.resolved_retention == world.resolved_retention
            and self._world.datasources == world.datasources
            and (self._world.statuses is None) == (world.statuses is None)
        )

    async def run(self, ticks: ports.Ticks, may: Callable[[], bool]) -> None:
        """Evaluate at every tick, once `may` says so."""
        while True:
            tick = await ticks.next()
            if not may():
                continue
            self._missed += tick.missed
            if tick.missed:
                self._counted.missed.labels(self.group.key).inc(tick.missed)
            await self.evaluate_at(tick.at)

    async def evaluate_at(self, at: float) -> None:
        """Evaluate all rules for a time (unix seconds)."""
        started = self._clock.now()
        busy = 0.0
        for number in range(len(self.rules)):
            await self._one(number, at - self.group.query_offset)
            busy += self._statuses[number].duration
            # As long as it took: whoever waited meanwhile is served whole before the next rule.
            if busy >= SHORTEST_TURN:
                await self._clock.sleep(min(busy, LONGEST_PAUSE))
                busy = 0.0
        self._duration = max(self._clock.now() - started, 0.0)
        self._last = at
        self._counted.seconds.observe(self._duration)

    def end(self, at: float, kept: Collection[str] = ()) -> None:
        """The group is gone: the series of its rules are stale, but for the rules whose keys are `kept`."""
        for key, table in zip(self.keys, self._tables, strict=True):
            if key not in kept:
                table.end(round(at * evaluate.MILLISECONDS))
                self._world.store.drop(key)

    async def _one(self, number: int, at: float) -> None:
        rule, before = self.rules[number], self._statuses[number]
        started = self._clock.now()
        error, count = "", 0
        self._counted.evaluations.inc()
        try:
            result = await self._query(rule.query, at, before.duration)
            facts = await self._facts(rule, result, at, before.duration)
            count = await self._apply(rule, number, result, at, facts)
        except (problems.QueryError, problems.PermanentError) as failure:
            error = str(failure)
            self._counted.failures.labels(self.group.key).inc()
        except (ArithmeticError, LookupError, TypeError, ValueError) as failure:
            # A mistake of ours in one rule must not keep the rules after it from being evaluated.
            error = f"unexpected: {type(failure).__name__}: {failure}"
            self._counted.failures.labels(self.group.key).inc()
            self._log.exception("a rule failed unexpectedly", group=self.group.key)
        duration = max(self._clock.now() - started, 0.0)
        self._statuses[number] = dataclasses.replace(
            before, health="err" if error else "ok", error=error, last_evaluation=at, duration=duration, series=count
        )

    async def _query(self, query: ports.Query, at: float, last: float) -> series.Result:
        if last > INLINE or query.waits:
            return await asyncio.to_thread(query.instant, at)
        return query.instant(at)

    async def _facts(
        self, rule: evaluate.Recording | evaluate.Alerting, result: series.Result, at: float, last: float
    ) -> unknowns.Facts:
        """What the rule wants to know beside its result."""
        if isinstance(rule, evaluate.Recording) or not rule.unknowns.queries:
            return unknowns.PLAIN
        asked = rule.unknowns.wanted(holds=bool(evaluate.vector(result)), fires=rule.fires)
        answers = {name: await self._query(rule.unknowns.queries[name], at, last) for name in asked}
        found = {name: [labels for labels, _ in evaluate.vector(answer)] for name, answer in answers.items()}
        return rule.unknowns.facts(found)

    async def _apply(
        self,
        rule: evaluate.Recording | evaluate.Alerting,
        number: int,
        result: series.Result,
        at: float,
        facts: unknowns.Facts,
    ) -> int:
        if isinstance(rule, evaluate.Recording):
            samples = rule.samples(result)
            if 0 < self.group.limit < len(samples):
                message = f"exceeded limit of {self.group.limit} with {len(samples)} series"
                raise problems.QueryError(message, kind="execution")
            self._write(number, at, samples)
            return len(samples)
        changed = rule.step(result, at, self.group.limit, facts)
        self._write(number, at, rule.samples())
        if rule.alerts or self._written[number]:
            written = self._written[number]
            await self._tell(rule, written, [*changed, *self._owed(rule, written, changed)], at)
        return len(rule.alerts)

    def _write(self, number: int, at: float, samples: dict[labels_.Labels, float]) -> None:
        if samples or not self._empty[number]:
            evaluate.write(self._tables[number], at, samples)
        self._empty[number] = not samples

    async def _tell(
        self,
        rule: evaluate.Alerting,
        written: dict[str, tuple[float, alerts.Alert]],
        changed: list[alerts.Alert],
        at: float,
    ) -> None:
        """Tell the book of what matters: states, texts, and values now and then."""
        worth = [alert for alert in changed if _worth(written, alert, at)]
        if worth:
            await self._book.put(worth)
            for alert in worth:
                written[alert.fingerprint] = (at, alert)
        gone = set(written) - {alert.fingerprint for alert in rule.alerts.values()}
        ended = [_ended(written.pop(key)[1], at) for key in gone]
        pending = [alert for alert in ended if alert is not None]
        if pending:
            await self._book.put(pending)

    def _owed(
        self, rule: evaluate.Alerting, written: dict[str, tuple[float, alerts.Alert]], changed: list[alerts.Alert]
    ) -> list[alerts.Alert]:
        """Ended alerts whose end the book did not take, because it failed."""
        told = {alert.fingerprint for alert in changed}
        return [
            alert
            for alert in rule.alerts.values()
            if alert.state == "resolved"
            and alert.fingerprint not in told
            and alert.fingerprint in written
            and written[alert.fingerprint][1].state != "resolved"
        ]


def _worth(written: dict[str, tuple[float, alerts.Alert]], alert: alerts.Alert, at: float) -> bool:
    when, before = written.get(alert.fingerprint, (-math.inf, None))
    if before is None or before.state != alert.state or before.active_at != alert.active_at:
        return True
    if before.keep_since != alert.keep_since or before.no_data_since != alert.no_data_since:
        return True
    return at - when >= QUIET or (before.state == "pending" and before.annotations != alert.annotations)


def _made(group: rules.Group, world: evaluate.World) -> list[evaluate.Recording | evaluate.Alerting]:
    """The rules, ready to be evaluated."""
    made = [
        evaluate.Recording(rule, world)
        if isinstance(rule, rules.RecordingRule)
        else evaluate.Alerting(rule, key, world)
        for rule, key in zip(group.rules, group.rule_keys(), strict=True)
    ]
    alerting = [one for one in made if isinstance(one, evaluate.Alerting)]
    for one in alerting:
        if one.rule.above:
            one.under(alerting)
    return made


def _ended(alert: alerts.Alert, at: float) -> alerts.Alert | None:
    """What the book is told of an alert that left: a pending one is over without ever having fired."""
    if alert.state != "pending":
        return None
    return dataclasses.replace(alert, state="resolved", resolved_at=at)
