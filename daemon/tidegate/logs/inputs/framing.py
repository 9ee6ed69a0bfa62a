"""Syslog messages out of a stream of bytes (RFC 6587): octet counts or newlines, told apart message by message.

Bytes come in any pieces. A message that is too long is cut and the rest of it passed over; what cannot be a frame makes
the stream useless, since nobody knows where the next one begins.
"""

from __future__ import annotations

MOST_DIGITS = 10
LARGEST = 16 * 1024 * 1024
"""A count beyond it is no count of a message, but a sender that is out of step."""


class FramingError(Exception):
    """The stream is not in a form; the connection has to be closed."""


class Frames:
    """One connection's bytes."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._buffer = bytearray()
        self._skip = 0
        """Bytes of an octet-counted message that are still to be passed over."""
        self._skipping_line = False

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """(message, whether it was cut) for each that is complete. Raises `FramingError`."""
        self._buffer += data
        found: list[tuple[bytes, bool]] = []
        at = 0
        buffer = self._buffer
        while at < len(buffer):
            if self._skip:
                step = min(self._skip, len(buffer) - at)
                self._skip -= step
                at += step
                continue
            before = at
            at = self._counted(at, found) if 0x31 <= buffer[at] <= 0x39 else self._line(at, found)
            if at == before:
                break
        del buffer[:at]
        return found

    def end(self) -> list[tuple[bytes, bool]]:
        """What the sender left without an end when he closed: a last line without its newline is a message."""
        rest = bytes(self._buffer)
        if self._skip or self._skipping_line or not rest.strip() or rest[:1].isdigit():
            return []
        self._buffer.clear()
        return [(rest, False)]

    @property
    def unfinished(self) -> bool:
        """Whether the start of a message is here, and not its end."""
        return bool(self._buffer or self._skip)

    def _counted(self, at: int, found: list[tuple[bytes, bool]]) -> int:
        """A message behind its length; where the next one begins, or `at` when it is not whole."""
        buffer = self._buffer
        space = buffer.find(b" ", at, at + MOST_DIGITS + 1)
        digits = bytes(buffer[at:space]) if space >= 0 else bytes(buffer[at : at + MOST_DIGITS + 1])
        if self._skipping_line or not digits.isdigit():
            return self._line(at, found)
        if space < 0:
            return at if len(digits) <= MOST_DIGITS else self._line(at, found)
        length, start = int(digits), space + 1
        if length > LARGEST:
            raise FramingError("the length of a message is out of reason")
        taken = min(length, self._longest)
        if len(buffer) - start < taken:
            return at
        found.append((bytes(buffer[start : start + taken]), taken < length))
        self._skip = length - taken
        return start + taken

    def _line(self, at: int, found: list[tuple[bytes, bool]]) -> int:
        """A message up to a newline or a NUL, which some senders end it with."""
        buffer = self._buffer
        ends = [end for end in (buffer.find(b"\n", at), buffer.find(b"\0", at)) if end >= 0]
        end = min(ends, default=-1)
        if end < 0:
            if self._skipping_line:
                return len(buffer)
            if len(buffer) - at > self._longest:
                found.append((bytes(buffer[at : at + self._longest]), True))
                self._skipping_line = True
                return len(buffer)
            return at
        if self._skipping_line:
            self._skipping_line = False
        elif bytes(buffer[at:end]).strip():
            found.append((bytes(buffer[at : min(end, at + self._longest)]), end - at > self._longest))
        return end + 1
