"""Evaluates one rule at one time: the query, what it makes (a row of samples, alerts), and how it went.

A rule that fails changes nothing but its health: no data is not "fine". Everything is prepared when the rule is made,
so that an evaluation is the query and little else.
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from tidegate.model import alerts, ports, problems, rules, series, targets
from tidegate.model import labels as labels_
from tidegate.rules import evidence, lifecycle, losses, standing, templates, unknowns

MILLISECONDS = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """What every rule needs."""

    engine: ports.QueryEngine
    store: ports.SampleStore
    external_url: str
    external_labels: Mapping[str, str]
    resolved_retention: float
    evidence: evidence.Evidence
    template_failed: Callable[[str], None]
    """Told of each template that could not be rendered."""
    label_alerts: bool = True
    """Whether alerts get the external labels; promtool's unit tests expect them without."""
    statuses: Callable[[], Sequence[targets.TargetStatus]] | None = None
    """How the targets are doing; `None` when alerts are to resolve though their target does not answer."""
    datasources: Mapping[str, ports.QueryEngine] = dataclasses.field(default_factory=dict)
    """Other servers that groups may name."""

    def of(self, group: rules.Group) -> World:
        """The same for a group: with its own engine."""
        return dataclasses.replace(self, engine=self.datasources[group.datasource]) if group.datasource else self


class Recording:
    """A recording rule."""

    def __init__(self, rule: rules.RecordingRule, world: World) -> None:
        self.rule = rule
        self.query = world.engine.prepare(rule.expr)

    @property
    def queries(self) -> list[ports.Query]:
        """Everything that it asks."""
        return [self.query]

    def samples(self, result: series.Result) -> dict[labels_.Labels, float]:
        """The series it makes of a result. Raises `QueryError` when two become the same."""
        out: dict[labels_.Labels, float] = {}
        for labels, value in vector(result):
            named = labels_.merge(labels, {**dict(self.rule.labels), labels_.NAME: self.rule.record})
            if named in out:
                raise problems.QueryError(
                    "vector contains metrics with the same labelset after applying rule labels", kind="execution"
                )
            out[named] = value
        return out


