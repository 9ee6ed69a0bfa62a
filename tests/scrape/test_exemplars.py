"""The ring of exemplars: news only, in order, bounded."""

from __future__ import annotations

from tidegate.model import labels
from tidegate.scrape import exemplars, lines

A, B = labels.make(__name__="a"), labels.make(__name__="b")


def exemplar(trace: str, at_ms: int | None = None) -> lines.Exemplar:
    return lines.Exemplar(labels.make(trace=trace), 1.0, at_ms)


def kept(ring: exemplars.Exemplars, start: int = 0, end: int = 10**6) -> list[tuple[str, str, int]]:
    found = ring.select(lambda _: True, start, end)
    return [
        (labels.get(of, "__name__"), labels.get(one.labels, "trace"), one.at_ms)
        for of, some in found.items()
        for one in some
    ]


def test_an_exemplar_that_stays_is_no_news() -> None:
    ring = exemplars.Exemplars()
    assert [ring.add(A, exemplar("x"), 10), ring.add(A, exemplar("x"), 20), ring.add(A, exemplar("y"), 30)] == [
        "",
        "",
        "",
    ]
    assert ring.add(A, exemplar("y", 30), 40) == ""
    assert kept(ring) == [("a", "x", 10), ("a", "y", 30)]


def test_what_is_old_or_too_long_is_dropped() -> None:
    ring = exemplars.Exemplars()
    ring.add(A, exemplar("x", 10), 0)
    assert ring.add(A, exemplar("y", 9), 0) == "out_of_order"
    assert ring.add(B, exemplar("é" * 123, 9), 0) == ""
    assert ring.add(B, exemplar("é" * 124, 10), 0) == "too_long"
    assert [name for name, _, _ in kept(ring)] == ["a", "b"]


def test_the_oldest_go_and_leave_nothing_behind() -> None:
    ring = exemplars.Exemplars(limit=2)
    for at in range(5):
        ring.add(labels.make(__name__=f"n{at}"), exemplar("x"), at)
    assert kept(ring) == [("n3", "x", 3), ("n4", "x", 4)]
    assert kept(ring, 4, 4) == [("n4", "x", 4)]
    assert len(ring._newest) == 2
