"""Which rule goes on with an alert after a reload or restart. Pure.

Alerts belong to rules of the same name. Where several have that name, the one whose fixed labels the alert carries is
its own, then the one with the same expression, then the one in the same group: positions in a group mean little, because
an edit moves them. An alert that fits none exactly still goes to one of them, which ends it if its expression does not hold.
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Iterable, Sequence

from tidegate.model import alerts, labels
from tidegate.rules import evaluate


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """An alert from before."""

    alert: alerts.Alert
    expr: str | None = None
    """Its rule's expression; `None` when only the alert is known."""


Found = dict[labels.Labels, alerts.Alert]
Fit = tuple[bool, bool, bool, bool]


def match(kept: Iterable[Kept], fresh: Sequence[evaluate.Alerting]) -> list[tuple[evaluate.Alerting, Found]]:
    """For each new rule the alerts that it takes over; rules that take none are left out."""
    named: dict[str, list[int]] = {}
    for number, rule in enumerate(fresh):
        named.setdefault(rule.rule.alert, []).append(number)
    chosen = [
        (*max((_fit(one, fresh[number]), -number) for number in named[one.alert.name]), one.alert)
        for one in kept
        if one.alert.name in named
    ]
    found: dict[int, Found] = {}
    for _, number, alert in sorted(chosen, key=lambda item: item[:2], reverse=True):
        found.setdefault(-number, {}).setdefault(alert.labels, alert)
    return [(fresh[number], alerts_) for number, alerts_ in sorted(found.items())]


def _fit(one: Kept, rule: evaluate.Alerting) -> Fit:
    return (
        _carries(one.alert, rule),
        _expression(one, rule.rule.expr),
        one.alert.rule.rpartition(";")[0] == rule.key.rpartition(";")[0],
        one.alert.rule == rule.key,
    )


def _carries(alert: alerts.Alert, rule: evaluate.Alerting) -> bool:
    """Whether the alert has the rule's labels, templates apart."""
    fixed = ((name, text) for name, text in rule.rule.labels if "{{" not in text)
    return all(labels.get(alert.labels, name) == text for name, text in fixed)


def _expression(one: Kept, expr: str) -> bool:
    if one.expr is not None:
        return one.expr == expr
    return one.alert.generator_url.endswith("/?query=" + urllib.parse.quote(expr, safe=""))
