"""Random expressions mean the same to our engine and to a real Prometheus with the same samples.

More of them: `python -m tests.metrics.promql.differential N SEED`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.metrics.promql import awkward, differential, expressions

PER_TEST = 100
WRITTEN = [
    'c_total{path=~".*"} == on (job, instance, path) group_left () c_total',
    "histogram_quantile(0.9, h_bucket)",
    "quantile_over_time(0, special[40s])",
    "double_exponential_smoothing(none[1m], 1.5, 0.5)",
    "double_exponential_smoothing(g[1m], 1.5, 0.5)",
    "predict_linear(g[2m30s] offset -1ms, 60)",
    "predict_linear(steady[5m], scalar(none))",
    "max_of(NaN, Inf) + min_of(NaN, -Inf)",
    'histogram_quantiles(h_bucket{instance="i-0"}, "q", 0.5, scalar(lone))',
    "topk(scalar(lone), g @ end())",
    "sort(g) + sort(g @ end())",
    "end() - start() + step() + range()",
    '{"odd.name","a b"=~"x.y"}',
    'label_replace({"odd.name"}, "y", "[$1]", "a b", "(x.).*")',
    'label_replace({"odd.name"}, "y", "[$1]", "a b", "x")',
    "mad_over_time((-1 / flap)[1m:15s])",
    "limit_ratio(scalar(lone) * 3, g)",
    "quantile(scalar(lone) * 3, c_total)",
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: pathlib.Path) -> Iterator[differential.Pair]:
    assert prometheus_binary
    with differential.running(tmp_path_factory.mktemp("store")) as both:
        yield both


@pytest.mark.parametrize("first", range(0, 6 * PER_TEST, PER_TEST))
def test_random_expressions(first: int, pair: differential.Pair) -> None:
    different = {}
    answered = 0
    for seed in range(first, first + PER_TEST):
        maker = expressions.Maker(seed)
        expr, ask = maker.any(), maker.ask()
        found = pair.differences(expr, *ask)
        answered += bool(pair.theirs(expr, *ask).found)
        if found:
            different[f"{seed}: {expr} at {ask}"] = found
    assert different == {}
    assert answered > PER_TEST / 3  # most have an answer, so that there is something to compare


@pytest.mark.parametrize("expr", WRITTEN)
def test_what_was_different_once(expr: str, pair: differential.Pair) -> None:
    assert pair.differences(expr, awkward.END - 60, awkward.END - 60, 0.0) == []
    assert pair.differences(expr, awkward.END - 333, awkward.END - 7, 30.0) == []


def test_a_difference_is_noticed(pair: differential.Pair) -> None:
    ours, theirs = pair.ours("g", 0, awkward.END, 0.0), pair.theirs("g * 1.000001", 0, awkward.END, 0.0)
    assert len(list(differential.compare(ours, theirs, "g"))) == len(ours.found) + len(theirs.found)
    assert list(differential.compare(ours, pair.theirs("rate(g", 0, awkward.END, 0.0), "g"))
