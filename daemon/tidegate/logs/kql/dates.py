"""Dates in range conditions: ISO 8601, or date math such as `now-1h` (Elasticsearch's, without rounding)."""

from __future__ import annotations

import datetime
import re

_MATH = re.compile(r"now(?:([+-])(\d+)([smhdw]))?\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(text: str, now: float) -> float | None:
    """Unix seconds; None when the text is no date."""
    math = _MATH.match(text)
    if math:
        shift = int(math[2]) * _SECONDS[math[3]] if math[1] else 0
        return now - shift if math[1] == "-" else now + shift
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()
