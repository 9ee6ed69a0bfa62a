"""Runs queries in a few threads of their own, each for a limited time, so that no dashboard can keep the gate waiting."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from tidegate.api.endpoint import Failure

TIMEOUT = 60.0
RUNNING = 4
WAITING = 32
T = TypeVar("T")


class Runner:
    """A query that takes too long is answered, but holds its thread to the end."""

    def __init__(self) -> None:
        self._threads = concurrent.futures.ThreadPoolExecutor(RUNNING, thread_name_prefix="query")
        self._queued = 0

    async def run(self, work: Callable[[], T], timeout: float = TIMEOUT) -> T:
        """The result. Raises what `work` raises, or `Failure` (503)."""
        if self._queued >= WAITING:
            raise Failure(503, "too many queries are waiting", kind="unavailable", headers={"retry-after": "1"})
        self._queued += 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._done(loop))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            raise Failure(503, "query timed out in expression evaluation", kind="timeout") from None

    def _done(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called in the query's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
            loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._queued -= 1

    def close(self) -> None:
        """Start no query any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def of(request: Request) -> Runner:
    """The application's runner."""
    runner: Runner = request.app.state.runner
    return runner
