"""From an ECS document to a line as people see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.logs.kql import dates, view
from tidegate.model import logs


def line(document: Mapping[str, Any], id_: str = "") -> logs.LogLine:
    """The line; what the document lacks is empty."""
    return logs.LogLine(
        at=at(document),
        message=text(document, "message"),
        level=text(document, "log.level").lower(),
        service=text(document, "service.name"),
        source=text(document, "log.file.path"),
        document=document,
        id=id_,
    )


def at(document: Mapping[str, Any]) -> float:
    """Its time in unix seconds; 0 when it has none."""
    found = view.values(document, "@timestamp")
    return dates.seconds(found[0]) or 0.0 if found else 0.0


def text(document: Mapping[str, Any], field: str) -> str:
    """The first value of a field, as text."""
    found = view.values(document, field)
    return view.text(found[0]) if found else ""
