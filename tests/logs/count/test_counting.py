"""Log metrics: what is counted, what becomes of it in the store and in the exposition."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from tests.support import ticks
from tidegate.logs.count import counters
from tidegate.model import labels as labels_
from tidegate.model import ports, problems, rules, series

NOW = 1_714_557_600.0


class Clock:
    def now(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Table:
    """Keeps rows as they come; refuses series of one name."""

    epoch = 0

    def __init__(self) -> None:
        self.known: dict[labels_.Labels, int] = {}
        self.rows: list[tuple[int, dict[str, float], bool]] = []

    def labels(self, column: int, /) -> labels_.Labels:
        raise NotImplementedError

    def column(self, labels: labels_.Labels, /) -> int:
        if labels_.get(labels, labels_.NAME) == "refused_total":
            raise problems.PermanentError("full", reason="series_limit")
        return self.known.setdefault(labels, len(self.known))

    def append(self, at_ms: int, columns: series.Columns, values: series.Values, *, partial: bool = False) -> None:
        names = {column: labels_.text(labels) for labels, column in self.known.items()}
        row = {names[int(column)]: float(value) for column, value in zip(columns, values, strict=True)}
        assert len(row) == np.asarray(columns).size
        self.rows.append((at_ms - round(NOW * 1000), row, partial))

    def end(self, at_ms: int) -> None:
        raise AssertionError("never ended")


class Store:
    def __init__(self) -> None:
        self.only = Table()

    def table(self, key: str, interval: float) -> ports.SampleTable:
        assert key == counters.KEY
        return self.only

    def drop(self, key: str) -> None:
        raise AssertionError("never dropped")


def metric(name: str = "errors_total", query: str = "level:error", **more: Any) -> rules.LogMetric:
    return rules.LogMetric(name, query, **more)


def line(level: str = "error", service: Any = "shop", **labels: str) -> dict[str, Any]:
    return {"message": "connection refused", "log": {"level": level}, "service": {"name": service}, "labels": labels}


class Rig:
    def __init__(self, *wanted: rules.LogMetric, store: bool = True) -> None:
        self.store, self.schedule, self.registry = Store(), ticks.ManualSchedule(), CollectorRegistry()
        given = self.store if store else None
        self.counters = counters.LogCounters(given, self.schedule, Clock(), self.registry)
        self.counters.set_metrics(wanted)

    def series(self) -> dict[str, float]:
        return {labels_.text(labels): count for labels, count in self.counters.series().items()}

    def own(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"tidegate_log_metric_{name}", labels)


def test_counts_by_fields_and_labels() -> None:
    by = (("app", "service"), ("status", "status"))
    rig = Rig(metric(by=by, labels=(("team", "a"),)))
    rig.counters.observe_documents(
        [line(), line(status="503"), line("info"), line(service=["cart", "shop"]), line(service=None)]
    )
    assert rig.series() == {
        'errors_total{app="shop", team="a"}': 1.0,
        'errors_total{app="shop", status="503", team="a"}': 1.0,
        'errors_total{app="cart", team="a"}': 1.0,
        'errors_total{team="a"}': 1.0,
    }
    assert rig.own("documents_total") == 5.0


def test_without_by_it_begins_at_zero() -> None:
    rig = Rig(metric())
    assert rig.series() == {"errors_total": 0.0}


def test_beyond_the_limit_lines_are_counted_together() -> None:
    rig = Rig(metric(by=(("id", "id"),), series_limit=2))
    rig.counters.observe_documents([line(id=str(number % 5)) for number in range(10)])
    assert rig.series() == {
        'errors_total{id="0"}': 2.0,
        'errors_total{id="1"}': 2.0,
        'errors_total{overflow="true"}': 6.0,
    }
    assert rig.own("overflow_total", metric="errors_total") == 6.0


def test_what_did_not_change_goes_on() -> None:
    rig = Rig(metric(), metric("old_total"))
    rig.counters.observe_documents([line()])
    moved = dataclasses.replace(metric(), place=rules.Place("other.yaml", 7, 1))
    rig.counters.set_metrics([moved, metric("new_total")])
    rig.counters.observe_documents([line()])
    assert rig.series() == {"errors_total": 2.0, "new_total": 1.0}
    with pytest.raises(problems.QueryError):
        rig.counters.set_metrics([metric("bad_total", "level:")])
    assert rig.series() == {"errors_total": 2.0, "new_total": 1.0}


def test_metrics_of_one_name_add_up() -> None:
    rig = Rig(metric(), metric(query="level:fatal"))
    rig.counters.observe_documents([line(), line("fatal"), line("fatal")])
    assert rig.series() == {"errors_total": 3.0}


def test_nothing_loaded_costs_nothing() -> None:
    rig = Rig()
    rig.counters.observe_documents([line()])
    assert rig.own("documents_total") == 0.0


def test_every_metric_is_tried() -> None:
    queries = (
        "level:error",
        "level:(error or info)",
        "service:shop and refused",
        "not level:info",
        "refused",
        "level:x",
    )
    rig = Rig(*(metric(f"m{number}", query) for number, query in enumerate(queries)))
    documents = [line(), line("info"), line("x", "cart"), line("error", ["shop", "shop", "cart"]), {}]
    rig.counters.observe_documents(documents)
    assert rig.series() == {"m0": 2.0, "m1": 3.0, "m2": 3.0, "m3": 4.0, "m4": 4.0, "m5": 1.0}


async def test_rows_begin_with_a_zero_for_new_series() -> None:
    rig = Rig(metric(), metric("by_total", by=(("s", "service"),)), metric("refused_total"))
    running = asyncio.create_task(rig.counters.run())
    await asyncio.sleep(0)
    try:
        for number, documents in enumerate(([], [line()], [line(), line(service="cart")])):
            rig.counters.observe_documents(documents)
            rig.schedule.tick(counters.KEY, NOW + 5 * number)
            for _ in range(5):
                await asyncio.sleep(0)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert rig.store.only.rows == [
        (0, {"errors_total": 0.0}, False),
        (4999, {'by_total{s="shop"}': 0.0}, True),
        (5000, {"errors_total": 1.0, 'by_total{s="shop"}': 1.0}, False),
        (9999, {'by_total{s="cart"}': 0.0}, True),
        (10000, {"errors_total": 3.0, 'by_total{s="shop"}': 2.0, 'by_total{s="cart"}': 1.0}, False),
    ]
    assert rig.own("samples_refused_total") == 3.0
    assert rig.schedule.ticks[counters.KEY].closed


def test_an_agent_exposes_what_it_counts() -> None:
    rig = Rig(metric(help="Errors."), metric("plain", by=(("s", "service"),)), store=False)
    rig.counters.observe_documents([line(), line(service='we"ird\n')])
    text = rig.counters.exposition().decode()
    assert "# HELP errors_total Errors." in text or "# HELP errors Errors." in text
    found = {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found == {
        ("errors_total", ()): 2.0,
        ("plain", (("s", "shop"),)): 1.0,
        ("plain", (("s", 'we"ird\n'),)): 1.0,
    }
    assert rig.registry.get_sample_value("errors_total") == 2.0
