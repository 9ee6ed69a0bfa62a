"""How far each table was sent to one receiver: a memory-mapped file, so that a killed process goes on where it stopped.

Each table has a fixed record that is overwritten in place; what was acknowledged is never sent again but for the row that
was under way. A file that is torn or not ours is set aside, and sending begins anew from now. What is sent is not known here.
"""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from tidegate.kit import telemetry

FIRST = 64
KEY = 24
_RECORD = np.dtype([("key", f"S{KEY}"), ("at", "<i8")])
_MAGIC = b"TIDESENT1"


class Positions:
    """Timestamps (milliseconds) by table. The first record holds the time before which nothing is sent."""

    def __init__(self, path: pathlib.Path, now_ms: int, tables: Collection[str] = ()) -> None:
        """Open the file, or make it; of tables that are not there any more nothing is kept. Raises `OSError`."""
        self._path = path
        self.since, known = _read(path, now_ms)
        kept = {table: known[key] for table in tables if (key := _key(table)) in known}
        self._slots = {table: slot for slot, table in enumerate(kept, 1)}
        records = [(_MAGIC, self.since), *((_key(table), at) for table, at in kept.items())]
        self._map = self._made(np.array(records, _RECORD), FIRST + 2 * len(tables))

    def get(self, table: str) -> int:
        """Up to which time a table was sent."""
        slot = self._slots.get(table)
        return self.since if slot is None else int(self._map["at"][slot])

    def put(self, table: str, at_ms: int) -> None:
        """A table was sent up to this time."""
        slot = self._slots.get(table)
        if slot is None:
            slot = self._new(table)
        self._map["at"][slot] = at_ms

    def _new(self, table: str) -> int:
        slot = len(self._slots) + 1
        if slot >= len(self._map):
            self._grow()
        self._map["at"][slot] = self.since
        self._map["key"][slot] = _key(table)
        self._slots[table] = slot
        return slot

    def _grow(self) -> None:
        self._map = self._made(self._map, 2 * len(self._map))

    def _made(self, records: npt.NDArray[np.void], slots: int) -> np.memmap[tuple[int], np.dtype[np.void]]:
        """A new file that takes the place of the old one once these records are in it."""
        fresh = self._path.with_suffix(".new")
        made = np.memmap(fresh, _RECORD, "w+", shape=(slots,))
        made[: len(records)] = records
        fresh.replace(self._path)
        return made


def _key(table: str) -> bytes:
    # Hexadecimal, since numpy takes zeros off the end of texts.
    return hashlib.sha256(table.encode()).hexdigest()[:KEY].encode()


def _read(path: pathlib.Path, now_ms: int) -> tuple[int, dict[bytes, int]]:
    """The time of the first record, and the positions. A file that cannot be read is set aside."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return now_ms, {}
    if not raw or len(raw) % _RECORD.itemsize or not raw.startswith(_MAGIC):
        path.replace(path.with_suffix(".bad"))
        telemetry.logger("remote write").error("set aside a damaged file: sending begins from now", path=str(path))
        return now_ms, {}
    records = np.frombuffer(raw, _RECORD)
    used = records[1:][records["key"][1:] != b""]
    return int(records["at"][0]), dict(zip(used["key"].tolist(), used["at"].tolist(), strict=True))
