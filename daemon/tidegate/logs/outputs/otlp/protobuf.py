"""Log records as `ExportLogsServiceRequest` in protobuf, written without generated code; and what the answer says.

Source: opentelemetry-proto 1.x, `logs/v1/logs.proto` and `collector/logs/v1/logs_service.proto`. Field numbers are theirs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

import tidegate
from tidegate.logs.outputs.otlp import records

TYPE = "application/x-protobuf"
_FIXED = struct.Struct("<Q")
_DOUBLE = struct.Struct("<d")
_SCOPE = b"tidegate"


def encode(groups: Mapping[records.Attributes, list[records.Record]]) -> bytes:
    """The request."""
    seen: dict[tuple[str, str], bytes] = {}
    return b"".join(_part(1, _resource_logs(origin, found, seen)) for origin, found in groups.items())


def partial(body: bytes) -> tuple[int, str]:
    """How many records the receiver refused, and why. Raises `ValueError` for what is no answer."""
    rejected, message = 0, ""
    for number, value in _fields(body):
        if number == 1 and isinstance(value, bytes):
            for inner, content in _fields(value):
                if inner == 1 and isinstance(content, int):
                    rejected = content
                elif inner == 2 and isinstance(content, bytes):
                    message = content.decode("utf-8", "replace")
    return rejected, message


def _resource_logs(
    origin: records.Attributes, found: Iterable[records.Record], seen: dict[tuple[str, str], bytes]
) -> bytes:
    """`seen` has the attributes of texts that this request has brought already: most lines share most of them."""
    scope = _part(1, _part(1, _SCOPE) + _part(2, tidegate.__version__.encode()))
    scoped = scope + b"".join([_part(2, _record(one, seen)) for one in found])
    return _part(1, _attributes(1, origin)) + _part(2, scoped)


def _record(one: records.Record, seen: dict[tuple[str, str], bytes]) -> bytes:
    parts = []
    if one.at:
        parts.append(b"\x09" + _FIXED.pack(one.at))
    if one.severity:
        parts.append(b"\x10" + _varint(one.severity))
    if one.level:
        parts.append(_part(3, one.level.encode()))
    if one.body is not None:
        parts.append(_part(5, _value(one.body)))
    for pair in one.attributes:
        if not isinstance(pair[1], str):
            parts.append(_attributes(6, (pair,)))
            continue
        known = seen.get(pair)
        if known is None:
            known = seen[pair] = _attributes(6, (pair,))
        parts.append(known)
    if one.trace:
        parts.append(_part(9, one.trace))
    if one.span:
        parts.append(_part(10, one.span))
    if one.observed:
        parts.append(b"\x59" + _FIXED.pack(one.observed))
    return b"".join(parts)


def _attributes(number: int, pairs: Iterable[tuple[str, records.Value]]) -> bytes:
    """Each pair as a `KeyValue` in a field of this number."""
    return b"".join([_part(number, _part(1, name.encode()) + _part(2, _value(value))) for name, value in pairs])


def _value(value: records.Value) -> bytes:
    """An `AnyValue`."""
    if isinstance(value, str):
        return _part(1, value.encode())
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        # A number that no int64 holds is kept as text.
        return b"\x18" + _varint(value & (2**64 - 1)) if -(2**63) <= value < 2**63 else _part(1, str(value).encode())
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    return _several(value)


def _several(value: records.Value) -> bytes:
    """An `AnyValue` of a list or a map; an empty one for anything else."""
    if isinstance(value, (list, tuple)):
        return _part(5, b"".join(_part(1, _value(one)) for one in value))
    return _part(6, _attributes(1, value.items())) if isinstance(value, dict) else b""


def _part(number: int, content: bytes) -> bytes:
    """A field that has a length. Numbers are below 16."""
    size = len(content)
    head = bytes((number << 3 | 2, size)) if size < 0x80 else bytes((number << 3 | 2,)) + _varint(size)
    return head + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message. Raises `ValueError`."""
    at = 0
    while at < len(body):
        tag, at = _read(body, at)
        kind = tag & 7
        if kind == 0:
            value, at = _read(body, at)
            yield tag >> 3, value
            continue
        size, at = _read(body, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), at)
        if size < 0 or at + size > len(body):
            raise ValueError("the message is cut short, or no protobuf")
        if kind == 2:
            yield tag >> 3, body[at : at + size]
        at += size


def _read(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(body) or shift > 63:
            raise ValueError("the message is cut short, or no protobuf")
        value |= (body[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if body[at - 1] < 0x80:
            return value, at
