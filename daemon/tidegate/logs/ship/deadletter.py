"""Documents that no output can store, with the reason: JSON lines in a file of bounded size, one older file kept.

What the rotation of this file drops is counted. Writing is synced to disk, since the checkpoint moves past these lines.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import orjson

from tidegate.kit import telemetry
from tidegate.logs.formats import times
from tidegate.logs.ship import output

NAME = "dead-letters.jsonl"
OLDER = "dead-letters.1.jsonl"


class DeadLetters:
    """The dead-letter file of one data directory."""

    def __init__(self, folder: pathlib.Path, max_bytes: int, registry: telemetry.Registry) -> None:
        self.path = folder / NAME
        self._older = folder / OLDER
        self._max_bytes = max_bytes
        self._dropped = telemetry.Counter(
            "tidegate_logs_dead_letters_dropped_bytes",
            "Bytes of the dead-letter file that its rotation dropped.",
            registry=registry,
        )

    def write(self, batch: output.Batch, rejected: Sequence[output.Rejected], at: float) -> None:
        """Append refused documents and return when they are on disk. Blocking. Raises `OSError`."""
        rows = [_row(batch, item, times.stamp(at)) for item in rejected]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(b"".join(rows))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if size > self._max_bytes:
            self._rotate()

    def _rotate(self) -> None:
        if self._older.exists():
            self._dropped.inc(self._older.stat().st_size)
        self.path.replace(self._older)


def _row(batch: output.Batch, item: output.Rejected, at: str) -> bytes:
    head = {
        "at": at,
        "output": item.output,
        "status": item.status,
        "reason": item.reason,
        "stream": batch.streams[item.index],
        "id": batch.ids[item.index],
    }
    return orjson.dumps(head)[:-1] + b',"document":' + batch.bodies[item.index] + b"}\n"
