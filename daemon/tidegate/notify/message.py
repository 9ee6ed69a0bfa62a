"""What a message says, before it has a form: the title, one item for each alert, facts, lines and links.

Written for whoever is woken at night: the gravest first, what it means before what it is called, nothing twice. Every
receiver that speaks to people renders this; times are UTC where a receiver cannot show the reader's own.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import urllib.parse
from collections.abc import Collection, Sequence

from tidegate.kit import matchers
from tidegate.model import alerts, labels, logs

WHERE = ("service", "job", "environment", "namespace", "cluster")
HIDDEN = frozenset({"alertname", "severity"})
LINE = 400
"""Characters of one log line."""
SUMMARY = 500
NAMES = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """Somewhere to go on."""

    text: str
    url: str


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One log line: `02:41:07`, its level, its text in one line."""

    time: str
    level: str
    text: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.time, self.level.upper(), self.text) if part)


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One alert."""

    name: str
    severity: str
    state: alerts.State
    summary: str
    description: str
    value: str
    """Empty when it is not known."""
    peak: str
    since: float
    until: float
    """0 while it fires."""
    duration: str
    labels: labels.Labels
    """Those that set it apart from the others of the message."""
    lines: tuple[Line, ...]
    note: str
    links: tuple[Link, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """A whole message."""

    title: str
    severity: str
    firing: tuple[Item, ...]
    resolved: tuple[Item, ...]
    left_out: int
    labels: labels.Labels
    """What all its alerts have in common, less what the title says."""
    links: tuple[Link, ...]
    at: float
    receiver: str

    @property
    def status(self) -> str:
        """`firing` while any alert of it does."""
        return "firing" if self.firing else "resolved"


def compose(notification: alerts.Notification, *, limit: int, send_resolved: bool = True) -> Message:
    """The message for a notification, with at most `limit` alerts; resolved ones only when they are wanted."""
    told = [item for item in notification.alerts if send_resolved or item.alert.state == "firing"]
    common = shared([item.alert.labels for item in told])
    shown: set[tuple[logs.LogLine, ...]] = set()
    items = []
    for entry in told[:limit]:
        items.append(_item(entry, notification, common, repeated=entry.log_lines in shown))
        shown.add(entry.log_lines)
    firing = tuple(item for item in items if item.state == "firing")
    return Message(
        title=title(notification, send_resolved=send_resolved),
        severity=_severity(told),
        firing=firing,
        resolved=tuple(item for item in items if item.state != "firing"),
        left_out=len(told) - len(items) + notification.truncated,
        labels=tuple(pair for pair in common if pair[0] not in {*HIDDEN, *WHERE}),
        links=_links(notification, common, bool(firing)),
        at=notification.created_at,
        receiver=notification.receiver,
    )


def title(notification: alerts.Notification, *, send_resolved: bool = True) -> str:
    """One line: `[CRITICAL x2] ShopErrors: shop, production (1 resolved)`."""
    told = [item for item in notification.alerts if send_resolved or item.alert.state == "firing"]
    firing = [item.alert for item in told if item.alert.state == "firing"]
    resolved = [item.alert for item in told if item.alert.state != "firing"]
    speaks_of = firing or resolved
    word = (_severity(told) or "firing").upper() if firing else "RESOLVED"
    alike = len({labels.get(alert.labels, "severity") for alert in speaks_of}) == 1 or not firing
    count = (f" x{len(speaks_of)}" if alike else f", {len(firing)} firing") if len(speaks_of) > 1 else ""
    names = list(dict.fromkeys(alert.name or labels.text(alert.labels) for alert in speaks_of))
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    common = shared([alert.labels for alert in speaks_of])
    where = ", ".join(dict.fromkeys(value for name in WHERE if (value := labels.get(common, name))))
    also = f" ({len(resolved)} resolved)" if firing and resolved else ""
    return f"[{word}{count}] {', '.join(names[:NAMES])}{more}{': ' + where if where else ''}{also}"


def shared(of: Sequence[labels.Labels]) -> labels.Labels:
    """The labels that all have, with the same value."""
    if not of:
        return ()
    common = set(of[0]).intersection(*of[1:])
    return tuple(pair for pair in of[0] if pair in common)


def number(value: float) -> str:
    """A value with four significant digits at most, as a person would write it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value and (abs(value) >= 1e12 or abs(value) < 1e-4):
        return f"{value:.4g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def span(seconds: float) -> str:
    """A duration in its two largest units: `45s`, `12m 30s`, `3h 5m`, `2d 4h`."""
    left = max(round(seconds), 0)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def clock(at: float, near: float) -> str:
    """`02:41 UTC`, with the date when it is not the day of `near`."""
    then, now = utc(at), utc(near)
    return then.strftime("%H:%M UTC" if then.date() == now.date() else "%Y-%m-%d %H:%M UTC")


