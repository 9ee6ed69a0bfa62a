"""The schedule, in real time: small intervals, exact slots."""

from __future__ import annotations

import itertools

import pytest

from tidegate import schedule
from tidegate.kit import clock, telemetry

INTERVAL = 0.05


def test_offsets_are_stable_and_spread() -> None:
    offsets = [schedule.offset(f"target-{number}", 10) for number in range(1000)]
    assert offsets == [schedule.offset(f"target-{number}", 10) for number in range(1000)]
    assert all(0 <= offset < 10 for offset in offsets)
    tenths = [sum(1 for offset in offsets if int(offset) == second) for second in range(10)]
    assert min(tenths) > 50


async def test_slots_are_aligned_and_none_comes_twice() -> None:
    scheduler = schedule.Scheduler(clock.SystemClock(), telemetry.Registry())
    scheduler.start()
    ticks = scheduler.every("a", INTERVAL)
    seen = [await ticks.next() for _ in range(4)]
    ticks.close()
    scheduler.stop()
    for before, after in itertools.pairwise(seen):
        steps = (after.at - before.at) / INTERVAL
        assert steps == pytest.approx(after.missed + 1, abs=1e-3)
    offset = schedule.offset("a", INTERVAL)
    assert all(
        (tick.at - offset) / INTERVAL == pytest.approx(round((tick.at - offset) / INTERVAL), abs=1e-3) for tick in seen
    )


async def test_slots_that_passed_during_work_are_counted() -> None:
    registry = telemetry.Registry()
    real = clock.SystemClock()
    scheduler = schedule.Scheduler(real, registry)
    scheduler.start()
    ticks = scheduler.every("slow", INTERVAL)
    await ticks.next()
    await real.sleep(INTERVAL * 4.5)
    tick = await ticks.next()
    late = await ticks.next()
    scheduler.stop()
    missed = tick.missed + late.missed
    assert missed >= 3
    assert registry.get_sample_value("tidegate_schedule_missed_slots_total") == missed
