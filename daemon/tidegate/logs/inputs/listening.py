"""All inputs of one agent: makes them from the settings, tells the reader of their spools, runs them, each on its own.

Other settings are taken while it runs: what did not change is not touched, and the spool of an input that is gone is
shipped to its end.
"""

from __future__ import annotations

import asyncio
import glob
import pathlib
from collections.abc import Sequence
from typing import Protocol

from tidegate.kit import tasks, telemetry, watch
from tidegate.logs.inputs import base, belongings, check, instruments, making, spool
from tidegate.logs.read import checkpoint
from tidegate.model import ports, problems, receiving, settings

FOLDER = pathlib.Path("logs/spool")
"""In the data directory."""
STEADY = 60.0


class Reader(spool.Reader, Protocol):
    """Who ships the spools."""

    ready: asyncio.Event


class Inputs:
    """Everything that lines are sent to. Raises `ConfigError` for certificates that cannot be used."""

    def __init__(
        self,
        config: settings.Logs,
        data_dir: pathlib.Path,
        folder: pathlib.Path,
        clock: ports.Clock,
        registry: telemetry.Registry,
    ) -> None:
        self._clock = clock
        self._folder = folder
        self._data = data_dir.resolve() / FOLDER
        self._longest = config.max_line_bytes
        self._metrics = instruments.Instruments(registry)
        self._log = telemetry.logger("logs.inputs")
        self.spools: dict[str, spool.Spool] = {}
        """Each spool by `<kind>-<name>`, those of inputs that are gone among them."""
        self.running: dict[str, base.Input] = {}
        """Each input by the same name."""
        self._configs: dict[str, receiving.Received] = {}
        self._known: dict[str, str] = {}
        """What the files of its certificates held, by input."""
        self._readings: dict[str, settings.LogInput] = {}
        self._tasks: dict[str, tuple[base.Input | None, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()
        self.reload(config)
        self._take_left()

    @property
    def files(self) -> Sequence[settings.LogInput]:
        """What the reader has to read. May be others after `reload`."""
        return tuple(self._readings.values())

    async def stored(self, entries: Sequence[checkpoint.Entry]) -> None:
        """The reader's checkpoint is on disk."""
        for one in list(self.spools.values()):
            await one.stored(entries)

    def reload(self, config: settings.Logs) -> None:
        """Receive by other settings from now on. Raises `ConfigError`, with the old ones in force."""
        wanted = {f"{kind}-{name}": one for kind, name, one in config.receive.named()}
        found = check.problems_of(config.receive, self._folder)
        if found:
            raise problems.ConfigError(found)
        certificates = {name: self._certificates(one) for name, one in wanted.items()}
        changed = {
            name: one
            for name, one in wanted.items()
            if (self._configs.get(name), self._known.get(name)) != (one, certificates[name])
        }
        gone = self._configs.keys() - wanted.keys()
        spools = {name: self.spools.get(name) or self._spool(name, one.spool) for name, one in changed.items()}
        made = {name: self._made(spools[name], one) for name, one in changed.items()}
        self.spools.update(spools)
        for name, one in changed.items():
            self.spools[name].use(one.spool)
            self._readings[name] = belongings.of(self._data / name, one)
        for name in gone:
            del self.running[name]
        self.running.update(made)
        self._configs, self._known = wanted, certificates
        self._changed.set()

    async def run(self, reader: Reader) -> None:
        """Receive until cancelled, from when the reader knows where it is."""
        await reader.ready.wait()
        try:
            while True:
                self._changed.clear()
                await self._swap(reader)
                await self._changed.wait()
        finally:
            await tasks.cancel(*(task for _, task in self._tasks.values()))
            self._tasks.clear()
            for one in self.spools.values():
                await one.drain()

    def _made(self, kept: spool.Spool, config: receiving.Received) -> base.Input:
        """An input that does not run yet, with the spool that it had before if it is made anew."""
        longest = min(self._longest, spool.largest(config.spool))
        try:
            return making.make(base.Place(kept.name, kept, self._clock, self._metrics, longest), config, self._folder)
        except OSError as error:  # its files were right a moment ago
            raise problems.ConfigError([problems.Problem("logs-input-tls", f"`{kept.name}`: {error}")]) from None

    def _certificates(self, config: receiving.Received) -> str:
        return watch.digest([glob.escape(str(self._folder / name)) for name in config.tls_files])

    def _spool(self, name: str, config: receiving.Spool) -> spool.Spool:
        return spool.Spool(name, self._data / name, config, self._clock, self._metrics)

    def _take_left(self) -> None:
        """Ship what an input left that is no longer in the settings."""
        for name, reading in belongings.left(self._data, self._configs):
            self._log.warning("shipping what an input left that is gone", input=name, dataset=reading.dataset)
            self.spools[name] = self._spool(name, receiving.Spool())
            self._readings[name] = reading

    async def _swap(self, reader: Reader) -> None:
        """End what is no longer asked for, then start what is."""
        old = {name: task for name, (one, task) in self._tasks.items() if self.running.get(name) is not one}
        await tasks.cancel(*old.values())
        for name in old:
            del self._tasks[name]
        for name, kept in self.spools.items():
            kept.reader = reader
            if name not in self._tasks:
                one = self.running.get(name)
                work = self._keep(name, one) if one else self._retire(kept)
                self._tasks[name] = one, asyncio.create_task(work)

    async def _keep(self, name: str, one: base.Input) -> None:
        """Run one input for ever; when it fails, say so and try again later."""
        attempt = 0
        kept = self.spools[name]
        while True:
            started = self._clock.now()
            try:
                await kept.drain()
                await kept.open()
                await asyncio.to_thread(belongings.remember, kept.folder, self._readings[name])
                await one.run()
            except Exception as error:  # noqa: BLE001 - one input must not end the others
                self._log.error("an input failed", input=name, reason=f"{type(error).__name__}: {error}")
            self._metrics.restarts.labels(name).inc()
            attempt = 1 if self._clock.now() - started > STEADY else attempt + 1
            await self._clock.sleep(tasks.backoff(attempt))

    async def _retire(self, kept: spool.Spool) -> None:
        """Let the spool of an input that is gone be stored and removed."""
        attempt = 0
        while True:
            try:
                await kept.drain()
                await kept.open()
            except OSError as error:
                attempt += 1
                self._log.error("cannot look at a spool", input=kept.name, reason=str(error))
                await self._clock.sleep(tasks.backoff(attempt))
            else:
                return
