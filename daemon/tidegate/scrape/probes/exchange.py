"""One HTTP/1.1 request over one connection of its own, with the time of each phase. Nothing is decided here.

h11 speaks the protocol; a connection that is kept, as aiohttp's are, would hide what a probe measures.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import urllib.parse
from collections.abc import AsyncIterator

import h11

from tidegate.kit import access
from tidegate.model import ports
from tidegate.scrape.probes import connection, gauges

HEADERS_LIMIT = 1024 * 1024
"""Bytes of an answer's head, as in Go."""
TURN = 50
"""Pieces of a body that are read before others get their turn: a server may send a byte in each."""


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and where."""

    method: str
    url: urllib.parse.SplitResult
    """With the name; `ip` says where it is."""
    ip: str
    host: str
    """The `Host` header."""
    server_name: str
    """The name that the certificate should have."""
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    proxy: str = ""

    @property
    def secure(self) -> bool:
        """Whether it goes over TLS."""
        return self.url.scheme == "https"

    @property
    def place(self) -> str:
        """Host and port to reach, by the address."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{host}:{self.url.port}" if self.url.port else host


@dataclasses.dataclass(slots=True)
class Times:
    """When each phase was over; 0 before."""

    started: float = 0.0
    connected: float = 0.0
    secured: float = 0.0
    answered: float = 0.0
    ended: float = 0.0


class Exchange:
    """Send one request, then read its answer."""

    def __init__(self, request: Request, way: access.Access, clock: ports.Clock) -> None:
        self.request = request
        self.times = Times()
        self.answer: h11.Response | None = None
        self.line: connection.Connection | None = None
        self._way, self._clock = way, clock
        self._http = h11.Connection(h11.CLIENT, HEADERS_LIMIT)
        self._pieces = 0

    async def head(self) -> h11.Response:
        """Connect, send, and read the answer up to its body. Raises `ProbeError`."""
        await self._connect()
        await self._send()
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                self.answer = event
                return event
            if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                raise gauges.ProbeError("the server did not answer the request")

    async def body(self) -> AsyncIterator[bytes]:
        """The body, as it was sent. Raises `ProbeError`."""
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)
            self._pieces += 1
            if not self._pieces % TURN:
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Close the connection, whatever came."""
        if self.line is not None:
            await self.line.close()

    def header(self, name: str) -> str:
        """The first value of a header of the answer."""
        return next(iter(self.headers(name)), "")

    def headers(self, name: str) -> list[str]:
        """All values of a header of the answer."""
        wanted, answer = name.lower().encode(), self.answer
        return [value.decode("latin-1") for key, value in answer.headers if key == wanted] if answer else []

    async def _connect(self) -> None:
        request = self.request
        self.times.started = self._clock.now()
        port = request.url.port or (443 if request.secure else 80)
        if request.proxy:
            proxy = urllib.parse.urlsplit(request.proxy)
            self.line = await connection.dial(proxy.hostname or "", proxy.port or 80)
            if request.secure:
                await self._tunnel(f"{request.ip if ':' not in request.ip else f'[{request.ip}]'}:{port}")
        else:
            self.line = await connection.dial(request.ip, port)
        self.times.connected = self._clock.now()
        if request.secure:
            await self.line.start_tls(self._way, request.server_name)
            self.times.secured = self._clock.now()

    async def _tunnel(self, place: str) -> None:
        """Ask the proxy for a way through."""
        asking = h11.Connection(h11.CLIENT, HEADERS_LIMIT)
        headers = [("Host", place), *self._proxy_headers()]
        line = self._line
        await line.write(asking.send(h11.Request(method="CONNECT", target=place, headers=headers)) or b"")
        await line.write(asking.send(h11.EndOfMessage()) or b"")
        try:
            while (event := asking.next_event()) is h11.NEED_DATA:
                asking.receive_data(await line.read())
        except h11.RemoteProtocolError as error:
            raise gauges.ProbeError(f"the proxy's answer cannot be read: {error}") from None
        if not isinstance(event, h11.Response) or event.status_code // 100 != 2:
            status = getattr(event, "status_code", "none")
            raise gauges.ProbeError(f"the proxy refuses the way to {place} (status {status})")

    def _proxy_headers(self) -> list[tuple[str, str]]:
        proxy = urllib.parse.urlsplit(self.request.proxy)
        headers = list(self._way.proxy_headers().items())
        if proxy.username:
            pair = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
            headers.append(("Proxy-Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
        return headers

    async def _send(self) -> None:
        request = self.request
        target = urllib.parse.urlunsplit(("", "", request.url.path or "/", request.url.query, ""))
        headers = [("Host", request.host), *request.headers, ("Connection", "close")]
        if request.proxy and not request.secure:
            target = f"http://{request.place}{target}"
            headers += self._proxy_headers()
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            headers.append(("Content-Length", str(len(request.body))))
        try:
            data = self._http.send(h11.Request(method=request.method, target=target, headers=headers)) or b""
            if request.body:
                data += self._http.send(h11.Data(data=request.body)) or b""
            await self._line.write(data + (self._http.send(h11.EndOfMessage()) or b""))
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            raise gauges.ProbeError(f"the request cannot be sent: {error}") from None

    @property
    def _line(self) -> connection.Connection:
        if self.line is None:
            raise gauges.ProbeError("there is no connection")
        return self.line

    async def _event(self) -> h11.Event:
        try:
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Event):
                    return event
                if event is h11.PAUSED:
                    raise gauges.ProbeError("the server changed the protocol")
                data = await self._line.read()
                if not self.times.answered:
                    self.times.answered = self._clock.now()
                if not data and self.answer is None:
                    raise gauges.ProbeError("the server closed the connection without an answer")
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise gauges.ProbeError(f"the server does not speak HTTP/1.1: {error}") from None
