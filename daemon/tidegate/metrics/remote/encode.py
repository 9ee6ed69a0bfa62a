"""Samples as remote-write messages, versions 1.0 and 2.0: snappy blocks with protobuf inside, written by columns.

The bytes of a series are made once; for each sample only value and time are put in, for all series of a message at once.
Which samples are sent, and to whom, is not known here. `wire` reads the same messages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tidegate.metrics import columns
from tidegate.metrics.remote import wire
from tidegate.model import labels as labels_
from tidegate.model import series

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int32]
TIME = 6
"""Bytes of a time from `EARLIEST` to before `LATEST`, in the years 1971 and 2109; no others can be sent."""
EARLIEST, LATEST = 1 << 35, 1 << 42
SAMPLE = 2 + 1 + 8 + 1 + TIME


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """Samples of some series of one table at one time."""

    at_ms: int
    values: series.Values
    prefixes: Sequence[bytes]
    codes: Sequence[Codes]


def message_1(pieces: Iterable[Piece]) -> bytes:
    """A `prometheus.WriteRequest`."""
    return b"".join(_series_1(one) for one in pieces)


def message_2(pieces: Sequence[Piece], pool: columns.StringPool) -> bytes:
    """An `io.prometheus.write.v2.Request`."""
    sizes = np.array([codes.size for one in pieces for codes in one.codes], np.int64)
    everything = np.concatenate([codes for one in pieces for codes in one.codes])
    distinct, places = np.unique(everything, return_inverse=True)
    symbols = b"\x22\x00" + b"".join(_field(0x22, pool.texts[code].encode()) for code in distinct.tolist())
    refs, widths = _varints(places.astype(np.int64) + 1)
    ends = np.cumsum(sizes)
    bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(widths)))[np.concatenate((np.zeros(1, np.int64), ends))]
    raw = refs.tobytes()
    samples = [sample for one in pieces for sample in _samples(one)]
    marks = bounds.tolist()
    return symbols + b"".join(
        _field(0x2A, _field(0x0A, raw[start:end]) + sample)
        for start, end, sample in zip(marks, marks[1:], samples, strict=False)
    )


def metadata_1(found: Iterable[series.Metadata]) -> bytes:
    """A `prometheus.WriteRequest` that says what metrics are."""
    return b"".join(
        _field(
            0x1A,
            b"\x08"
            + varint(wire.TYPES.index(one.type) if one.type in wire.TYPES else 0)
            + _field(0x12, one.name.encode())
            + _field(0x22, one.help.encode())
            + _field(0x2A, one.unit.encode()),
        )
        for one in found
    )


def packed(message: bytes) -> bytes:
    """The message in its snappy block."""
    import cramjam  # noqa: PLC0415 - only those who push need it

    return bytes(cramjam.snappy.compress_raw(message))


def series_1(labels: labels_.Labels) -> bytes:
    """A series of version 1.0 with one sample, value and time being zeros that `message_1` writes over."""
    named = b"".join(_field(0x0A, _field(0x0A, name.encode()) + _field(0x12, text.encode())) for name, text in labels)
    return _field(0x0A, named + _sample(bytes(8), bytes(TIME)))


def varint(value: int) -> bytes:
    """An int64 as protobuf writes it."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _series_1(piece: Piece) -> bytes:
    out = np.frombuffer(bytearray(b"".join(piece.prefixes)), np.uint8)
    ends = np.cumsum(np.fromiter(map(len, piece.prefixes), np.int64, len(piece.prefixes)))
    values = np.ascontiguousarray(piece.values).view(np.uint8).reshape(-1, 8)
    out[(ends - (8 + 1 + TIME))[:, None] + np.arange(8)] = values
    out[(ends - TIME)[:, None] + np.arange(TIME)] = np.frombuffer(varint(piece.at_ms), np.uint8)
    return out.tobytes()


def _samples(piece: Piece) -> list[bytes]:
    raw, at = np.ascontiguousarray(piece.values).tobytes(), varint(piece.at_ms)
    head, between = b"\x12" + varint(SAMPLE - 2) + b"\x09", b"\x10" + at
    return [head + raw[start : start + 8] + between for start in range(0, len(raw), 8)]


def _sample(value: bytes, at: bytes) -> bytes:
    return _field(0x12, b"\x09" + value + b"\x10" + at)


def _field(tag: int, content: bytes) -> bytes:
    size = len(content)
    return (bytes((tag, size)) if size < 0x80 else bytes((tag,)) + varint(size)) + content


def _varints(values: npt.NDArray[np.int64]) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """The bytes of small numbers one after the other, and how many each takes."""
    widths = 1 + (values >= 1 << 7).astype(np.int64) + (values >= 1 << 14) + (values >= 1 << 21)
    starts = np.cumsum(widths) - widths
    out = np.zeros(int(widths.sum()), np.uint8)
    for step in range(int(widths.max(initial=0))):
        long = widths > step
        more = np.where(widths[long] > step + 1, 0x80, 0)
        out[starts[long] + step] = (values[long] >> (7 * step)) & 0x7F | more
    return out, widths
