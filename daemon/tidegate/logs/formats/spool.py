"""The records of our own spool: one JSON object a line, with what was received and from whom, as it came.

A spool file begins with a header line, which makes files differ that begin alike and is no document. Meaning is read from
a record here, when it is shipped, so that receiving stays cheap. `raw` is text, `b64` bytes that are not UTF-8.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

import orjson

from tidegate.logs.formats import base, document, journal, json, otlp, plain, syslog

HEADER: Final = b'{"spool":'


def split(raw: bytes) -> base.Wrapped | None:
    """Nothing for the header line, so that it is passed over; None for a record."""
    return base.Wrapped("", "", False, b"") if raw.startswith(HEADER) else None  # noqa: FBT003 - not partial


def parse(raw: bytes) -> base.Line:
    """The line of a record. What is no record is kept as text."""
    try:
        record = orjson.loads(raw)
        line = _READERS[record["kind"]](record)
    except (AttributeError, KeyError, TypeError, ValueError):
        line = plain.parse(raw)
        line.extra = {}
    else:
        _place(line, record)
    line.structured = True
    return line


def record(
    kind: str, at: str, peer: tuple[str, int] | None, raw: bytes, longest: int, **more: Any
) -> tuple[bytes, bool]:
    """A record of raw bytes, its newline with it, of at most `longest` bytes; and whether the raw bytes were cut for that."""
    head: dict[str, Any] = {"kind": kind, "at": at, **more}
    if peer is not None:
        head["peer"] = peer
    made = _dump(head, raw)
    cut = len(made) > longest
    while len(made) > longest:
        raw = raw[: max(len(raw) * longest // len(made) - 64, 0)]
        made = _dump({**head, "cut": True}, raw)
    return made, cut


def parsed(kind: str, at: str, peer: tuple[str, int] | None, name: str, value: Any, **more: Any) -> bytes:
    """A record of something that was taken apart already, its newline with it."""
    head = {"kind": kind, "at": at, "peer": peer, name: value, **more}
    return orjson.dumps(head, option=orjson.OPT_APPEND_NEWLINE)


def _dump(head: dict[str, Any], raw: bytes) -> bytes:
    try:
        body = {**head, "raw": raw.decode()}
    except UnicodeDecodeError:
        body = {**head, "b64": base64.b64encode(raw).decode()}
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)


def _raw(record: dict[str, Any]) -> bytes:
    return base64.b64decode(record["b64"]) if "b64" in record else str(record["raw"]).encode()


def _place(line: base.Line, record: dict[str, Any]) -> None:
    """Say when the line came and from where, where the line itself does not."""
    extra = line.extra = line.extra or {}
    extra["event"] = {"created": record["at"], **extra.get("event", {})}
    line.time = line.time or record["at"]
    if peer := record.get("peer"):
        extra["source"] = {"address": peer[0], "port": peer[1]}
        extra.setdefault("host", {"name": peer[0]})
    if record.get("cut"):
        extra["cut"] = True


def _text(record: dict[str, Any]) -> base.Line:
    raw = _raw(record)
    return json.parse(raw) or plain.parse(raw)


_READERS: dict[str, Callable[[dict[str, Any]], base.Line]] = {
    "text": _text,
    "document": lambda record: document.parse(_raw(record)),
    "syslog": lambda record: syslog.parse(_raw(record), record["at"], record.get("zone", "UTC")),
    "otlp": lambda record: otlp.parse(record["log"]),
    "journal": lambda record: journal.parse(record["fields"]),
}
