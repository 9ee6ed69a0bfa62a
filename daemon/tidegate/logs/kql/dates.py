"""Dates, in documents and in conditions, to the millisecond as Elasticsearch keeps them.

A condition's date is ISO 8601, whole or only its beginning (`2024-05`), milliseconds since 1970, or date math:
`now-1h`, `now/d`, `2024-05-01||+1M/d` with the units y M w d h H m s. A date that is not whole, or rounded with `/`, means all
of its time: after it is after its end. Without a zone it is UTC.
"""

from __future__ import annotations

import calendar
import dataclasses
import datetime
import math
import re
from typing import Any

_ABSOLUTE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?)?(Z|[+-]\d\d(?::?\d\d)?)?)?)?)?\Z"
)
_MILLIS = re.compile(r"-?\d{5,15}\Z")
_STEP = re.compile(r"([+-])(\d{0,9})([yMwdhHms])|/([yMwdhHms])")
_FIXED = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "H": 3_600_000, "m": 60_000, "s": 1000}
_UNITS = ("y", "M", "d", "h", "m", "s")


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """A date of a condition. `start` and `end` in milliseconds, both included; None is now."""

    start: int | None
    end: int | None
    steps: tuple[tuple[str, int, str], ...] = ()
    """(`+`, count, unit) or (`/`, 0, unit), in order."""

    @property
    def moving(self) -> bool:
        """Whether it depends on now."""
        return self.start is None

    def first(self, now: float) -> int:
        """Its first millisecond; `now` in unix seconds. Raises `ValueError` beyond the calendar."""
        at = int(now * 1000) if self.start is None else self.start
        for sign, count, unit in self.steps:
            at = _floor(at, unit) if sign == "/" else _shift(at, count, unit)
        return at

    def last(self, now: float) -> int:
        """Its last millisecond. Raises `ValueError` beyond the calendar."""
        at = int(now * 1000) if self.end is None else self.end
        for sign, count, unit in self.steps:
            at = _shift(_floor(at, unit), 1, unit) - 1 if sign == "/" else _shift(at, count, unit)
        return at


def parse(text: str) -> Moment | None:
    """A condition's date; None when the text is none."""
    anchor, bars, rest = text.partition("||")
    if not bars and text.startswith("now"):
        anchor, rest = "now", text[3:]
    steps = _steps(rest)
    found = Moment(None, None) if anchor == "now" and not bars else _anchor(anchor)
    if steps is None or found is None:
        return None
    moment = dataclasses.replace(found, steps=steps)
    try:
        moment.first(0.0), moment.last(0.0)
    except (ValueError, OverflowError):
        return None
    return moment


def milliseconds(value: Any) -> int | None:
    """A document's date in milliseconds; None when it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.floor(value)
    at = seconds(value)
    return None if at is None else math.floor(round(at * 1_000_000) / 1000)


def seconds(value: Any) -> float | None:
    """A document's date in unix seconds; None when it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value / 1000
    if not isinstance(value, str):
        return None
    try:
        at = datetime.datetime.fromisoformat(value)
    except ValueError:
        return int(value) / 1000 if _MILLIS.match(value) else None
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()


def _anchor(text: str) -> Moment | None:
    if _MILLIS.match(text):
        return Moment(int(text), int(text))
    written = _ABSOLUTE.match(text)
    if written is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = written.groups()
    try:
        at = datetime.datetime(  # noqa: DTZ001 - the zone is taken off below
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0)
        )
    except ValueError:
        return None
    start = _millis(at) + int((fraction or "0").ljust(3, "0")[:3]) - _offset(zone)
    given = sum(part is not None for part in (year, month, day, hour, minute, second))
    if fraction is not None:
        return Moment(start, start)
    try:
        end = _shift(_millis(at), 1, _UNITS[given - 1]) - 1 - _offset(zone)
    except ValueError:
        return None
    return Moment(start, end)


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    digits = zone[1:].replace(":", "")
    return (int(digits[:2]) * 60 + int(digits[2:] or 0)) * 60_000 * (-1 if zone[0] == "-" else 1)


def _steps(text: str) -> tuple[tuple[str, int, str], ...] | None:
    out, at = [], 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            return None
        at = step.end()
        if step[4]:
            out.append(("/", 0, step[4]))
        else:
            out.append(("+", int(step[2] or 1) * (-1 if step[1] == "-" else 1), step[3]))
    return tuple(out)


def _shift(at: int, count: int, unit: str) -> int:
    if unit in _FIXED:
        return at + count * _FIXED[unit]
    date, rest = _date(at), at % 1000
    months = date.year * 12 + date.month - 1 + count * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise ValueError("beyond the calendar")
    day = min(date.day, calendar.monthrange(year, month + 1)[1])
    return _millis(date.replace(year=year, month=month + 1, day=day)) + rest


def _floor(at: int, unit: str) -> int:
    if unit == "w":
        return at - (at - 4 * _FIXED["d"]) % _FIXED["w"]  # weeks begin on Monday; 1970 began on a Thursday
    if unit in _FIXED:
        return at - at % _FIXED[unit]
    date = _date(at)
    return _millis(datetime.datetime(date.year, 1 if unit == "y" else date.month, 1))  # noqa: DTZ001 - UTC throughout


def _date(at: int) -> datetime.datetime:
    """To the second, in UTC, without a zone."""
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=at // 1000)  # noqa: DTZ001 - UTC throughout


def _millis(date: datetime.datetime) -> int:
    return calendar.timegm(date.timetuple()) * 1000
