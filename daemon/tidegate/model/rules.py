"""Rules as they are evaluated: what a rule file means once it is loaded.

Format: Prometheus' rule files (`prometheus/model/rulefmt`), plus our `log_metrics:` at the top of a file and our fields
of alerting rules (docs/decisions/0004-rule-extensions.md).
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from tidegate.model import labels as labels_


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where something was written."""

    file: str = ""
    line: int = 0
    column: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class RecordingRule:
    """`record:`: the result of `expr` becomes a series of this name."""

    record: str
    expr: str
    labels: labels_.Labels = ()
    place: Place = Place()


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """`for: 3 of 5`: how many of the last evaluations must have held."""

    needed: int
    of: int

    def __str__(self) -> str:
        return f"{self.needed} of {self.of}"


NoData = Literal["", "ok", "alert", "keep"]
"""What an expression without any input means; empty when the rule does not say."""


@dataclasses.dataclass(frozen=True, slots=True)
class AlertingRule:
    """`alert:`: each series of the result of `expr` is an alert."""

    alert: str
    expr: str
    labels: labels_.Labels = ()
    """Label values are templates."""
    annotations: labels_.Labels = ()
    """Annotation values are templates."""
    hold: float = 0.0
    """`for`, in seconds."""
    keep_firing_for: float = 0.0
    """Seconds."""
    place: Place = Place()
    share: Share | None = None
    """`for` as a number of evaluations; `hold` is 0 then."""
    resolve_expr: str = ""
    """Once it fires, an alert ends for the series that this gives; empty: when `expr` does not hold."""
    no_data: NoData = ""
    severity: str = ""
    """Which of the rule's `severities` this is; empty for a rule without."""
    above: tuple[str, ...] = ()
    """The severities of the same rule that stand in for this one while they fire."""

    def wait(self, interval: float) -> float:
        """Seconds from the first evaluation that holds until it fires, at the soonest."""
        return self.hold if self.share is None else (self.share.needed - 1) * interval

    def memory(self, interval: float) -> float:
        """Seconds of evaluations that decide whether it fires."""
        return self.hold if self.share is None else (self.share.of - 1) * interval


Rule: TypeAlias = RecordingRule | AlertingRule


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, at one timestamp."""

    name: str
    file: str
    rules: tuple[Rule, ...]
    interval: float
    """Seconds."""
    limit: int = 0
    query_offset: float = 0.0
    labels: labels_.Labels = ()
    datasource: str = ""
    """The server that evaluates it; empty for our own samples."""

    @property
    def key(self) -> str:
        """Names the group in state, schedules and metrics, as Prometheus does: `file;name`."""
        return f"{self.file};{self.name}"

    def rule_keys(self) -> tuple[str, ...]:
        """Names each rule in state: `file;group;name`.

        Rules of one name (a warning and a critical one) are told apart by their labels, so that they may change places.
        """
        alone = collections.Counter(name_of(rule) for rule in self.rules)
        seen: collections.Counter[str] = collections.Counter()
        keys = []
        for rule in self.rules:
            key = f"{self.key};{name_of(rule)}"
            if alone[name_of(rule)] > 1:
                key += f"#{labels_.fingerprint(fixed_labels(rule))}"
            seen[key] += 1
            keys.append(key if seen[key] == 1 else f"{key}-{seen[key]}")
        return tuple(keys)


def name_of(rule: Rule) -> str:
    """The alert's name, or that of the series."""
    return rule.alert if isinstance(rule, AlertingRule) else rule.record


def expressions(rule: Rule) -> tuple[str, ...]:
    """All PromQL that a rule is evaluated with."""
    more = rule.resolve_expr if isinstance(rule, AlertingRule) else ""
    return (rule.expr, more) if more else (rule.expr,)


def fixed_labels(rule: Rule) -> labels_.Labels:
    """The labels of a rule that are no templates."""
    return tuple((name, value) for name, value in rule.labels if "{{" not in value)


LogFunction: TypeAlias = Literal["count", "sum", "avg", "min", "max", "distinct", "percentile"]


@dataclasses.dataclass(frozen=True, slots=True)
class LogMetric:
    """A function over log lines that match a KQL query; usable from PromQL under the names of its `series`."""

    name: str
    query: str
    by: tuple[tuple[str, str], ...] = ()
    """(label, field) pairs: one series for each combination of the fields' values."""
    labels: labels_.Labels = ()
    help: str = ""
    series_limit: int = 1000
    """Combinations of `by` values; lines of further ones are counted in one series with `overflow="true"`."""
    function: LogFunction = "count"
    field: str = ""
    """Whose values the function is of; empty for `count`."""
    bounds: tuple[float, ...] = ()
    """Upper bounds of a percentile's buckets, ascending, without the last one."""
    window: float = 60.0
    """Seconds that `min`, `max` and `distinct` look back."""
    place: Place = Place()

    @property
    def grows(self) -> bool:
        """Whether its series are counters."""
        return self.function not in ("min", "max", "distinct")

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series."""
        endings = {"sum": ("_sum", "_count"), "avg": ("_sum", "_count"), "percentile": ("_bucket", "_sum", "_count")}
        return tuple(f"{self.name}{ending}" for ending in endings.get(self.function, ("",)))


DetectorKind = Literal["new_value", "new_template", "change", "silence", "sequence"]

_NEWS = ("first_seen_timestamp_seconds", "since_timestamp_seconds", "deployed_timestamp_seconds")
DETECTED: Final[Mapping[DetectorKind, tuple[str, ...]]] = {
    "new_value": _NEWS,
    "new_template": _NEWS,
    "change": ("changed_timestamp_seconds",),
    "silence": ("idle_seconds",),
    "sequence": ("completed_timestamp_seconds",),
}
"""What the names of each kind's series end in."""


@dataclasses.dataclass(frozen=True, slots=True)
class LogDetector:
    """What a log rule looks for in the stream, where counting is not enough; its series begin with `name`."""

    name: str
    kind: DetectorKind
    query: str
    """KQL: the lines that it is about."""
    by: tuple[tuple[str, str], ...] = ()
    """(label, field) pairs: what is looked for is looked for in each combination of the fields' values."""
    field: str = ""
    """Whose values or templates are looked at."""
    label: str = ""
    """The label that holds them."""
    deploys: bool = False
    """Whether versions are followed, too."""
    limit: int = 1000
    """Values, templates, streams or keys that are remembered."""
    similarity: float = 0.5
    """Share of words that two lines of one template have in common."""
    steps: tuple[str, ...] = ()
    """Queries of a sequence."""
    without: str = ""
    """A query that ends a sequence."""
    within: float = 0.0
    """Seconds: for a sequence from its first line on, for a change from the line before."""
    forget: float = 0.0
    """Seconds after which a stream, or what was found, is forgotten."""
    place: Place = Place()

    def series(self, part: str) -> str:
        """The name of one of its series."""
        return f"{self.name}:{part}"


@dataclasses.dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that the rule files of one configuration hold."""

    groups: tuple[Group, ...] = ()
    log_metrics: tuple[LogMetric, ...] = ()
    files: tuple[str, ...] = ()
    log_detectors: tuple[LogDetector, ...] = ()
