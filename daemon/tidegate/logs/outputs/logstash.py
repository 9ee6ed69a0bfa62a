"""Logstash: JSON by its `http` input, which acknowledges, or JSON lines by its `tcp` input, which closes what it has read.

Each document carries `@metadata._id` and `@metadata.stream`, which Logstash does not send on by itself: a pipeline that
uses the id as `document_id` stores a document once, however often it came. Sources: Elastic's pages on both inputs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import urllib.parse
from collections.abc import Sequence

from tidegate.kit import access, http
from tidegate.logs.outputs import peer, sending
from tidegate.logs.ship import output
from tidegate.model import logoutputs, problems

NAME = "logstash"
_TYPES = {"json": "application/json", "ndjson": "application/x-ndjson"}


def wire(config: logoutputs.Logstash, way: access.Access) -> sending.Wire:
    """The wire that the address asks for."""
    if config.url.startswith(("tcp:", "tls:")):
        return Tcp(config, way)
    return Http(config, way)


class Http:
    """The `http` input: a 2xx says that all of a request's documents are in Logstash's queue."""

    def __init__(self, config: logoutputs.Logstash, way: access.Access) -> None:
        self._config = config
        self._peer = peer.HttpPeer(config.url, way, config.timeout, compress=config.compress)

    def cut(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[Sequence[int]]:
        """See `sending.Wire`."""
        return _cut(batch, indexes, self._config.request_bytes)

    async def post(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        """See `sending.Wire`."""
        form = self._config.format
        await self._peer.post(lambda: array(batch, indexes) if form == "json" else rows(batch, indexes), _TYPES[form])
        return ()

    async def close(self) -> None:
        """See `sending.Wire`."""
        await self._peer.close()


class Tcp:
    """The `tcp` input: one connection for each request, which Logstash closes when it has read its end.

    There is no acknowledgement in the protocol. That the peer closes in good order, after our end of stream, says that
    it has read everything; a connection that breaks before that is begun again with all of its lines.
    """

    def __init__(self, config: logoutputs.Logstash, way: access.Access) -> None:
        self._config, self._way = config, way
        parts = urllib.parse.urlsplit(config.url)
        self._host, self._port = parts.hostname or "", parts.port or 5000
        self._secure = parts.scheme == "tls"

    def cut(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[Sequence[int]]:
        """See `sending.Wire`."""
        return _cut(batch, indexes, self._config.request_bytes)

    async def post(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        """See `sending.Wire`."""
        body = await asyncio.to_thread(rows, batch, indexes)
        context = self._way.context() if self._secure else None
        timeout = self._config.timeout
        reader, writer = await self._connect(context, timeout)
        try:
            async with asyncio.timeout(timeout):
                writer.write(body)
                await writer.drain()
                await _finish(reader, writer)
        except TimeoutError:
            raise problems.TransientError("the peer did not read and close in time", reason="timeout") from None
        except (OSError, ssl.SSLError, EOFError) as error:
            raise problems.TransientError(f"the connection broke: {_plain(error)}", reason="connection") from None
        finally:
            writer.transport.abort()
        return ()

    async def close(self) -> None:
        """See `sending.Wire`: nothing is kept open."""

    async def _connect(
        self, context: ssl.SSLContext | None, timeout: float
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = (self._way.given.tls.server_name or self._host) if context else None
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.open_connection(self._host, self._port, ssl=context, server_hostname=name)
        except (OSError, ssl.SSLError) as error:
            raise http.UnreachedError(f"cannot reach the server: {_plain(error)}", reason="connection") from None


async def _finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End our side, and wait until the peer has ended its own. Raises `OSError` when it did not do so in good order."""
    if writer.can_write_eof():
        writer.write_eof()
        while await reader.read(65536):  # an answer is not expected; what comes is not for us
            pass
        return
    writer.close()  # TLS: says that we are done, and waits until the peer says so too
    with contextlib.suppress(ssl.SSLEOFError):
        await writer.wait_closed()


def array(batch: output.Batch, indexes: Sequence[int]) -> bytes:
    """Documents as one JSON array."""
    return b"[" + b",".join(_documents(batch, indexes)) + b"]"


def rows(batch: output.Batch, indexes: Sequence[int]) -> bytes:
    """Documents as JSON lines."""
    return b"\n".join([*_documents(batch, indexes), b""])


def _documents(batch: output.Batch, indexes: Sequence[int]) -> list[bytes]:
    return [
        b'{"@metadata":{"_id":"%b","stream":"%b"},%b'
        % (batch.ids[index].encode(), batch.streams[index].encode(), batch.bodies[index][1:])
        for index in indexes
    ]


def _cut(batch: output.Batch, indexes: Sequence[int], most: int) -> Sequence[Sequence[int]]:
    return sending.pieces([len(batch.bodies[index]) for index in indexes], indexes, most_bytes=most)


def _plain(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
