"""Reads one file from an offset, in blocks of whole lines, and notices when it is no longer the same content.

Before each block the bytes in front of it are compared with what was read there last time: a file that was truncated, or
truncated and grown past the old offset, or rewritten, is found out without timestamps. Blocking; runs in threads.
"""

from __future__ import annotations

import dataclasses
import os

from tidegate.logs.read import files

BLOCK = 512 * 1024
MOST_LINES = 4000
"""In one block, so that many tiny lines do not become one huge request."""
MARK = files.MARK
BOM = b"\xef\xbb\xbf"


class RewrittenError(Exception):
    """The file begins anew: truncated, or written over. `lost` bytes were seen there and never read."""

    def __init__(self, lost: int) -> None:
        super().__init__(f"the file begins anew, {lost} bytes were not read")
        self.lost = lost


class GoneError(Exception):
    """The file cannot be opened by its identity any more. `lost` bytes were seen there and never read."""

    def __init__(self, lost: int) -> None:
        super().__init__(f"the file is gone, {lost} bytes were not read")
        self.lost = lost


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines."""

    start: int
    """Offset of the first line."""
    lines: list[bytes]
    """Without their newlines."""
    cut: bool = False
    """The only line has no end within the limit; what follows up to its newline is skipped."""


class Tail:
    """The reading side of one file."""

    def __init__(self, path: str, key: files.Key, position: int, longest: int) -> None:
        self.path = path
        """Where it can be opened; changes when it is renamed."""
        self.key = key
        self.position = position
        """Offset of the next line to read."""
        self.size = 0
        """As last seen."""
        self.links = 1
        """Names that the file has; 0 after its deletion."""
        self._longest = longest
        self._reached = 0
        """How long the content surely was."""
        self._noticed = 0
        """How long somebody else saw it since the last look."""
        self._fd = -1
        self._mark = b""
        self._line_start = position
        self._skipping = False

    @property
    def opened(self) -> bool:
        """Whether a descriptor is held."""
        return self._fd >= 0

    @property
    def resume(self) -> int:
        """Offset to begin again from: like `position`, but the start of a line that is being skipped over."""
        return self._line_start if self._skipping else self.position

    @property
    def fd(self) -> int:
        """The open descriptor."""
        return self._fd

    def open(self) -> None:
        """Open it, if need be by searching its folder for its identity. Raises `GoneError`, or `OSError`."""
        if self._fd >= 0:
            return
        fd = self._open_same(self.path)
        if fd < 0:
            renamed = files.in_folder(os.path.dirname(os.path.realpath(self.path)), self.key)  # noqa: PTH120
            fd = self._open_same(renamed) if renamed else -1
            if fd < 0:
                raise GoneError(max(self.size - self.position, 0))
            self.path = renamed
        self._fd = fd
        if not self._mark:
            self._mark = os.pread(fd, min(MARK, self.position), max(self.position - MARK, 0))
        self.look()

    def close(self) -> None:
        """Let the descriptor go; the file can be opened again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def look(self) -> None:
        """Renew `size` and `links`."""
        stat = os.fstat(self._fd)
        self.size, self.links = stat.st_size, stat.st_nlink

    def notice(self, size: int) -> None:
        """Somebody saw the file this long: what of it is gone when it is read was lost.

        The latest size may be that of other content already, if the file is still that long when it is read; an earlier
        one is taken for what it was.
        """
        if size != self._noticed:
            self._reached, self._noticed = max(self._reached, self._noticed), size

    def begin_anew(self) -> None:
        """Read from the start."""
        self.position = self._line_start = self._reached = self._noticed = 0
        self._mark = b""
        self._skipping = False

    @property
    def mark(self) -> str:
        """A digest of the bytes in front of `position`, as they were when they were read."""
        return files.digest(self._mark)

    def mark_before(self, offset: int) -> str:
        """A digest of the bytes in front of an offset, as they are now."""
        return files.mark(self._fd, offset)

    def read(self, *, final: bool = False) -> Block | None:
        """The next whole lines, or None when there are none. With `final` an unfinished last line counts as whole.

        Raises `RewrittenError`.
        """
        data = self._data()
        if self._skipping:
            data = self._skip(data)
        if data.startswith(b"\0"):
            data = self._skip_zeros(data)
        if not data:
            return None
        end = data.rfind(b"\n")
        if end >= 0:
            return self._lines(data, end)
        if len(data) > self._longest:
            block = Block(self.position, [data[: self._longest]], cut=True)
            self._line_start, self._skipping = self.position, True
            self._advance(data, self._longest)
            return block
        if final:
            block = Block(self.position, [data])
            self._advance(data, len(data))
            return block
        return None

    def _data(self) -> bytes:
        mark = len(self._mark)
        data = os.pread(self._fd, mark + max(BLOCK, self._longest + 1), self.position - mark)
        if data[:mark] != self._mark:
            reached = max(self._reached, self._noticed if self._noticed > self.size else 0)
            raise RewrittenError(max(reached - self.position, 0))
        self._reached = max(self._reached, self.size)
        return data[mark:]

    def _lines(self, data: bytes, end: int) -> Block:
        """Whole lines up to the newline at `end`, or fewer when they are many."""
        start = self.position
        lines = data[:end].split(b"\n", MOST_LINES)
        if len(lines) > MOST_LINES:
            rest = lines.pop()
            end -= len(rest) + 1
        self._advance(data, end + 1)
        return Block(start, lines)

    def _skip(self, data: bytes) -> bytes:
        """Go on to the end of a line that was cut."""
        end = data.find(b"\n")
        if end < 0:
            self._advance(data, len(data))
            return b""
        self._advance(data, end + 1)
        self._skipping = False
        return data[end + 1 :]

    def _skip_zeros(self, data: bytes) -> bytes:
        """Pass over zeros at the start of a line: the hole that a writer leaves who kept his offset over a truncation."""
        rest = data.lstrip(b"\0")
        self._advance(data, len(data) - len(rest))
        if not rest and self.position < self.size:
            try:
                hole_end = os.lseek(self._fd, self.position, os.SEEK_DATA)
            except OSError:  # nothing but the hole, or no such call here
                return b""
            if hole_end > self.position + MARK:
                self.position = hole_end
                self._mark = b"\0" * MARK
        return rest

    def _advance(self, data: bytes, count: int) -> None:
        self._mark = (self._mark + data[max(count - MARK, 0) : count])[-MARK:]
        self.position += count
        if not self._skipping:
            self._line_start = self.position

    def _open_same(self, path: str) -> int:
        """A descriptor of the file with our identity at a path, or -1. Raises `OSError` when it may not be opened."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return -1
        stat = os.fstat(fd)
        if (stat.st_dev, stat.st_ino) == self.key:
            return fd
        os.close(fd)
        return -1
