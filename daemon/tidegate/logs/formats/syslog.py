"""Syslog messages: RFC 5424 with structured data, RFC 3164 in the forms that programs really send, and bare text.

Whatever the bytes, there is a line: what is not in a form is the message. A message that is a JSON object, with or without
the `@cee:` cookie, is read as one.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import zoneinfo
from typing import Any

from tidegate.logs.formats import base, json, times

SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
LEVELS = ("critical", "critical", "critical", "error", "warning", "notice", "info", "debug")
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp"),
    *("security", "console", "solaris-cron", *(f"local{number}" for number in range(8))),
)
_PRIORITY = re.compile(r"<(0|[1-9]\d{0,2})>", re.ASCII)
_HEAD = re.compile(r"1 (\S+) (\S+) (\S+) (\S+) (\S+) ")
_ELEMENT = re.compile(r'\[([^\s=\]"]{1,64})((?: [^\s=\]"]{1,64}="(?:[^"\\\]]|\\.)*")*)\]', re.DOTALL)
_PARAMETER = re.compile(r' ([^\s=\]"]{1,64})="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\\]])')
_OLD_TIME = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d\d:\d\d:\d\d)(\.\d{1,6})? ", re.ASCII)
_NEW_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) ", re.ASCII)
_HOST = re.compile(r"([A-Za-z0-9_.:%-]{1,255}) (?=[^\s:\[]{1,48}(?:\[[^\]\s]{1,128}\])?:)")
_TAG = re.compile(r"([^\s:\[]{1,48})(?:\[([^\]\s]{1,128})\])?: ?")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COOKIE = "@cee:"
_BOM = "\ufeff"


def parse(raw: bytes, received: str, zone: str) -> base.Line:
    """The line of a message that came at `received` (ISO 8601); `zone` is where times without a zone are from."""
    text = base.text(raw.rstrip(b"\0\r\n"))
    syslog: dict[str, Any] = {}
    line = base.Line(text, structured=True)
    priority = _PRIORITY.match(text)
    if priority is None or int(priority[1]) > 191:
        return line
    line.extra = {"log": {"syslog": syslog}}
    number = int(priority[1])
    facility, severity = divmod(number, 8)
    syslog["priority"] = number
    syslog["facility"] = {"code": facility, "name": FACILITIES[facility]}
    syslog["severity"] = {"code": severity, "name": SEVERITIES[severity]}
    line.level = LEVELS[severity]
    rest = text[priority.end() :]
    head = _HEAD.match(rest + " ")
    if head is None or not _modern(line, syslog, head, rest[head.end() :]):
        _classic(line, syslog, rest, received, zone)
    _inner(line)
    return line


def _modern(line: base.Line, syslog: dict[str, Any], head: re.Match[str], rest: str) -> bool:
    """RFC 5424 behind the priority; False when its structured data is not in form."""
    data, message = _structured(rest)
    if data is None:
        return False
    time, host, app, process, message_id = (None if part == "-" else part for part in head.groups())
    if time and (found := times.iso(time)):
        line.time, line.zoned = found
    line.message = message.removeprefix(_BOM)
    syslog["version"] = "1"
    if message_id:
        syslog["msgid"] = message_id
    if data:
        syslog["structured_data"] = data
    _who(line, syslog, host, app, process)
    return True


def _structured(rest: str) -> tuple[dict[str, Any] | None, str]:
    """Structured data and what comes after it; None when there is none in form."""
    if rest == "-" or rest.startswith("- "):
        return {}, rest[2:]
    found: dict[str, Any] = {}
    at = 0
    while element := _ELEMENT.match(rest, at):
        parameters = found.setdefault(element[1], {})
        for name, escaped in _PARAMETER.findall(element[2]):
            value = _ESCAPE.sub(r"\1", escaped)
            before = parameters.get(name)
            parameters[name] = value if before is None else [*([before] if isinstance(before, str) else before), value]
        at = element.end()
    if not found or rest[at : at + 1] not in ("", " "):
        return None, rest
    return found, rest[at + 1 :]


def _classic(line: base.Line, syslog: dict[str, Any], rest: str, received: str, zone: str) -> None:
    """RFC 3164 behind the priority: a time, a host and a tag, as far as they are there."""
    host = app = process = None
    timed = False
    if (old := _OLD_TIME.match(rest)) and (time := _this_year(old, received, zone)):
        line.time, line.zoned, timed, rest = time, True, True, rest[old.end() :]
    elif (new := _NEW_TIME.match(rest)) and (found := times.iso(new[1])):
        (line.time, line.zoned), timed, rest = found, True, rest[new.end() :]
    if timed and (named := _HOST.match(rest)):
        host, rest = named[1], rest[named.end() :]
    if timed and (tag := _TAG.match(rest)):
        app, process, rest = tag[1], tag[2], rest[tag.end() :]
    line.message = rest
    _who(line, syslog, host, app, process)


def _this_year(old: re.Match[str], received: str, zone: str) -> str:
    """A time without a year, in the year that brings it nearest to when it came; empty when there is no such day."""
    now = datetime.datetime.fromisoformat(received)
    if old[1] not in _MONTHS:
        return ""
    candidates = []
    where = datetime.UTC if zone == "UTC" else zoneinfo.ZoneInfo(zone)
    for year in (now.year - 1, now.year, now.year + 1):
        text = f"{year}-{_MONTHS.index(old[1]) + 1:02}-{int(old[2]):02}T{old[3]}{old[4] or ''}"
        with contextlib.suppress(ValueError):
            moment = datetime.datetime.fromisoformat(text).replace(tzinfo=where)
            candidates.append(moment)
    if not candidates:
        return ""
    best = min(candidates, key=lambda moment: abs(moment - now))
    return times.stamp(best.timestamp())


def _who(line: base.Line, syslog: dict[str, Any], host: str | None, app: str | None, process: str | None) -> None:
    extra = line.extra = line.extra or {}
    if host:
        syslog["hostname"] = host
        extra["host"] = {"name": host}
    made: dict[str, Any] = {}
    if app:
        syslog["appname"] = made["name"] = app
    if process:
        syslog["procid"] = process
        if process.isascii() and process.isdecimal() and len(process) < 19:
            made["pid"] = int(process)
    if made:
        extra["process"] = made


def _inner(line: base.Line) -> None:
    """Read a message that is a JSON object."""
    text = line.message.removeprefix(_COOKIE).lstrip()
    if not text.startswith("{") or (found := json.parse(text.encode())) is None:
        return
    line.message, line.labels, line.fields = found.message, found.labels, found.fields
    line.level = found.level or line.level
    if found.time and (found.zoned or not line.time):
        line.time, line.zoned = found.time, found.zoned
