"""OTLP log requests from protobuf, into the shape that OTLP's JSON has. Written by hand: there are seven messages.

Field numbers are those of opentelemetry-proto 1.x, which are stable. Unknown fields are passed over, as protobuf asks.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

DEEPEST = 32
"""Levels of arrays and maps in a value."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Raw: TypeAlias = bytes | int
Read: TypeAlias = Callable[[Raw], Any]


def request(body: bytes) -> dict[str, Any]:
    """An ExportLogsServiceRequest. Raises `ValueError` for bytes that are none."""
    return _message(body, {1: ("resourceLogs", _resource_logs, True)})


def status(message: str) -> bytes:
    """A google.rpc.Status with a message."""
    return _text(2, message)


def partial_success(rejected: int, message: str) -> bytes:
    """An ExportLogsServiceResponse that says how many records were rejected, and why."""
    inner = b"\x08" + _varint_bytes(rejected) + _text(2, message)
    return b"\x0a" + _varint_bytes(len(inner)) + inner


def _text(number: int, text: str) -> bytes:
    raw = text.encode()
    return bytes([number << 3 | _BYTES]) + _varint_bytes(len(raw)) + raw


def _varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# --- reading ----------------------------------------------------------------------------------------------------------


def _fields(data: bytes) -> Iterator[tuple[int, int, Raw]]:
    """(number, wire type, value) of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        value: Raw
        if kind == _VARINT:
            value, at = _varint(data, at)
        elif kind == _BYTES:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif kind in (_FIXED64, _FIXED32):
            width = 8 if kind == _FIXED64 else 4
            value, at = int.from_bytes(data[at : at + width], "little"), at + width
        else:
            raise ValueError(f"wire type {kind} is not in use")
        if at > len(data) or number == 0:
            raise ValueError("the message is cut short, or is no protobuf")
        yield number, kind, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number is cut short")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at


def _message(data: Raw, known: dict[int, tuple[str, Read, bool]]) -> dict[str, Any]:
    """A message by a table of number: (name, reader, repeated)."""
    found: dict[str, Any] = {}
    for number, _, value in _fields(_bytes(data)):
        if number in known:
            name, read, repeated = known[number]
            if repeated:
                found.setdefault(name, []).append(read(value))
            else:
                found[name] = read(value)
    return found


def _bytes(value: Raw) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field has another type than it should")
    return value


def _string(value: Raw) -> str:
    return _bytes(value).decode("utf-8", "replace")


def _int(value: Raw) -> int:
    if isinstance(value, bytes):
        raise ValueError("a field has another type than it should")
    return value


def _hex(value: Raw) -> str:
    return _bytes(value).hex()


def _any(value: Raw, depth: int = 0) -> dict[str, Any]:
    """An AnyValue, in JSON's shape."""
    if depth > DEEPEST:
        raise ValueError(f"a value is nested more than {DEEPEST} levels deep")
    found: dict[str, Any] = {}
    for number, _, part in _fields(_bytes(value)):
        if number == 1:
            found = {"stringValue": _string(part)}
        elif number == 2:
            found = {"boolValue": bool(part)}
        elif number == 3:
            number_ = _int(part)
            found = {"intValue": number_ - (1 << 64) if number_ >> 63 else number_}
        elif number == 4:
            found = {"doubleValue": struct.unpack("<d", _int(part).to_bytes(8, "little"))[0]}
        elif number == 5:
            inner = [_any(each, depth + 1) for name, _, each in _fields(_bytes(part)) if name == 1]
            found = {"arrayValue": {"values": inner}}
        elif number == 6:
            pairs = [_pair(each, depth + 1) for name, _, each in _fields(_bytes(part)) if name == 1]
            found = {"kvlistValue": {"values": pairs}}
        elif number == 7:
            found = {"bytesValue": base64.b64encode(_bytes(part)).decode()}
    return found


def _pair(value: Raw, depth: int = 0) -> dict[str, Any]:
    return _message(value, {1: ("key", _string, False), 2: ("value", lambda part: _any(part, depth), False)})


def _resource_logs(value: Raw) -> dict[str, Any]:
    return _message(value, {1: ("resource", _resource, False), 2: ("scopeLogs", _scope_logs, True)})


def _resource(value: Raw) -> dict[str, Any]:
    return _message(value, {1: ("attributes", _pair, True)})


def _scope_logs(value: Raw) -> dict[str, Any]:
    return _message(value, {1: ("scope", _scope, False), 2: ("logRecords", _record, True)})


def _scope(value: Raw) -> dict[str, Any]:
    return _message(value, {1: ("name", _string, False), 2: ("version", _string, False)})


def _record(value: Raw) -> dict[str, Any]:
    return _message(value, _RECORD)


_RECORD: dict[int, tuple[str, Read, bool]] = {
    1: ("timeUnixNano", _int, False),
    2: ("severityNumber", _int, False),
    3: ("severityText", _string, False),
    5: ("body", _any, False),
    6: ("attributes", _pair, True),
    9: ("traceId", _hex, False),
    10: ("spanId", _hex, False),
    11: ("observedTimeUnixNano", _int, False),
    12: ("eventName", _string, False),
}
