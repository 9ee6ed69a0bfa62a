"""Log metrics: counted once as lines pass, as series in the store and on an agent's /metrics."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

from tests.support import samples, ticks
from tidegate.kit import clock, tasks, telemetry
from tidegate.logs.count import counters
from tidegate.metrics import store
from tidegate.model import labels, rules


def line(level: str, path: str = "", service: str = "shop") -> dict[str, Any]:
    return {"log": {"level": level}, "service": {"name": service}, "labels": {"path": path}}


ERRORS = rules.LogMetric("errors_total", "level:error", labels=labels.make(team="a"))
BY_PATH = rules.LogMetric("lines_total", "service:shop", by=(("path", "labels.path"),), series_limit=2)


async def test_counts_become_series_that_start_at_zero(tmp_path: pathlib.Path) -> None:
    one = store.Store(tmp_path, clock.SystemClock(), telemetry.Registry())
    schedule = ticks.ManualSchedule()
    counting = counters.LogCounters(one, schedule, clock.SystemClock(), telemetry.Registry())
    counting.set_metrics([ERRORS, BY_PATH])
    running = asyncio.create_task(counting.run())
    await asyncio.sleep(0)
    (key,) = schedule.ticks
    schedule.tick(key, 10.0)
    await asyncio.sleep(0)
    counting.observe_documents([line("error", "/"), line("info", "/cart"), line("error", "/", "other")])
    schedule.tick(key, 15.0)
    while 'errors_total{team="a"}' not in samples.read(one) or len(samples.read(one)['errors_total{team="a"}']) < 2:
        await asyncio.sleep(0)
    await tasks.cancel(running)
    found = samples.read(one)
    assert found['errors_total{team="a"}'] == [(10000, 0), (15000, 2)]
    assert found['lines_total{path="/"}'] == [(14999, 0), (15000, 1)], "so that rate sees the first increase"
    assert found['lines_total{path="/cart"}'] == [(14999, 0), (15000, 1)]


def exposed(registry: telemetry.Registry) -> set[str]:
    text = telemetry.exposition(registry).decode()
    return {name for name in text.splitlines() if name.startswith(("errors_total", "lines_total"))}


async def test_an_agent_exposes_them_under_their_own_names() -> None:
    registry = telemetry.Registry()
    counting = counters.LogCounters(None, ticks.ManualSchedule(), clock.SystemClock(), registry)
    counting.set_metrics([ERRORS, BY_PATH])
    counting.observe_documents([line("error", "/"), line("error", "/a"), line("info", "/b"), line("info", "/c")])
    assert exposed(registry) == {
        'errors_total{team="a"} 2.0',
        'lines_total{path="/"} 1.0',
        'lines_total{path="/a"} 1.0',
        'lines_total{overflow="true"} 2.0',
    }
    assert registry.get_sample_value("tidegate_log_metric_overflow_total", {"metric": "lines_total"}) == 2


async def test_what_did_not_change_goes_on_over_a_reload() -> None:
    registry = telemetry.Registry()
    counting = counters.LogCounters(None, ticks.ManualSchedule(), clock.SystemClock(), registry)
    counting.set_metrics([ERRORS])
    counting.observe_documents([line("error")])
    counting.set_metrics([BY_PATH, ERRORS])
    counting.observe_documents([line("error", "/")])
    assert exposed(registry) == {'errors_total{team="a"} 2.0', 'lines_total{path="/"} 1.0'}
    counting.set_metrics([])
    counting.observe_documents([line("error")])
    assert exposed(registry) == set()
