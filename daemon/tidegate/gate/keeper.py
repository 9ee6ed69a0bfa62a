"""The gate's keeper: gathers what the other stages know, in memory, and lets `judge` decide.

Facts are indexed by environment and service at most every 0.1 s, so that hundreds of questions a second cost one look at
the alerts, targets and rules; a change shows in the answer within that time. Nothing here queries or writes.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from tidegate.gate import judge, scope
from tidegate.kit import telemetry
from tidegate.model import alerts, gate, ports, problems, rules, settings, targets

VIEW_AGE = 0.1
REFRESH = 5.0
VERDICTS: tuple[gate.VerdictName, ...] = ("allow", "deny", "wait", "unknown")
Pair = tuple[str, str]


@dataclasses.dataclass
class _View:
    """What the stages said at one time, by (environment, service); service "" is the whole environment."""

    at: float
    alerts: dict[Pair, list[judge.AlertFact]] = dataclasses.field(default_factory=dict)
    targets: dict[Pair, list[targets.TargetStatus]] = dataclasses.field(default_factory=dict)
    groups: Sequence[ports.GroupStatus] = ()
    verdicts: dict[tuple[str, str, str, str], gate.Verdict] = dataclasses.field(default_factory=dict)


class Gate:
    """Implements `ports.Gate`. `run` keeps the gauges fresh; questions need no running task."""

    def __init__(
        self,
        given: settings.Gate,
        book: ports.AlertBook,
        targets_: ports.TargetReader,
        rules_: ports.RuleReader,
        ledger: ports.Ledger,
        clock: ports.Clock,
        external_url: str,
        registry: telemetry.Registry,
        threshold: Callable[[str], str] = lambda _: "",
    ) -> None:
        """`threshold` gives the outermost comparison of a PromQL text. Raises `ConfigError` on a bad matcher."""
        self._book, self._target_reader, self._rule_reader = book, targets_, rules_
        self._ledger, self._clock = ledger, clock
        self._external_url = external_url.rstrip("/")
        self._threshold = functools.lru_cache(4096)(threshold)
        self._log = telemetry.logger("gate")
        self._ended: dict[Pair, float] = {}
        self._last: dict[Pair, gate.Verdict] = {}
        self._view: _View | None = None
        self._asked = telemetry.Counter(
            "tidegate_gate_verdicts", "Answers given by the gate.", ["verdict"], registry=registry
        )
        self._changes = telemetry.Counter(
            "tidegate_gate_changes",
            "Changes of a gate's verdict, by what it became.",
            ["environment", "verdict"],
            registry=registry,
        )
        registry.register(_Gauges(self._last, clock))
        self.reload(given)

    def reload(self, given: settings.Gate) -> None:
        """Take over new settings. Raises `ConfigError`, with the old ones still in force."""
        self._scope, self._given = scope.Scope(given), given
        self._policies = {
            name: judge.Policy(name, _revision(given, name), environment, given.retry_after, self._external_url)
            for name, environment in given.environments.items()
        }
        self._could_shut = functools.lru_cache(65536)(self._scope.could_shut)
        self._place_of = functools.lru_cache(65536)(self._scope.place)
        self._view = None

    def environments(self) -> Sequence[str]:
        """The environments that are configured."""
        return tuple(self._policies)

    def ask(self, environment: str, service: str, version: str = "", digest: str = "") -> gate.Verdict:
        """May this version (this build of it) come to this environment? Raises `KeyError` for an unknown environment."""
        verdict = self._answer(environment, service, version, digest)
        self._asked.labels(verdict.verdict).inc()
        return verdict

    def known(self) -> Sequence[Pair]:
        """(environment, service) pairs worth showing: from targets, alerts and deploys."""
        view = self._look()
        deployed = {(deploy.environment, deploy.service) for deploy in self._ledger.deploys(limit=1000)}
        pairs = {pair for pair in (*view.targets, *view.alerts, *deployed) if pair[0] in self._policies and pair[1]}
        return sorted(pairs)

    async def run(self) -> None:
        """Judge every known pair from time to time, for the gauges and the log, until cancelled."""
        while True:
            self.refresh()
            await self._clock.sleep(REFRESH)

    def refresh(self) -> None:
        """Judge every known pair once."""
        pairs = self.known()
        for pair in [pair for pair in self._last if pair not in set(pairs)]:
            del self._last[pair]
        for environment, service in pairs:
            verdict = self._answer(environment, service, "", "")
            before = self._last.get((environment, service))
            if before is None or before.verdict != verdict.verdict:
                self._changes.labels(environment, verdict.verdict).inc()
                self._log.info(
                    "gate changed",
                    environment=environment,
                    service=service,
                    verdict=verdict.verdict,
                    message=verdict.message,
                )
            self._last[environment, service] = verdict

    def _answer(self, environment: str, service: str, version: str, digest: str) -> gate.Verdict:
        policy = self._policies[environment]
        view = self._look()
        key = (environment, service, version, digest)
        if key not in view.verdicts:
            view.verdicts[key] = judge.judge(self._facts(view, *key), policy, view.at)
        return view.verdicts[key]

    def _facts(self, view: _View, environment: str, service: str, version: str, digest: str) -> judge.Facts:
        deploys = self._ledger.deploys(environment, service, 1)
        mine = view.targets.get((environment, service), [])
        return judge.Facts(
            environment=environment,
            service=service,
            version=version,
            direction=self._ledger.direction(environment, service, version, digest) if version else None,
            alerts=(*view.alerts.get((environment, service), ()), *view.alerts.get((environment, ""), ())),
            targets=tuple(mine),
            groups=tuple(self._groups(view.groups, environment, service)),
            deployed_at=deploys[0].at if deploys else 0.0,
            resolved_at=max(self._ended.get((environment, name), 0.0) for name in (service, "")),
            near="" if mine else self._near(view, environment, service),
        )

    def _near(self, view: _View, environment: str, service: str) -> str:
        known = [name for where, name in view.targets if where == environment]
        return next(iter(difflib.get_close_matches(service, known, n=1)), "")

    def _groups(self, groups: Sequence[ports.GroupStatus], environment: str, service: str) -> Iterator[judge.GroupFact]:
        for status in groups:
            concerned = tuple(
                item for item in status.rules if self._could_shut(environment, service, item.rule, status.group.labels)
            )
            if concerned:
                yield judge.GroupFact(status, concerned)

    def _look(self) -> _View:
        """The present view, at most `VIEW_AGE` old."""
        now = self._clock.now()
        if self._view is None or not 0 <= now - self._view.at < VIEW_AGE:
            self._view = self._gather(now)
        return self._view

    def _gather(self, now: float) -> _View:
        view = _View(now, groups=self._rule_reader.groups())
        thresholds = self._thresholds(view.groups)
        for alert in self._book.all():
            self._place(view, alert, thresholds, now)
        for status in self._target_reader.targets():
            service, environments = self._place_of(status.target.labels)
            for environment in environments:
                view.targets.setdefault((environment, service), []).append(status)
        return view

    def _place(self, view: _View, alert: alerts.Alert, thresholds: dict[str, str], now: float) -> None:
        """Put an alert where it counts. A pushed one whose time is up is over, whether or not the book says so yet."""
        over = alert.resolved_at if alert.state == "resolved" else alert.expires_at
        blind = scope.is_blind(alert.labels)
        service = "" if blind else self._scope.service(alert.labels)
        where = [name for name in self._scope.suspected(alert.labels) if blind or self._scope.shuts(name, alert.labels)]
        if not where:
            return
        silences = tuple(self._book.silenced_by(alert))
        if alert.state == "resolved" or 0 < alert.expires_at <= now:
            for name in where if not silences and alert.fired_at else ():
                self._ended[name, service] = max(self._ended.get((name, service), 0.0), over)
            return
        unseen = blind or scope.lacks_data(alert.labels)
        fact = judge.AlertFact(alert, silences, thresholds.get(alert.rule, ""), unseen)
        for name in where:
            view.alerts.setdefault((name, service), []).append(fact)

    def _thresholds(self, groups: Iterable[ports.GroupStatus]) -> dict[str, str]:
        found = {}
        for status in groups:
            for key, rule in zip(status.group.rule_keys(), status.group.rules, strict=True):
                if isinstance(rule, rules.AlertingRule):
                    found[key] = self._read_threshold(rule.expr)
        return found

    def _read_threshold(self, expr: str) -> str:
        try:
            return self._threshold(expr)
        except problems.QueryError:
            return ""


class _Gauges:
    """The last verdicts as gauges, and how old they are: a gate that nobody judges any more shows it by its age."""

    def __init__(self, last: dict[Pair, gate.Verdict], clock: ports.Clock) -> None:
        self._last, self._clock = last, clock

    def describe(self) -> Iterable[Metric]:
        """Names, so that registering does not collect."""
        return [self._verdicts(), self._ages()]

    def collect(self) -> Iterator[Metric]:
        """One series for each pair and verdict: 1 for the one in force, 0 for the others."""
        verdicts, ages, now = self._verdicts(), self._ages(), self._clock.now()
        for (environment, service), verdict in list(self._last.items()):
            for name in VERDICTS:
                verdicts.add_metric([environment, service, name], float(verdict.verdict == name))
            ages.add_metric([environment, service], max(now - verdict.evaluated_at, 0.0))
        yield verdicts
        yield ages

    def _verdicts(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "tidegate_gate_verdict", "1 for the verdict in force.", labels=["environment", "service", "verdict"]
        )

    def _ages(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "tidegate_gate_verdict_age_seconds",
            "Since when the gate was not judged again.",
            labels=["environment", "service"],
        )


def _revision(given: settings.Gate, name: str) -> str:
    """Names the settings that a verdict rests on: equal as long as they are."""
    parts = (given.environments[name].model_dump_json(), given.default_environment, given.service_labels)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
