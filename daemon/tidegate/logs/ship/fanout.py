"""Several outputs as one: each gets every batch, and a batch is done with when all of them have stored or refused it.

An output that has stored a batch is not sent it again while another one still tries. One that is away holds the others
up after the batches that may be under way at once: the files are the spool, for all of them.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence

from tidegate.kit import tasks, telemetry
from tidegate.logs.ship import instruments, output
from tidegate.model import ports


class Fanout:
    """Implements `output.Output` over others, of which each has another name."""

    def __init__(self, members: Sequence[output.Output], clock: ports.Clock, metrics: instruments.Instruments) -> None:
        self.members = tuple(members)
        self.name = ", ".join(each.name for each in self.members)
        self._clock = clock
        self._metrics = metrics
        self._crashed: dict[str, str] = {}
        self._log = telemetry.logger("logs.outputs")
        for each in self.members:
            metrics.stored.labels(each.name)

    @property
    def error(self) -> str:
        """What is wrong with the first output that has something wrong."""
        return next((f"{name}: {error}" for name, error in self.errors() if error), "")

    def errors(self) -> Iterator[tuple[str, str]]:
        """Each output's name, and what is wrong with it right now."""
        for each in self.members:
            yield each.name, each.error or self._crashed.get(each.name, "")

    async def send(self, batch: output.Batch) -> Sequence[output.Rejected]:
        """See `output.Output`. What is refused says which output refused it."""
        async with asyncio.TaskGroup() as group:
            sending = [group.create_task(self._to(each, batch)) for each in self.members]
        return [item for task in sending for item in task.result()]

    async def close(self) -> None:
        """Close all of them."""
        for each in self.members:
            await each.close()

    async def _to(self, member: output.Output, batch: output.Batch) -> list[output.Rejected]:
        """One output's share of the work. An output must not raise; if one does, lines are not lost."""
        attempt = 0
        while True:
            try:
                rejected = await member.send(batch)
                break
            except Exception as error:  # noqa: BLE001 - see above
                attempt += 1
                self._metrics.crashes.inc()
                self._crashed[member.name] = f"{type(error).__name__}: {error}"
                self._log.exception("sending failed", output=member.name)
                await self._clock.sleep(tasks.backoff(attempt))
        self._crashed.pop(member.name, None)
        self._metrics.stored.labels(member.name).inc(len(batch) - len(rejected))
        for item in rejected:
            self._metrics.refused.labels(member.name, str(item.status)).inc()
        return [dataclasses.replace(item, output=member.name) for item in rejected]
