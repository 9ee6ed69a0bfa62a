"""Batches: filled from chunks, shown to observers once, sent, buried where refused, and written off in the ledgers.

At most `slots` batches are on their way; until one comes back, reading waits. The files are the spool, so memory stays
flat however long the output is away.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from tidegate.kit import tasks, telemetry
from tidegate.logs.read import checkpoint, source
from tidegate.logs.ship import deadletter, fanout, instruments, output
from tidegate.model import ports

SLICE = 200
"""Documents shown to an observer before the loop gets a turn."""


@dataclasses.dataclass(slots=True)
class _Open:
    """The batch that is being filled."""

    number: int
    streams: list[str] = dataclasses.field(default_factory=list)
    ids: list[str] = dataclasses.field(default_factory=list)
    bodies: list[bytes] = dataclasses.field(default_factory=list)
    ledgers: dict[checkpoint.Ledger, None] = dataclasses.field(default_factory=dict)
    size: int = 0
    since: float = 0.0
    durable: bool = False


class Delivery:
    """From chunks to the output."""

    def __init__(
        self,
        sink: fanout.Fanout,
        letters: deadletter.DeadLetters,
        observers: Sequence[ports.LogObserver],
        clock: ports.Clock,
        metrics: instruments.Instruments,
        save: Callable[[], Awaitable[None]],
        *,
        batch_bytes: int,
        delay: float,
        slots: int,
    ) -> None:
        self.error = ""
        """What keeps batches from being done with, beside the outputs themselves."""
        self.lines = 0
        """Documents that every output has stored so far."""
        self._sink = sink
        self._letters = letters
        self._observers = tuple(observers)
        self._clock = clock
        self._metrics = metrics
        self._save = save
        self._batch_bytes = batch_bytes
        self._delay = delay
        self._slots = slots
        self._open = _Open(0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._failure: BaseException | None = None
        self._log = telemetry.logger("logs.delivery")

    def add(self, chunk: source.Chunk) -> None:
        """Put a chunk's documents into the open batch, and send that when it is full. Call `room` before."""
        if not chunk.ids:
            chunk.ledger.passed(chunk.position, chunk.mark)
            return
        batch = self._open
        if not batch.ids:
            batch.since = self._clock.now()
        batch.streams.extend([chunk.stream] * len(chunk.ids))
        batch.ids.extend(chunk.ids)
        batch.bodies.extend(chunk.bodies)
        size = sum(map(len, chunk.bodies))
        batch.size += size
        batch.durable = batch.durable or chunk.durable
        batch.ledgers[chunk.ledger] = None
        chunk.ledger.sent(batch.number, chunk.position, chunk.mark)
        self._metrics.in_flight.inc(size)
        if batch.size >= self._batch_bytes and len(self._tasks) < self._slots:
            self.flush()

    async def room(self) -> None:
        """Wait until another chunk may be added."""
        while self._open.size >= self._batch_bytes:
            if len(self._tasks) < self._slots:
                self.flush()
                return
            self._freed.clear()
            await self._freed.wait()

    def check(self) -> None:
        """Raise what a batch died of, if one did: its lines must be read again."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def due(self) -> float:
        """Seconds until the open batch should be sent; infinite when it is empty, or no slot is free."""
        if not self._open.ids or len(self._tasks) >= self._slots:
            return float("inf")
        return max(self._open.since + self._delay - self._clock.now(), 0.0)

    def flush_due(self) -> None:
        """Send the open batch when it waited long enough and a slot is free."""
        if self.due() <= 0:
            self.flush()

    def flush(self) -> None:
        """Send the open batch."""
        batch = self._open
        if not batch.ids:
            return
        self._open = _Open(batch.number + 1)
        task = asyncio.create_task(self._deliver(batch))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self, grace: float) -> None:
        """Send what is there, wait for acknowledgements for so many seconds, and give up the rest: it is still in the files."""
        self.flush()
        if self._tasks and grace > 0:
            timer = asyncio.ensure_future(self._clock.sleep(grace))
            waiting = asyncio.ensure_future(asyncio.wait(set(self._tasks)))
            await asyncio.wait({timer, waiting}, return_when=asyncio.FIRST_COMPLETED)
            for each in (timer, waiting):
                each.cancel()
            await asyncio.gather(timer, waiting, return_exceptions=True)
        await tasks.cancel(*self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._freed.set()
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()

    async def _deliver(self, batch: _Open) -> None:
        out = output.Batch(batch.streams, batch.ids, batch.bodies)
        try:
            await self._show(out)
            if batch.durable:
                await self._save()
            rejected = await self._sink.send(out)
            if rejected:
                await self._bury(out, rejected)
        finally:
            self._metrics.in_flight.dec(batch.size)
        stored = len(out) - len({item.index for item in rejected})
        self._metrics.shipped.inc(stored)
        self.lines += stored
        for ledger in batch.ledgers:
            ledger.stored(batch.number)

    async def _show(self, batch: output.Batch) -> None:
        """Let observers see the lines, some at a time."""
        if not self._observers:
            return
        for start in range(0, len(batch), SLICE):
            for observer in self._observers:
                try:
                    observer(batch.part(start, start + SLICE))
                except Exception:  # noqa: BLE001 - what counts lines must not keep them from being shipped
                    self._metrics.observers.inc()
                    self._log.exception("a log observer failed")
            await asyncio.sleep(0)

    async def _bury(self, batch: output.Batch, rejected: Sequence[output.Rejected]) -> None:
        """Write refused documents to the dead-letter file; until that works, they are not done with."""
        attempt = 0
        while True:
            try:
                await asyncio.to_thread(self._letters.write, batch, rejected, self._clock.now())
            except OSError as error:
                attempt += 1
                self.error = f"cannot write {self._letters.path}: {error.strerror or error}"
                await self._clock.sleep(tasks.backoff(attempt))
            else:
                break
        self.error = ""
        self._metrics.dead.inc(len(rejected))
        first = rejected[0]
        self._log.warning(
            "documents were refused",
            count=len(rejected),
            output=first.output,
            status=first.status,
            reason=first.reason,
            file=str(self._letters.path),
        )
