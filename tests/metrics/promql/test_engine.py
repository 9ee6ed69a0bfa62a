"""What a prepared query says of itself, how it runs, and how it refuses."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence

import numpy as np
import pytest

from tests.support import memory_series
from tidegate.metrics import columns
from tidegate.metrics.promql import engine
from tidegate.model import alerts, ports, problems, series
from tidegate.model import labels as labels_


def _store() -> memory_series.MemorySeries:
    store = memory_series.MemorySeries()
    store.load("hits_total|job=a,instance=1", [0, 10, 20, 30, 40, 5, 15, 25])
    store.load("hits_total|job=a,instance=2", [0, 1, 2, None, 4, 5, 6, 7])
    store.load("hits_total|job=b,instance=1", [0, 1, 2, 3, 4, 5, 6, 7])
    store.load("owner|job=a,team=red", [1] * 8)
    store.load("owner|job=b,team=blue", [1] * 8)
    return store


def _ask(expr: str, at: float = 105, store: memory_series.MemorySeries | None = None) -> dict[str, float]:
    result = engine.Engine(store or _store()).prepare(expr).instant(at)
    assert isinstance(result, series.Vector)
    return {labels_.text(labels): float(value) for labels, value in zip(result.labels, result.values, strict=True)}


def test_it_is_what_the_other_stages_expect() -> None:
    made: ports.QueryEngine = engine.Engine(_store())
    query: ports.Query = made.prepare("1 + 1")
    assert query.instant(5) == series.Scalar(2.0, 5000)


@pytest.mark.parametrize(
    ("expr", "names", "lookback"),
    [
        ("up", {"up"}, 300),
        ("rate(a_total[5m]) / b offset 10m", {"a_total", "b"}, 900),
        ("max_over_time(rate(a_total[5m])[1h:1m])", {"a_total"}, 3900),
        ('{__name__=~"a.*"} + {"x y"}', {"x y"}, 300),
        ("vector(time())", set(), 0),
        ("a offset -10m", {"a"}, 0),
    ],
)
def test_names_and_lookback(expr: str, names: set[str], lookback: float) -> None:
    prepared = engine.Engine(_store()).prepare(expr)
    assert prepared.expr == expr
    assert prepared.names == names
    assert prepared.lookback == lookback


@pytest.mark.parametrize(
    ("expr", "threshold", "lower"),
    [
        ("up == 0", "== 0", False),
        ("(free / size) < 0.05", "< 0.05", True),
        ("0.9 > ratio", "< 0.9", True),
        ("sum(rate(x_total[5m])) > 5 and on() y < 3", "> 5", False),
        ("a <= b", "", True),
        ("sum(x > 3)", "", False),
        ("-1 <= x", ">= -1", False),
    ],
)
def test_the_outermost_comparison(expr: str, threshold: str, lower: bool) -> None:
    prepared = engine.Engine(_store()).prepare(expr)
    assert (prepared.threshold, prepared.lower_is_worse) == (threshold, lower)


def test_rates_by_group() -> None:
    assert _ask("sum by (job) (increase(hits_total[1m]))") == {
        '{job="a"}': pytest.approx(_increase_of_a()),
        '{job="b"}': pytest.approx(4.0),
    }


def _increase_of_a() -> float:
    """(45 s .. 105 s]: 40, 5, 15, 25 with one reset, and 4, 5, 6, 7; both 45 s of samples seen from 60 s."""
    return (25 - 40 + 40) * 60 / 45 + (7 - 4) * 60 / 45


def test_join_with_labels_of_the_one_side() -> None:
    assert _ask("sum by (job, instance) (hits_total) * on (job) group_left (team) owner") == {
        '{instance="1", job="a", team="red"}': 25,
        '{instance="2", job="a", team="red"}': 7,
        '{instance="1", job="b", team="blue"}': 7,
    }


def test_generated_label_values_join_with_stored_ones() -> None:
    joined = _ask('label_replace(vector(2), "team", "re$1", "", "()") * on (team) group_right owner')
    assert joined == {}
    joined = _ask('label_replace(vector(2), "team", "red", "", "") * on (team) group_right owner')
    assert joined == {'{job="a", team="red"}': 2}


def test_ad_hoc_queries_do_not_grow_the_pool() -> None:
    store = _store()
    _ask("hits_total", store=store)
    before = list(store.pool.texts)
    assert _ask('count_values("value", hits_total + 0.125)', store=store) == {
        '{value="25.125"}': 1,
        '{value="7.125"}': 2,
    }
    assert store.pool.texts == before


def test_the_order_of_sort_and_topk_is_kept() -> None:
    store = _store()
    ordered = list(_ask("sort_desc(hits_total)", store=store).values())
    assert ordered == sorted(ordered, reverse=True)
    assert list(_ask("topk(2, hits_total)", store=store).values()) == [25, 7]
    assert list(_ask("bottomk(1, hits_total)", store=store).values()) == [7]


def test_a_range_query_in_chunks_equals_one_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    expr = "sum by (job) (rate(hits_total[1m])) or topk(1, hits_total) > 3"
    whole = engine.Engine(_store()).prepare(expr).range(0, 150, 5)
    monkeypatch.setattr(engine, "CHUNK_CELLS", 4)
    parts = engine.Engine(_store()).prepare(expr).range(0, 150, 5)
    assert [each.labels for each in whole.series] == [each.labels for each in parts.series]
    for a, b in zip(whole.series, parts.series, strict=True):
        assert a.times.tolist() == b.times.tolist()
        assert a.values.tolist() == b.values.tolist()


def test_the_same_series_from_two_sources_is_one_series() -> None:
    pool = columns.StringPool()
    labels = labels_.make(__name__="x", job="a")
    other = labels_.make(__name__="x", job="b")

    class TwoSources:
        @property
        def pool(self) -> columns.StringPool:
            return pool

        def select(self, matchers: object, start_ms: int, end_ms: int, most: int | None = None) -> columns.Selection:
            old = columns.Block(np.array([0, 15000]), np.array([[1.0, 5.0], [2.0, 6.0]]), gaps=False)
            new = columns.Block(np.array([31000, 46000]), np.array([[3.0], [4.0]]), gaps=False)
            return columns.Selection(columns.frame(pool, [labels, other, labels]), (old, new))

    query = engine.Engine(TwoSources()).prepare("sum_over_time(x[1m])")
    result = query.instant(50)
    assert isinstance(result, series.Vector)
    assert dict(zip(result.labels, result.values.tolist(), strict=True)) == {
        (("job", "a"),): 10.0,
        (("job", "b"),): 11.0,
    }


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        (
            "rate(x_total[5m] smoothed)",
            "1:6: parse error: anchored and smoothed modifiers are experimental and not enabled",
        ),
        ("x + fill(0) y", "1:1: parse error: binop fill modifiers are experimental and not enabled"),
        ("histogram_sum(x)", "not supported: the function `histogram_sum` (native histograms)"),
        (
            "limitk(2, x)",
            (
                "1:1: parse error: limitk() is experimental and must be enabled with "
                "--enable-feature=promql-experimental-functions"
            ),
        ),
        ("info(x)", '1:1: parse error: function "info" is not enabled'),
        ("x </ 3", "not supported: the operator `</` on native histograms"),
        ("x[5m+1m]", "1:3: parse error: experimental duration expression is not enabled"),
        ('{a="b" or c="d"}', '1:8: parse error: unexpected identifier "or" in label matching, expected "," or "}"'),
    ],
)
def test_refused_forms_are_named(expr: str, message: str) -> None:
    with pytest.raises(problems.QueryError) as caught:
        engine.Engine(_store()).prepare(expr)
    assert str(caught.value) == message
    assert caught.value.kind == "bad_data"


def test_a_parse_error_says_where_when_it_can() -> None:
    with pytest.raises(problems.QueryError) as caught:
        engine.Engine(_store()).prepare("sum(foo(x))")
    assert caught.value.position == 4
    with pytest.raises(problems.QueryError, match="1:6: parse error: unexpected end of input"):
        engine.Engine(_store()).prepare("sum(x")


def test_a_pattern_that_only_rust_accepts_is_refused() -> None:
    with pytest.raises(problems.QueryError):
        engine.Engine(_store()).prepare('x{a=~"[a&&b--c]\\\\p{Greek"}')


@pytest.mark.parametrize("at", ["-5", "-5.25", "0", "1e3"])
def test_any_time_after_at_can_be_read(at: str) -> None:
    store = memory_series.MemorySeries()
    store.add(labels_.make(__name__="x"), [(-20_000, 1.0), (0, 2.0), (900_000, 3.0)])
    want = {"-5": 1.0, "-5.25": 1.0, "0": 2.0, "1e3": 3.0}[at]
    assert _ask(f"x @ {at}", store=store) == {"x": want}


ONE_SIDE = (
    'found duplicate series for the match group {job="a"} on the right hand-side of the operation: '
    '[hits_total{instance="1", job="a"}, hits_total{instance="2", job="a"}]'
    ";many-to-many matching not allowed: matching labels must be unique on one side"
)


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("owner * on (job) hits_total", ONE_SIDE),
        (
            "hits_total * on (job) owner",
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ),
        (
            "sum without (x) (hits_total) * on (job) group_left (instance) owner",
            "multiple matches for labels: grouping labels must ensure unique matches",
        ),
        ('abs({__name__=~"hits_total|copy"})', "vector cannot contain metrics with the same labelset"),
        ("topk(NaN, owner)", "Parameter value is NaN"),
        ('label_replace(hits_total, "instance", "x", "", "")', "vector cannot contain metrics with the same labelset"),
    ],
)
def test_execution_errors_are_those_of_prometheus(expr: str, message: str) -> None:
    store = _store()
    store.load("copy|job=a,instance=1", [1] * 8)
    prepared = engine.Engine(store).prepare(expr)
    with pytest.raises(problems.QueryError) as caught:
        prepared.instant(105)
    assert str(caught.value) == message
    assert caught.value.kind == "execution"


def test_the_limits_of_a_query() -> None:
    with pytest.raises(
        problems.QueryError, match="would load too many samples into memory in query execution"
    ) as caught:
        engine.Engine(_store(), sample_limit=10).prepare("rate(hits_total[2m])").instant(105)
    assert caught.value.kind == "execution"
    clock = iter(range(0, 10_000, 50))
    with pytest.raises(
        problems.QueryError, match=r"^query timed out in expression evaluation \(after 60 s\)$"
    ) as caught:
        engine.Engine(_store(), timeout=60, timer=lambda: next(clock)).prepare("a + b").instant(105)
    assert caught.value.kind == "timeout"
    with pytest.raises(problems.QueryError, match="11000 points"):
        engine.Engine(_store()).prepare("a").range(0, 20_000, 1)
    with pytest.raises(problems.QueryError, match="resolution step"):
        engine.Engine(_store()).prepare("a").range(0, 1, 0)
    with pytest.raises(problems.QueryError, match="invalid expression type"):
        engine.Engine(_store()).prepare("a[5m]").range(0, 10, 1)


def test_results_hold_no_markers() -> None:
    store = memory_series.MemorySeries()
    store.load("x|a=1", [1, None, 3])
    store.load("x|a=2", [1, 2, 3])
    matrix = engine.Engine(store).prepare("x[1m]").instant(30)
    assert isinstance(matrix, series.Matrix)
    assert [each.times.tolist() for each in matrix.series] == [[0, 30000], [0, 15000, 30000]]
    assert _ask("x", at=15, store=store) == {'x{a="2"}': 2}


def test_one_query_runs_in_many_threads() -> None:
    store = _store()
    prepared = engine.Engine(store).prepare(
        'label_replace(sum by (job) (rate(hits_total[1m])), "x", "made-$1", "job", "(.*)") + on (job) group_left () '
        "sum by (job) (max_over_time(hits_total[1m:5s]))"
    )

    def run(index: int) -> list[tuple[labels_.Labels, float]]:
        result = prepared.instant(105)
        assert isinstance(result, series.Vector)
        store.pool.code(f"made-{'ab'[index % 2]}")
        return list(zip(result.labels, result.values.tolist(), strict=True))

    expected = run(0)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(run, range(200)))


def test_matchers_reach_the_store_as_written() -> None:
    seen: list[object] = []

    class Spy(memory_series.MemorySeries):
        def select(
            self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int, most: int | None = None
        ) -> columns.Selection:
            seen.extend([*matchers, start_ms, end_ms])
            return super().select((), start_ms, end_ms)

    engine.Engine(Spy(), lookback=60).prepare('x{a="b",c!="d",e=~"f.*",g!~"h"} offset 5s').instant(100)
    assert seen == [
        alerts.Matcher("__name__", "=", "x"),
        alerts.Matcher("a", "=", "b"),
        alerts.Matcher("c", "!=", "d"),
        alerts.Matcher("e", "=~", "f.*"),
        alerts.Matcher("g", "!~", "h"),
        35_000,
        95_000,
    ]


@pytest.mark.parametrize(
    ("expr", "warnings", "infos"),
    [
        ("rate(hits_total[1m])", (), ()),
        (
            "rate(owner[1m])",
            (),
            ('PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "owner"',),
        ),
        ("quantile(1.5, owner)", ("PromQL warning: quantile value should be between 0 and 1, got 1.5",), ()),
        (
            "histogram_quantile(0.5, owner)",
            ('PromQL warning: bucket label "le" is missing or has a malformed value of ""',),
            (),
        ),
    ],
)
def test_annotations(expr: str, warnings: tuple[str, ...], infos: tuple[str, ...]) -> None:
    _, notes = engine.Engine(_store()).prepare(expr).instant_annotated(105)
    assert (notes.warnings, notes.infos) == (warnings, infos)


def test_a_sorted_range_query_is_warned_of() -> None:
    _, notes = engine.Engine(_store()).prepare("sort(owner)").range_annotated(0, 60, 30)
    assert notes.warnings == (
        "PromQL warning: sort is ineffective for range queries since results are always ordered by labels",
    )


def test_counts_that_are_not_monotonic_are_repaired_with_a_note() -> None:
    store = memory_series.MemorySeries()
    for bound, count in (("1", 10.0), ("2", 8.0), ("+Inf", 20.0)):
        store.load(f"h_bucket|le={bound}", [count])
    result, notes = engine.Engine(store).prepare("histogram_quantile(0.5, h_bucket)").instant_annotated(0)
    assert isinstance(result, series.Vector)
    assert result.values.tolist() == [1.0]
    assert len(notes.infos) == 1
    assert "needed to be fixed for monotonicity" in notes.infos[0]
