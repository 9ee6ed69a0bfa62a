"""A query that would cost too much is refused, before the memory is asked for and not long after its time is over."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest

from tests.support import memory_series
from tidegate.metrics.promql import engine
from tidegate.model import problems
from tidegate.model import series as series_

MEGABYTE = 1 << 20


def _store(series: int = 4, samples: int = 200) -> memory_series.MemorySeries:
    store = memory_series.MemorySeries()
    for number in range(series):
        store.load(f"x|n={number}", list(range(samples)))
    return store


@pytest.mark.parametrize(
    "expr",
    [
        "sum_over_time(vector(1)[10y:1ms])",
        "max_over_time((x > 3)[10y:1ms])",
        "vector(1)[10y:1ms]",
        "rate((x + x)[5y:1ms] offset 1y)",
        "count_over_time(count_over_time(x[5m])[10y:1ms])",
    ],
)
def test_a_subquery_with_too_many_steps_takes_no_memory(expr: str) -> None:
    prepared = engine.Engine(_store()).prepare(expr)
    tracemalloc.start()
    try:
        with pytest.raises(problems.QueryError, match="too many samples into memory in query execution") as caught:
            prepared.instant(1000)
        assert caught.value.kind == "execution"
        assert tracemalloc.get_traced_memory()[1] < 4 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_joins_count_their_pairs() -> None:
    limited = engine.Engine(_store(series=40, samples=2), sample_limit=500)
    joined = limited.prepare("x * on (n) group_left () x").instant(15)
    assert isinstance(joined, series_.Vector)
    assert len(joined.labels) == 40
    with pytest.raises(problems.QueryError, match="too many samples"):
        limited.prepare("x").range(0, 300, 1)


@pytest.mark.parametrize(
    "function",
    ["quantile_over_time(0.5, x[20m])", "deriv(x[20m])", "stddev_over_time(x[20m])", "mad_over_time(x[20m])"],
)
def test_time_is_looked_at_inside_one_function(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.metrics.promql.stacks.CELLS", 100)
    ticks = itertools.count()
    prepared = engine.Engine(_store(), timeout=30, timer=lambda: next(ticks), experimental=True).prepare(function)
    with pytest.raises(problems.QueryError, match="query timed out in expression evaluation") as caught:
        prepared.range(1000, 3000, 10)
    assert caught.value.kind == "timeout"
    assert next(ticks) < 40  # it went on for not much longer


def test_labels_do_not_grow_without_end() -> None:
    expr = "x"
    for _ in range(40):
        expr = f'label_replace({expr}, "n", "$1$1", "n", "(.*)")'
    with pytest.raises(problems.QueryError, match="a label value of more than 1048576 characters was made"):
        engine.Engine(_store()).prepare(expr).instant(1000)
    expr = 'label_replace(x, "n", "ab", "", "")'
    for _ in range(40):
        expr = f'label_join({expr}, "n", "-", "n", "n")'
    with pytest.raises(problems.QueryError, match="a label value of more than 1048576 characters was made"):
        engine.Engine(_store(series=1)).prepare(expr).instant(1000)


@pytest.mark.parametrize("text", ["(" * 20_000 + "x" + ")" * 20_000, "-" * 20_000 + "x", "x + " * 20_000 + "x"])
def test_deep_expressions_are_refused_not_fatal(text: str) -> None:
    with pytest.raises(problems.QueryError, match="expressions inside one another"):
        engine.Engine(_store()).prepare(text)


def test_a_chain_of_two_hundred_is_none() -> None:
    found = engine.Engine(_store()).prepare(" + ".join(["x"] * 200)).instant(15)
    assert isinstance(found, series_.Vector)
    assert found.values.tolist() == [200.0] * 4


def test_a_callers_timeout_ends_the_evaluation_itself() -> None:
    ticks = itertools.count()
    slow = engine.Engine(_store(), timeout=1e6, timer=lambda: float(next(ticks)))
    assert slow.with_times().prepare("m + m").instant(100.0)
    with pytest.raises(problems.QueryError, match=r"timed out in expression evaluation \(after 1 s\)") as caught:
        slow.with_times(timeout=1.0).prepare("m + m + m + m").instant(100.0)
    assert caught.value.kind == "timeout"
