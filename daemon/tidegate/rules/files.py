"""The shape of a rule file: Prometheus' fields (`model/rulefmt`), our `log_metrics` and our fields of alerting rules.

Only shape and types are checked here; what the parts mean is the business of `rules.load`.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

import pydantic

from tidegate.model import rules as rules_
from tidegate.model import section, settings

_SHARE = re.compile(r"(\d+)\s+of\s+(\d+)\Z")
LONGEST = 1000
"""Evaluations that `for: n of m` may look at."""


def _hold(value: object) -> rules_.Share | float:
    """`3 of 5`, or a duration."""
    found = _SHARE.match(value.strip()) if isinstance(value, str) else None
    if found is not None:
        return _share(int(found[1]), int(found[2]))
    try:
        seconds = None if isinstance(value, bool) else settings.seconds(value)
    except ValueError:
        seconds = None
    if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ValueError(f"{value!r} is neither a duration such as 5m nor a share such as 3 of 5")
    return float(seconds)


def _share(needed: int, of: int) -> rules_.Share:
    share = rules_.Share(needed, of)
    if not 1 <= needed <= of:
        raise ValueError(f"{share} can never be, or always is: give n of m with n from 1 to m")
    if of > LONGEST:
        raise ValueError(f"{share} looks at more than {LONGEST} evaluations")
    return share


Hold = Annotated[rules_.Share | float, pydantic.PlainValidator(_hold)]
"""Seconds, or a share of evaluations."""
Text = section.Text
Texts = dict[str, Text]


class Part(pydantic.BaseModel):
    """Refuses unknown fields."""

    model_config = pydantic.ConfigDict(extra="forbid", populate_by_name=True)


class Severity(Part):
    """One of several thresholds of a rule."""

    when: Text
    """A comparison with a number, such as `> 0.2`."""
    for_: Hold | None = pydantic.Field(default=None, alias="for")
    """The rule's `for`, for this severity."""
    keep_firing_for: settings.Duration | None = None
    """The rule's `keep_firing_for`, for this severity."""


def _severity(value: object) -> object:
    """A comparison alone stands for `when`."""
    return value if isinstance(value, dict) else {"when": value}


class Rule(Part):
    """One rule, recording or alerting."""

    record: str = ""
    """Name of the series that a recording rule makes."""
    alert: str = ""
    """Name of the alert that an alerting rule makes."""
    expr: Text = ""
    """PromQL."""
    for_: Hold | None = pydantic.Field(default=None, alias="for")
    """How long the expression must hold before the alert fires; ours: `3 of 5` evaluations."""
    keep_firing_for: settings.Duration | None = None
    """How long an alert goes on firing after the expression held last."""
    labels: Texts | None = None
    """Labels to add or change."""
    annotations: Texts | None = None
    """Texts for people."""
    resolve_expr: Text = ""
    """PromQL: once it fires, an alert ends for the series that this gives; ours."""
    no_data: Literal["ok", "alert", "keep"] | None = None
    """What it means when there is no data to judge; ours."""
    severities: dict[str, Annotated[Severity, pydantic.BeforeValidator(_severity)]] | None = None
    """Severity to threshold, the least severe first; ours."""


class Group(Part):
    """Rules that are evaluated together."""

    name: str = ""
    """Unique in its file."""
    interval: settings.Duration | None = None
    """Time between evaluations; default `rules.evaluation_interval`."""
    query_offset: settings.Duration | None = None
    """How far in the past the expressions are evaluated."""
    limit: int = 0
    """More results than this fail a rule; 0 and less is no limit."""
    labels: Texts | None = None
    """Labels of all its rules."""
    datasource: str = ""
    """Evaluate on this server of `rules.datasources`, instead of on our own samples (not in Prometheus' files)."""
    rules: list[Rule] | None = None
    """The rules, in order."""


class LogMetric(Part):
    """A counter over log lines."""

    name: str
    """Name of the series."""
    query: str
    """KQL."""
    by: dict[str, str] = {}
    """Label to field: a series for each combination of the fields' values."""
    labels: Texts = {}
    """Labels of all its series."""
    help: str = ""
    """One sentence."""
    series_limit: int = pydantic.Field(default=1000, ge=1)
    """Combinations of `by` values before further lines are counted under `overflow="true"`."""


class RuleFile(Part):
    """A whole file."""

    groups: list[Group] | None = None
    """Rule groups."""
    log_metrics: list[LogMetric] = []
    """Counters over log lines; ours."""
