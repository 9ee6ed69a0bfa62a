"""The short way through a message gives what the long way gives, and what we write is what we read."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.remote import pushes
from tidegate.metrics import columns
from tidegate.metrics.remote import encode, quick, wire
from tidegate.model import labels

TEXTS = st.text(min_size=1, max_size=200)
LABELS = st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=20).map(labels.make)
TIMES = st.one_of(st.integers(encode.EARLIEST, encode.LATEST - 1), st.integers(0, 1000), st.integers(-5, -1))
SAMPLES = st.lists(st.tuples(st.floats(allow_nan=False), TIMES), min_size=1, max_size=3)
MESSAGES = st.lists(st.tuples(LABELS, SAMPLES), min_size=1, max_size=5, unique_by=lambda one: one[0])


@given(MESSAGES, st.binary(max_size=30))
def test_series_that_are_known_are_read_as_the_others(message: list, more: bytes) -> None:  # type: ignore[type-arg]
    plain = b"".join(
        pushes.message(dict(of), *samples, more=pushes.field(9, more) if number % 3 == 2 else b"")
        for number, (of, samples) in enumerate(message)
    )
    slow = list(wire.version_1(plain))
    known = {one.key for one in slow}
    assert list(wire.version_1(plain, known)) == slow
    assert [wire.Named1().labels(one.key) for one in slow] == [of for of, _ in message]


@given(MESSAGES, st.booleans())
def test_version_2_names_series_by_their_labels(message: list, told: bool) -> None:  # type: ignore[type-arg]
    request = pushes.request_2(dict(message), (1, "help", "unit") if told else None)
    named, found = wire.version_2(request)
    assert [named.labels(one.key) for one in found] == [of for of, _ in message]
    assert len({named.key(one.key) for one in found}) == len(message)
    assert [[at for at, _ in one.samples] for one in found] == [[at for _, at in samples] for _, samples in message]
    other, again = wire.version_2(pushes.request_2(dict(reversed(message))))
    assert {other.key(one.key) for one in again} == {named.key(one.key) for one in found}
    assert all(bool(one.told) == told for one in found)


@given(st.lists(st.tuples(LABELS, st.floats()), min_size=1, max_size=40, unique_by=lambda one: one[0]))
def test_what_is_written_is_what_is_read(series: list) -> None:  # type: ignore[type-arg]
    at, pool = 1_800_000_000_000, columns.StringPool()
    values = np.array([value for _, value in series])
    sent = [of for of, _ in series]
    codes = [np.array([pool.code(text) for pair in of for text in pair], np.int32) for of in sent]
    group = encode.group([encode.series_1(of) for of in sent], codes)
    half, writer = len(sent) // 2, encode.Writer2(pool)
    pieces = [
        encode.Piece(at, values[start:end], group, start, end)
        for start, end in ((0, half), (half, len(sent)))
        if end > start
    ]
    expected = [[(at, bits)] for bits in values.view(np.int64).tolist()]
    one = list(wire.version_1(encode.message_1(pieces)))
    assert ([each.samples for each in one], [wire.Named1().labels(each.key) for each in one]) == (expected, sent)
    writer.message([dataclasses.replace(one, at_ms=at - 5, values=-one.values) for one in pieces])
    named, two = wire.version_2(writer.message(pieces))
    assert ([each.samples for each in two], [named.labels(each.key) for each in two]) == (expected, sent)


@given(st.lists(st.integers(0, 2**28)))
def test_small_numbers(values: list[int]) -> None:
    assert quick.numbers(b"".join(map(pushes.varint, values))) == values
