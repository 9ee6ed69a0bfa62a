"""Keeps every loaded group running, and hands alert state from one configuration, or process, to the next.

A group that did not change goes on undisturbed; the alerts of a rule that moved to another group, or whose group was
edited, go along. After a restart the alert book says which alerts there were.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from tidegate.kit import tasks, telemetry
from tidegate.model import alerts, ports, rules, targets
from tidegate.rules import evaluate, evidence, handover
from tidegate.rules import group as group_

GRACE = 60.0
"""Seconds after a restart in which an alert that no data speaks of yet stays as it was."""
LONGEST_WAIT = 60.0
"""Seconds after a start that groups wait for the first samples."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Running:
    group: group_.Group
    ticks: ports.Ticks
    task: asyncio.Task[None]


class RuleManager:
    """Implements `ports.RuleReader`."""

    def __init__(
        self,
        engine: ports.QueryEngine,
        store: ports.SampleStore,
        book: ports.AlertBook,
        schedule: ports.Schedule,
        clock: ports.Clock,
        registry: telemetry.Registry,
        supervisor: tasks.Supervisor,
        *,
        warm: Callable[[], bool] = lambda: True,
        statuses: Callable[[], Sequence[targets.TargetStatus]] | None = None,
    ) -> None:
        """`warm` says whether the first samples are there: before, an evaluation would find nothing and resolve alerts.

        `statuses` says how the targets are doing, so that one that fails does not resolve its alerts.
        """
        self._statuses = statuses
        self._engine, self._store, self._book = engine, store, book
        self._schedule, self._clock, self._supervisor = schedule, clock, supervisor
        self._warm, self._started = warm, clock.now()
        self._log = telemetry.logger("rules")
        self._counted = group_.Instruments(registry)
        self._loaded: list[group_.Group] = []
        self._lines: tuple[object, ...] = ()
        """What is counted and looked for in log lines."""
        self._running: dict[int, _Running] = {}
        self._changed = asyncio.Event()
        self._first = True
        telemetry.Gauge("tidegate_rules_loaded", "Rules.", registry=registry).set_function(
            lambda: float(sum(len(one.rules) for one in self._loaded))
        )
        telemetry.Gauge(
            "tidegate_rule_alerts_no_data", "Firing alerts whose target does not answer.", registry=registry
        ).set_function(lambda: float(self._without_data()))

    @property
    def ready(self) -> bool:
        """Whether every group was evaluated."""
        return all(one.status.last_evaluation for one in self._loaded)

    def groups(self) -> Sequence[ports.GroupStatus]:
        """See `ports.RuleReader`."""
        return [one.status for one in self._loaded]

    def needs(self) -> Mapping[str, float]:
        """For each metric name how many seconds of history the rules read."""
        found: dict[str, float] = {}
        for one in self._loaded:
            for rule in one.rules:
                for query in rule.queries:
                    for name in query.names:
                        found[name] = max(found.get(name, 0.0), query.lookback + one.group.query_offset)
        return found

    def query_of(self, alert: alerts.Alert) -> ports.Query | None:
        """The expression behind an alert."""
        for one in self._loaded:
            for rule in one.alerting:
                if rule.key == alert.rule:
                    return rule.query
        return None

    def set_rules(
        self,
        wanted: rules.RuleSet,
        *,
        external_url: str,
        external_labels: Mapping[str, str],
        resolved_retention: float,
        keep_on_target_loss: bool = True,
        datasources: Mapping[str, ports.QueryEngine] | None = None,
    ) -> None:
        """What to evaluate from now on. Raises `QueryError`; then nothing has changed."""
        world = evaluate.World(
            self._engine,
            self._store,
            external_url,
            dict(external_labels),
            resolved_retention,
            evidence.Evidence(wanted),
            self._template_failed,
            statuses=self._statuses if keep_on_target_loss else None,
            datasources=datasources or {},
        )
        lines = (wanted.log_metrics, wanted.log_detectors)
        same = [one for one in self._loaded if lines == self._lines and one.same(world)]
        kept = {one.group: one for one in same}
        made = [
            kept.get(group) or group_.Group(group, world, self._book, self._clock, self._counted)
            for group in wanted.groups
        ]
        fresh = [one for one in made if one not in self._loaded]
        gone = [one for one in self._loaded if one not in made]
        self._hand_over(fresh, gone)
        self._loaded, self._lines = made, lines
        self._changed.set()

    async def run(self) -> None:
        """Evaluate until cancelled."""
        try:
            while True:
                self._changed.clear()
                await self._match()
                await self._changed.wait()
        finally:
            await tasks.cancel(*(one.task for one in self._running.values()))
            for one in self._running.values():
                one.ticks.close()
            self._running.clear()

    async def _match(self) -> None:
        """Start what is new, end what is gone."""
        wanted = {id(one): one for one in self._loaded}
        keys = {key for one in self._loaded for key in one.keys}
        for gone in set(self._running) - set(wanted):
            one = self._running.pop(gone)
            one.ticks.close()
            await tasks.cancel(one.task)
            one.group.end(self._clock.now(), keys)
        await self._resolve_orphans()
        for number, group in wanted.items():
            if number not in self._running:
                self._start(number, group)

    def _start(self, number: int, group: group_.Group) -> None:
        ticks = self._schedule.every(group.group.key, group.group.interval)
        run = self._supervisor.run("rules", lambda: group.run(ticks, self._may_evaluate))
        self._running[number] = _Running(group, ticks, asyncio.create_task(run, name=f"rules {group.group.key}"))

    def _may_evaluate(self) -> bool:
        return self._warm() or self._clock.now() - self._started >= LONGEST_WAIT

    def _hand_over(self, fresh: Sequence[group_.Group], gone: Sequence[group_.Group]) -> None:
        """Give the alerts of rules that went, or of the last process, to the rules of the same name that came."""
        kept = [handover.Kept(alert, rule.rule.expr) for rule in _alerting(gone) for alert in rule.alerts.values()]
        if self._first:
            kept += [handover.Kept(alert) for alert in self._book.all() if alert.rule.count(";") >= 2]
        grace = GRACE if self._first else 0.0
        for rule, found in handover.match(kept, _alerting(fresh)):
            rule.adopt(found, grace)
        self._first = False

    async def _resolve_orphans(self) -> None:
        """Alerts in the book whose rule is gone are over: nobody would ever end them."""
        keys = {rule.key for rule in _alerting(self._loaded)}
        now = self._clock.now()
        active = [alert for alert in self._book.all() if alert.state != "resolved" and alert.rule.count(";") >= 2]
        held = {alert.labels for rule in _alerting(self._loaded) for alert in rule.alerts.values()}
        over = [
            dataclasses.replace(alert, state="resolved", resolved_at=now)
            for alert in active
            if alert.rule not in keys and alert.labels not in held
        ]
        if over:
            await self._book.put(over)

    def _without_data(self) -> int:
        active = (alert for rule in _alerting(self._loaded) for alert in rule.alerts.values())
        return sum(1 for alert in active if alert.state == "firing" and alert.no_data_since)

    def _template_failed(self, what: str) -> None:
        self._counted.templates.inc()
        self._log.warning("cannot render a template", what=what)


def _alerting(groups: Iterable[group_.Group]) -> list[evaluate.Alerting]:
    return [rule for one in groups for rule in one.alerting]
