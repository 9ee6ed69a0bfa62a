"""The Kubernetes runtimes' format (containerd, CRI-O): `<RFC 3339 time> <stdout|stderr> <P|F>[:tags] <content>`.

`P` marks a part of a line that the runtime cut (usually at 16 KiB); the parts up to the next `F` of the same stream are
one line.
"""

from __future__ import annotations

from tidegate.logs import times
from tidegate.logs.formats import base

_STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}
_SHORTEST_TIME = 20


def split(raw: bytes) -> base.Wrapped | None:
    """The line's parts, or None when it is not CRI."""
    parts = raw.split(b" ", 3)
    if len(parts) < 3:
        return None
    stream = _STREAMS.get(parts[1])
    flag = parts[2][:1]
    if stream is None or flag not in (b"F", b"P") or parts[2][1:2] not in (b"", b":"):
        return None
    if len(parts[0]) < _SHORTEST_TIME or not parts[0][:1].isdigit():
        return None
    time = times.iso(parts[0].decode("ascii", "replace"))
    if time is None:
        return None
    return base.Wrapped(time[0], stream, flag == b"P", parts[3] if len(parts) == 4 else b"")
