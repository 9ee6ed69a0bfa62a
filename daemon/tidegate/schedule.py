"""The clock of the process: APScheduler decides *when*; whoever asked for ticks decides *what*.

A job here only wakes its waiter, so the scheduler's own error and shutdown habits never matter. Slots are aligned to
`offset + n * interval` with the offset hashed from the key: stable over restarts and spread over targets. This is the
only module that knows APScheduler.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import zlib

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from tidegate.kit import telemetry
from tidegate.model import ports


def offset(key: str, interval: float) -> float:
    """Where in its interval a key's slots lie, in seconds; the same in every process."""
    return (zlib.crc32(key.encode()) / 2**32) * interval


class Scheduler:
    """Gives out schedules. Start it inside the running loop."""

    def __init__(self, clock: ports.Clock, registry: telemetry.Registry) -> None:
        self._clock = clock
        self._missed = telemetry.Counter(
            "tidegate_schedule_missed_slots",
            "Slots that passed while the work of an earlier slot was still going on.",
            registry=registry,
        )
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(timezone=datetime.UTC, job_defaults=defaults)

    def start(self) -> None:
        """Begin to tick."""
        self._scheduler.start()

    def stop(self) -> None:
        """No more ticks."""
        self._scheduler.shutdown(wait=False)

    def every(self, key: str, interval: float) -> ports.Ticks:
        """Slots `interval` seconds apart; see `ports.Schedule`."""
        return _Slots(self._scheduler, self._clock, key, interval, self._missed)


class _Slots:
    """One schedule: wakes its waiter, and works out which slot it is and how many were missed."""

    def __init__(
        self, scheduler: AsyncIOScheduler, clock: ports.Clock, key: str, interval: float, missed: telemetry.Counter
    ) -> None:
        self._clock, self._interval, self._missed = clock, interval, missed
        self._offset = offset(key, interval)
        self._due = asyncio.Event()
        self._last = self._slot(clock.now())
        first = datetime.datetime.fromtimestamp(self._last + interval, datetime.UTC)
        trigger = IntervalTrigger(seconds=interval, start_date=first, timezone=datetime.UTC)
        self._job = scheduler.add_job(self._due.set, trigger, next_run_time=first, name=key)

    def _slot(self, now: float) -> float:
        return (now - self._offset) // self._interval * self._interval + self._offset

    async def next(self) -> ports.Tick:
        """Wait for the next slot. A clock set back gives no second tick for the same slot."""
        while True:
            await self._due.wait()
            self._due.clear()
            # The timer may fire a hair early: the nearest slot is meant, not the one before.
            at = self._slot(self._clock.now() + self._interval * 0.01)
            if at > self._last:
                break
        missed = max(round((at - self._last) / self._interval) - 1, 0)
        self._missed.inc(missed)
        self._last = at
        return ports.Tick(at, missed)

    def close(self) -> None:
        """Stop the schedule. Again, or after the scheduler was stopped, it does nothing."""
        with contextlib.suppress(JobLookupError):
            self._job.remove()
