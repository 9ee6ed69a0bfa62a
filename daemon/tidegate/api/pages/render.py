"""Templates to HTML: the Jinja environment, how times and words are shown, and the headers of every page."""

from __future__ import annotations

import datetime
import functools
import hashlib
import pathlib
import urllib.parse
from typing import Any

import jinja2
from starlette.responses import Response

from tidegate.kit import matchers
from tidegate.model import alerts, labels, targets

FOLDER = pathlib.Path(__file__).parent
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
STATIC = {"style.css": "text/css", "refresh.js": "text/javascript", "logo.svg": "image/svg+xml"}
_MARKS = {"allow": "✓", "deny": "✕", "wait": "…", "unknown": "?"}
_BAD = frozenset({"critical", "error", "fatal", "page", "emergency", "alert"})
_MILD = frozenset({"warning", "warn", "minor", "ticket"})


def page(name: str, status: int = 200, **values: Any) -> Response:
    """A rendered template."""
    return Response(environment().get_template(name).render(**values), status, HEADERS, "text/html")


@functools.cache
def environment() -> jinja2.Environment:
    """Templates of this package, escaping everything, refusing names that are not given."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "clock": clock,
        "date": date,
        "iso": iso,
        "span": span,
        "tone": tone,
        "mark": lambda verdict: _MARKS[verdict],
        "figure": figure,
        "scope": scope,
        "silence_link": silence_link,
        "log_link": log_link,
        "bytes": size,
        "instance": instance,
    }
    found.globals["static"] = {name: f"/static/{name}?{digest(name)}" for name in STATIC}
    return found


@functools.cache
def static(name: str) -> bytes:
    """A file that pages link to."""
    return (FOLDER / "static" / name).read_bytes()


@functools.cache
def digest(name: str) -> str:
    """Changes with the file's content."""
    return hashlib.sha256(static(name)).hexdigest()[:12]


def clock(at: float) -> str:
    """Time of day, UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%H:%M:%S")


def date(at: float) -> str:
    """Date and time, UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(at: float) -> str:
    """For `<time datetime>`."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """How long, in the largest unit that says enough: `42 s`, `12 min`, `3 h 20 min`, `5 d`."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        minutes = whole % 3600 // 60
        return f"{whole // 3600} h {minutes} min" if minutes else f"{whole // 3600} h"
    return f"{whole // 86400} d"


def tone(word: str) -> str:
    """Which of the page's four colours a severity, level or state has."""
    lowered = word.lower()
    if lowered in _BAD or lowered in ("deny", "down", "failed", "err", "rollback"):
        return "bad"
    if lowered in _MILD or lowered in ("unknown", "wait", "pending", "waiting", "sending", "stale"):
        return "mild"
    return "good" if lowered in ("allow", "up", "ok", "delivered") else "plain"


def figure(value: float) -> str:
    """A number with four significant digits."""
    return f"{value:.4g}"


def scope(of: labels.Labels) -> labels.Labels:
    """An alert's labels, less those that are shown elsewhere."""
    return labels.without(of, "alertname", "severity")


def silence_link(alert: alerts.Alert) -> str:
    """Where to silence exactly this alert."""
    text = matchers.text(alerts.Matcher(name, "=", value) for name, value in alert.labels)
    return "/silences/new?" + urllib.parse.urlencode({"filter": text})


def log_link(query: str) -> str:
    """Where to see the lines that match."""
    return "/?" + urllib.parse.urlencode({"q": query}) + "#logs"


def instance(status: targets.TargetStatus) -> str:
    """What tells a target from others of its job."""
    return labels.get(status.target.labels, "instance") or status.target.url


def size(count: int) -> str:
    """Bytes for people."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" or value >= 10 else f"{value:.1f} {units[0]}"
