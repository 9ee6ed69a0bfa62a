"""Supervision in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.kit import clock, tasks, telemetry
from tidegate.model import problems


@pytest.mark.looptime
async def test_a_flaky_component_is_started_again_and_counted() -> None:
    registry = telemetry.Registry()
    supervisor = tasks.Supervisor(clock.LoopClock(), registry)
    starts = 0
    done = asyncio.Event()

    async def flaky() -> None:
        nonlocal starts
        starts += 1
        if starts <= 3:
            raise RuntimeError("boom")
        done.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(supervisor.run("flaky", flaky))
    await asyncio.wait_for(done.wait(), 60)
    await tasks.cancel(task)
    assert starts == 4
    assert registry.get_sample_value("tidegate_component_restarts_total", {"component": "flaky"}) == 3


@pytest.mark.looptime
async def test_a_component_that_returns_is_started_again() -> None:
    registry = telemetry.Registry()
    supervisor = tasks.Supervisor(clock.LoopClock(), registry)
    ran = 0

    async def short() -> None:
        nonlocal ran
        ran += 1

    task = asyncio.create_task(supervisor.run("short", short))
    await asyncio.sleep(100)
    await tasks.cancel(task)
    assert ran > 2


@pytest.mark.looptime
async def test_a_fatal_error_ends_it() -> None:
    supervisor = tasks.Supervisor(clock.LoopClock(), telemetry.Registry())

    async def broken() -> None:
        raise problems.FatalError("no disk")

    with pytest.raises(problems.FatalError, match="no disk"):
        await supervisor.run("broken", broken)


def test_backoff_grows_to_its_cap() -> None:
    waits = [tasks.backoff(attempt, first=1, longest=60) for attempt in range(1, 50)]
    assert all(0.5 <= wait <= 60 for wait in waits)
    assert min(waits[10:]) >= 30


@pytest.mark.looptime
async def test_a_component_whose_cleanup_fails_is_not_started_again() -> None:
    supervisor = tasks.Supervisor(clock.LoopClock(), telemetry.Registry())
    starts = 0

    async def untidy() -> None:
        nonlocal starts
        starts += 1
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("cannot clean up")

    task = asyncio.create_task(supervisor.run("untidy", untidy))
    await asyncio.sleep(1)
    await asyncio.wait_for(tasks.cancel(task), 5)
    assert (starts, task.cancelled()) == (1, True)
