"""Notifications as JSON, for the outbox. Reads what older and newer versions wrote, as far as both know the fields.

Log lines are kept as messages need them: without their documents, and with long ones cut.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import orjson

from tidegate.model import alerts, logs

LINE = 2000
T = TypeVar("T")


def dump(notification: alerts.Notification) -> str:
    """The JSON text. Infinities and NaN, which JSON has not, are written as text."""
    body = _shallow(notification)
    body["alerts"] = [
        {
            "alert": {
                **_shallow(item.alert),
                "value": repr(item.alert.value),
                "peak": repr(item.alert.peak),
            },
            "log_lines": [_line(line) for line in item.log_lines],
            "log_note": item.log_note,
            "log_url": item.log_url,
        }
        for item in notification.alerts
    ]
    return orjson.dumps(body).decode()


def load(text: str) -> alerts.Notification:
    """The notification. Raises `ValueError`, `KeyError` or `TypeError` when it is not one."""
    body = orjson.loads(text)
    body["group_labels"] = _pairs(body["group_labels"])
    body["alerts"] = tuple(
        alerts.NotifiedAlert(
            _alert(item["alert"]),
            tuple(_make(logs.LogLine, line) for line in item["log_lines"]),
            item["log_note"],
            item.get("log_url", ""),
        )
        for item in body["alerts"]
    )
    return _make(alerts.Notification, body)


def _shallow(item: Any) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}


def _line(line: logs.LogLine) -> dict[str, Any]:
    texts = {name: _clean(getattr(line, name))[:LINE] for name in ("message", "level", "service", "source")}
    return {"at": line.at, "similar": line.similar, **texts}


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _alert(body: dict[str, Any]) -> alerts.Alert:
    body["labels"], body["annotations"] = _pairs(body["labels"]), _pairs(body["annotations"])
    body["value"], body["peak"] = float(body["value"]), float(body["peak"])
    return _make(alerts.Alert, body)


def _pairs(value: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in value)


def _make(cls: type[T], body: dict[str, Any]) -> T:
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is a dataclass
    return cls(**{name: value for name, value in body.items() if name in known})
