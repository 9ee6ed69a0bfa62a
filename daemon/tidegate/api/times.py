"""Times as the APIs write and read them: unix seconds inside, RFC 3339 (UTC) or a number outside."""

from __future__ import annotations

import datetime
import re

from tidegate.model import settings

NEVER = "0001-01-01T00:00:00Z"
_FRACTION = re.compile(r"(\.\d{6})\d+")


def rfc3339(at: float) -> str:
    """With milliseconds; Go's zero time for 0."""
    if not at:
        return NEVER
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional(at: float) -> str | None:
    """The same, but None for 0."""
    return rfc3339(at) if at else None


def parse(text: str) -> float:
    """Unix seconds of a number or an RFC 3339 time. Raises `ValueError`."""
    try:
        value = float(text)
    except ValueError:
        return parse_rfc3339(text)
    if not abs(value) < 253402300800:
        raise ValueError("a time out of range")
    return value


def parse_rfc3339(text: str) -> float:
    """Unix seconds of an RFC 3339 time, whose zone is required; finer than a microsecond is cut. Raises `ValueError`."""
    moment = datetime.datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    if moment.tzinfo is None or "T" not in text.upper():
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    if moment.year <= 1:
        return 0.0
    return moment.timestamp()


def duration(text: str) -> float:
    """Seconds of a number or a Prometheus duration. Raises `ValueError`."""
    try:
        return float(text)
    except ValueError:
        value = settings.seconds(text)
        if not isinstance(value, (int, float)):
            raise ValueError(f"{text!r} is not a duration") from None
        return float(value)
