"""One TCP connection of a probe: dialled, turned into TLS where it is wanted, closed without waiting for the peer."""

from __future__ import annotations

import asyncio
import socket
import ssl

from tidegate.kit import access
from tidegate.model import problems
from tidegate.scrape.probes import gauges, names

CHUNK = 64 * 1024


class Connection:
    """Reads and writes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.tls: ssl.SSLObject | None = None

    async def read(self) -> bytes:
        """What came; nothing at the end. Raises `ProbeError`."""
        try:
            return await self._reader.read(CHUNK)
        except OSError as error:
            raise gauges.ProbeError(f"cannot read: {said(error)}") from None

    async def write(self, data: bytes) -> None:
        """Send. Raises `ProbeError`."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise gauges.ProbeError(f"cannot send: {said(error)}") from None

    async def start_tls(self, way: access.Access, server_name: str) -> None:
        """Go on with TLS. Raises `ProbeError`."""
        name = way.given.tls.server_name or server_name
        try:
            context = await asyncio.to_thread(way.context)  # reading authorities takes tens of milliseconds
            await self._writer.start_tls(context, server_hostname=name or None)
        except (OSError, ValueError, problems.TransientError) as error:
            raise gauges.ProbeError(f"TLS with {name}: {said(error)}") from None
        self.tls = self._writer.get_extra_info("ssl_object")

    async def close(self) -> None:
        """Say goodbye, and wait for no answer."""
        self._writer.close()
        if self.tls is not None:
            await asyncio.sleep(0)
        self._writer.transport.abort()


async def dial(host: str, port: int, *, family: int = socket.AF_UNSPEC, source: str = "") -> Connection:
    """Connect. Raises `ProbeError`."""
    local = (names.source(source), 0) if source else None
    try:
        reader, writer = await asyncio.open_connection(host, port, family=family, local_addr=local)
    except (OSError, ValueError, OverflowError) as error:
        raise gauges.ProbeError(f"cannot connect to {host} port {port}: {said(error)}") from None
    return Connection(reader, writer)


def said(error: BaseException) -> str:
    """An error in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "handshake failed").lower().replace("_", " ")
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__
