"""What the conversion of ElastAlert2's rules writes: log metrics, log rules, and PromQL over them."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any, Final

from tidegate.model import section
from tidegate.rules.elastalert import querydsl

SERIES: Final = 1000
"""The default `series_limit` of log metrics."""
ROOM: Final = 20
TAKEN: Final = ("alertname", "day", "instance", "job", "overflow", "severity", "version")
"""Labels that something else makes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What every type has in common."""

    alert: str
    query: str
    by: Mapping[str, str]
    """Label to field."""
    kind: querydsl.KindOf
    folder: pathlib.Path
    """Where files that the rule names are."""

    @property
    def base(self) -> str:
        """What the names of its series begin with."""
        return slug(self.alert)

    @property
    def labels(self) -> str:
        """For `by (...)`."""
        return ", ".join(self.by)


@dataclasses.dataclass(slots=True)
class Draft:
    """What stands for a rule, as it is written down."""

    log_metrics: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    log_rules: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    rules: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    notes: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """(field, what is not quite the same)."""


def slug(text: str) -> str:
    """A name for a text."""
    found = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return found if found and not found[0].isdigit() else f"rule_{found}"


def label(field: str) -> str:
    """A label for a field."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", re.sub(r"\.(keyword|raw)\Z", "", field)).strip("_")
    return name if name and not name[0].isdigit() and name not in TAKEN else f"field_{name}"


def bare(field: str) -> str:
    """A field without the suffix of a second mapping."""
    return re.sub(r"\.(keyword|raw)\Z", "", field)


def counted(subject: Subject, expr: str) -> Draft:
    metric: dict[str, Any] = {"name": counter(subject), "query": subject.query}
    if subject.by:
        metric["by"] = dict(subject.by)
    return Draft(log_metrics=[metric], rules=[{"alert": subject.alert, "expr": expr}])


def log_rule(subject: Subject, kind: str, given: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"alert": name or subject.alert}
    if subject.query:
        made["query"] = subject.query
    if subject.by:
        made["by"] = dict(subject.by)
    return {**made, kind: dict(given)}


def counter(subject: Subject) -> str:
    return f"{subject.base}_lines_total"


def make_room(draft: Draft, values: float) -> None:
    """A log metric must tell apart clearly more values than the rule counts."""
    if values * ROOM > SERIES:
        draft.log_metrics[0]["series_limit"] = round(values * ROOM)


def over(function: str, subject: Subject) -> str:
    return f"{function} by ({subject.labels})" if subject.by else function


def increase(subject: Subject, window: float) -> str:
    return f"{over('sum', subject)} (increase({counter(subject)}[{duration(window)}]))"


def duration(seconds: float) -> str:
    return section.duration(seconds)


def plain(value: float) -> float:
    """A whole number without a fraction."""
    return int(value) if value == int(value) else value


def number(value: float) -> str:
    return f"{value:g}" if value != round(value) else f"{value:.0f}"
