"""Samples as remote-write messages, versions 1.0 and 2.0: snappy blocks with protobuf inside, written by columns.

The bytes of a series are made once; for each sample only value and time are put in, for all series of a message at once.
Which samples are sent, and to whom, is not known here. `wire` reads the same messages.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import threading
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
REMEMBERED = 512
"""Messages of version 2.0 whose series are remembered."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some series, ready for values and a time."""

    joined: bytes
    """The series of version 1.0 one after the other, each with a sample of zeros at its end."""
    ends: npt.NDArray[np.int64]
    """Where each ends."""
    codes: Codes
    """Names and values of all in turn, as codes of a pool."""
    counts: npt.NDArray[np.int64]
    """How many codes each has."""

    def __len__(self) -> int:
        return self.ends.size


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """Samples of one time, of the series `start` to `end` of a group."""

    at_ms: int
    values: series.Values
    of: Group
    start: int
    end: int


def group(prefixes: Sequence[bytes], codes: Sequence[Codes]) -> Group:
    """A group from the bytes and the codes of each series."""
    return Group(
        b"".join(prefixes),
        np.cumsum(np.fromiter(map(len, prefixes), np.int64, len(prefixes))),
        np.concatenate(codes) if codes else np.zeros(0, np.int32),
        np.fromiter((one.size for one in codes), np.int64, len(codes)),
    )


def message_1(pieces: Iterable[Piece]) -> bytes:
    """A `prometheus.WriteRequest`."""
    return b"".join(map(_series_1, pieces))


class Writer2:
    """Makes messages of version 2.0, and remembers those of the same series: only values and times change from row to row."""

    def __init__(self, pool: columns.StringPool) -> None:
        self._pool = pool
        self._known: collections.OrderedDict[tuple[object, ...], tuple[bytes, npt.NDArray[np.int64]]]
        self._known = collections.OrderedDict()
        self._lock = threading.Lock()

    def message(self, pieces: Sequence[Piece]) -> bytes:
        """An `io.prometheus.write.v2.Request`."""
        raw, ends = self._empty(pieces)
        out = np.frombuffer(bytearray(raw), np.uint8)
        at = 0
        for one in pieces:
            _put(out, ends[at : at + one.end - one.start], one)
            at += one.end - one.start
        return out.tobytes()

    def _empty(self, pieces: Sequence[Piece]) -> tuple[bytes, npt.NDArray[np.int64]]:
        """A message of these series without values and times, and where each series ends in it."""
        key = tuple((one.of, one.start, one.end) for one in pieces)
        with self._lock:
            found = self._known.pop(key, None)
        if found is None:
            found = _message_2(pieces, self._pool)
        with self._lock:
            self._known[key] = found
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found


def _message_2(pieces: Sequence[Piece], pool: columns.StringPool) -> tuple[bytes, npt.NDArray[np.int64]]:
    counts = np.concatenate([one.of.counts[one.start : one.end] for one in pieces])
    distinct, places = np.unique(np.concatenate([_codes(one) for one in pieces]), return_inverse=True)
    symbols = b"\x22\x00" + b"".join(_field(0x22, pool.texts[code].encode()) for code in distinct.tolist())
    refs, widths = _varints(places.astype(np.int64) + 1)
    marks = np.append(0, np.cumsum(widths))[np.append(0, np.cumsum(counts))].tolist()
    raw, empty = refs.tobytes(), _sample(bytes(8), bytes(TIME))
    found = [_field(0x2A, _field(0x0A, raw[start:end]) + empty) for start, end in itertools.pairwise(marks)]
    sizes = np.fromiter(map(len, found), np.int64, len(found))
    return symbols + b"".join(found), len(symbols) + np.cumsum(sizes)


def _codes(piece: Piece) -> Codes:
    bounds = np.append(0, np.cumsum(piece.of.counts))
    return piece.of.codes[bounds[piece.start] : bounds[piece.end]]


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
    of = piece.of
    first = int(of.ends[piece.start - 1]) if piece.start else 0
    ends = of.ends[piece.start : piece.end]
    out = np.frombuffer(bytearray(of.joined[first : int(ends[-1])]), np.uint8)
    _put(out, ends - first, piece)
    return out.tobytes()


def _put(out: Bytes, ends: npt.NDArray[np.int64], piece: Piece) -> None:
    """Values and time into series that end at these places."""
    out[(ends - (8 + 1 + TIME))[:, None] + np.arange(8)] = (
        np.ascontiguousarray(piece.values).view(np.uint8).reshape(-1, 8)
    )
    out[(ends - TIME)[:, None] + np.arange(TIME)] = np.frombuffer(varint(piece.at_ms), np.uint8)


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
