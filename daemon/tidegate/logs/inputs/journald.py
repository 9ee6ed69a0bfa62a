"""The systemd journal, followed through `journalctl` in a process of its own, from behind the last entry on disk.

The place is the cursor of the newest entry in the spool; when the spool holds none any more, that of the file beside it,
which is written after each time that entries are on disk. So no entry is read twice, whenever we are killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any, cast

import orjson

from tidegate.kit import telemetry
from tidegate.logs.formats import journal
from tidegate.logs.formats import spool as format_
from tidegate.logs.inputs import base
from tidegate.model import receiving

CURSOR_FILE = "cursor"
LONGEST = 16 * 1024 * 1024
"""Bytes of an entry's JSON that are looked at; a longer entry is passed over, counted."""
BATCH = 1000
TERM_GRACE = 5.0


class JournalError(OSError):
    """`journalctl` ended."""


class Journal:
    """One journal."""

    def __init__(self, place: base.Place, config: receiving.Journald) -> None:
        self._place = place
        self._config = config
        self._log = telemetry.logger("logs.journald")
        self._file = place.spool.folder / CURSOR_FILE

    async def run(self) -> None:
        """Follow the journal until cancelled. Raises `OSError` when `journalctl` cannot be started, or ends."""
        cursor = await asyncio.to_thread(self._cursor)
        process = await asyncio.create_subprocess_exec(
            *self.command(cursor),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST,
        )
        stdout, stderr = cast("tuple[asyncio.StreamReader, asyncio.StreamReader]", (process.stdout, process.stderr))
        errors = asyncio.create_task(stderr.read(4096))
        try:
            await self._follow(stdout)
            said = (await errors).decode("utf-8", "replace").strip()
            raise JournalError(f"{self._config.command} ended with {await process.wait()}: {said[-500:]}")
        finally:
            errors.cancel()
            await _end(process)

    def command(self, cursor: str) -> list[str]:
        """What is run."""
        config = self._config
        parts = [config.command, "--output=json", "--all", "--follow", "--no-pager", "--quiet"]
        if cursor:
            parts.append(f"--after-cursor={cursor}")
        parts += ["--lines=all"] if cursor or config.start_at == "beginning" else ["--lines=0"]
        parts += [f"--directory={config.directory}"] if config.directory else []
        return parts + [f"--unit={unit}" for unit in config.units]

    async def _follow(self, stream: asyncio.StreamReader) -> None:
        """Take entries as they come, those that came together in one go."""
        place = self._place
        buffer = b""
        skipping = False
        while data := await stream.read(1024 * 1024):
            *whole, buffer = (buffer + data).split(b"\n")
            if skipping and whole:
                whole, skipping = whole[1:], False
            if len(buffer) > LONGEST:
                place.metrics.refused.labels(place.name, "too_large").inc()
                buffer, skipping = b"", True
            elif skipping:
                buffer = b""
            for start in range(0, len(whole), BATCH):
                await self._keep(whole[start : start + BATCH])

    async def _keep(self, lines: list[bytes]) -> None:
        place, now = self._place, self._place.now()
        made, cursor = await base.work(sum(map(len, lines)), lambda: self._records(lines, now))
        for group in base.grouped([record for record, _ in made], place.spool.largest):
            await place.spool.put(b"".join(group), len(group), wait=True)
        if made:
            place.metrics.cut.labels(place.name).inc(sum(cut for _, cut in made))
            await asyncio.to_thread(self._save, cursor)

    def _records(self, lines: list[bytes], now: str) -> tuple[list[tuple[bytes, bool]], str]:
        made, cursor = [], ""
        for line in lines:
            try:
                entry = orjson.loads(line)
                cursor = str(entry[journal.CURSOR])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                if line.strip():
                    self._place.metrics.refused.labels(self._place.name, "malformed").inc()
                continue
            made.append(fitted(entry, now, self._place.longest))
        return made, cursor

    # --- where we are -------------------------------------------------------------------------------------------

    def _cursor(self) -> str:
        with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError):
            return str(orjson.loads(self._place.spool.last)["fields"][journal.CURSOR])
        with contextlib.suppress(OSError):
            return self._file.read_text().strip()
        return ""

    def _save(self, cursor: str) -> None:
        new = self._file.with_suffix(".new")
        with new.open("w") as file:
            file.write(cursor)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)


def fitted(entry: dict[str, Any], now: str, longest: int) -> tuple[bytes, bool]:
    """The record of an entry, with its longest fields cut so that it fits; and whether that was needed."""
    made = format_.parsed("journal", now, None, "fields", entry)
    if len(made) <= longest:
        return made, False
    fields = {name: journal.text(value) for name, value in entry.items()}
    while len(made) > longest:
        name = max((each for each in fields if each != journal.CURSOR), key=lambda each: len(fields[each]))
        fields[name] = fields[name][: len(fields[name]) // 2]
        made = format_.parsed("journal", now, None, "fields", fields, cut=True)
    return made, True


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop the program, and wait until it is gone."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(TERM_GRACE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