class Alerting:
    """An alerting rule, with its alerts."""

    def __init__(self, rule: rules.AlertingRule, key: str, world: World) -> None:
        self.rule, self.key = rule, key
        self.query = world.engine.prepare(rule.expr)
        self._world = world
        self._labels = [(name, templates.Text(text)) for name, text in rule.labels]
        self._annotations = [(name, templates.Text(text)) for name, text in rule.annotations]
        self._times = lifecycle.Times(
            rule.hold, rule.keep_firing_for, world.resolved_retention, self.query.lower_is_worse
        )
        quoted = urllib.parse.quote(rule.expr, safe="")
        self._generator_url = f"{world.external_url}/?query={quoted}" if world.external_url else ""
        self.alerts: dict[labels_.Labels, alerts.Alert] = {}
        self._adopted: frozenset[labels_.Labels] = frozenset()
        self._grace = self._grace_until = 0.0
        self.unknowns = unknowns.Unknowns(rule, self.query, world.engine)
        self.standing = standing.Standing(rule)
        self._series: dict[labels_.Labels, labels_.Labels] = {}
        """For each alert its labels without the external ones, which belong to what leaves us and not to our series."""

    def adopt(self, kept: Mapping[labels_.Labels, alerts.Alert], grace: float) -> None:
        """Take over the alerts of the same rule from before a restart or reload.

        For `grace` seconds from the first evaluation on, those for which there is no data yet stay as they are.
        """
        self.alerts = {key: dataclasses.replace(alert, rule=self.key) for key, alert in kept.items()}
        self._grace, self._adopted = grace, frozenset(kept)
        self.standing.adopt(self.alerts.values())

    def under(self, every: Sequence[Alerting]) -> None:
        """Know the rules that stand in for this one while they fire: the higher severities among all of the group."""
        mine = self.rule
        same = (one for one in every if (one.rule.place, one.rule.alert) == (mine.place, mine.alert))
        self.standing.above = [one for one in same if one.rule.severity in mine.above]

    @property
    def queries(self) -> list[ports.Query]:
        """Everything that it asks."""
        return [self.query, *self.unknowns.queries.values()]

    @property
    def fires(self) -> bool:
        """Whether any of its alerts does."""
        return any(alert.state == "firing" for alert in self.alerts.values())

    def step(
        self, result: series.Result, at: float, limit: int, facts: unknowns.Facts = unknowns.PLAIN
    ) -> list[alerts.Alert]:
        """Alerts that are new or changed, the ended among them. Raises `QueryError`; then nothing has changed."""
        found = [self._hit(labels, value, at) for labels, value in vector(result)]
        if self.unknowns.says_so(facts):
            found.append(self._hit((unknowns.LABEL,), 1.0, at))
        now = self.standing.seen(found, at, self._unknown(facts))
        hits = self._checked(now, limit)
        after = lifecycle.step(self.alerts, hits, self.key, self._times, at, self._judged(now, facts))
        if self._adopted:
            after |= self._waiting({hit.labels for hit in hits}, at)
        self.standing.take(now)
        changed = [alert for key, alert in after.items() if self.alerts.get(key) is not alert]
        self.alerts = after
        if len(self._series) > len(after):
            self._series = {key: bare for key, bare in self._series.items() if key in after}
        return changed

    def _checked(self, now: standing.Round, limit: int) -> list[lifecycle.Hit]:
        """The hits that count. Raises `QueryError`."""
        hits = self.standing.hits(now, self.alerts)
        if len({hit.labels for hit in hits}) != len(hits):
            raise problems.QueryError(
                "vector contains metrics with the same labelset after applying alert labels", kind="execution"
            )
        if 0 < limit < len(hits):
            raise problems.QueryError(f"exceeded limit of {limit} with {len(hits)} alerts", kind="execution")
        return hits

    def _unknown(self, facts: unknowns.Facts) -> Callable[[labels_.Labels], bool]:
        """Which alerts this evaluation does not judge."""
        blind, lost = self.unknowns.blind(facts), self._lost()
        return lambda key: blind or key in self._adopted or lost(key)

    def _judged(self, now: standing.Round, facts: unknowns.Facts) -> lifecycle.Judgement:
        return lifecycle.Judgement(
            self._lost(), lambda key: self._held(key, facts), self.standing.counts(now), self.standing.needed
        )

    def _held(self, key: labels_.Labels, facts: unknowns.Facts) -> Literal["", "band", "no data"]:
        if self.standing.outranked(key):
            return ""
        return self.unknowns.held(self._series.get(key) or self._without_external(key), facts)

    def _lost(self) -> losses.Lost:
        if self._world.statuses is None or not losses.can_be_lost(self.query.names):
            return losses.never
        return losses.Losses(self._world.statuses)

    def _waiting(self, held: set[labels_.Labels], at: float) -> dict[labels_.Labels, alerts.Alert]:
        """Adopted alerts that no data speaks of yet, as they were."""
        self._grace_until = self._grace_until or at + self._grace
        if at >= self._grace_until:
            self._adopted = frozenset()
        self._adopted -= held
        return {key: self.alerts[key] for key in self._adopted if key in self.alerts}

    def samples(self) -> dict[labels_.Labels, float]:
        """`ALERTS` and `ALERTS_FOR_STATE` of the alerts that are active."""
        out: dict[labels_.Labels, float] = {}
        for alert in self.alerts.values():
            if alert.state != "resolved":
                bare = self._series.get(alert.labels) or self._without_external(alert.labels)
                out[labels_.merge(bare, {labels_.NAME: "ALERTS", "alertstate": alert.state})] = 1.0
                out[labels_.merge(bare, {labels_.NAME: "ALERTS_FOR_STATE"})] = float(int(alert.active_at))
        return out

    def _without_external(self, of: labels_.Labels) -> labels_.Labels:
        """The best guess for an alert from before a restart, until its expression speaks of it."""
        more = self._world.external_labels if self._world.label_alerts else {}
        return tuple((name, value) for name, value in of if more.get(name) != value)

    def _hit(self, labels: labels_.Labels, value: float, at: float) -> lifecycle.Hit:
        around = templates.Surroundings(
            self._world.external_labels,
            self._world.external_url,
            lambda expr: self._world.engine.prepare(expr).instant(at),
            at,
        )
        bare = labels_.without(labels, labels_.NAME)
        given = {**dict(bare), **{name: self._text(one, labels, value, around) for name, one in self._labels}}
        more = self._world.external_labels if self._world.label_alerts else {}
        given["alertname"] = self.rule.alert
        own = labels_.make({**more, **given})
        if more:
            self._series[own] = labels_.make(given)
        annotations = labels_.make({name: self._text(one, labels, value, around) for name, one in self._annotations})
        wanted = labels_.get(annotations, evidence.ANNOTATION) or self._world.evidence.query(self.query.names, own)
        return lifecycle.Hit(own, annotations, value, self._generator_url, wanted)

    def _text(self, one: templates.Text, labels: labels_.Labels, value: float, around: templates.Surroundings) -> str:
        text, wrong = one.render(labels, value, around)
        if wrong:
            self._world.template_failed(f"{self.key}: {wrong}")
        return text


def vector(result: series.Result) -> list[tuple[labels_.Labels, float]]:
    """An instant result's series. Raises `QueryError` for a string or a matrix."""
    if isinstance(result, series.Scalar):
        return [((), result.value)]
    if isinstance(result, series.Vector):
        return list(zip(result.labels, result.values.tolist(), strict=True))
    raise problems.QueryError("rule result is not a vector or scalar", kind="execution")


def write(table: ports.SampleTable, at: float, samples: Mapping[labels_.Labels, float]) -> None:
    """A rule's output as one row; series that are not in it any more become stale. Raises `PermanentError`."""
    columns = np.array([table.column(labels) for labels in samples], np.int32)
    table.append(round(at * MILLISECONDS), columns, np.array([*samples.values()], np.float64))
