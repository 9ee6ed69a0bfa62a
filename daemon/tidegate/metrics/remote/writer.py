"""All receivers that samples are sent on to: started, changed by a reload, and stopped.

A receiver whose configuration stays is left alone. How far each was sent is kept by its name, so that new credentials or
another URL go on where the old ones stopped. How samples are sent is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Iterable, Sequence

from tidegate.kit import access, relabel, tasks, telemetry
from tidegate.metrics import columns
from tidegate.metrics import store as store_
from tidegate.metrics.remote import encode, follow, instruments, layout, positions, post, send
from tidegate.model import ports, relabelling, series

SUFFIX = ".positions"


@dataclasses.dataclass(frozen=True, slots=True)
class Receiver:
    """One receiver as configured. Equal ones are left alone by a reload."""

    target: post.Target
    pace: send.Pace
    external: tuple[tuple[str, str], ...] = ()
    relabel: relabelling.Steps = ()
    metadata_interval: float = 60.0
    """Seconds; 0: no metadata is sent."""
    metadata_batch: int = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class _Running:
    sender: send.Sender
    tasks: tuple[asyncio.Task[None], ...]


class Writer:
    """Keeps one sender for each receiver."""

    def __init__(
        self,
        folder: pathlib.Path,
        store: store_.Store,
        metadata: Callable[[], Iterable[series.Metadata]],
        clock: ports.Clock,
        registry: telemetry.Registry,
        supervisor: tasks.Supervisor,
    ) -> None:
        self._folder, self._store, self._metadata = folder, store, metadata
        self._clock, self._supervisor = clock, supervisor
        self._instruments = instruments.Instruments(registry)
        self._wanted: dict[str, Receiver] = {}
        self._running: dict[Receiver, _Running] = {}
        self._changed = asyncio.Event()

    def set_receivers(self, receivers: Sequence[Receiver]) -> None:
        """Write to these from now on."""
        self._wanted = {one.target.name: one for one in receivers}
        self._changed.set()

    async def run(self) -> None:
        """Send until cancelled."""
        await asyncio.to_thread(self._forget_others)
        try:
            while True:
                self._changed.clear()
                await self._stop_unwanted()
                for one in self._wanted.values():
                    if one not in self._running:
                        self._running[one] = await self._start(one)
                await self._changed.wait()
        finally:
            await tasks.cancel(*(task for one in self._running.values() for task in one.tasks))
            self._running.clear()

    async def close(self, seconds: float) -> None:
        """Send what is there, for at most so long; the rest waits for the next start."""
        await asyncio.gather(*(one.sender.close(seconds) for one in self._running.values()))

    async def _stop_unwanted(self) -> None:
        for one in [one for one in self._running if self._wanted.get(one.target.name) != one]:
            await tasks.cancel(*self._running.pop(one).tasks)
            if one.target.name not in self._wanted:
                self._instruments.remove(one.target.name)
                self._path(one.target.name).unlink(missing_ok=True)

    async def _start(self, one: Receiver) -> _Running:
        sender = await asyncio.to_thread(self._made, one)
        name = f"remote write {one.target.name}"
        parts = [asyncio.create_task(self._supervisor.run(name, sender.run), name=name)]
        if one.metadata_interval and one.target.message == post.V1:
            telling = self._supervisor.run(f"{name} metadata", lambda: self._tell(one, sender))
            parts.append(asyncio.create_task(telling))
        return _Running(sender, tuple(parts))

    def _made(self, one: Receiver) -> send.Sender:
        self._folder.mkdir(parents=True, exist_ok=True)
        tables = [each.key for each in self._store.tables()]
        sent = positions.Positions(self._path(one.target.name), round(self._clock.now() * 1000), tables)
        naming = layout.Naming(dict(one.external), relabel.Relabelling(one.relabel), columns.StringPool())
        count = instruments.Counts(self._instruments, one.target.name)
        follower = follow.Follower(self._store, naming, sent, count.drop)
        peer = post.Peer(one.target, access.Access(one.target.client, self._clock))
        return send.Sender(follower, peer, naming, one.pace, one.target.message, self._clock, count)

    async def _tell(self, one: Receiver, sender: send.Sender) -> None:
        """Say what metrics are, again and again."""
        while True:
            await self._clock.sleep(one.metadata_interval)
            found = list({said.name: said for said in self._metadata()}.values())
            size = one.metadata_batch
            await sender.say([encode.metadata_1(found[at : at + size]) for at in range(0, len(found), size)])

    def _forget_others(self) -> None:
        """Remove what is kept of receivers that nobody configures any more."""
        wanted = {self._path(name) for name in self._wanted}
        for path in self._folder.glob(f"*{SUFFIX}") if self._folder.is_dir() else ():
            if path not in wanted:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, name: str) -> pathlib.Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}{SUFFIX}"
