"""Looks which files there are, again and again: new ones, rotated ones, copies, and at a start those renamed meanwhile.

Keeps the roster in line with what is on the disk. It never reads lines, and never decides when they are read.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from tidegate.kit import telemetry
from tidegate.logs.read import checkpoint, files, roster, rotations
from tidegate.model import ports, settings

SCAN_SHARE = 20
"""Looking for files may take one part in so many of the time."""
COARSE = 2.0
"""Seconds by which a file's time of change may be behind the clock: kernels keep it by their ticks, some disks by two."""
LONGEST_PAUSE = 60.0
"""A next look that is further away than this was set by a clock that jumped."""


class Lookout:
    """The inputs and the files that they lead to. Relative patterns are relative to `folder`."""

    def __init__(self, config: settings.Logs, folder: str, host: str, clock: ports.Clock) -> None:
        self.inputs: tuple[settings.LogInput, ...] = ()
        self.roster = roster.Roster(folder, host, config, {}, fresh=True)
        self.looked_at = 0.0
        """When the last look began that found everything; what was rotated since may be unknown."""
        self._config = config
        self._folder = folder
        self._host = host
        self._clock = clock
        self._next = 0.0
        self._scanned_at = 0.0
        self._starting = False
        self._log = telemetry.logger("logs.agent")

    def use(self, inputs: Sequence[settings.LogInput]) -> None:
        """Look for what these inputs ask for, from the next look."""
        self.inputs = tuple(inputs)
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time to look."""
        now = self._clock.now()
        return now >= self._next or self._next - now > LONGEST_PAUSE

    async def begin(self, entries: Mapping[files.Key, checkpoint.Entry], saved_at: float, *, fresh: bool) -> int:
        """Go on from a checkpoint that was right at `saved_at`; the bytes that are lost with files found no more."""
        self.roster = roster.Roster(self._folder, self._host, self._config, entries, fresh=fresh)
        self._next = 0.0
        self._starting, self.looked_at = True, saved_at
        begun = self._clock.now()
        await self.look()
        renamed = await asyncio.to_thread(_search, self.roster.missing())
        lost = self.roster.adopt(renamed, self.inputs, self._clock.now())
        if not fresh:
            paths = {each.path for each in self.roster.entries(self._clock.now())}
            await self._find_rotated(paths, saved_at)
        self._starting, self.looked_at = False, begun
        return lost

    async def look(self) -> bool:
        """Bring the roster in line with the disk; whether there is a new file, which the checkpoint should know at once."""
        inputs = self.inputs
        loop = asyncio.get_running_loop()
        now = self._clock.now()
        since, self._scanned_at = self._scanned_at, now
        started = loop.time()
        found = await asyncio.to_thread(files.scan, inputs, self._folder)
        self._next = now + max(self._config.poll_interval, min(SCAN_SHARE * (loop.time() - started), 10.0))
        before = len(self.roster.watched)
        turned = self.roster.take(found, inputs, self._clock.now())
        if turned:
            await self._find_rotated(turned, since)
        if self._starting:
            return False
        self.looked_at = now
        return len(self.roster.watched) > before

    async def recover(self, before: checkpoint.Entry) -> bool:
        """Find a copy of content that was truncated before all of it was read; whether there is one."""
        if any(each.source.file_id == before.file_id for each in self.roster.watched.values()):
            return True
        beside = await asyncio.to_thread(rotations.beside, [before.path], self.roster.knows())
        for path, rotated in beside:
            if rotations.continues(rotated, before):
                return self.roster.follow(rotated, path, self.inputs, self._clock.now(), before)
        return False

    async def _find_rotated(self, paths: Iterable[str], since: float) -> None:
        """Follow files that were renamed before anybody looked, and copies of what we know, changed after `since`."""
        beside = await asyncio.to_thread(rotations.beside, list(paths), self.roster.knows())
        for path, rotated in beside:
            if rotated.changed < since - COARSE:
                continue
            known = [entry for entry in self.roster.contents(path) if rotations.begins_like(rotated, entry)]
            before = next((entry for entry in known if rotations.continues(rotated, entry)), None)
            if before is not None or not known:
                self.roster.follow(rotated, path, self.inputs, self._clock.now(), before)
                self._log.info("following a rotated file", file=rotated.path, of=path, copy=before is not None)


def _search(entries: Sequence[checkpoint.Entry]) -> list[tuple[checkpoint.Entry, str]]:
    """Where files of the checkpoint are now; an empty path for those that are nowhere."""
    return [(entry, files.in_folder(str(pathlib.Path(entry.real).parent), entry.key)) for entry in entries]
