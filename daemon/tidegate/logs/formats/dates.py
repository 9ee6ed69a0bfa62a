"""Dates as people and programs write them, beside ISO 8601: month names, the year in front or behind, AM and PM, zone names.

Only what can be meant in one way is read: `01/02/2026` is two days, and `IST` three zones, so neither is a time. A date
without a year is of the year `YEARLESS` until somebody knows better.
"""

from __future__ import annotations

import datetime
import re

YEARLESS = 4
"""A leap year that no log line is from."""
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january",
            "feb february",
            "mar march",
            "apr april",
            "may",
            "jun june",
            "jul july",
            "aug august",
            "sep sept september",
            "oct october",
            "nov november",
            "dec december",
        ),
        1,
    )
    for name in names.split()
}
_ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "MEZ": 60, "MESZ": 120, "EET": 120,
    "EEST": 180, "MSK": 180, "JST": 540, "KST": 540, "HKT": 480, "SGT": 480, "NZST": 720, "NZDT": 780, "AEST": 600,
    "AEDT": 660, "ACST": 570, "ACDT": 630, "AWST": 480, "EST": -300, "EDT": -240, "CDT": -300, "MST": -420, "MDT": -360,
    "PST": -480, "PDT": -420, "AKST": -540, "AKDT": -480, "HST": -600, "BRT": -180,
}  # fmt: skip
"""Minutes east of Greenwich, of names that mean one zone. CST, IST, BST, AST and others do not."""
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d{1,9}))?)?(?:\s?(?P<half>[AaPp]\.?[Mm]\.?))?"
_ZONE = r"(?:\s*(?P<zone>(?:UTC|GMT)?[+-]\d\d(?::?\d\d)?|[A-Z]{1,4}))?(?:\s?[(\[][\w/+ -]+[)\]])?"
_BETWEEN = r"(?:[T:]|,?\s+(?:at\s+)?)"
_FORMS = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"(?P<year>\d{{4}})(?P<_s>[-/.])(?P<month>\d{{1,2}})(?P=_s)(?P<day>\d{{1,2}}){_BETWEEN}{_CLOCK}{_ZONE}",
        rf"(?P<year>\d{{4}})[-/ ](?P<name>[A-Za-z]{{3,9}})[-/ ](?P<day>\d{{1,2}}){_BETWEEN}{_CLOCK}{_ZONE}",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})[-/ ](?P<name>[A-Za-z]{{3,9}})\.?(?:[-/ ](?P<year>\d{{4}}))?{_BETWEEN}{_CLOCK}{_ZONE}",
        rf"{_WEEKDAY}(?P<name>[A-Za-z]{{3,9}})\.?\s+(?P<day>\d{{1,2}})(?:,?\s+(?P<year>\d{{4}}))?{_BETWEEN}{_CLOCK}{_ZONE}",
        rf"{_WEEKDAY}(?P<name>[A-Za-z]{{3,9}})\s+(?P<day>\d{{1,2}})\s+{_CLOCK}{_ZONE}\s+(?P<year>\d{{4}})",
        rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}}){_BETWEEN}{_CLOCK}{_ZONE}",
    )
)


def read(text: str) -> datetime.datetime | None:
    """The moment, with its zone where one was given; None when the text is no time, or not surely one."""
    for form in _FORMS:
        if match := form.fullmatch(text):
            return _moment(match.groupdict())
    return None


def _moment(parts: dict[str, str | None]) -> datetime.datetime | None:
    month = _MONTHS.get(str(parts["name"]).lower()) if parts.get("name") else int(parts["month"] or 0)
    hour = _hour(int(parts["hour"] or 0), (parts["half"] or "")[:1].lower())
    zone = _zone(parts["zone"]) if parts["zone"] else None
    if month is None or hour is None or (parts["zone"] and zone is None):
        return None
    micros = int(((parts["part"] or "") + "000000")[:6])
    year = int(parts["year"]) if parts["year"] else YEARLESS
    try:
        return datetime.datetime(
            year,
            month,
            int(parts["day"] or 0),
            hour,
            int(parts["minute"] or 0),
            int(parts["second"] or 0),
            micros,
            zone,
        )
    except ValueError:
        return None


def _hour(hour: int, half: str) -> int | None:
    if not half:
        return hour
    if not 1 <= hour <= 12:
        return None
    return hour % 12 + (12 if half == "p" else 0)


def _zone(text: str) -> datetime.tzinfo | None:
    if text in _ZONES:
        return datetime.timezone(datetime.timedelta(minutes=_ZONES[text]))
    digits = text.removeprefix("UTC").removeprefix("GMT").replace(":", "")
    if digits[:1] not in ("+", "-"):
        return None
    minutes = int(digits[1:3]) * 60 + int(digits[3:] or 0)
    if minutes >= 24 * 60 or int(digits[3:] or 0) >= 60:
        return None
    return datetime.timezone(datetime.timedelta(minutes=-minutes if digits[0] == "-" else minutes))
