"""Measures how long the event loop keeps its guests waiting. A loop that stalls answers nobody and misses scrapes."""

from __future__ import annotations

import asyncio
import collections

from tidegate.kit import telemetry

STEP = 0.1
REMEMBERED = 150  # steps: the worst of the last 15 s


class LoopLag:
    """Samples the loop's lag; `worst` is the largest of the last 15 s, in seconds."""

    def __init__(self, registry: telemetry.Registry) -> None:
        self._recent: collections.deque[float] = collections.deque([0.0], maxlen=REMEMBERED)
        gauge = telemetry.Gauge(
            "tidegate_loop_lag_seconds", "Longest wait for the event loop in the last 15 s.", registry=registry
        )
        gauge.set_function(lambda: self.worst)

    @property
    def worst(self) -> float:
        """Seconds."""
        return max(self._recent)

    async def run(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + STEP
            await asyncio.sleep(STEP)
            self._recent.append(max(loop.time() - due, 0.0))
