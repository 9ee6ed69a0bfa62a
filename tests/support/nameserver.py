"""A DNS server of our own on loopback, over UDP and TCP, that says what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class Nameserver(asyncio.DatagramProtocol):
    """Answers from `records`, in the zone-file form, by name and type."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.rcodes: dict[str, dns.rcode.Rcode] = {}
        """Names that are answered with an error."""
        self.aliases: dict[str, str] = {}
        self.truncate = False
        """Whether UDP answers are cut off, so that TCP must be asked."""
        self.asked: list[tuple[str, str, str]] = []
        """Name, type, and `udp` or `tcp`."""
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(self.answer(data, "udp"), addr)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection, one question."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            size = int.from_bytes(await reader.readexactly(2), "big")
            wire = self.answer(await reader.readexactly(size), "tcp")
            writer.write(len(wire).to_bytes(2, "big") + wire)
            await writer.drain()
        writer.close()

    def answer(self, wire: bytes, way: str) -> bytes:
        """The answer to a question."""
        question = dns.message.from_wire(wire)
        (asked,) = question.question
        name, kind = asked.name.to_text().lower(), asked.rdtype.name
        self.asked.append((name, kind, way))
        response = dns.message.make_response(question)
        if name in self.rcodes:
            response.set_rcode(self.rcodes[name])
        elif way == "udp" and self.truncate:
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, kind)
        return response.to_wire(max_size=65535)

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        if name in self.aliases:
            response.answer.append(dns.rrset.from_text(name, 5, "IN", "CNAME", self.aliases[name]))
            name = self.aliases[name]
        if not any(name == known for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        for text in self.records.get((name, kind), ()):
            response.answer.append(dns.rrset.from_text(name, 5, "IN", kind, text))


@contextlib.asynccontextmanager
async def serving(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[tuple[Nameserver, int]]:
    """A server, and the port it has for UDP and TCP."""
    loop, server = asyncio.get_running_loop(), Nameserver()
    streams = await asyncio.start_server(server.connected, host, port)
    found = int(streams.sockets[0].getsockname()[1])
    transport, _ = await loop.create_datagram_endpoint(lambda: server, (host, found))
    try:
        yield server, found
    finally:
        transport.close()
        streams.close()
        await streams.wait_closed()