def silence_url(external_url: str, of: labels.Labels) -> str:
    """Where a silence for these labels is made."""
    wanted = matchers.text(alerts.Matcher(name, "=", value) for name, value in of)
    return f"{external_url}/silences/new?{urllib.parse.urlencode({'filter': wanted})}"


def _item(
    entry: alerts.NotifiedAlert, notification: alerts.Notification, common: labels.Labels, *, repeated: bool
) -> Item:
    alert = entry.alert
    now = notification.created_at
    over = alert.state != "firing"
    until = (alert.resolved_at or now) if over else 0.0
    since = alert.active_at or alert.fired_at or now
    notes = dict(alert.annotations)
    summary = notes.get("summary") or notes.get("message") or notes.get("description") or ""
    description = notes.get("description", "")
    measured = alert.rule != "api"
    return Item(
        name=alert.name or labels.text(alert.labels),
        severity=labels.get(alert.labels, "severity").lower(),
        state=alert.state,
        summary=_one_line(summary, SUMMARY),
        description="" if over or description == summary else _cut(description.strip(), 2 * SUMMARY),
        value=number(alert.value) if measured and not over else "",
        peak=number(alert.peak) if measured and over else "",
        since=since,
        until=until,
        duration=span((until or now) - since),
        labels=tuple(pair for pair in alert.labels if pair not in common and pair[0] not in HIDDEN),
        lines=() if over or repeated else tuple(_line(line) for line in entry.log_lines),
        note="" if over else _note(entry, now),
        links=_item_links(entry, notes, notification.external_url),
    )


def _note(entry: alerts.NotifiedAlert, now: float) -> str:
    since = entry.alert.no_data_since
    blind = f"no data since {clock(since, now)}" if since else ""
    return "; ".join(part for part in (blind, entry.log_note) if part)


def _item_links(entry: alerts.NotifiedAlert, notes: dict[str, str], external_url: str) -> tuple[Link, ...]:
    alert = entry.alert
    query = f"{external_url}{alert.generator_url}" if alert.generator_url.startswith("/") else alert.generator_url
    found = [Link("Runbook", notes.get("runbook_url", "")), Link("Dashboard", notes.get("dashboard_url", ""))]
    found += [Link("Query", query), Link("Log lines", entry.log_url)]
    if alert.state == "firing" and external_url:
        found.append(Link("Silence", silence_url(external_url, alert.labels)))
    return _web(found)


def _links(notification: alerts.Notification, common: labels.Labels, firing: bool) -> tuple[Link, ...]:
    if not notification.external_url:
        return ()
    found = [Link("Open Tidegate", f"{notification.external_url}/")]
    if firing and len(notification.alerts) > 1 and common:
        found.append(Link("Silence all", silence_url(notification.external_url, common)))
    return _web(found)


def _web(links: Sequence[Link]) -> tuple[Link, ...]:
    """Only links that a browser opens as a page: an annotation may hold anything."""
    return tuple(link for link in links if link.url.lower().startswith(("http://", "https://")))


def _severity(told: Collection[alerts.NotifiedAlert]) -> str:
    """Of the first firing alert: the gravest comes first."""
    return next(
        (labels.get(item.alert.labels, "severity") for item in told if item.alert.state == "firing"), ""
    ).lower()


def _line(line: logs.LogLine) -> Line:
    more = f" (and {line.similar} like it)" if line.similar else ""
    return Line(utc(line.at).strftime("%H:%M:%S"), line.level, _one_line(line.message, LINE) + more)


def _one_line(text: str, limit: int) -> str:
    return _cut(" ".join(text.split()), limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def utc(at: float) -> datetime.datetime:
    """A time that knows its zone."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC)
