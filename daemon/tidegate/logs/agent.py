"""The shipper: looks at files, reads them in turn, hands documents to the delivery, writes the checkpoint.

One loop decides, and one thread at a time reads and encodes; a block of each file in turn, so that one hot file does not
starve the quiet ones. When the output does not keep up, reading waits: the files are the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import re
import socket
from collections.abc import Awaitable, Iterable, Sequence
from typing import Protocol, TypeVar

from tidegate.kit import tasks, telemetry
from tidegate.logs.read import checkpoint, files, roster, rotations, source, tail
from tidegate.logs.ship import deadletter, delivery, fanout, instruments, output
from tidegate.model import ports, problems, settings

FOLDER = "logs"
"""Our folder in the data directory."""
SAVE_INTERVAL = 1.0
SCAN_SHARE = 20
"""Looking for files may take one part in so many of the time."""
STEP_BYTES = 1024 * 1024
"""Read in one go before the loop decides again."""
LETTERS = "dead letters"
"""What the dead-letter file is called among the outputs."""
STEP_FILES = 128
"""Opened in one go, beside those that are open: descriptors are few."""
_NAME = re.compile(r"[^A-Z\\/*?\"<>| ,#:\-]{1,100}")
Result = TypeVar("Result")
_Steps = list[tuple[roster.Watched, list[source.Chunk], Exception | None]]


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
        self._spools = spools
        self._config = config
        self._inputs: tuple[settings.LogInput, ...] = ()
        self._state = data_dir / FOLDER
        self._folder = str(folder)
        self._clock = clock
        self._host = host or socket.gethostname()
        self._metrics = instruments.Instruments(registry)
        self._log = telemetry.logger("logs.agent")
        self._outputs = fanout.Fanout(outputs, clock, self._metrics)
        letters = deadletter.DeadLetters(self._state, config.dead_letter_max_bytes, registry)
        self._delivery = delivery.Delivery(
            self._outputs,
            letters,
            observers,
            clock,
            self._metrics,
            self.save,
            batch_bytes=config.elasticsearch.bulk_bytes,
            delay=config.elasticsearch.bulk_delay,
            slots=config.elasticsearch.concurrency + 1,
        )
        self._roster = roster.Roster(self._folder, self._host, config, {}, fresh=True)
        self._started = False
        self._stale = True
        """What steps gave may have been dropped: files must be read again from their safe positions."""
        self._error = ""
        self._next_scan = 0.0
        self._scanned_at = 0.0
        self._looked_at = 0.0
        """When the last look began that found everything; what was rotated since may be unknown."""
        self._starting = False
        self._save_lock = asyncio.Lock()
        self._saved: object = None
        self._wanted = 0
        self._done = 0
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
            self._roster.dismiss(self._clock.now())

    def set_inputs(self, inputs: Sequence[settings.LogInput]) -> None:
        """Go on with other inputs, from the next look at the files. Raises `ConfigError`, with the old ones in force."""
        wanted = (*inputs, *(self._spools.files if self._spools else ()))
        check(wanted)
        self._inputs = wanted
        self._next_scan = 0.0

    async def abandon(self, path: str, first_digest: str) -> int:
        """Read no more of a file of ours that begins so, and say how far it was read; what was read is still shipped."""
        watched = self._roster.abandon(path, first_digest)
        async with self._reading:
            return watched.ledger.position if watched else 0

    def streams(self) -> Sequence[ports.StreamStatus]:
        """One status for each file, and one for each output."""
        now = self._clock.now()
        followed = list(self._roster.statuses(now))
        ours = self._delivery.error or self._error
        lag = max((each.lag_seconds for each in followed), default=0.0)
        total = sum(each.lag_bytes for each in followed)
        lines = self._delivery.lines
        outputs = [
            ports.StreamStatus(name, "output", total, lag, lines, error or ours)
            for name, error in self._outputs.errors()
        ]
        return [*followed, *outputs]

    def lag(self) -> float:
        """How many seconds ago the oldest line was written that is not stored yet; endless before files were looked for."""
        now = self._clock.now()
        each = (watched.lag_seconds(now) for watched in self._roster.watched.values())
        return max(each, default=0.0) if self.ready.is_set() else float("inf")

    async def save(self) -> None:
        """Write the checkpoint, and return when it is on disk, or could not be written: then the error is shown."""
        self._wanted += 1
        mine = self._wanted
        async with self._save_lock:
            if self._done >= mine:
                return
            covers = self._wanted
            entries = self._roster.entries(self._clock.now())
            if entries != self._saved:
                await self._write(entries)
            self._done = covers

    # --- one turn -----------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        """Look at the files when it is time, read a block of each that has something, or wait."""
        self._delivery.check()
        await self._scan()
        now = self._clock.now()
        due = self._roster.due(now)
        for watched in due:
            watched.seen = watched.now
        more = False
        while due:
            await self._room()
            async with self._reading:
                results = await _finish(asyncio.to_thread(_steps, due, self._clock.now()))
                for watched, chunks, error in results:
                    more = await self._take(watched, chunks, error) or more
            due = due[len(results) :]
            self._delivery.flush_due()
            self._roster.close_some(self._config.max_open_files)
            await self._scan()
        await self._let_go()
        self._delivery.flush_due()
        if not more:
            await self._clock.sleep(min(self._config.poll_interval, max(self._delivery.due(), 0.01)))

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
                await self._scan()
                spare = self._config.max_open_files - self._roster.opened
                async with self._reading:
                    await _finish(asyncio.to_thread(_hold, self._roster.unopened(spare)))
        finally:
            await tasks.cancel(room)

    async def _scan(self) -> None:
        now = self._clock.now()
        if now < self._next_scan and self._next_scan - now <= 60.0:
            return
        inputs = self._inputs
        loop = asyncio.get_running_loop()
        since, self._scanned_at = self._scanned_at, now
        started = loop.time()
        found = await asyncio.to_thread(files.scan, inputs, self._folder)
        self._next_scan = now + max(self._config.poll_interval, min(SCAN_SHARE * (loop.time() - started), 10.0))
        before = len(self._roster.watched)
        turned = self._roster.take(found, inputs, self._clock.now())
        if turned:
            await self._find_rotated(turned, since)
        if not self._starting:
            self._looked_at = now
        if len(self._roster.watched) > before and not self._starting:
            await self.save()  # a file that is known is found again, even when it is renamed after a kill
        self._measure()

    async def _find_rotated(self, paths: Iterable[str], since: float) -> None:
        """Follow files that were renamed before anybody looked, and copies of what we know, changed after `since`."""
        beside = await asyncio.to_thread(rotations.beside, list(paths), self._roster.knows())
        for path, rotated in beside:
            if rotated.changed < since:
                continue
            known = [entry for entry in self._roster.contents(path) if rotations.begins_like(rotated, entry)]
            before = next((entry for entry in known if rotations.continues(rotated, entry)), None)
            if before is not None or not known:
                self._roster.follow(rotated, path, self._inputs, self._clock.now(), before)
                self._log.info("following a rotated file", file=rotated.path, of=path, copy=before is not None)

    async def _recover(self, before: checkpoint.Entry) -> bool:
        """Find a copy of content that was truncated before all of it was read; whether there is one."""
        if any(each.source.file_id == before.file_id for each in self._roster.watched.values()):
            return True
        beside = await asyncio.to_thread(rotations.beside, [before.path], self._roster.knows())
        for path, rotated in beside:
            if rotations.continues(rotated, before):
                return self._roster.follow(rotated, path, self._inputs, self._clock.now(), before)
        return False

    async def _take(self, watched: roster.Watched, chunks: Sequence[source.Chunk], error: Exception | None) -> bool:
        """Account for what steps on one file gave; whether there is more at once."""
        dataset = watched.source.input.dataset
        watched.more = False
        for chunk in chunks:
            self._delivery.add(chunk)
            self._metrics.lines.labels(dataset).inc(chunk.lines)
            self._metrics.bytes.labels(dataset).inc(chunk.read)
            self._metrics.events.labels(dataset).inc(len(chunk.ids))
            self._metrics.cut.inc(chunk.cut)
            self._metrics.changed(dataset, chunk.unparsed, chunk.untimed, chunk.redacted, chunk.left_out)
            watched.lines += chunk.lines
            watched.more = watched.more or chunk.more
        watched.take_over()
        for chunk in chunks:
            await self._anew(watched, chunk)
        self._judge(watched, error)
        return watched.more

    async def _anew(self, watched: roster.Watched, chunk: source.Chunk) -> None:
        """Account for content that went away; what was not read of it is lost unless a copy is about."""
        if not chunk.rewritten:
            return
        lost = chunk.lost
        if chunk.before is not None and chunk.before.file_id:
            self._roster.before[watched.source.path] = chunk.before
            if await self._recover(chunk.before):
                lost = 0
        self._metrics.rewritten.inc()
        self._metrics.lost.inc(lost)
        self._log.info("file begins anew", file=watched.source.path, lost_bytes=lost)

    def _judge(self, watched: roster.Watched, error: Exception | None) -> None:
        """Say once what is wrong with a file; drop one that cannot be had any more."""
        if error is None:
            watched.error = ""
        elif isinstance(error, tail.GoneError):
            if not watched.present:
                self._metrics.lost.inc(error.lost)
                self._log.warning("file is gone before it was read", file=watched.source.path, lost_bytes=error.lost)
                watched.wanted = False
        else:
            watched.seen = None
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            if text != watched.error:
                self._metrics.file_errors.inc()
                self._log.warning("cannot read a file", file=watched.source.path, reason=text)
            watched.error = text

    async def _let_go(self) -> None:
        """Give up files that left, after a last step for what they still hold."""
        now = self._clock.now()
        for watched in [each for each in self._roster.watched.values() if self._roster.finished(each, now)]:
            if watched.wanted:
                last = await _finish(asyncio.to_thread(_last_step, watched, now))
                if last.ids or last.read:
                    await self._take(watched, [last], None)
                    continue
            self._roster.let_go(watched, now)

    def _measure(self) -> None:
        now = self._clock.now()
        lag_bytes: dict[str, int] = {each.dataset: 0 for each in self._inputs}
        lag_seconds: dict[str, float] = dict.fromkeys(lag_bytes, 0.0)
        for watched in self._roster.watched.values():
            dataset = watched.source.input.dataset
            lag_bytes[dataset] = lag_bytes.get(dataset, 0) + watched.lag_bytes
            lag_seconds[dataset] = max(lag_seconds.get(dataset, 0.0), watched.lag_seconds(now))
        for dataset, count in lag_bytes.items():
            self._metrics.lag_bytes.labels(dataset).set(count)
            self._metrics.lag_seconds.labels(dataset).set(lag_seconds[dataset])
        self._metrics.files.set(len(self._roster.watched))
        self._metrics.open_files.set(self._roster.opened)
        for name, error in (*self._outputs.errors(), (LETTERS, self._delivery.error)):
            self._metrics.output_error.labels(name).set(bool(error))

    # --- state --------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """Read the checkpoint, look for files, and find those again that were renamed meanwhile."""
        saved_at = await asyncio.to_thread(checkpoint.looked_at, self._state)
        if not self._started:
            entries, wrong = await asyncio.to_thread(checkpoint.load, self._state)
        else:
            entries, wrong = self._roster.dismiss(self._clock.now()), ""
        if wrong:
            self._metrics.checkpoint_errors.inc()
            self._log.error(
                "the checkpoint is not readable", reason=wrong, used="the one before" if entries else "none"
            )
        fresh = not self._started and not entries and not wrong
        self._roster = roster.Roster(self._folder, self._host, self._config, entries, fresh=fresh)
        self._started, self._stale, self._next_scan = True, False, 0.0
        self._starting, self._looked_at = True, saved_at
        begun = self._clock.now()
        await self._scan()
        missing = self._roster.missing()
        renamed = await asyncio.to_thread(_search, missing)
        lost = self._roster.adopt(renamed, self._inputs, self._clock.now())
        if not fresh:
            paths = {each.path for each in self._roster.entries(self._clock.now())}
            await self._find_rotated(paths, saved_at)
        self._starting, self._looked_at = False, begun
        await self.save()
        if lost:
            self._metrics.lost.inc(lost)
            self._log.warning("files vanished before they were read to their end", lost_bytes=lost)
        self.ready.set()

    async def _keep_saving(self) -> None:
        while True:
            await self._clock.sleep(SAVE_INTERVAL)
            self._measure()  # here too: while an output holds everything up, nothing is looked at
            await self.save()

    async def _write(self, entries: list[checkpoint.Entry]) -> None:
        try:
            await asyncio.to_thread(checkpoint.save, self._state, entries, self._looked_at)
        except OSError as error:
            self._metrics.checkpoint_errors.inc()
            text = f"cannot write the checkpoint in {self._state}: {error.strerror or error}"
            if text != self._error:
                self._log.error("cannot write the checkpoint", folder=str(self._state), reason=error.strerror)
            self._error = text
        else:
            self._error, self._saved = "", entries
            if self._spools is not None:
                await self._spools.stored(entries)


def check(inputs: Sequence[settings.LogInput]) -> None:
    """Refuse names that Elasticsearch refuses in a data stream's name. Raises `ConfigError` with every one."""
    found = [
        problems.Problem(
            "logs-stream-name",
            f"`{name}` of a log input cannot be {value!r}",
            hint='lower case, 1 to 100 characters, none of - \\ / * ? " < > | , # : or space',
        )
        for input_ in inputs
        for name, value in (("dataset", input_.dataset), ("namespace", input_.namespace))
        if not _NAME.fullmatch(value)
    ]
    if found:
        raise problems.ConfigError(found)


