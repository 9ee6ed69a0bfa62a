"""What every input has: its name, its spool, its settings and its counters."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from tidegate.logs.formats import times
from tidegate.logs.inputs import http1, instruments, spool
from tidegate.model import ports

Result = TypeVar("Result")
THREAD = 64 * 1024
"""Bytes of a body from which it is taken apart in a thread, so that the loop never stalls."""
RETRY = 5
"""Seconds that a sender is asked to wait when the spool is full."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where an input puts what it receives."""

    name: str
    """`<kind>-<name>`."""
    spool: spool.Spool
    clock: ports.Clock
    metrics: instruments.Instruments
    longest: int
    """Most bytes of a record."""

    def now(self) -> str:
        """The time of receiving, for records."""
        return times.stamp(self.clock.now())

    async def keep(self, data: bytes, records: int) -> http1.Answer | None:
        """Put a request's records on disk; the answer when that cannot be done."""
        try:
            if records:
                await self.spool.put(data, records)
        except spool.FullError:
            return http1.Answer(503, b'{"error":"the spool is full"}', retry_after=RETRY, reason="full")
        except spool.TooLargeError:
            return http1.Answer(413, b'{"error":"more than the spool could take"}', reason="too_large")
        except OSError:
            return http1.Answer(503, b'{"error":"the disk does not take it"}', retry_after=RETRY, reason="disk")
        return None


class Input(Protocol):
    """One input."""

    async def run(self) -> None:
        """Receive until cancelled. Raises `OSError` when it cannot, e.g. because its address is taken."""


async def work(size: int, step: Callable[[], Result]) -> Result:
    """The result of a step over so many bytes, in a thread if they are many."""
    return await asyncio.to_thread(step) if size > THREAD else step()


def grouped(records: list[bytes], most: int) -> Iterator[list[bytes]]:
    """Records in groups of at most so many bytes."""
    group: list[bytes] = []
    size = 0
    for record in records:
        if group and size + len(record) > most:
            yield group
            group, size = [], 0
        group.append(record)
        size += len(record)
    if group:
        yield group
