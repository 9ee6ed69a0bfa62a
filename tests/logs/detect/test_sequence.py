"""Sequences: any interleaving of lines of several files finds what the lines in order of time hold, once."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis
import orjson
from hypothesis import strategies as st

from tidegate.logs.detect import book, sequence
from tidegate.model import labels, rules

WITHIN = 20.0


def rule(steps: tuple[str, ...], without: str, limit: int = 1000) -> rules.LogDetector:
    texts = tuple(f"labels.what:{step}" for step in steps)
    return rules.LogDetector(
        "log_rule:S",
        "sequence",
        "",
        (("user", "user.name"),),
        steps=texts,
        without=f"labels.what:{without}" if without else "",
        within=WITHIN,
        forget=1e9,
        limit=limit,
    )


def line(at: float, what: str, user: str) -> dict[str, Any]:
    return {
        "@timestamp": f"1970-01-01T00:{int(at) // 60:02}:{at % 60:06.3f}Z",
        "labels": {"what": what},
        "user.name": user,
    }


def found(one: book.Book, read_to: float) -> dict[str, float]:
    (detector,) = one.detectors
    detector.settle(read_to)
    return {labels.get(name, "user"): value for name, value in detector.series(read_to)}


EVENT = st.tuples(st.integers(0, 59), st.sampled_from("abn"), st.sampled_from(["ann", "bob"]))


def naive(events: list[tuple[int, str, str]], *, absence: bool) -> set[str]:
    """Users for whom there is an a, then (no) b within the time, and no n in between."""
    hits = set()
    for (start, first, user), rest in ((event, events[place + 1 :]) for place, event in enumerate(events)):
        if first != "a":
            continue
        after = [(at, what) for at, what, who in rest if who == user and at - start <= WITHIN]
        if absence:
            hits |= {user} if not any(what == "b" for _, what in after) else set()
            continue
        before = list(itertools.takewhile(lambda one: one[1] != "b", after))
        if len(before) < len(after) and not any(what == "n" for _, what in before):
            hits.add(user)
    return hits


@hypothesis.given(st.lists(EVENT, max_size=14, unique_by=lambda event: event[0]), st.data())
def test_a_then_b_without_n(events: list[tuple[int, str, str]], data: st.DataObject) -> None:
    one = book.Book([rule(("a", "b"), "n")], now=lambda: 0.0)
    for at, what, user in data.draw(st.permutations(events)):
        one.see(line(at, what, user), 60.0)
    assert set(found(one, 200.0)) == naive(sorted(events), absence=False)


@hypothesis.given(st.lists(EVENT, max_size=14, unique_by=lambda event: event[0]), st.data())
def test_a_that_no_b_follows(events: list[tuple[int, str, str]], data: st.DataObject) -> None:
    """Only the first a of those that wait counts: one that is followed takes the later ones with it, so none is told twice."""
    one = book.Book([rule(("a",), "b")], now=lambda: 0.0)
    for at, what, user in data.draw(st.permutations(events)):
        one.see(line(at, what, user), 60.0)
    hits = set(found(one, 200.0))
    assert hits == naive(sorted(events), absence=True)


@hypothesis.given(st.lists(EVENT, max_size=14, unique_by=lambda event: event[0]))
def test_lines_read_again_after_a_crash_find_nothing_new(events: list[tuple[int, str, str]]) -> None:
    clock = [100.0]
    first = book.Book([rule(("a", "b"), "n")], now=lambda: clock[0])
    for event in sorted(events):
        first.see(line(*event), 100.0)
    before = found(first, 150.0)
    state = orjson.loads(orjson.dumps(first.states(150.0)))
    clock[0] = 500.0
    second = book.Book([rule(("a", "b"), "n")], now=lambda: clock[0], states=state)
    assert found(second, 500.0) == before
    for event in sorted(events):
        second.see(line(*event), 500.0)
    assert found(second, 600.0) == before


def test_the_oldest_makes_room_and_is_counted() -> None:
    one = book.Book([rule(("a", "b"), "", limit=2)], now=lambda: 0.0)
    for at, user in enumerate(("x", "y", "z")):
        one.see(line(at, "a", user), 60.0)
    for at, user in enumerate(("x", "y", "z")):
        one.see(line(5 + at, "b", user), 60.0)
    assert set(found(one, 100.0)) == {"y", "z"}
    assert one.detectors[0].dropped == 1


def test_a_line_waits_for_earlier_ones_of_other_files() -> None:
    one = book.Book([rule(("a", "b"), "")], now=lambda: 0.0)
    one.see(line(12, "b", "ann"), 12.0)
    assert found(one, 12.0 + sequence.SLACK - 1) == {}
    one.see(line(10, "a", "ann"), 16.0)
    assert set(found(one, 30.0)) == {"ann"}


def test_more_lines_than_may_wait_are_taken_at_once() -> None:
    one = book.Book([rule(("a", "b"), "")], now=lambda: 0.0)
    for number in range(sequence.MOST_WAITING // 2):
        one.see(line(1, "a", f"u{number % 10}"), 60.0)
        one.see(line(2, "b", f"u{number % 10}"), 60.0)
    (detector,) = one.detectors
    assert len({labels.get(name, "user") for name, _ in detector.series(0.0)}) == 10
