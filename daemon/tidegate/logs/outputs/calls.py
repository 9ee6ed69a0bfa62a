"""Client libraries that block: threads of their own, away from the loop and from the threads that read files."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


class Calls:
    """A few threads of one output."""

    def __init__(self, name: str, threads: int) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(max(threads, 1), thread_name_prefix=f"logs-{name}")

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Do it in a thread. When we are cancelled it goes on, and nobody hears of it."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def close(self) -> None:
        """Wait for what is under way: each call has a time-out."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
