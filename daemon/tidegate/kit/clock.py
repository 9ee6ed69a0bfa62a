"""Clocks. Everything that waits or stamps takes one, so that tests and replays can run hours in milliseconds."""

from __future__ import annotations

import asyncio
import time

from tidegate.model import ports


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(max(seconds, 0))


class LoopClock:
    """Follows the event loop's clock from a fixed start: virtual wherever the loop's time is."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._origin: float | None = None

    def now(self) -> float:
        """Unix seconds: the start plus the loop's time since the first call."""
        at = asyncio.get_running_loop().time()
        if self._origin is None:
            self._origin = at
        return self._start + at - self._origin

    async def sleep(self, seconds: float) -> None:
        """Wait in the loop's time."""
        await asyncio.sleep(max(seconds, 0))


async def wait(clock: ports.Clock, event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, at most for some seconds of the clock; whether it is set."""
    if event.is_set() or seconds <= 0:
        await clock.sleep(0)
        return event.is_set()
    either = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds))]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in either:
            task.cancel()
        await asyncio.gather(*either, return_exceptions=True)
    return event.is_set()
