"""Syslog messages out of streams, whatever the pieces they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.logs.inputs import framing

LINE = st.binary(min_size=1, max_size=60).filter(lambda raw: raw.strip() == raw and not {10, 0} & set(raw))
MESSAGES = st.lists(
    st.tuples(st.just("counted"), st.binary(min_size=1, max_size=60))
    | st.tuples(st.just("line"), LINE.map(lambda raw: b"<13>" + raw))
)


def encoded(kind: str, raw: bytes) -> bytes:
    return b"%d " % len(raw) + raw if kind == "counted" else raw + b"\n"


@given(MESSAGES, st.data())
def test_every_message_once_however_it_is_cut_up(messages: list[tuple[str, bytes]], data: st.DataObject) -> None:
    stream = b"".join(encoded(kind, raw) for kind, raw in messages)
    frames, found, at = framing.Frames(1000), [], 0
    while at < len(stream):
        step = data.draw(st.integers(1, 20))
        found += frames.feed(stream[at : at + step])
        at += step
    assert found == [(raw, False) for _, raw in messages]
    assert not frames.unfinished


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 7))
def test_too_long_messages_are_cut_and_the_next_one_is_whole(first: int, second: int, step: int) -> None:
    long_line, long_counted = b"<1>" + b"a" * (10 + first), b"b" * (10 + second)
    stream = long_line + b"\n" + b"%d " % len(long_counted) + long_counted + b"<2>ok\n3 abc"
    frames, found = framing.Frames(10), []
    for at in range(0, len(stream), step):
        found += frames.feed(stream[at : at + step])
    assert found == [(long_line[:10], True), (long_counted[:10], True), (b"<2>ok", False), (b"abc", False)]


def test_a_line_that_begins_with_digits_is_no_count() -> None:
    assert framing.Frames(100).feed(b"2026-01-02 text\n12a text\n") == [
        (b"2026-01-02 text", False),
        (b"12a text", False),
    ]


def test_nul_ends_a_message() -> None:
    assert framing.Frames(100).feed(b"<14>one\0<14>two\0") == [(b"<14>one", False), (b"<14>two", False)]


def test_a_count_out_of_reason() -> None:
    with pytest.raises(framing.FramingError):
        framing.Frames(100).feed(b"99999999 <14>x")
    assert framing.Frames(100).feed(b"20260102030405 is a time\n") == [(b"20260102030405 is a time", False)]


def test_the_end() -> None:
    frames = framing.Frames(100)
    assert frames.feed(b"<14>no newline") == []
    assert frames.end() == [(b"<14>no newline", False)]
    frames = framing.Frames(100)
    assert frames.feed(b"20 <14>half") == []
    assert frames.end() == []
    assert frames.unfinished
