"""One entry of the systemd journal, as `journalctl -o json` writes it.

Values are texts, lists of byte values where they are not text, lists of values where a field comes more than once, or null
where the program left out what was too large. Fields with a meaning in ECS become ECS fields, the others labels.
"""

from __future__ import annotations

from typing import Any, Final

from tidegate.logs.formats import base, json, syslog, times

CURSOR: Final = "__CURSOR"
_PLACES: Final[dict[str, tuple[str, str]]] = {
    "_HOSTNAME": ("host", "name"),
    "_MACHINE_ID": ("host", "id"),
    "_COMM": ("process", "name"),
    "_EXE": ("process", "executable"),
    "_CMDLINE": ("process", "command_line"),
    "CONTAINER_NAME": ("container", "name"),
    "CONTAINER_ID_FULL": ("container", "id"),
    "_SYSTEMD_UNIT": ("service", "name"),
    "MESSAGE_ID": ("event", "code"),
}
_DROPPED = frozenset({"__MONOTONIC_TIMESTAMP", "_BOOT_ID", "_SOURCE_REALTIME_TIMESTAMP", "__SEQNUM", "__SEQNUM_ID"})


def parse(entry: dict[str, Any]) -> base.Line:
    """The line of an entry."""
    fields = {name: text(value) for name, value in entry.items()}
    line = base.Line(fields.pop("MESSAGE", ""), structured=True)
    extra: dict[str, Any] = {}
    labels: dict[str, str] = {}
    _when(line, fields)
    _severity(line, extra, fields)
    for name, found in fields.items():
        if name == "_PID" and found.isascii() and found.isdecimal():
            extra.setdefault("process", {})["pid"] = int(found)
        elif name in _PLACES:
            group, leaf = _PLACES[name]
            extra.setdefault(group, {})[leaf] = found.removesuffix(".service") if group == "service" else found
        elif name not in _DROPPED and name != CURSOR and found:
            json.label(labels, name.lower().strip("_"), found)
    line.extra, line.labels = extra, labels or None
    return line


def text(value: Any) -> str:
    """A field's value: the first of several, bytes that are not UTF-8 with U+FFFD, empty for what was left out."""
    if isinstance(value, list):
        if value and all(isinstance(each, int) and 0 <= each < 256 for each in value):
            return base.text(bytes(value))
        return ", ".join(text(each) for each in value)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _when(line: base.Line, fields: dict[str, str]) -> None:
    own, received = fields.get("_SOURCE_REALTIME_TIMESTAMP", ""), fields.pop("__REALTIME_TIMESTAMP", "")
    for micros in (own, received):
        if micros.isascii() and micros.isdecimal() and len(micros) < 18:
            seconds, rest = divmod(int(micros), 1_000_000)
            line.time = f"{times.stamp(seconds)[:19]}.{rest:06}Z"
            line.zoned = True
            return


def _severity(line: base.Line, extra: dict[str, Any], fields: dict[str, str]) -> None:
    made: dict[str, Any] = {}
    priority, facility = fields.pop("PRIORITY", ""), fields.pop("SYSLOG_FACILITY", "")
    if priority in tuple("01234567"):
        line.level = syslog.LEVELS[int(priority)]
        made["severity"] = {"code": int(priority), "name": syslog.SEVERITIES[int(priority)]}
    if facility.isascii() and facility.isdecimal() and len(facility) < 3 and int(facility) < len(syslog.FACILITIES):
        made["facility"] = {"code": int(facility), "name": syslog.FACILITIES[int(facility)]}
    if identifier := fields.pop("SYSLOG_IDENTIFIER", ""):
        made["appname"] = identifier
    if made:
        extra["log"] = {"syslog": made}
