"""What is done to files in a thread: reading a block of each in turn, and holding those open that must wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from tidegate.logs.read import roster, source, tail

STEP_BYTES = 1024 * 1024
"""Read in one go before the loop decides again."""
STEP_FILES = 128
"""Opened in one go, beside those that are open: descriptors are few."""
Done = tuple[roster.Watched, list[source.Chunk], Exception | None]
"""A file that had its turn, what it gave, and what was wrong."""
Result = TypeVar("Result")
Given = ParamSpec("Given")


async def in_thread(work: Callable[Given, Result], *args: Given.args, **more: Given.kwargs) -> Result:
    """The result of work in a thread; when we are cancelled, only after it ended: its file was read on meanwhile."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **more))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def read(due: Sequence[roster.Watched], now: float) -> list[Done]:
    """Step files in turn until enough was read, or opened; the files that had their turn."""
    done: list[Done] = []
    size = 0
    for watched in due:
        chunks: list[source.Chunk] = []
        error = None if watched.abandoned else _step(watched, chunks, now)
        done.append((watched, chunks, error))
        size += sum(chunk.read for chunk in chunks)
        if size >= STEP_BYTES or len(done) >= STEP_FILES:
            break
    return done


def last(watched: roster.Watched, now: float) -> source.Chunk:
    """All that a file still holds, with what was held back."""
    return watched.source.step(now, final=True)


def hold(waiting: Sequence[roster.Watched]) -> None:
    """Open files that are read later; what is wrong with one is found then."""
    for watched in waiting:
        with contextlib.suppress(OSError, tail.GoneError):
            watched.source.tail.open()


def _step(watched: roster.Watched, chunks: list[source.Chunk], now: float) -> Exception | None:
    made = watched.source
    try:
        chunks.append(made.step(now))
        if made.holding and now - made.read_at >= made.input.multiline.flush_after:
            chunks.append(made.flush(now))
    except (OSError, tail.GoneError) as error:
        return error
    return None
