"""From an ECS document to a line as people see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.logs.kql import dates, matcher
from tidegate.model import logs


def line(document: Mapping[str, Any]) -> logs.LogLine:
    """The line; what the document lacks is empty."""
    return logs.LogLine(
        at=dates.seconds(text(document, "@timestamp"), 0.0) or 0.0,
        message=text(document, "message"),
        level=text(document, "log.level").lower(),
        service=text(document, "service.name"),
        source=text(document, "log.file.path"),
        document=document,
    )


def text(document: Mapping[str, Any], field: str) -> str:
    """The first value of a field, as text."""
    found = matcher.values(document, field)
    return str(found[0]) if found and found[0] is not None else ""
