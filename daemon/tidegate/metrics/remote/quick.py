"""The shape that nearly all series of a remote-write message have: labels, then one sample of sixteen bytes, then nothing.

Only that shape is read here, in a few comparisons; whatever else a series may be is left to `wire`, which reads everything.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_SAMPLE = struct.Struct("<3sqB6s")
"""The tags and length before the value, the value, the tag of the time, and the time."""
_HEAD, _TIME, _METADATA, _REFS = b"\x12\x10\x09", 0x10, 0x2A, 0x0A
_LONG = 0x80


class Samples:
    """Reads samples of one message, most of which have the same time."""

    def __init__(self) -> None:
        self._times: dict[bytes, int] = {}

    def read(self, message: bytes, at: int) -> tuple[int, int] | None:
        """(milliseconds, bits of the value) of a sample in the usual form; None for another."""
        head, value, tag, raw = _SAMPLE.unpack_from(message, at)
        if head != _HEAD or tag != _TIME:
            return None
        time = self._times.get(raw)
        if time is None:
            time = _time(raw)
            if time >= 0:
                self._times[raw] = time
        return (time, value) if time >= 0 else None


def rest_2(message: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the sample of a series of version 2.0 begins, and where its metadata does (`end` without any).

    None for a series that is not references, a sample and perhaps metadata.
    """
    if end - start < 2 + _SAMPLE.size or message[start] != _REFS or message[start + 1] >= _LONG:
        return None
    sample = start + 2 + message[start + 1]
    told = sample + _SAMPLE.size
    if told == end:
        return sample, end
    if told + 2 <= end and message[told] == _METADATA and told + 2 + message[told + 1] == end:
        return sample, told + 2
    return None


def size() -> int:
    """Bytes of a sample in the usual form."""
    return _SAMPLE.size


def numbers(raw: Sequence[int]) -> list[int]:
    """Packed small numbers. The last one may be cut short, then it is left out."""
    found, value, shift = [], 0, 0
    for byte in raw:
        if byte < _LONG:
            found.append(value | byte << shift)
            value = shift = 0
        else:
            value |= (byte & 0x7F) << shift
            shift += 7
    return found


def _time(raw: bytes) -> int:
    """The time, or -1 when these bytes are not exactly one number."""
    found = numbers(raw)
    return found[0] if len(found) == 1 and raw[-1] < _LONG else -1
