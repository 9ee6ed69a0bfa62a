"""The prober `tcp`: connects, and has the conversation of `query_response`."""

from __future__ import annotations

import asyncio

from tidegate.kit import access
from tidegate.model import ports, probing
from tidegate.scrape.probes import connection, expand, gauges, names, tls

LONGEST = 64 * 1024
"""A longer line is a failure, as in Go's scanner."""
TURN = 100
"""Lines that are looked at before others get their turn."""


async def probe(
    target: str,
    given: probing.TcpProbe,
    way: access.Access,
    lookup: names.Lookup,
    found: gauges.Gauges,
    clock: ports.Clock,
    server_name: str = "",
) -> None:
    """Set the series of one probe. Raises `ProbeError` when it fails."""
    host, port = names.split(target)
    server_name = server_name or host
    address = await names.choose(host, given, lookup, found, clock)
    line = await connection.dial(address.ip, _port(port), family=address.family, source=given.source_ip_address)
    try:
        if given.tls:
            await line.start_tls(way, server_name)
        found.zero("probe_failed_due_to_regex", "probe_failed_due_to_bytes")
        if line.tls is not None:
            tls.tell(line.tls, found)
        talk = Conversation(line, found)
        for step in given.query_response:
            await talk.go(step)
            if step.starttls:
                await line.start_tls(way, server_name)
                talk = Conversation(line, found)
                if line.tls is not None:
                    tls.tell(line.tls, found)
    finally:
        await line.close()


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise gauges.ProbeError(f"{text!r} is no port")
    return int(text)


class Conversation:
    """What was read of a connection, and the next step."""

    def __init__(self, line: connection.Connection, found: gauges.Gauges) -> None:
        self._line, self._found = line, found
        self._read = bytearray()
        self._at = 0
        """Where the unread part of what came begins."""
        self._ended = False
        self._lines = 0

    async def go(self, step: probing.QueryResponse) -> None:
        """One step. Raises `ProbeError`."""
        send = step.send.get_secret_value() if step.send else b""
        if step.expect is not None:
            send = await self._expect(step, step.expect, send)
        expected = step.expect_bytes.get_secret_value() if step.expect_bytes else b""
        if expected:
            await self._expect_bytes(expected)
        if send:
            await self._line.write(send + b"\n")

    async def _expect(self, step: probing.QueryResponse, pattern: str, send: bytes) -> bytes:
        """Read lines until one matches; what to send, filled in."""
        wanted = expand.compiled(pattern)
        last = b""
        while (text := await self._next_line()) is not None:
            last = text
            match = wanted.search(text)
            if match is not None:
                self._found.set("probe_failed_due_to_regex", 0.0)
                self._tell(step, match)
                return expand.expand(send, match)
        self._found.set("probe_failed_due_to_regex", 1.0)
        raise gauges.ProbeError(f"no line matches {pattern!r}; the last one is {_shown(last)}")

    def _tell(self, step: probing.QueryResponse, match: object) -> None:
        if step.labels:
            labels = {
                one.name: expand.expand(one.value.encode(), match).decode("utf-8", "replace") for one in step.labels
            }
            self._found.set("probe_expect_info", 1.0, labels)

    async def _expect_bytes(self, expected: bytes) -> None:
        while len(self._read) - self._at < len(expected) and await self._more():
            pass
        got = bytes(self._read[self._at : self._at + len(expected)])
        self._at += len(got)
        if len(got) < len(expected):
            raise gauges.ProbeError(f"expected {len(expected)} bytes, got {_shown(got)}")
        self._found.set("probe_failed_due_to_bytes", float(got != expected))
        if got != expected:
            raise gauges.ProbeError(f"other bytes than expected: {_shown(got)}")

    async def _next_line(self) -> bytes | None:
        """A line without its end; None when there is no further one."""
        while (end := self._read.find(b"\n", self._at)) < 0:
            if len(self._read) - self._at >= LONGEST:
                raise gauges.ProbeError(f"a line is longer than {LONGEST} bytes")
            if not await self._more():
                end = len(self._read)
                break
        if end == self._at == len(self._read):
            return None
        text, self._at = bytes(self._read[self._at : end]), end + 1
        self._lines += 1
        if not self._lines % TURN:
            await asyncio.sleep(0)
        return text.removesuffix(b"\r")

    async def _more(self) -> bool:
        """Read on; whether something came."""
        if self._ended:
            return False
        del self._read[: self._at]
        self._at = 0
        data = await self._line.read()
        self._read += data
        self._ended = not data
        await asyncio.sleep(0)
        return bool(data)


def _shown(data: bytes) -> str:
    """A part of what a server sent, for people."""
    return repr(data[:80].decode("utf-8", "replace"))
