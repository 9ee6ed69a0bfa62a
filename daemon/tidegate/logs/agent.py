"""The shipper: looks at files, reads them in turn, hands documents to the delivery, writes the checkpoint.

One loop decides, and one thread at a time reads and encodes; a block of each file in turn, so that one hot file does not
starve the quiet ones. When the output does not keep up, reading waits: the files are the spool.
"""

from __future__ import annotations

import asyncio
import pathlib
import socket
from collections.abc import Sequence
from typing import Protocol

from tidegate.kit import tasks, telemetry
from tidegate.logs import accounts, checks, status
from tidegate.logs.read import checkpoint, lookout, saving, steps
from tidegate.logs.ship import deadletter, delivery, fanout, instruments, output
from tidegate.model import ports, settings

FOLDER = "logs"
"""Our folder in the data directory."""
SAVE_INTERVAL = 1.0


class Spools(Protocol):
    """Who writes files of our own that are to be read, and removes them when they are stored."""

    @property
    def files(self) -> Sequence[settings.LogInput]:
        """What to read."""

    async def stored(self, entries: Sequence[checkpoint.Entry]) -> None:
        """A checkpoint is on disk."""


class LogAgent:
    """Follows the inputs' files and ships their lines to every output.

    `folder` is what relative patterns are relative to; `host` is `host.name`, by default this machine's. Observers see
    each document once in the life of the process, on the loop. Raises `ConfigError` for a dataset or namespace that no
    data stream can have.
    """

    def __init__(
        self,
        config: settings.Logs,
        data_dir: pathlib.Path,
        folder: pathlib.Path,
        outputs: Sequence[output.Output],
        observers: Sequence[ports.LogObserver],
        clock: ports.Clock,
        registry: telemetry.Registry,
        *,
        host: str = "",
        spools: Spools | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._spools = spools
        self._log = telemetry.logger("logs.agent")
        state = data_dir / FOLDER
        metrics = self._metrics = instruments.Instruments(registry)
        looks = self._lookout = lookout.Lookout(config, str(folder), host or socket.gethostname(), clock)
        stored = spools.stored if spools else None
        self._saver = saving.Saver(state, looks, clock, metrics.checkpoint_errors, stored)
        self._outputs = fanout.Fanout(outputs, clock, metrics)
        self._delivery = delivery.Delivery(
            self._outputs,
            deadletter.DeadLetters(state, config.dead_letter_max_bytes, registry),
            observers,
            clock,
            metrics,
            self._saver.save,
            batch_bytes=config.elasticsearch.bulk_bytes,
            delay=config.elasticsearch.bulk_delay,
            slots=config.elasticsearch.concurrency + 1,
        )
        self._accounts = accounts.Accounts(looks, self._delivery, metrics)
        self._status = status.Status(looks, self._saver, self._delivery, self._outputs, clock, metrics)
        self._started = False
        self._stale = True
        """What steps gave may have been dropped: files must be read again from their safe positions."""
        self._closed = False
        self._reading = asyncio.Lock()
        """Held while a step may be under way in a thread."""
        self.ready = asyncio.Event()
        """Set once the checkpoint was read: from then on it is known how far each file was read."""
        self.set_inputs(config.inputs)

    async def run(self) -> None:
        """Ship until cancelled; then call `close`. May be run again after a crash: it goes on where it was."""
        if self._stale:
            await self._start()
        saver = asyncio.create_task(self._keep_saving())
        try:
            while True:
                await self._turn()
        finally:
            self._stale = True
            await tasks.cancel(saver)

    async def close(self, grace: float) -> None:
        """Send what was read, wait for at most `grace` seconds, write the checkpoint, close files. After `run` ended.

        What is not acknowledged by then is read again at the next start; its ids are the same.
        """
        if self._closed:
            return
        self._closed = True
        await self._delivery.close(grace)
        if self._started:
            await self.save()
            self._lookout.roster.dismiss(self._clock.now())

    def set_inputs(self, inputs: Sequence[settings.LogInput]) -> None:
        """Go on with other inputs, from the next look at the files. Raises `ConfigError`, with the old ones in force."""
        wanted = (*inputs, *(self._spools.files if self._spools else ()))
        checks.streams(wanted)
        self._lookout.use(wanted)

    async def abandon(self, path: str, first_digest: str) -> int:
        """Read no more of a file of ours that begins so, and say how far it was read; what was read is still shipped."""
        watched = self._lookout.roster.abandon(path, first_digest)
        async with self._reading:
            return watched.ledger.position if watched else 0

    async def save(self) -> None:
        """Write the checkpoint, and return when it is on disk, or could not be written: then the error is shown."""
        await self._saver.save()

    def streams(self) -> Sequence[ports.StreamStatus]:
        """One status for each file, and one for each output."""
        return self._status.streams()

    def lag(self) -> float:
        """How many seconds ago the oldest line was written that is not stored yet; endless before files were looked for."""
        return self._status.lag() if self.ready.is_set() else float("inf")

    # --- one turn -----------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        """Look at the files when it is time, read a block of each that has something, or wait."""
        self._delivery.check()
        await self._look()
        due = self._lookout.roster.due(self._clock.now())
        for watched in due:
            watched.seen = watched.now
        more = False
        while due:
            await self._room()
            async with self._reading:
                results = await steps.in_thread(steps.read, due, self._clock.now())
                for watched, chunks, error in results:
                    more = await self._accounts.take(watched, chunks, error) or more
            due = due[len(results) :]
            self._delivery.flush_due()
            self._lookout.roster.close_some(self._config.max_open_files)
            await self._look()
        await self._let_go()
        self._delivery.flush_due()
        if not more:
            await self._clock.sleep(min(self._config.poll_interval, max(self._delivery.due(), 0.01)))

    async def _look(self) -> None:
        if not self._lookout.due():
            return
        if await self._lookout.look():
            await self.save()  # a file that is known is found again, even when it is renamed after a kill
        self._status.measure()

    async def _room(self) -> None:
        """Wait until more may be read. Meanwhile files are looked at, and held open so that none is deleted unread."""
        room = asyncio.create_task(self._delivery.room())
        try:
            while True:
                pause = asyncio.ensure_future(self._clock.sleep(self._config.poll_interval))
                await asyncio.wait({room, pause}, return_when=asyncio.FIRST_COMPLETED)
                pause.cancel()
                if room.done():
                    return
                await self._look()
                roster = self._lookout.roster
                spare = self._config.max_open_files - roster.opened
                async with self._reading:
                    await steps.in_thread(steps.hold, roster.unopened(spare))
        finally:
            await tasks.cancel(room)

    async def _let_go(self) -> None:
        """Give up files that left, after a last step for what they still hold."""
        now, roster = self._clock.now(), self._lookout.roster
        for watched in [each for each in roster.watched.values() if roster.finished(each, now)]:
            if watched.wanted:
                last = await steps.in_thread(steps.last, watched, now)
                if last.ids or last.read:
                    await self._accounts.take(watched, [last], None)
                    continue
            roster.let_go(watched, now)

    # --- state --------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """Read the checkpoint, look for files, and find those again that were renamed meanwhile."""
        saved_at = await self._saver.looked_at()
        if self._started:
            entries, fresh = self._lookout.roster.dismiss(self._clock.now()), False
        else:
            entries, fresh = await self._saver.load()
        self._started, self._stale = True, False
        lost = await self._lookout.begin(entries, saved_at, fresh=fresh)
        await self.save()
        if lost:
            self._metrics.lost.inc(lost)
            self._log.warning("files vanished before they were read to their end", lost_bytes=lost)
        self.ready.set()

    async def _keep_saving(self) -> None:
        while True:
            await self._clock.sleep(SAVE_INTERVAL)
            self._status.measure()  # here too: while an output holds everything up, nothing is looked at
            await self.save()
