"""The shape of a rule file: Prometheus' fields (`model/rulefmt`), and our `log_metrics`.

Only shape and types are checked here; what the parts mean is the business of `rules.load`.
"""

from __future__ import annotations

import pydantic

from tidegate.model import section, settings

Text = section.Text
Texts = dict[str, Text]


class Part(pydantic.BaseModel):
    """Refuses unknown fields."""

    model_config = pydantic.ConfigDict(extra="forbid", populate_by_name=True)


class Rule(Part):
    """One rule, recording or alerting."""

    record: str = ""
    """Name of the series that a recording rule makes."""
    alert: str = ""
    """Name of the alert that an alerting rule makes."""
    expr: Text = ""
    """PromQL."""
    for_: settings.Duration | None = pydantic.Field(default=None, alias="for")
    """How long the expression must hold before the alert fires."""
    keep_firing_for: settings.Duration | None = None
    """How long an alert goes on firing after the expression held last."""
    labels: Texts | None = None
    """Labels to add or change."""
    annotations: Texts | None = None
    """Texts for people."""


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
