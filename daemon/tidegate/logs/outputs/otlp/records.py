"""ECS documents as OpenTelemetry log records: which field becomes what. How records are written down is not known here.

Sources: https://opentelemetry.io/docs/specs/otel/logs/data-model/ and the semantic conventions 1.37. Documents of the
same origin share a resource. Nothing is left out but `ecs.version`, which speaks of names that are not used any more.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Value: TypeAlias = Any
"""A text, number, truth value, or a list or map of such."""
Attributes: TypeAlias = tuple[tuple[str, Value], ...]

UID = "log.record.uid"
"""The attribute by which a receiver can drop doubles."""
SEVERITY: Mapping[str, int] = {
    "trace": 1,
    "debug": 5,
    "info": 9,
    "notice": 10,
    "warning": 13,
    "error": 17,
    "critical": 21,
}
"""Severity numbers of our levels; others have none, and keep their text."""
_NAMES: Mapping[str, str] = {
    "service.environment": "deployment.environment.name",
    "kubernetes.pod.name": "k8s.pod.name",
    "kubernetes.pod.uid": "k8s.pod.uid",
    "kubernetes.namespace": "k8s.namespace.name",
    "kubernetes.container.name": "k8s.container.name",
    "error.type": "exception.type",
    "error.message": "exception.message",
    "error.stack_trace": "exception.stacktrace",
}
"""ECS names whose OpenTelemetry name is another one."""
_ORIGIN = frozenset({"service", "host", "container", "kubernetes", "cloud", "orchestrator"})
"""Objects that say where a line comes from: the resource."""
_PLACES = frozenset({"message", "log.level", "@timestamp", "event.created", "trace.id", "span.id", "ecs.version"})
"""Fields that a record has places of its own for, and the one that is left out."""
_HEX = {"trace.id": re.compile(r"(?!0{32})[0-9a-fA-F]{32}"), "span.id": re.compile(r"(?!0{16})[0-9a-fA-F]{16}")}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)


@dataclasses.dataclass(slots=True)
class Record:
    """One log record."""

    at: int = 0
    """Unix nanoseconds; 0 is unknown."""
    observed: int = 0
    severity: int = 0
    level: str = ""
    body: Value = None
    trace: bytes = b""
    span: bytes = b""
    attributes: list[tuple[str, Value]] = dataclasses.field(default_factory=list)


def grouped(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[Attributes, list[Record]]:
    """The records of documents (each with its id) by the attributes of their resource."""
    found: dict[Attributes, list[Record]] = {}
    for name, document in documents:
        origin, made = record(name, document)
        found.setdefault(origin, []).append(made)
    return found


def record(name: str, document: Mapping[str, Any]) -> tuple[Attributes, Record]:
    """The resource's attributes and the record of one document."""
    made = Record(attributes=[(UID, name)])
    origin: list[tuple[str, Value]] = []
    for group, value in document.items():
        leaves: list[tuple[str, Value]] = []
        _leaves(group, value, leaves)
        if group in _ORIGIN:
            origin += [(_NAMES.get(field, field), _hashable(leaf)) for field, leaf in leaves]
            continue
        for field, leaf in leaves:
            if field not in _PLACES or not _taken(made, field, leaf):
                made.attributes.append((_NAMES.get(field, field.removeprefix("labels.")), leaf))
    return tuple(origin), made


def nanoseconds(text: object) -> int:
    """Unix nanoseconds of a time as we write it; 0 for anything else."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return 0
    try:
        whole = round(datetime.datetime.fromisoformat(f"{match[1]}+00:00").timestamp())
    except ValueError:
        return 0
    return max(whole * 10**9 + int((match[2] or "").ljust(9, "0")), 0)


def _taken(made: Record, field: str, value: Value) -> bool:
    """Put a field where the record has a place of its own for it; whether there is one."""
    if field == "message":
        made.body = value
    elif field == "log.level":
        made.level = str(value)
        made.severity = SEVERITY.get(made.level, 0)
    elif field == "@timestamp" and (at := nanoseconds(value)):
        made.at = at
    elif field == "event.created" and (at := nanoseconds(value)):
        made.observed = at
    elif field == "trace.id" and _is_id(field, value):
        made.trace = bytes.fromhex(value)
    elif field == "span.id" and _is_id(field, value):
        made.span = bytes.fromhex(value)
    else:
        return field == "ecs.version"
    return True


def _is_id(field: str, value: Value) -> bool:
    return isinstance(value, str) and _HEX[field].fullmatch(value) is not None


def _leaves(name: str, value: Value, found: list[tuple[str, Value]]) -> None:
    """Collect the values of an object, with their full names."""
    if isinstance(value, dict):
        for key, part in value.items():
            _leaves(f"{name}.{key}", part, found)
    elif value is not None:
        found.append((name, value))


def _hashable(value: Value) -> Value:
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return str(value) if isinstance(value, dict) else value
