"""Prometheus' remote-write messages, versions 1.0 and 2.0: snappy blocks with protobuf inside, read without generated code.

A series is known by the bytes of its labels, so that a sender's series are decoded once; samples are numbers from the start.
Sources: https://prometheus.io/docs/specs/prw/remote_write_spec/ and remote_write_spec_2_0/. Where samples go is not known here.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Container, Iterator, Sequence
from typing import Protocol

from tidegate.metrics.remote import quick
from tidegate.model import labels as labels_
from tidegate.model import problems
from tidegate.model import series as series_

LARGEST = 64 * 1024 * 1024
"""Bytes of one message after decompression."""
_FIXED = struct.Struct("<q")
_VARINT, _I64, _BYTES, _I32 = 0, 1, 2, 5
_LONG = 0x80
_LABELS_1, _SAMPLES, _EXEMPLARS_1, _HISTOGRAMS_1 = 1, 2, 3, 4
_SERIES_1, _METADATA_1 = 1, 3
_SYMBOLS_2, _SERIES_2 = 4, 5
_REFS_2, _HISTOGRAMS_2, _EXEMPLARS_2, _METADATA_2 = 1, 3, 4, 5
TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
"""Of metrics, by their numbers."""
_PARTS_OF = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


@dataclasses.dataclass(frozen=True, slots=True)
class Incoming:
    """One series of a message."""

    key: bytes
    """Names the series: the bytes of its labels, or of its label references (which mean something in this message only)."""
    samples: list[tuple[int, int]]
    """(milliseconds, bits of the value)."""
    histograms: int
    exemplars: int
    told: bytes = b""
    """What version 2.0 says of its metric; see `Named2.metadata`."""


def unpacked(body: bytes) -> bytes:
    """A message out of its snappy block. Raises `PermanentError` (reason `snappy`, `size`)."""
    import cramjam  # noqa: PLC0415 - only those who push need it

    try:
        size, _ = _varint(body, 0)
        if size > LARGEST:
            raise _refused(f"the message is larger than {LARGEST} bytes", "size")
        return bytes(cramjam.snappy.decompress_raw(body))
    except (cramjam.DecompressionError, IndexError) as error:
        raise _refused(f"not a snappy block: {error}", "snappy") from None


def version_1(message: bytes, known: Container[bytes] = frozenset()) -> Iterator[Incoming]:
    """The series of a `prometheus.WriteRequest`; `known` has keys that were given before and are whole label sets.

    Raises `PermanentError` (reason `protobuf`).
    """
    samples, size = quick.Samples(), quick.size()
    for field, start, end in _parts(message, 0, len(message)):
        if field != _SERIES_1:
            continue
        # Behind a key that is known to end with a label comes a new field.
        if end - start > size and (key := message[start : end - size]) in known:
            sample = samples.read(message, end - size)
            if sample is not None:
                yield Incoming(key, [sample], 0, 0)
                continue
        yield _series(message, start, end, _LABELS_1, _HISTOGRAMS_1, _EXEMPLARS_1)


def metadata_1(message: bytes) -> Iterator[series_.Metadata]:
    """What a `prometheus.WriteRequest` says of metrics."""
    for field, start, end in _parts(message, 0, len(message)):
        if field == _METADATA_1:
            found = _fields(message, start, end)
            name, help_, unit = (
                _text(one) if isinstance(one := found.get(each, b""), bytes) else "" for each in (2, 4, 5)
            )
            if name:
                yield series_.Metadata(name, _type(found), help_, unit)


def version_2(message: bytes) -> tuple[Named2, list[Incoming]]:
    """The symbols and the series of an `io.prometheus.write.v2.Request`. Raises `PermanentError` (reason `protobuf`)."""
    symbols: list[bytes] = []
    series, samples = [], quick.Samples()
    for field, start, end in _parts(message, 0, len(message)):
        if field == _SYMBOLS_2:
            symbols.append(message[start:end])
        elif field == _SERIES_2:
            series.append(_series_2(message, start, end, samples))
    if symbols[:1] not in ([], [b""]):
        raise _refused("the first symbol should be empty", "protobuf")
    return Named2(symbols), series


class Named(Protocol):
    """How the series of one message are named."""

    def key(self, raw: bytes) -> bytes:
        """Bytes that name the series in every message of this version."""

    def labels(self, raw: bytes) -> labels_.Labels:
        """Its label set."""


class Named1:
    """Version 1.0: by their labels."""

    def key(self, raw: bytes) -> bytes:
        """See `Named`."""
        return raw

    def labels(self, raw: bytes) -> labels_.Labels:
        """See `Named`."""
        return labels_1(raw)


class Named2:
    """Version 2.0: by references to the symbols of the message."""

    def __init__(self, symbols: list[bytes]) -> None:
        self._symbols = symbols
        # With their sizes, so that no two lists of symbols give the same bytes.
        self._sized = [len(one).to_bytes(4, "little") + one for one in symbols]

    def key(self, raw: bytes) -> bytes:
        """See `Named`."""
        sized = self._sized
        try:
            return b"".join([sized[ref] for ref in _refs(raw)])
        except IndexError:
            raise _refused("label references without symbols", "protobuf") from None

    def labels(self, raw: bytes) -> labels_.Labels:
        """See `Named`."""
        refs = [*_refs(raw)]
        if len(refs) % 2:
            raise _refused("label references that are no pairs", "protobuf")
        pairs: dict[str, str] = {}
        for name, value in zip(refs[::2], refs[1::2], strict=True):
            _put(pairs, _text(self._symbols[name]), _text(self._symbols[value]))
        return labels_.make(pairs)

    def metadata(self, of: labels_.Labels, told: bytes) -> series_.Metadata:
        """What a message says of the metric of a series. Raises `PermanentError` (reason `protobuf`)."""
        found = _fields(told, 0, len(told))
        kind, name = _type(found), labels_.get(of, labels_.NAME)
        refs = [found.get(number, 0) for number in (3, 4)]
        if any(not isinstance(ref, int) or ref >= len(self._symbols) for ref in refs):
            raise _refused("metadata without symbols", "protobuf")
        for ending in _PARTS_OF.get(kind, ()):
            name = name.removesuffix(ending)
        return series_.Metadata(name, kind, *(_text(self._symbols[int(ref)]) if ref else "" for ref in refs))


def labels_1(key: bytes) -> labels_.Labels:
    """The label set behind a key of version 1."""
    pairs: dict[str, str] = {}
    for _, start, end in _parts(key, 0, len(key)):
        texts = {field: _text(key[a:b]) for field, a, b in _parts(key, start, end)}
        _put(pairs, texts.get(1, ""), texts.get(2, ""))
    return labels_.make(pairs)


def _refs(raw: bytes) -> Sequence[int]:
    """The numbers in a field of packed numbers, or in several."""
    if len(raw) - 2 == raw[1] < _LONG and raw[-1] < _LONG:
        return quick.numbers(raw[2:])
    refs, at = [], 0
    for _, start, end in _parts(raw, 0, len(raw)):
        at = start
        while at < end:
            ref, at = _varint(raw, at)
            refs.append(ref)
    return refs


def _put(pairs: dict[str, str], name: str, value: str) -> None:
    if not name or name in pairs:
        raise _refused(f"the label {name!r} is empty or stands twice", "labels")
    if value:
        pairs[name] = value


def _series_2(message: bytes, start: int, end: int, samples: quick.Samples) -> Incoming:
    found = quick.rest_2(message, start, end)
    sample = samples.read(message, found[0]) if found else None
    if found is None or sample is None:
        return _series(message, start, end, _REFS_2, _HISTOGRAMS_2, _EXEMPLARS_2)
    return Incoming(message[start : found[0]], [sample], 0, 0, message[found[1] : end])


def _series(message: bytes, start: int, end: int, key: int, histograms: int, exemplars: int) -> Incoming:
    samples: list[tuple[int, int]] = []
    first, last, native, traced, told = -1, start, 0, 0, b""
    at = start
    while at < end:
        begin = at
        field, at, stop = _field(message, at, end)
        if field == key:
            first, last = (begin if first < 0 else first), stop
        elif field == _SAMPLES:
            samples.append(_sample(message, at, stop))
        native += field == histograms
        traced += field == exemplars
        if field == _METADATA_2:
            told = message[at:stop]
        at = stop
    if first < 0:
        raise _refused("a series without labels", "protobuf")
    return Incoming(message[first:last], samples, native, traced, told)


def _fields(message: bytes, at: int, end: int) -> dict[int, int | bytes]:
    """The fields of a small message: numbers, and what has a length as bytes."""
    found: dict[int, int | bytes] = {}
    while at < end:
        kind = message[at] & 7
        field, at, stop = _field(message, at, end)
        found[field] = _varint(message, at)[0] if kind == _VARINT else message[at:stop]
        at = stop
    return found


def _type(found: dict[int, int | bytes]) -> str:
    number = found.get(1, 0)
    return TYPES[number] if isinstance(number, int) and number < len(TYPES) else TYPES[0]


def _sample(message: bytes, at: int, end: int) -> tuple[int, int]:
    """(milliseconds, bits of the value). Fields that are zero are not sent."""
    value = time = 0
    while at < end:
        tag, at = message[at], at + 1
        if tag == 0x09:
            if at + 8 > end:
                raise _refused("a sample that is cut short", "protobuf")
            (value,) = _FIXED.unpack_from(message, at)
            at += 8
        elif tag == 0x10:
            time, at = _varint(message, at)
        else:
            _, _, at = _field(message, at - 1, end)
    return time - 2**64 if time >= 2**63 else time, value


def _parts(message: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field, start, end) of each part that has a length."""
    while at < end:
        field, at, stop = _field(message, at, end)
        yield field, at, stop
        at = stop


def _field(message: bytes, at: int, end: int) -> tuple[int, int, int]:
    """One field: its number, and where its content begins and ends."""
    try:
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(message, at)
            stop = at + size
        elif kind == _VARINT:
            _, stop = _varint(message, at)
        elif kind in (_I64, _I32):
            stop = at + (8 if kind == _I64 else 4)
        else:
            raise _refused(f"a field of the unknown kind {kind}", "protobuf")
    except IndexError:
        raise _refused("the message is cut short", "protobuf") from None
    if stop > end:
        raise _refused("the message is cut short", "protobuf")
    return tag >> 3, at, stop


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = message[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    shift = 7
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise _refused("a number of more than 64 bits", "protobuf")


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("a label that is not UTF-8", "labels") from None


def _refused(message: str, reason: str) -> problems.PermanentError:
    return problems.PermanentError(message, reason=reason)
