"""Client libraries that block, away from the loop and from the threads that read files; and what to say when one is missing."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib.util
from collections.abc import Callable
from typing import TypeVar

from tidegate.model import problems

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


def need(module: str, section: str, extra: str) -> None:
    """Raise `ConfigError` when a client library is not installed."""
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even its package
        found = False
    if not found:
        summary = f"`logs.{section}` needs a library that is not installed: {module}"
        raise problems.ConfigError(
            [problems.Problem("logs-extra-missing", summary, hint=f"pip install 'tidegate[{extra}]'")]
        )
