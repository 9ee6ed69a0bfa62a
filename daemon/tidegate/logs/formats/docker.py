"""Docker's json-file driver: `{"log":"text\\n","stream":"stdout","time":"..."}`.

A `log` that does not end in a newline goes on in the next line of the same stream.
"""

from __future__ import annotations

from typing import Any

import orjson

from tidegate.logs.formats import base, times

_KEYS = frozenset({"log", "stream", "time", "attrs"})


def split(raw: bytes) -> base.Wrapped | None:
    """The line's parts, or None when it is not Docker's."""
    if not raw.startswith(b"{"):
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return wrapped(value) if isinstance(value, dict) else None


def wrapped(value: dict[str, Any]) -> base.Wrapped | None:
    """The parts of a parsed line, or None when its keys are not exactly Docker's."""
    log, stream = value.get("log"), value.get("stream")
    if not isinstance(log, str) or stream not in ("stdout", "stderr") or not value.keys() <= _KEYS:
        return None
    time = value.get("time")
    found = times.iso(time) if isinstance(time, str) else None
    partial = not log.endswith("\n")
    content = log if partial else log[:-1].removesuffix("\r")
    return base.Wrapped(found[0] if found else "", stream, partial, content.encode())
