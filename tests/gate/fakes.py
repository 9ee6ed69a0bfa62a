"""The stages around the gate, as plain lists that tests fill."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tidegate.model import alerts as alerts_
from tidegate.model import gate, labels, ports, rules, targets

NOW = 1_795_418_000.0


@dataclasses.dataclass
class Clock:
    """Stands still until moved; sleeping moves it."""

    at: float = NOW

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclasses.dataclass
class Book:
    alerts: list[alerts_.Alert] = dataclasses.field(default_factory=list)
    silenced: dict[labels.Labels, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    async def put(self, changed: Sequence[alerts_.Alert]) -> None:
        self.alerts += changed

    def all(self) -> Sequence[alerts_.Alert]:
        return tuple(self.alerts)

    def silenced_by(self, alert: alerts_.Alert) -> Sequence[str]:
        return self.silenced.get(alert.labels, ())


@dataclasses.dataclass
class Targets:
    found: list[targets.TargetStatus] = dataclasses.field(default_factory=list)

    def dropped(self) -> tuple[Sequence[targets.Dropped], Mapping[str, int]]:
        return (), {}

    def targets(self) -> Sequence[targets.TargetStatus]:
        return tuple(self.found)


@dataclasses.dataclass
class Rules:
    found: list[ports.GroupStatus] = dataclasses.field(default_factory=list)

    def groups(self) -> Sequence[ports.GroupStatus]:
        return tuple(self.found)


@dataclasses.dataclass
class Ledger:
    found: list[gate.Deploy] = dataclasses.field(default_factory=list)
    directions: dict[str, gate.Direction] = dataclasses.field(default_factory=dict)

    async def record(self, deploy: gate.Deploy) -> gate.Deploy:
        for known in self.found:
            if known.id == deploy.id:
                return known
        kept = dataclasses.replace(deploy, direction=deploy.direction or "forward")
        self.found.insert(0, kept)
        return kept

    def deploys(self, environment: str = "", service: str = "", limit: int = 100) -> Sequence[gate.Deploy]:
        chosen = [one for one in self.found if environment in ("", one.environment) and service in ("", one.service)]
        return chosen[:limit]

    def direction(self, environment: str, service: str, version: str, digest: str = "") -> gate.Direction:
        return self.directions.get(version, "forward")


def alert(
    name: str = "ShopErrors", *, state: alerts_.State = "firing", at: float = NOW - 120, **given: str
) -> alerts_.Alert:
    """An alert of rule `shop.yaml;shop;<name>`, of service shop in production unless told otherwise."""
    found = {"alertname": name, "service": "shop", "environment": "production", "severity": "critical"} | given
    return alerts_.Alert(
        labels=labels.make(found),
        state=state,
        rule=f"shop.yaml;shop;{name}",
        active_at=at,
        fired_at=0.0 if state == "pending" else at,
        resolved_at=NOW - 30 if state == "resolved" else 0.0,
        last_seen=NOW,
        value=0.4,
    )


def target(
    instance: str = "shop-1:80", *, health: targets.Health = "up", age: float = 5.0, **given: str
) -> targets.TargetStatus:
    """A target of service shop in production unless told otherwise, scraped `age` seconds ago."""
    found = {"job": "shop", "service": "shop", "environment": "production", "instance": instance} | given
    return targets.TargetStatus(
        targets.Target("shop", f"http://{instance}/metrics", labels.make(found)),
        health,
        last_scrape=NOW - age,
        samples=240,
        duration=0.012,
        error="" if health == "up" else "connection refused",
    )


def rule(
    name: str = "ShopErrors", *, health: str = "ok", error: str = "", expr: str = "x > 0.05", **given: str
) -> ports.RuleStatus:
    """An alerting rule that was evaluated."""
    found = {"severity": "critical"} | given
    return ports.RuleStatus(rules.AlertingRule(name, expr, labels.make(found)), health, error, NOW - 3, 0.0004)


def group(*found: ports.RuleStatus, name: str = "shop", age: float = 3.0, interval: float = 15.0) -> ports.GroupStatus:
    """A group evaluated `age` seconds ago."""
    statuses = found or (rule(),)
    made = rules.Group(name, "shop.yaml", tuple(one.rule for one in statuses), interval)
    return ports.GroupStatus(made, statuses, NOW - age if age >= 0 else 0.0, 0.0012)
