"""The shape of a rule file: Prometheus' fields (`model/rulefmt`), our `log_metrics`, `log_rules` and fields of alerting rules.

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
    """Counts log lines, or values in them."""

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
    function: rules_.LogFunction = "count"
    """`count` lines, or take `sum avg min max distinct percentile` of a field."""
    field: Text = ""
    """The field, for every function but `count`."""
    buckets: list[float] = []
    """Upper bounds for `percentile`, ascending; 1, 2.5 and 5 times each power of ten from 0.001 to 10,000 when left out."""
    window: settings.Duration = pydantic.Field(default=60.0, ge=1)
    """How far back `min`, `max` and `distinct` look."""


class News(Part):
    """What is new: what was not seen before."""

    learn: settings.Duration = 86400.0
    """What is seen in this time after the rule was first loaded is known, and not new."""
    since: Literal["ever", "deploy"] = "ever"
    """`deploy`: new is what was seen first with the current `service.version` or later."""
    window: settings.Duration = pydantic.Field(default=900.0, gt=0)
    """How long the alert lasts."""
    limit: int = pydantic.Field(default=1000, ge=1, le=10_000)
    """How many are remembered; the one seen longest ago makes room."""


class NewValue(News):
    """A value of a field that was never seen before."""

    field: str
    """The field."""
    label: str = "value"
    """The alert's label that holds the value."""


class NewTemplate(News):
    """A kind of message that was never seen before."""

    field: str = "message"
    """The field whose templates are found."""
    label: str = "template"
    """The alert's label that holds the template."""
    similarity: float = pydantic.Field(default=0.5, gt=0, le=1)
    """Share of words that two lines of one template have in common."""


class Change(Part):
    """A field has another value than in the line before, for each `by`."""

    field: str
    """The field."""
    label: str = "value"
    """The alert's label that holds the new value."""
    within: settings.Duration = pydantic.Field(default=86400.0, gt=0)
    """The line before must not be older."""
    window: settings.Duration = pydantic.Field(default=300.0, gt=0)
    """How long the alert lasts."""
    limit: int = pydantic.Field(default=1000, ge=1, le=10_000)
    """Keys that are remembered."""


class Spike(Part):
    """Many more lines than usual, or many fewer."""

    height: float = pydantic.Field(gt=1)
    """How many times as many."""
    direction: Literal["up", "down", "both"] = "up"
    """Whether more, fewer or both count."""
    window: settings.Duration = pydantic.Field(default=3600.0, ge=60)
    """Lines are counted over this time."""
    days: int = pydantic.Field(default=7, ge=0, le=14)
    """Earlier days whose mean at the same time is what is usual; 0: the window before this one."""
    min_current: float = pydantic.Field(default=0, ge=0)
    """So many lines must be in the window now."""
    min_reference: float = pydantic.Field(default=1, ge=0)
    """So many lines must be usual."""
    series_limit: int = pydantic.Field(default=1000, ge=1)
    """Combinations of `by` values that are counted."""


class Silence(Part):
    """A stream that was there stops."""

    window: settings.Duration = pydantic.Field(default=900.0, ge=10)
    """So long without a line is silence."""
    forget: settings.Duration = 86400.0
    """After so long without a line nobody expects it any more."""
    limit: int = pydantic.Field(default=1000, ge=1, le=10_000)
    """Streams that are remembered."""


class Sequence(Part):
    """Lines that follow each other, for each `by`."""

    steps: list[str] = pydantic.Field(min_length=1)
    """KQL for each line, in order."""
    without: str = ""
    """KQL: a line that must not come in between or, with a single step, after it."""
    within: settings.Duration = pydantic.Field(gt=0)
    """From the first line to the last."""
    window: settings.Duration = pydantic.Field(default=300.0, gt=0)
    """How long the alert lasts."""
    limit: int = pydantic.Field(default=10_000, ge=1, le=100_000)
    """Sequences under way that are remembered."""


class LogRule(Part):
    """An alert over log lines that needs more than counting."""

    alert: str
    """Name of the alert."""
    query: Text = ""
    """KQL: the lines that it is about; all when empty."""
    by: dict[str, str] = {}
    """Label to field: an alert for each combination of the fields' values."""
    new_value: NewValue | None = None
    """A value that was never seen before."""
    new_template: NewTemplate | None = None
    """A kind of message that was never seen before."""
    change: Change | None = None
    """A field changes its value."""
    spike: Spike | None = None
    """Many more lines than usual, or many fewer."""
    silence: Silence | None = None
    """A stream that was there stops."""
    sequence: Sequence | None = None
    """Lines that follow each other."""
    for_: Hold | None = pydantic.Field(default=None, alias="for")
    """As in other rules."""
    keep_firing_for: settings.Duration | None = None
    """As in other rules."""
    labels: Texts | None = None
    """Labels to add or change."""
    annotations: Texts | None = None
    """Texts for people."""


class RuleFile(Part):
    """A whole file."""

    groups: list[Group] | None = None
    """Rule groups."""
    log_metrics: list[LogMetric] = []
    """Counters over log lines; ours."""
    log_rules: list[LogRule] = []
    """Alerts over log lines that need more than counting; ours."""
