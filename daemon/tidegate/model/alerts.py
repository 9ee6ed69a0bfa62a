"""Alerts, silences and notifications.

An alert is one label set of one rule, with its life: inactive -> pending -> firing -> resolved. Times are unix seconds;
0 means "not yet". Semantics: Prometheus' alerting rules, Alertmanager's API v2 (https://prometheus.io/docs/alerting/).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypeAlias

from tidegate.model import labels as labels_
from tidegate.model import logs

State = Literal["pending", "firing", "resolved"]


@dataclasses.dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `labels` identify it; everything else may change from evaluation to evaluation."""

    labels: labels_.Labels
    state: State
    rule: str
    """Key of the rule that made it: `file;group;alertname`, or `api` for one that was pushed to us."""
    annotations: labels_.Labels = ()
    active_at: float = 0.0
    """Since when the expression holds."""
    fired_at: float = 0.0
    resolved_at: float = 0.0
    last_seen: float = 0.0
    """The last evaluation at which the expression held."""
    expires_at: float = 0.0
    """When to take it for resolved if nobody speaks of it again (API v2 `endsAt`); 0 is never."""
    value: float = 0.0
    peak: float = 0.0
    """The worst value while it was active."""
    generator_url: str = ""
    log_query: str = ""
    """KQL of the log lines behind it; empty when it has none."""
    keep_since: float = 0.0
    """The first evaluation without the expression's series, while `keep_firing_for` keeps it firing."""
    no_data_since: float = 0.0
    """Since when it cannot be judged: its target does not answer, or its rule has no data. It goes on firing."""

    @property
    def fingerprint(self) -> str:
        """Alertmanager's 16 hex digits."""
        return labels_.fingerprint(self.labels)

    @property
    def name(self) -> str:
        """The `alertname` label."""
        return labels_.get(self.labels, "alertname")


MatchOp = Literal["=", "!=", "=~", "!~"]


@dataclasses.dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a missing label counts as empty. Patterns are RE2, anchored at both ends."""

    name: str
    op: MatchOp
    value: str

    def __str__(self) -> str:
        return f'{self.name}{self.op}"{self.value}"'


@dataclasses.dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that match all of `matchers` are not notified from `starts_at` until `ends_at`."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    created_by: str
    comment: str
    updated_at: float = 0.0

    def state(self, now: float) -> Literal["pending", "active", "expired"]:
        """Alertmanager's state of the silence at a time."""
        if now < self.starts_at:
            return "pending"
        return "active" if now < self.ends_at else "expired"


@dataclasses.dataclass(frozen=True, slots=True)
class NotifiedAlert:
    """An alert as one notification tells of it, with the lines that caused it."""

    alert: Alert
    log_lines: tuple[logs.LogLine, ...] = ()
    log_note: str = ""
    """Why there are no lines, when there should be some: the search failed or timed out."""
    log_url: str = ""
    """Where a browser shows all of the lines; empty when there is no such place."""


@dataclasses.dataclass(frozen=True, slots=True)
class Notification:
    """What one receiver is told about one group, decided and stored before it is sent."""

    id: str
    receiver: str
    """The receiver's name in the configuration."""
    group_key: str
    group_labels: labels_.Labels
    alerts: tuple[NotifiedAlert, ...]
    created_at: float
    external_url: str = ""
    truncated: int = 0
    """Alerts of the group that were left out."""

    @property
    def firing(self) -> tuple[NotifiedAlert, ...]:
        """The alerts that fire."""
        return tuple(item for item in self.alerts if item.alert.state == "firing")

    @property
    def resolved(self) -> tuple[NotifiedAlert, ...]:
        """The alerts that are over."""
        return tuple(item for item in self.alerts if item.alert.state == "resolved")

    @property
    def status(self) -> Literal["firing", "resolved"]:
        """`firing` while any alert of it does."""
        return "firing" if self.firing else "resolved"


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """One delivery, as the outbox knows it; for the page and the API."""

    notification_id: str
    receiver: str
    integration: str
    """Kind and index, e.g. `slack[0]`."""
    state: Literal["waiting", "sending", "delivered", "failed"]
    summary: str
    attempts: int
    created_at: float
    updated_at: float
    error: str = ""


JSON: TypeAlias = dict[str, Any]
