"""The spool's files: written at their end, synced, cut back to whole lines, counted, removed. Blocking; runs in threads.

A file is a header line that no other file has, then records, one a line. Which files may go is the spool's business.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import secrets

import orjson

from tidegate.logs.formats import spool as format_
from tidegate.logs.read import files

SUFFIX = ".spool"
MOST_HEADER = 128
"""Bytes of a header line, at most."""
_BLOCK = 1024 * 1024


@dataclasses.dataclass(slots=True)
class Segment:
    """One file."""

    path: pathlib.Path
    number: int
    first: bytes
    """Its header, without the newline."""
    size: int

    @property
    def digest(self) -> str:
        """What the checkpoint knows the file by."""
        return files.digest(self.first)


class Appender:
    """Writes at the end of the newest file; one call at a time."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.current: Segment | None = None
        self.closed: list[Segment] = []
        """Files that are not written to any more, oldest first."""
        self._number = 0
        self._fd = -1

    def recover(self) -> None:
        """Take what is there from before as closed, with unfinished last lines cut off. Raises `OSError`."""
        self.end()
        self.folder.mkdir(parents=True, exist_ok=True)
        found = []
        for path in sorted(self.folder.glob(f"*{SUFFIX}"), key=_number):
            self._number = max(self._number, _number(path))
            size = _whole(path)
            if size:
                with path.open("rb") as file:
                    found.append(Segment(path, _number(path), file.readline(files.PREFIX).rstrip(b"\n"), size))
            else:
                path.unlink()
        self.closed = found

    def write(self, data: bytes) -> Segment:
        """Append whole lines, and return when they are on disk. Raises `OSError`, with whole lines left at most."""
        segment = self.current or self._begin()
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fsync(self._fd)
        except OSError:
            self.end()
            with contextlib.suppress(OSError):
                segment.size = _whole(segment.path)
            raise
        segment.size += len(data)
        return segment

    def end(self) -> None:
        """Write to a new file from now on."""
        if self.current is not None:
            os.close(self._fd)
            self.closed.append(self.current)
        self._fd, self.current = -1, None

    def _begin(self) -> Segment:
        number = self._number + 1
        path = self.folder / f"{number:010d}{SUFFIX}"
        first = format_.HEADER + orjson.dumps({"version": 1, "number": number, "mark": secrets.token_hex(16)}) + b"}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._number = number
        try:
            if os.write(fd, first + b"\n") != len(first) + 1:
                raise OSError("the disk is full")
            _sync(self.folder)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        self._fd, self.current = fd, Segment(path, number, first, len(first) + 1)
        return self.current


def drop(segment: Segment, position: int) -> tuple[int, int]:
    """Remove a file; how many records and bytes stood behind a position of it."""
    start = max(position, len(segment.first) + 1)
    lines = size = 0
    with segment.path.open("rb") as file:
        file.seek(start)
        while block := file.read(_BLOCK):
            lines += block.count(b"\n")
            size += len(block)
    segment.path.unlink()
    return lines, size


def last_record(segment: Segment) -> bytes:
    """The last line of a file; empty when it holds none but its header."""
    with segment.path.open("rb") as file:
        at, tail = segment.size, b""
        while at > 0 and tail.count(b"\n") < 2:
            start = max(at - _BLOCK, 0)
            file.seek(start)
            tail = file.read(at - start) + tail
            at = start
    line = tail.rstrip(b"\n").rpartition(b"\n")[2]
    return b"" if line.startswith(format_.HEADER) else line


def _whole(path: pathlib.Path) -> int:
    """Cut a file behind its last newline; the size that is left."""
    with path.open("r+b") as file:
        size = at = file.seek(0, os.SEEK_END)
        while at > 0:
            start = max(at - _BLOCK, 0)
            file.seek(start)
            found = file.read(at - start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
        if at < size:
            file.truncate(at)
            os.fsync(file.fileno())
    return at


def _number(path: pathlib.Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else 0


def _sync(folder: pathlib.Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
