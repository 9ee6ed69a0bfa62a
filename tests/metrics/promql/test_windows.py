"""Every window function against the sample-by-sample reference, over blocks of every layout."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.promql import reference
from tests.support import memory_series
from tidegate.metrics.promql import blocks, engine, overtime
from tidegate.model import labels as labels_
from tidegate.model import series

STEPS = (100, 400, 20)

points = st.lists(
    st.one_of(st.just("absent"), st.none(), st.integers(0, 50).map(float), st.sampled_from([0.1, 1e-3, 7.25])),
    min_size=1,
    max_size=45,
)
store = st.lists(st.tuples(st.sampled_from([0, 0, 0, 3, 7]), points), min_size=1, max_size=7)
Samples = dict[labels_.Labels, list[tuple[int, float | None]]]


def _filled(raw: list[tuple[int, list[float | str | None]]]) -> tuple[memory_series.MemorySeries, Samples]:
    made, samples = memory_series.MemorySeries(), {}
    for index, (phase, values) in enumerate(raw):
        labels = labels_.make({"__name__": "m_total", "i": str(index)})
        found = [((k * 10 + phase) * 1000, v) for k, v in enumerate(values) if not isinstance(v, str)]
        samples[labels] = found
        made.add(labels, found)
    return made, samples


def _close(got: float, want: float) -> bool:
    return math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-9)


def _check(matrix: series.Matrix, want: dict[tuple[str, int], float]) -> None:
    got = {
        (labels_.get(each.labels, "i"), int(at)): float(value)
        for each in matrix.series
        for at, value in zip(each.times, each.values, strict=True)
    }
    assert got.keys() == want.keys()
    wrong = {key: (got[key], want[key]) for key in got if not _close(got[key], want[key])}
    assert not wrong


@pytest.fixture(params=["plain", "tables", "own blocks"], autouse=True)
def _layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three ways to evaluate: per step, by shared tables, and with every block used as it is."""
    monkeypatch.setattr(overtime, "_OVERLAP", 0 if request.param == "tables" else 10**9)
    monkeypatch.setattr(blocks, "BIG_BLOCK", 1 if request.param == "own blocks" else 1 << 16)


@pytest.mark.parametrize("name", sorted(reference.FUNCTIONS))
@settings(max_examples=25, deadline=None)
@given(raw=store, span=st.sampled_from([25, 60, 200]))
def test_window_function(name: str, raw: list[tuple[int, list[float | str | None]]], span: int) -> None:
    made, samples = _filled(raw)
    matrix = engine.Engine(made).prepare(f"{name}(m_total[{span}s])").range(*STEPS)
    want = {}
    for labels, each in samples.items():
        for at in range(100_000, 400_001, 20_000):
            start = at - span * 1000
            value = reference.FUNCTIONS[name](reference.window(each, start, at), start, at)
            if value is not None:
                want[labels_.get(labels, "i"), at] = value
    _check(matrix, want)


@settings(max_examples=40, deadline=None)
@given(raw=store)
def test_instant_selector(raw: list[tuple[int, list[float | str | None]]]) -> None:
    made, samples = _filled(raw)
    prepared = engine.Engine(made, lookback=35).prepare("m_total")
    want = {}
    for labels, each in samples.items():
        for at in range(100_000, 400_001, 20_000):
            value = reference.newest(each, at, 35_000)
            if value is not None:
                want[labels_.get(labels, "i"), at] = value
    _check(prepared.range(*STEPS), want)
    for at in range(100, 401, 60):
        vector = prepared.instant(at)
        assert isinstance(vector, series.Vector)
        found = {labels_.get(labels, "i"): value for labels, value in zip(vector.labels, vector.values, strict=True)}
        assert found == {key[0]: value for key, value in want.items() if key[1] == at * 1000}


@settings(max_examples=40, deadline=None)
@given(raw=store, level=st.floats(0, 1))
def test_quantile_over_time(raw: list[tuple[int, list[float | str | None]]], level: float) -> None:
    made, samples = _filled(raw)
    matrix = engine.Engine(made).prepare(f"quantile_over_time({level:.17f}, m_total[1m])").range(*STEPS)
    want = {}
    for labels, each in samples.items():
        for at in range(100_000, 400_001, 20_000):
            value = reference.quantile(reference.window(each, at - 60_000, at), level)
            if value is not None:
                want[labels_.get(labels, "i"), at] = value
    _check(matrix, want)


@settings(max_examples=30, deadline=None)
@given(raw=store)
def test_a_subquery_at_the_samples_times_sees_the_samples(raw: list[tuple[int, list[float | str | None]]]) -> None:
    made, _ = _filled([(0, values) for _, values in raw])
    direct = engine.Engine(made).prepare("sum_over_time(m_total[1m])").range(*STEPS)
    nested = engine.Engine(made, lookback=10).prepare("sum_over_time(m_total[1m:10s])").range(*STEPS)
    assert [each.labels for each in nested.series] == [each.labels for each in direct.series]
    for a, b in zip(direct.series, nested.series, strict=True):
        assert a.times.tolist() == b.times.tolist()
        assert a.values.tolist() == pytest.approx(b.values.tolist())
