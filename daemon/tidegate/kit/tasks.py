"""Supervision: components that crash are started again, counted, with a capped and jittered wait.

A failure of one component must not end its siblings, so components never run bare in a TaskGroup. `FatalError` and
cancellation pass; everything else is logged and retried. Data errors of one target or file are the component's own
business and never come here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from tidegate.kit import telemetry
from tidegate.model import ports, problems

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0


class Supervisor:
    """Runs named components and counts their restarts."""

    def __init__(self, clock: ports.Clock, registry: telemetry.Registry) -> None:
        self._clock = clock
        self._log = telemetry.logger("supervisor")
        self._restarts = telemetry.Counter(
            "tidegate_component_restarts",
            "Components that crashed and were started again.",
            ["component"],
            registry=registry,
        )

    async def run(self, name: str, component: Callable[[], Awaitable[None]]) -> None:
        """Run a component that should never return, until cancelled. Raises `FatalError` when it does."""
        wait = FIRST_WAIT
        while True:
            started = self._clock.now()
            try:
                await component()
                self._log.error("component ended unexpectedly", name=name)
            except problems.FatalError:
                raise
            except Exception:  # noqa: BLE001 - the supervisor is where unknown errors stop
                self._log.exception("component crashed", name=name)
                if _cancelled():  # its clean-up failed: it is not to be started again
                    raise asyncio.CancelledError from None
            self._restarts.labels(name).inc()
            wait = FIRST_WAIT if self._clock.now() - started > LONGEST_WAIT else min(wait * 2, LONGEST_WAIT)
            await self._clock.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def backoff(attempt: int, *, first: float = 0.5, longest: float = 60.0) -> float:
    """Seconds to wait before try number `attempt` + 1 (from 1): exponential, capped, with full jitter's upper half."""
    return min(first * 2.0 ** min(attempt - 1, 30), longest) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


async def cancel(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they are gone; their errors are dropped, since nobody waits for their results."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
