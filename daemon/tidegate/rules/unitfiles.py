"""The shape of a rule unit-test file (promtool's), and its notation for series of values.

https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

import pydantic

from tidegate.kit import matchers
from tidegate.model import labels as labels_
from tidegate.model import problems, processing, series, settings
from tidegate.rules import files

_NUMBER = r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|Inf|NaN|inf|nan)"
_ITEM = re.compile(rf"(?P<first>{_NUMBER})(?:(?P<step>[+-](?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+))?x(?P<times>\d+))?\Z")
_GAP = re.compile(r"_(?:x(\d+))?\Z")
MOST = 1_000_000
Absent = None


class InputSeries(files.Part):
    """Samples put in, one every `interval`."""

    series: str
    """`name{label="value"}`."""
    values: files.Text
    """`1 2+3x4 _ stale`."""


class ExpectedAlert(files.Part):
    """An alert that must fire."""

    exp_labels: files.Texts = {}
    """Its labels, without `alertname`."""
    exp_annotations: files.Texts = {}
    """Its annotations."""


class AlertTest(files.Part):
    """Which alerts of one name fire at a time."""

    eval_time: settings.Duration
    """Time since the start."""
    alertname: str
    """The alert's name."""
    exp_alerts: list[ExpectedAlert] = []
    """Exactly these."""


class ExpectedSample(files.Part):
    """A sample that a query must give."""

    labels: str = "{}"
    """As PromQL writes it."""
    value: Annotated[float, pydantic.Field(allow_inf_nan=True)] = 0.0
    """Its value."""
    histogram: str = ""
    """Native histograms are not supported yet."""


class QueryTest(files.Part):
    """What a query gives at a time."""

    expr: files.Text
    """PromQL."""
    eval_time: settings.Duration
    """Time since the start."""
    exp_samples: list[ExpectedSample] = []
    """Exactly these, in any order."""


class InputLogs(files.Part):
    """Log lines that are written, seen by the rule files' `log_metrics` and `log_rules`, and shown in messages (ours)."""

    lines: list[files.Text]
    """The lines, as their program writes them."""
    at: settings.Duration = 0.0
    """When the first one is written, since the start."""
    every: settings.Duration = 0.0
    """Time from one line to the next; 0 writes all at once."""
    repeat: int = pydantic.Field(default=1, ge=1, le=100_000)
    """How often all lines are written."""
    format: Literal["auto", "cri", "docker", "json", "logfmt", "plain"] = "auto"
    """As in `logs.inputs`."""
    service: str = ""
    """As in `logs.inputs`."""
    environment: str = ""
    """As in `logs.inputs`."""
    version: str = ""
    """As in `logs.inputs`."""
    labels: files.Texts = {}
    """As in `logs.inputs`."""
    path: str = "/var/log/test.log"
    """The file that they stand in: that of a container names its pod and namespace."""
    redact: tuple[processing.Rule, ...] = ()
    """As in `logs.inputs`."""
    redact_patterns: dict[processing.RuleName, str] = {}
    """As in `logs.inputs`."""


class ExpectedNotification(files.Part):
    """A message; of what is left out nothing is asked."""

    title: str = ""
    """Its title or subject."""
    text: str = ""
    """All that stands below the title, as people read it: no markup, times in UTC."""
    lines: list[str] = []
    """Lines that stand in its text, among others."""


class NotificationTest(files.Part):
    """What an integration of a receiver was sent, since the last such test of it or the start (not promtool's)."""

    eval_time: settings.Duration
    """Time since the start; messages of this time count."""
    receiver: str
    """Its name in the settings."""
    integration: str = ""
    """Kind and index, e.g. `slack[0]`; default the receiver's first."""
    exp_notifications: list[ExpectedNotification] = []
    """Exactly these, in order."""


class GateTest(files.Part):
    """What the gate answers (not promtool's)."""

    eval_time: settings.Duration
    """Time since the start."""
    environment: str
    """As in the settings."""
    service: str
    """The service that asks."""
    version: str = ""
    """The version that would come."""
    exp_verdict: Literal["allow", "deny", "wait", "unknown"]
    """The verdict."""
    exp_reasons: list[str] | None = None
    """Exactly these rules block; left out, nothing is asked of them."""


class Test(files.Part):
    """One scenario."""

    name: str = ""
    """Shown when it fails."""
    interval: settings.Duration | None = None
    """Time between the values of the input series; default `evaluation_interval`."""
    input_series: list[InputSeries] = []
    """What is put in."""
    alert_rule_test: list[AlertTest] = []
    """Alerts to look for."""
    promql_expr_test: list[QueryTest] = []
    """Queries to ask."""
    input_logs: list[InputLogs] = []
    """Log lines that are written (not promtool's)."""
    notification_test: list[NotificationTest] = []
    """Messages to look for (not promtool's)."""
    gate_test: list[GateTest] = []
    """Gates to ask (not promtool's)."""
    external_labels: files.Texts = {}
    """For templates."""
    external_url: str = ""
    """For templates."""
    start_timestamp: Any = 0
    """Unix seconds or an RFC 3339 time at which the scenario begins."""


class TestFile(files.Part):
    """A whole file."""

    rule_files: list[str] = []
    """Rule files, relative to this one; patterns allowed."""
    config: str = ""
    """Settings with the routes, receivers and gates of the tests, relative to this file (not promtool's)."""
    evaluation_interval: settings.Duration = 60.0
    """For groups that give no interval."""
    group_eval_order: list[str] = []
    """Groups that are evaluated first, in this order."""
    fuzzy_compare: bool = False
    """Forgive differences of rounding."""
    tests: list[Test] = []
    """The scenarios."""


def series_labels(text: str) -> labels_.Labels:
    """The labels of `name{label="value"}`. Raises `ValueError`."""
    name, brace, rest = text.strip().partition("{")
    pairs = {labels_.NAME: name.strip()} if name.strip() else {}
    if brace and rest.strip() != "}":
        try:
            found = matchers.parse_all("{" + rest)
        except problems.QueryError as error:
            raise ValueError(f"{text!r} is no series: {error}") from None
        if any(matcher.op != "=" for matcher in found):
            raise ValueError(f"{text!r} is no series: only `=` may stand in its labels")
        pairs |= {matcher.name: matcher.value for matcher in found}
    return labels_.make(pairs)


def values(text: str) -> list[float | None]:
    """The values of promtool's notation; `None` is no sample, a stale marker its bit pattern. Raises `ValueError`."""
    out: list[float | None] = []
    for item in text.split():
        out += _item(item)
        if len(out) > MOST:
            raise ValueError(f"more than {MOST} values")
    return out


def _item(item: str) -> list[float | None]:
    if item == "stale":
        return [series.stale()]
    gap = _GAP.match(item)
    if gap:
        return [Absent] * (int(gap[1]) if gap[1] else 1)
    if item.startswith("{{"):
        raise ValueError("native histograms are not supported yet")
    found = _ITEM.match(item)
    if not found:
        raise ValueError(f"{item!r} is no value such as 1, 1+2x3, 5x4, _ or stale")
    first, step = float(found["first"]), float(found["step"] or 0)
    if not found["times"]:
        return [first]
    return [first + step * number if math.isfinite(first) else first for number in range(int(found["times"]) + 1)]
