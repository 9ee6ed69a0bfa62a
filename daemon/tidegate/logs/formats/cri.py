"""The Kubernetes runtimes' format (containerd, CRI-O): `<RFC 3339 time> <stdout|stderr> <P|F>[:tags] <content>`.

`P` marks a part of a line that the runtime cut (usually at 16 KiB); the parts up to the next `F` of the same stream are
one line.
"""

from __future__ import annotations

import re
from typing import Final

from tidegate.logs.formats import base, times

_STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}
_SHORTEST_TIME = 20
UTC_TIME: Final = (
    rb"(?!0000)\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z"
)
"""A time that goes through as it is; see `times.iso`."""
_USUAL = re.compile(rb"(" + UTC_TIME + rb") (stdout|stderr) ([FP])(?::[^ ]*)? ")
"""A line with a time in UTC, as all runtimes write it that run in UTC."""


def split(raw: bytes) -> base.Wrapped | None:
    """The line's parts, or None when it is not CRI."""
    if usual := _USUAL.match(raw):
        time, stream, flag = usual.groups()
        return base.Wrapped(time.decode(), _STREAMS[stream], flag == b"P", raw[usual.end() :])
    return _unusual(raw)


def _unusual(raw: bytes) -> base.Wrapped | None:
    """A line with a time in another zone, or without content."""
    parts = raw.split(b" ", 3)
    if len(parts) < 3:
        return None
    name = _STREAMS.get(parts[1])
    flag = parts[2][:1]
    if name is None or flag not in (b"F", b"P") or parts[2][1:2] not in (b"", b":"):
        return None
    if len(parts[0]) < _SHORTEST_TIME or not parts[0][:1].isdigit():
        return None
    found = times.iso(parts[0].decode("ascii", "replace"))
    if found is None:
        return None
    return base.Wrapped(found[0], name, flag == b"P", parts[3] if len(parts) == 4 else b"")
