"""A small HTTP/1.1 server for what is sent to us: one handler, whole bodies, limits on everything. h11 reads the protocol.

It knows connections, tokens, sizes, compression and time; what a body means is its handler's business. Every request is
answered only after the handler is done, so an answer of 2xx means that the records are on disk.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import dataclasses
import hmac
import ssl
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import h11

from tidegate.kit import tasks
from tidegate.logs.inputs import addresses, instruments
from tidegate.model import receiving

HANDSHAKE = 10.0
HEADERS = 32 * 1024
LINGER = 2.0
"""Seconds that a refused sender may go on sending: closed at once, he would see a reset and not the answer."""
PARALLEL_BODIES = 8
"""Bodies of full size that may be in memory at once; further requests are told to come again."""
_READ = 64 * 1024
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A request whose body is whole and decompressed."""

    method: str
    path: str
    content_type: str
    """Without parameters, lower case."""
    body: bytes
    peer: tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told. `reason` counts a refusal."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    retry_after: int = 0
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class RefusedError(Exception):
    """The request is answered before its body was read to the end; the connection ends."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


Handler = Callable[[Request], Awaitable[Answer]]


class Server:
    """One listener."""

    def __init__(
        self,
        name: str,
        config: receiving.Http,
        context: ssl.SSLContext | None,
        handler: Handler,
        metrics: instruments.Instruments,
        *,
        schemes: tuple[str, ...] = ("bearer",),
    ) -> None:
        self._schemes = schemes
        """In which forms the token may be given."""
        self._name = name
        self._config = config
        self._context = context
        self._handler = handler
        self._metrics = metrics
        self._token = config.token.get_secret_value() if config.token else ""
        self._held = 0
        self.address: tuple[str, int] = ("", 0)
        """Where it listens, once it does."""

    async def run(self) -> None:
        """Serve until cancelled. Raises `OSError` when the address cannot be had."""
        limits = addresses.Connections(self._name, self._config.max_connections, self._metrics)
        server = await limits.listen(self._serve, self._config.listen, self._context, HANDSHAKE)
        self.address = server.sockets[0].getsockname()[:2]
        await limits.until_cancelled(server)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADERS)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except TimeoutError:
            self._metrics.refused.labels(self._name, "timeout").inc()
        except h11.RemoteProtocolError as error:
            self._metrics.refused.labels(self._name, "protocol").inc()
            with contextlib.suppress(h11.LocalProtocolError):
                await self._send(connection, writer, Answer(error.error_status_hint, _said(str(error))), close=True)
                await _linger(reader, writer)

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request and its answer; whether another may follow."""
        held = 0
        try:
            async with asyncio.timeout(self._config.idle_timeout):
                head = await _event(connection, reader, writer)
                if not isinstance(head, h11.Request):
                    return False
                headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                held = self._admit(head, headers)
                body = await self._body(connection, reader, writer)
            plain = await self._inflated(body, headers.get("content-encoding", "").strip().lower())
            peer = writer.get_extra_info("peername")
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            path = head.target.decode("latin-1").partition("?")[0]
            request = Request(head.method.decode(), path, kind, plain, (str(peer[0]), int(peer[1])))
            await _to_its_end(self._answer(connection, writer, request))
        except RefusedError as refused:
            await self._send(connection, writer, refused.answer, close=True)
            await _linger(reader, writer)
        finally:
            self._held -= held
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(self, connection: h11.Connection, writer: asyncio.StreamWriter, request: Request) -> None:
        answer = await self._handler(request)
        await self._send(connection, writer, answer, close=False)

    def _admit(self, head: h11.Request, headers: Mapping[str, str]) -> int:
        """Look at a request before its body is read; the bytes that are set aside for it. Raises `RefusedError`."""
        if self._token:
            if not self._known(headers.get("authorization", "")):
                raise RefusedError(Answer(401, _said("a token is needed"), reason="token"))
        elif "origin" in headers:  # a page in somebody's browser, not a sender
            raise RefusedError(Answer(403, _said("browsers may not send here"), reason="origin"))
        length = headers.get("content-length", "")
        size = int(length) if length.isdecimal() else self._config.max_body_bytes if head.method == b"POST" else 0
        if size > self._config.max_body_bytes:
            raise RefusedError(self._too_large())
        if self._held + size > PARALLEL_BODIES * self._config.max_body_bytes:
            raise RefusedError(Answer(503, _said("too many requests at once"), retry_after=1, reason="busy"))
        self._held += size
        return size

    def _known(self, header: str) -> bool:
        """Whether a header gives the token: as it is, or as the password or secret part of base64 (`user:token`)."""
        scheme, _, given = header.partition(" ")
        if (scheme := scheme.lower()) not in self._schemes:
            return False
        secrets = [] if scheme == "basic" else [given.strip().encode()]
        if scheme != "bearer":
            with contextlib.suppress(binascii.Error, ValueError):
                secrets.append(base64.b64decode(given.strip(), validate=True).partition(b":")[2])
        return any(hmac.compare_digest(each, self._token.encode()) for each in secrets)

    async def _body(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            event = await _event(connection, reader, writer)
            if isinstance(event, h11.EndOfMessage):
                return b"".join(parts)
            if not isinstance(event, h11.Data):
                raise h11.RemoteProtocolError("the request ended too early")
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > self._config.max_body_bytes:
                raise RefusedError(self._too_large())

    async def _inflated(self, body: bytes, coding: str) -> bytes:
        """A body without its compression. Raises `RefusedError`."""
        if coding in ("", "identity"):
            return body
        if coding not in _WBITS:
            raise RefusedError(Answer(415, _said(f"no such content-encoding here: {coding[:40]}"), reason="encoding"))
        try:
            plain = await asyncio.to_thread(_inflate, body, _WBITS[coding], self._config.max_body_bytes)
        except zlib.error as error:
            raise RefusedError(Answer(400, _said(f"the body is not {coding}: {error}"), reason="malformed")) from None
        if plain is None:
            raise RefusedError(self._too_large())
        return plain

    def _too_large(self) -> Answer:
        return Answer(413, _said(f"a body may have {self._config.max_body_bytes} bytes"), reason="too_large")

    async def _send(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, answer: Answer, *, close: bool
    ) -> None:
        if answer.reason:
            self._metrics.refused.labels(self._name, answer.reason).inc()
        headers = [("content-type", answer.content_type), ("content-length", str(len(answer.body)))]
        headers += answer.headers
        headers += [("retry-after", str(answer.retry_after))] if answer.retry_after else []
        headers += [("www-authenticate", "Bearer")] if answer.status == 401 else []
        headers += [("connection", "close")] if close else []
        data = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
        data += connection.send(h11.Data(data=answer.body)) or b""
        data += connection.send(h11.EndOfMessage()) or b""
        writer.write(data)
        async with asyncio.timeout(self._config.idle_timeout):
            await writer.drain()


async def _event(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> h11.Event | type[h11.PAUSED]:
    """The next event of a request."""
    while True:
        event = connection.next_event()
        if event is not h11.NEED_DATA:
            return event  # type: ignore[return-value]
        if connection.they_are_waiting_for_100_continue:
            writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        connection.receive_data(await reader.read(_READ))


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """When we are cancelled, let work that was begun end all the same: what is on disk is acknowledged, not sent again."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=LINGER)
        await tasks.cancel(task)
        raise


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read on for a while, to no end, so that the sender gets to read the answer."""
    if writer.can_write_eof():
        writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while await reader.read(_READ):
                pass


def _inflate(body: bytes, wbits: int, most: int) -> bytes | None:
    """Decompressed; None when that is more than `most`. Raises `zlib.error` for a body that is broken or not whole."""
    machine = zlib.decompressobj(wbits)
    plain = machine.decompress(body, most + 1)
    if len(plain) > most:
        return None
    if not machine.eof:
        raise zlib.error("it is not whole")
    return plain


def _said(text: str) -> bytes:
    return b'{"error":"%s"}' % text.replace('"', "'").replace("\\", "/").encode("ascii", "replace")
