"""A schedule that tests turn by hand, or that follows the loop's (virtual) time."""

from __future__ import annotations

import asyncio
import dataclasses

from tidegate.model import ports


@dataclasses.dataclass
class ManualTicks:
    """Ticks that a test puts in."""

    queue: asyncio.Queue[ports.Tick] = dataclasses.field(default_factory=asyncio.Queue)
    closed: bool = False

    async def next(self) -> ports.Tick:
        return await self.queue.get()

    def close(self) -> None:
        self.closed = True


class ManualSchedule:
    """Keeps every schedule that was asked for, by key."""

    def __init__(self) -> None:
        self.ticks: dict[str, ManualTicks] = {}
        self.intervals: dict[str, float] = {}

    def every(self, key: str, interval: float) -> ports.Ticks:
        self.ticks[key] = ManualTicks()
        self.intervals[key] = interval
        return self.ticks[key]

    def tick(self, key: str, at: float, missed: int = 0) -> None:
        self.ticks[key].queue.put_nowait(ports.Tick(at, missed))
