"""Remote-write messages written by hand, byte by byte, to be read by what is tested."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import cramjam

from tidegate.model import labels as labels_


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = b""
    while value > 0x7F:
        out += bytes(((value & 0x7F) | 0x80,))
        value >>= 7
    return out + bytes((value,))


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def sample(value: float, at: int) -> bytes:
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at))


def message(of: Mapping[str, str], *values: tuple[float, int], more: bytes = b"") -> bytes:
    """A series of version 1.0."""
    named = b"".join(field(1, field(1, name.encode()) + field(2, text.encode())) for name, text in sorted(of.items()))
    return field(1, named + b"".join(sample(value, at) for value, at in values) + more)


def request_2(
    series: Mapping[labels_.Labels, Sequence[tuple[float, int]]], told: tuple[int, str, str] | None = None
) -> bytes:
    """A whole request of version 2.0; `told` is the type, help and unit of all its series."""
    symbols = [""]
    body = b""

    def ref(text: str) -> bytes:
        if text not in symbols:
            symbols.append(text)
        return varint(symbols.index(text))

    for name, values in series.items():
        refs = field(1, b"".join(ref(text) for pair in name for text in pair))
        meta = b""
        if told:
            meta = field(5, b"\x08" + varint(told[0]) + b"\x18" + ref(told[1]) + b"\x20" + ref(told[2]))
        body += field(5, refs + b"".join(sample(value, at) for value, at in values) + meta)
    return b"".join(field(4, text.encode()) for text in symbols) + body


def packed(*messages: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(b"".join(messages)))


def text(metric: Mapping[str, str]) -> str:
    """A series of a query's answer, as a label set is printed."""
    return labels_.text(labels_.make(metric))
