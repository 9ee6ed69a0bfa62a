"""Writes the checkpoint: one at a time, and whoever asks meanwhile shares the next one."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Awaitable, Callable, Sequence

from tidegate.kit import telemetry
from tidegate.logs.read import checkpoint, files, lookout
from tidegate.model import ports

Stored = Callable[[Sequence[checkpoint.Entry]], Awaitable[None]]
"""Told what is in a checkpoint that is on disk."""


class Saver:
    """The checkpoint in one folder. `failed` counts the times that it could not be written or read."""

    def __init__(
        self,
        folder: pathlib.Path,
        looks: lookout.Lookout,
        clock: ports.Clock,
        failed: telemetry.Counter,
        stored: Stored | None,
    ) -> None:
        self.error = ""
        """Why the last one could not be written."""
        self._folder = folder
        self._looks = looks
        self._clock = clock
        self._failed = failed
        self._stored = stored
        self._log = telemetry.logger("logs.agent")
        self._lock = asyncio.Lock()
        self._saved: object = None
        self._wanted = 0
        self._done = 0

    async def load(self) -> tuple[dict[files.Key, checkpoint.Entry], bool]:
        """What the checkpoint knows, and whether there never was one, so that every file is as new as we are."""
        entries, wrong = await asyncio.to_thread(checkpoint.load, self._folder)
        if wrong:
            self._failed.inc()
            used = "the one before" if entries else "none"
            self._log.error("the checkpoint is not readable", reason=wrong, used=used)
        return entries, not entries and not wrong

    async def looked_at(self) -> float:
        """When the files were looked at last that the checkpoint knows."""
        return await asyncio.to_thread(checkpoint.looked_at, self._folder)

    async def save(self) -> None:
        """Write the checkpoint, and return when it is on disk, or could not be written: then the error is shown."""
        self._wanted += 1
        mine = self._wanted
        async with self._lock:
            if self._done >= mine:
                return
            covers = self._wanted
            entries = self._looks.roster.entries(self._clock.now())
            if entries != self._saved:
                await self._write(entries)
            elif self._stored is not None:  # what was written may be done with only now
                await self._stored(entries)
            self._done = covers

    async def _write(self, entries: list[checkpoint.Entry]) -> None:
        try:
            await asyncio.to_thread(checkpoint.save, self._folder, entries, self._looks.looked_at)
        except OSError as error:
            self._failed.inc()
            text = f"cannot write the checkpoint in {self._folder}: {error.strerror or error}"
            if text != self.error:
                self._log.error("cannot write the checkpoint", folder=str(self._folder), reason=error.strerror)
            self.error = text
        else:
            self.error, self._saved = "", entries
            if self._stored is not None:
                await self._stored(entries)
