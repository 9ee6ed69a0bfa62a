"""Timestamps as log lines have them, to ISO 8601 in UTC as Elasticsearch reads it.

A time without a zone is taken as UTC, and says so (`zoned` false), so that a container runtime's own time can be
preferred, and `settle` can move it into the zone that it was written in. Digits below a microsecond are kept only where
the text already is in UTC. Forms beside ISO 8601 are `dates`' business.
"""

from __future__ import annotations

import datetime
import math
import re

from tidegate.logs.formats import dates

YEARLESS = f"{dates.YEARLESS:04}-"
"""What the time of a line begins with that does not say its year."""
_UTC_FORM = re.compile(
    r"(?!0000)\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z",
    re.ASCII,
)
"""What goes through as it is; days 29 to 31 take the long way, which knows the months."""
_SLASHES = re.compile(r"(\d{4})/(\d\d)/(\d\d)[ T](.*)", re.DOTALL | re.ASCII)
_SPACED_ZONE = re.compile(r"(.*\d)\s+(Z|UTC|[+-]\d\d:?\d\d)\Z", re.ASCII)
_LONGEST = 64
_SECONDS, _MILLIS, _MICROS = 1e11, 1e14, 1e17
"""Below each of these a number counts seconds, milliseconds, microseconds; above, nanoseconds (all dates 1973-5138)."""


def iso(text: str) -> tuple[str, bool] | None:
    """(ISO 8601 in UTC with `Z`, whether a zone was given), or None when the text is no time."""
    if _UTC_FORM.fullmatch(text):
        return text, True
    if not text or len(text) > _LONGEST:
        return None
    moment = _parse(text.strip())
    if moment is None:
        return None
    zoned = moment.tzinfo is not None
    return _format(moment if zoned else moment.replace(tzinfo=datetime.UTC)), zoned


def epoch(number: float) -> str | None:
    """A number of seconds, milliseconds, microseconds or nanoseconds since 1970 as ISO 8601, decided by its size."""
    if not math.isfinite(number) or number <= 0:
        return None
    for limit, unit in ((_SECONDS, 1.0), (_MILLIS, 1e3), (_MICROS, 1e6)):
        if number < limit:
            return stamp(number / unit)
    try:
        return stamp(number / 1e9)
    except (ValueError, OverflowError):
        return None


def stamp(at: float) -> str:
    """Unix seconds as ISO 8601 with milliseconds or, where there are more digits, microseconds."""
    return _format(datetime.datetime.fromtimestamp(at, datetime.UTC))


def _format(moment: datetime.datetime) -> str:
    try:
        utc = moment.astimezone(datetime.UTC)
    except OverflowError:  # 0001-01-01 east of Greenwich
        utc = moment.replace(tzinfo=datetime.UTC)
    precise = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    return utc.isoformat(timespec=precise).replace("+00:00", "Z")


def settle(time: str, zone: datetime.tzinfo, now: str) -> str:
    """A time that gave no zone, or no year, as it was meant: in `zone`, and not after tomorrow. `now` is ISO 8601 in UTC."""
    moment = datetime.datetime.fromisoformat(time).replace(tzinfo=zone)
    if time.startswith(YEARLESS):
        moment = _year(moment, datetime.datetime.fromisoformat(now))
    return _format(moment)


def _year(moment: datetime.datetime, now: datetime.datetime) -> datetime.datetime:
    """The last time that there was such a day, with a day's leave for clocks that are ahead."""
    latest = now + datetime.timedelta(days=1)
    for year in range(latest.year + 1, latest.year - 9, -1):
        try:
            found = moment.replace(year=year)
        except ValueError:  # 29 February
            continue
        if found <= latest:
            return found
    return now


def _parse(text: str) -> datetime.datetime | None:
    plain = text.replace(",", ".", 1)
    if slashes := _SLASHES.fullmatch(plain):
        plain = "-".join(slashes.group(1, 2, 3)) + "T" + slashes[4]
    if spaced := _SPACED_ZONE.fullmatch(plain):
        plain = spaced[1] + ("Z" if spaced[2] == "UTC" else spaced[2])
    if len(plain) >= len("2024-01-01T00:00"):
        try:
            return datetime.datetime.fromisoformat(plain)
        except ValueError:
            pass
    return dates.read(text)
