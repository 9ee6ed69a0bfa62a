"""How far each file's lines have been stored, on disk: one small file, replaced atomically, with the last one kept.

Positions only come here after every line before them was acknowledged (`Ledger`). A file that is torn or was changed by
hand is known by its digest, and the one before it is used; re-read lines have the same ids, so nothing is stored twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import orjson

from tidegate.logs.read import files

NAME = "checkpoint.json"
PREVIOUS = "checkpoint.previous.json"
SCHEMA = 1
COARSE = 1.0
"""Seconds by which a file system's times may lie behind the clock."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of one file."""

    key: files.Key
    path: str
    """Where the file was first found: what its lines carry as `log.file.path`."""
    real: str
    """Its last known path, with symbolic links followed."""
    file_id: str
    generation: int
    first_length: int
    first_digest: str
    """Digest of the first `first_length` bytes, to know the file again."""
    offset: int
    """Every line before it is stored."""
    mark: str
    """Digest of the bytes in front of `offset`."""
    size: int
    """The file's size as last seen, to count what was lost when it vanishes."""
    cuts: tuple[tuple[str, int], ...] = ()
    """Events behind `offset` that were closed by time and not by their content: (stream, end offset)."""
    gone_at: float = 0.0
    """When the file was closed for good (unix seconds); 0 while it lives."""

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def load(cls, value: dict[str, Any]) -> Entry:
        """From JSON; unknown names of a later version are ignored. Raises `KeyError`, `TypeError` or `ValueError`."""
        known = {field.name for field in dataclasses.fields(cls)}
        parts = {name: item for name, item in value.items() if name in known}
        parts["key"] = (int(value["key"][0]), int(value["key"][1]))
        parts["cuts"] = tuple((str(stream), int(end)) for stream, end in value.get("cuts", ()))
        return cls(**parts)


class Ledger:
    """Which of a file's lines are on their way: from positions read to a position that is safe to begin again from.

    Batches may come back in any order; the safe position is in front of the oldest one that is still out.
    """

    def __init__(self, position: int, mark: str) -> None:
        self.position = position
        """Read up to here; lines held back for joining count as not read."""
        self.mark = mark
        self._out: dict[int, tuple[int, str]] = {}

    def sent(self, batch: int, position: int, mark: str) -> None:
        """Lines up to `position` are in a batch (numbers only grow)."""
        self._out.setdefault(batch, (self.position, self.mark))
        self.position, self.mark = position, mark

    def passed(self, position: int, mark: str) -> None:
        """Bytes up to `position` needed no batch."""
        self.position, self.mark = position, mark

    def stored(self, batch: int) -> None:
        """A batch is stored."""
        self._out.pop(batch, None)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._out

    @property
    def committed(self) -> tuple[int, str]:
        """The safe position, and its mark."""
        return next(iter(self._out.values())) if self._out else (self.position, self.mark)


def load(folder: pathlib.Path) -> tuple[dict[files.Key, Entry], str]:
    """The newest readable checkpoint and, when that is not the newest one written, what is wrong with that one."""
    wrong = ""
    for name in (NAME, PREVIOUS):
        try:
            return _read(folder / name), wrong
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            wrong = wrong or f"{folder / name}: {error}"
    return {}, wrong


def looked_at(folder: pathlib.Path) -> float:
    """Up to when the checkpoint is sure to know of every file: what was rotated since may be missing in it; 0 without one."""
    try:
        with (folder / NAME).open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime
            told = orjson.loads(file.readline()).get("looked", written)
    except (OSError, ValueError, AttributeError):
        return 0.0
    return min(written, float(told)) - COARSE  # the wall clock may have been set since


def save(folder: pathlib.Path, entries: Iterable[Entry], looked: float = 0.0) -> None:
    """Write the checkpoint and return when it is on disk. Raises `OSError`, with the old one in place.

    `looked` is when the last look at the files began that these entries are complete for.
    """
    body = orjson.dumps([entry.dump() for entry in entries])
    head = orjson.dumps({"schema": SCHEMA, "digest": files.digest(body), "looked": looked})
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{NAME}.new"
    with new.open("wb") as file:
        file.write(head + b"\n" + body + b"\n")
        file.flush()
        os.fsync(file.fileno())
    current, previous = folder / NAME, folder / PREVIOUS
    with contextlib.suppress(FileNotFoundError):
        previous.unlink()
    with contextlib.suppress(FileNotFoundError):
        os.link(current, previous)
    new.replace(current)
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(path: pathlib.Path) -> dict[files.Key, Entry]:
    head, _, body = path.read_bytes().partition(b"\n")
    told = orjson.loads(head)
    body = body.removesuffix(b"\n")
    if told["digest"] != files.digest(body):
        raise ValueError("its digest does not match: it was not written to the end, or changed")
    entries = (Entry.load(value) for value in orjson.loads(body))
    return {entry.key: entry for entry in entries}
