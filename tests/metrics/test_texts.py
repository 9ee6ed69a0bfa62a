"""The string pool under churn: texts that nothing has any more are given up, and no code ever means two texts to a reader."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics import test_store
from tidegate.metrics import columns
from tidegate.metrics.promql import engine
from tidegate.model import alerts, labels, series


@given(st.lists(st.sets(st.integers(0, 12)), min_size=1, max_size=60))
def test_what_is_used_keeps_its_code_and_the_rest_goes(rounds: list[set[int]]) -> None:
    pool = columns.StringPool()
    held: dict[str, int] = {}
    for wanted in rounds:
        texts = {f"t{number}" for number in wanted}
        held = {text: held[text] if text in held else pool.code(text) for text in texts}
        used = np.zeros(len(pool.texts), np.bool_)
        used[list(held.values())] = True
        pool.sweep(used)
        assert {text: pool.texts[code] for text, code in held.items()} == {text: text for text in texts}
        assert all(pool.texts[code] == text for text, code in pool.codes.items())
        assert len(set(pool.codes.values())) == len(pool.codes)
    for _ in range(columns.GONE):
        pool.sweep(np.zeros(1, np.bool_))
    assert pool.codes == {"": 0}
    before = len(pool.texts)
    for number in range(before - 1):
        pool.code(f"new{number}")
    assert len(pool.texts) == before, "codes are used again"


def series_of(pod: int) -> labels.Labels:
    return labels.make({"__name__": "m", "pod": f"pod-{pod}"})


def test_churn_takes_no_more_memory_and_mixes_nothing_up(tmp_path: pathlib.Path) -> None:
    one = test_store.open_store(tmp_path, retention=1.0, keep="rules")
    table, at, most = one.table("t", 5.0), 0, 0
    ask = engine.Engine(one)
    for pod in range(60):
        for _ in range(40):
            at += 5000
            test_store.put(table, at, {series_of(pod): float(pod), series_of(1000): -1.0})
        one.sweep()
        found = ask.prepare('m{pod=~"pod-.*"}').instant(at / 1000)
        assert isinstance(found, series.Vector)
        assert dict(zip(found.labels, found.values.tolist(), strict=True)) == {
            series_of(pod): float(pod),
            series_of(1000): -1.0,
        }
        most = max(most, len(one.pool.texts))
    assert most < 25


class Swept:
    """A store whose pool gives texts up while a query runs."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.store = test_store.open_store(folder)
        self.asked = 0

    @property
    def pool(self) -> columns.StringPool:
        return self.store.pool

    def select(
        self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int, most: int | None = None
    ) -> columns.Selection:
        self.asked += 1
        found = self.store.select(matchers, start_ms, end_ms, most)
        if self.asked == 1:
            for _ in range(columns.LEAVING):
                self.store.sweep()
        return found


def test_a_query_that_saw_texts_go_is_done_again(tmp_path: pathlib.Path) -> None:
    swept = Swept(tmp_path)
    swept.pool.code("nobody has this")
    test_store.put(swept.store.table("t", 5.0), 1000, {series_of(1): 1.0})
    assert engine.Engine(swept).prepare("m").instant(1.0)
    assert swept.asked == 2
