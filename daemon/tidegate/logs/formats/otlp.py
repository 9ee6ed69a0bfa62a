"""One OpenTelemetry log record, in the shape of OTLP's JSON, with its resource and scope.

Attributes with a meaning in ECS become ECS fields; every other one goes to `labels`, as text. A record that is not in form
keeps what is: nothing of it raises.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import orjson

from tidegate.logs.formats import base, json, levels, times

_DEEPEST = 32
_GROUPS: Final = ("trace", "debug", "info", "warning", "error", "critical")
"""Severity numbers 1-4, 5-8, ... 21-24."""
_PLACES: Final[dict[str, tuple[str, ...]]] = {
    "service.name": ("service", "name"),
    "service.version": ("service", "version"),
    "deployment.environment": ("service", "environment"),
    "deployment.environment.name": ("service", "environment"),
    "service.instance.id": ("service", "node", "name"),
    "host.name": ("host", "name"),
    "host.id": ("host", "id"),
    "host.arch": ("host", "architecture"),
    "container.id": ("container", "id"),
    "container.name": ("container", "name"),
    "k8s.pod.name": ("kubernetes", "pod", "name"),
    "k8s.pod.uid": ("kubernetes", "pod", "uid"),
    "k8s.namespace.name": ("kubernetes", "namespace"),
    "k8s.container.name": ("kubernetes", "container", "name"),
    "exception.type": ("error", "type"),
    "exception.message": ("error", "message"),
    "exception.stacktrace": ("error", "stack_trace"),
}


def parse(log: dict[str, Any]) -> base.Line:
    """The line of a log record with its resource and scope."""
    record = log["record"]
    line = base.Line(_text(value(record.get("body"))), structured=True, extra={})
    extra: dict[str, Any] = {}
    labels: dict[str, str] = {}
    line.time = _time(record.get("timeUnixNano")) or _time(record.get("observedTimeUnixNano"))
    line.zoned = bool(line.time)
    line.level = _level(record)
    for key, given in [*_pairs(log.get("resource")), *_pairs(record.get("attributes"))]:
        _attribute(extra, labels, key, given)
    scope = log.get("scope") or {}
    if name := scope.get("name"):
        extra["log"] = {"logger": _text(name)}
    if event := record.get("eventName"):
        extra["event"] = {"action": _text(event)}
    for name, key in (("trace", "traceId"), ("span", "spanId")):
        if (found := record.get(key)) and isinstance(found, str) and found.strip("0"):
            extra[name] = {"id": found.lower()}
    line.extra, line.labels = extra, labels or None
    return line


def value(given: Any, depth: int = 0) -> Any:
    """An AnyValue as a plain value; None when it is empty or in no form."""
    if not isinstance(given, dict) or not given or depth > _DEEPEST:
        return None
    kind, inner = next(iter(given.items()))
    if kind == "arrayValue":
        return [value(each, depth + 1) for each in (inner or {}).get("values") or []]
    if kind == "kvlistValue":
        return {
            _text(each.get("key")): value(each.get("value"), depth + 1) for each in (inner or {}).get("values") or []
        }
    if kind == "intValue":
        return int(inner)
    if kind == "bytesValue":
        return _decoded(inner)
    return inner


def _decoded(inner: Any) -> str:
    """Bytes as text where they are text, else in base64."""
    try:
        return base64.b64decode(inner, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
        return _text(inner)


def _pairs(given: Any) -> list[tuple[str, Any]]:
    pairs = given if isinstance(given, list) else []
    return [(_text(each.get("key")), value(each.get("value"))) for each in pairs if isinstance(each, dict)]


def _attribute(extra: dict[str, Any], labels: dict[str, str], key: str, given: Any) -> None:
    if given is None:
        return
    if key == "process.pid" and isinstance(given, int):
        extra["process"] = {"pid": given}
    elif (path := _PLACES.get(key)) and isinstance(given, str) and given:
        node = extra
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node[path[-1]] = given
    else:
        json.label(labels, key, given)


def _level(record: dict[str, Any]) -> str:
    number = record.get("severityNumber")
    if isinstance(number, int) and 1 <= number <= 24:
        return _GROUPS[(number - 1) // 4]
    text = record.get("severityText")
    return levels.word(text) if isinstance(text, str) else ""


def _time(given: Any) -> str:
    """Nanoseconds since 1970, as a number or as text; empty for 0 and for what is neither."""
    try:
        nanos = int(given or 0)
    except (TypeError, ValueError):
        return ""
    if not 0 < nanos < 1 << 63:
        return ""
    whole = times.stamp(nanos // 10**9)  # seconds alone: a float of all digits is exact to a microsecond only
    return f"{whole[:19]}.{nanos % 10**9:09}Z"


def _text(given: Any) -> str:
    if given is None:
        return ""
    return given if isinstance(given, str) else orjson.dumps(given).decode()
