"""What a unit test of rules looks at, and the case that comes of it: expected and got, compared as promtool does.

Nothing here evaluates rules; alerts and samples are compared as texts that people can read.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Iterable, Sequence

from tidegate.model import labels as labels_
from tidegate.model import ports, problems, rules
from tidegate.rules import evaluate, unitdiff, unitfiles
from tidegate.rules import group as group_

CLOSE, FUZZY = 1e-12, 1e-6


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One thing that was looked at."""

    file: str
    test: str
    """The scenario, by promtool's name for it."""
    number: int
    """The scenario's place in the file."""
    name: str
    difference: str = ""
    """What was expected and what came; empty when they are the same."""

    @property
    def passed(self) -> bool:
        """Whether it held."""
        return not self.difference


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """One test of a file, and where it stands."""

    file: str
    given: unitfiles.TestFile
    test: unitfiles.Test
    title: str
    start: float
    """Unix seconds."""
    number: int

    def case(self, name: str, difference: str = "") -> Case:
        """A case of it."""
        return Case(self.file, self.test.name or f"unnamed#{self.number}", self.number, name, difference)


def failed(status: ports.RuleStatus) -> str:
    """Which rule could not be evaluated, and why."""
    rule = status.rule
    name = rule.alert if isinstance(rule, rules.AlertingRule) else rule.record
    return f"  rule {name} ({rule.place.file}:{rule.place.line}) failed: {status.error}"


def alerts(scenario: Scenario, test: unitfiles.AlertTest, groups: list[group_.Group]) -> Case:
    """The alerts that fire, against those that should."""
    name = f"{scenario.title}: {test.alertname} at {duration(test.eval_time)}"
    got = sorted(
        _alert_text(dict(alert.labels), dict(alert.annotations))
        for group in groups
        for rule in group.alerting
        for alert in rule.alerts.values()
        if alert.state == "firing" and alert.name == test.alertname
    )
    wanted = sorted(
        _alert_text({**one.exp_labels, "alertname": test.alertname}, one.exp_annotations) for one in test.exp_alerts
    )
    return scenario.case(name, unitdiff.difference(wanted, got))


def query(scenario: Scenario, test: unitfiles.QueryTest, engine: ports.QueryEngine) -> Case:
    """What a query gives, against the samples that it should."""
    name = f"{scenario.title}: {test.expr.strip()} at {duration(test.eval_time)}"
    try:
        got = evaluate.vector(engine.prepare(test.expr).instant(scenario.start + test.eval_time))
        wanted = [(unitfiles.series_labels(one.labels), one.value) for one in test.exp_samples]
    except (problems.QueryError, ValueError) as error:
        return scenario.case(name, str(error))
    if any(one.histogram for one in test.exp_samples):
        return scenario.case(name, "native histograms are not supported yet")
    tolerance = FUZZY if scenario.given.fuzzy_compare else CLOSE
    if _same(wanted, got, tolerance):
        return scenario.case(name)
    return scenario.case(name, unitdiff.difference(_samples(wanted), _samples(got)) or "the values differ by rounding")


def _same(
    wanted: Sequence[tuple[labels_.Labels, float]], got: Sequence[tuple[labels_.Labels, float]], tolerance: float
) -> bool:
    values = dict(got)
    return len(values) == len(got) == len(wanted) and all(
        labels in values and _close(values[labels], value, tolerance) for labels, value in wanted
    )


def _close(one: float, other: float, tolerance: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=tolerance)


def _samples(found: Iterable[tuple[labels_.Labels, float]]) -> list[str]:
    return sorted(f"{labels_.text(labels)} {value!r}" for labels, value in found)


def _alert_text(labels: dict[str, str], annotations: dict[str, str]) -> str:
    shown = [f"{name}: {text}" for name, text in sorted(annotations.items())]
    return "\n    ".join([labels_.text(labels_.make(labels)), *shown])


def duration(seconds: float) -> str:
    """`1:30:00`."""
    return str(datetime.timedelta(seconds=seconds))