async def _finish(work: Awaitable[Result]) -> Result:
    """The result of work in a thread, which must not be dropped when we are cancelled: its file was read on meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _steps(due: Sequence[roster.Watched], now: float) -> _Steps:
    """Step files in turn until enough was read, or opened; the files that had their turn."""
    done: _Steps = []
    read = 0
    for watched in due:
        chunks: list[source.Chunk] = []
        error = None if watched.abandoned else _collect(watched, chunks, now)
        done.append((watched, chunks, error))
        read += sum(chunk.read for chunk in chunks)
        if read >= STEP_BYTES or len(done) >= STEP_FILES:
            break
    return done


def _collect(watched: roster.Watched, chunks: list[source.Chunk], now: float) -> Exception | None:
    made = watched.source
    try:
        chunks.append(made.step(now))
        if made.holding and now - made.read_at >= made.input.multiline.flush_after:
            chunks.append(made.flush(now))
    except (OSError, tail.GoneError) as error:
        return error
    return None


def _hold(files_: Sequence[roster.Watched]) -> None:
    """Open files that are read later; what is wrong with one is found then."""
    for watched in files_:
        with contextlib.suppress(OSError, tail.GoneError):
            watched.source.tail.open()


def _last_step(watched: roster.Watched, now: float) -> source.Chunk:
    return watched.source.step(now, final=True)


def _search(entries: Sequence[checkpoint.Entry]) -> list[tuple[checkpoint.Entry, str]]:
    return [(entry, files.in_folder(str(pathlib.Path(entry.real).parent), entry.key)) for entry in entries]
