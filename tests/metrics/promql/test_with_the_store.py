"""The engine over the real sample store gives what it gives over a plain one."""

from __future__ import annotations

import pathlib
import random

import numpy as np
import pytest

from tests.support import memory_series
from tidegate.kit import clock as clock_
from tidegate.kit import telemetry
from tidegate.metrics import columns
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine
from tidegate.model import alerts, problems, series
from tidegate.model import labels as labels_

QUERIES = [
    "hits_total",
    "sum by (job) (rate(hits_total[1m]))",
    "rate(hits_total[2m])",
    "max_over_time(hits_total[90s])",
    "count_over_time(hits_total[3m])",
    "topk(3, hits_total)",
    'hits_total{path=~"/[0-2]"} / ignoring (path) group_left () sum by (__name__, instance, job) (hits_total)',
    "avg_over_time(sum by (job) (hits_total)[2m:10s])",
    'absent(hits_total{job="none"})',
]


class _Still(clock_.SystemClock):
    def now(self) -> float:
        return 10_000.0


def test_too_many_samples_are_refused_before_they_are_read(tmp_path: pathlib.Path) -> None:
    store, _ = _fill(tmp_path)
    with pytest.raises(columns.TooManyError):
        store.select((alerts.Matcher("__name__", "=", "hits_total"),), 0, 10**9, 100)
    with pytest.raises(problems.QueryError, match="too many samples into memory"):
        engine.Engine(store, sample_limit=100).prepare("rate(hits_total[10m])").instant(9_900)
    assert engine.Engine(store, sample_limit=3000).prepare("rate(hits_total[10m])").instant(9_900)


def _fill(folder: pathlib.Path) -> tuple[store_.Store, memory_series.MemorySeries]:
    """12 targets of 5 series at their own times, with failed scrapes, series that come and go, and resets."""
    real = store_.Store(folder, _Still(), telemetry.Registry())
    plain, dice = memory_series.MemorySeries(), random.Random(5)
    for target in range(12):
        table = real.table(f"t{target}", 15.0)
        sets = [
            labels_.make(__name__="hits_total", job=f"j{target % 3}", instance=str(target), path=f"/{path}")
            for path in range(5)
        ]
        live: set[int] = set()
        value = dict.fromkeys(range(5), 0.0)
        for slot in range(30):
            at = 9_400_000 + slot * 15_000 + target * 911
            shown = [] if dice.random() < 0.05 else [path for path in range(5) if dice.random() > 0.05]
            for path in shown:
                value[path] = 0.0 if dice.random() < 0.05 else value[path] + dice.randrange(9)
                plain.add(sets[path], [(at, value[path])])
            for path in live - set(shown):
                plain.add(sets[path], [(at, None)])
            live = set(shown)
            places = np.array([table.column(sets[path]) for path in shown], np.int32)
            table.append(at, places, np.array([value[path] for path in shown]))
    return real, plain


def _rows(matrix: series.Matrix) -> dict[labels_.Labels, list[tuple[int, float]]]:
    return {each.labels: list(zip(each.times.tolist(), each.values.tolist(), strict=True)) for each in matrix.series}


@pytest.mark.parametrize("expr", QUERIES)
def test_equal_answers(expr: str, tmp_path: pathlib.Path) -> None:
    real, plain = _fill(tmp_path / "samples")
    got = _rows(engine.Engine(real, lookback=60).prepare(expr).range(9450, 9870, 15))
    want = _rows(engine.Engine(plain, lookback=60).prepare(expr).range(9450, 9870, 15))
    assert got.keys() == want.keys()
    assert want
    for labels, points in want.items():
        assert [at for at, _ in got[labels]] == [at for at, _ in points]
        assert [value for _, value in got[labels]] == pytest.approx([value for _, value in points])
