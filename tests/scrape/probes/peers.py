"""What is probed in tests: servers on loopback that answer well, badly, slowly, over TLS, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import gzip
import pathlib
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import trustme
from aiohttp import web

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Certificates:
    """An authority, a good certificate and one that has expired, as files."""

    authority: pathlib.Path
    good: ssl.SSLContext
    expired: ssl.SSLContext


def certificates(folder: pathlib.Path) -> Certificates:
    """Made anew."""
    authority = trustme.CA(organization_name='Test, "Authority" + more', organization_unit_name=" #1 ")
    names = ("localhost", "127.0.0.1", "shop.example")
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    contexts = []
    for cert in (authority.issue_cert(*names), authority.issue_cert(*names, not_before=past, not_after=past)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert.configure_cert(context)
        contexts.append(context)
    return Certificates(file, *contexts)


@contextlib.asynccontextmanager
async def http(context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """`host:port` of a server with many ways to answer."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


async def _answer(request: web.Request) -> web.StreamResponse:
    """The path says what is wanted: `/status/404`, `/redirect/3`, `/gzip`, ..."""
    word, _, rest = request.path.strip("/").partition("/")
    if word == "status":
        return web.Response(status=int(rest), text=f"this is {rest}")
    if word == "redirect":
        left = int(rest)
        return web.Response(text="arrived") if not left else _to(f"/redirect/{left - 1}")
    if word == "away":
        return _to(f"http://{request.host}/status/200")
    if word == "scheme":
        return _to(request.query["to"])
    if word == "permanent":
        return _to("/echo", 308)
    if word == "see":
        return _to("/echo", 303)
    if word == "cookie":
        response = _to("/cookies")
        response.set_cookie("seen", "yes")
        return response
    if word == "cookies":
        return web.Response(text=f"cookies: {request.headers.get('cookie', 'none')}")
    if word == "echo":
        body = await request.text()
        return web.Response(text=f"{request.method} {request.headers.get('x-test', '-')} {request.host} {body}")
    return await _formed(request, word)


async def _formed(request: web.Request, word: str) -> web.StreamResponse:
    headers = {"Last-Modified": "Tue, 01 Jul 2025 10:00:00 GMT", "X-Many": "one"}
    if word == "gzip":
        return web.Response(body=gzip.compress(b"packed " * 1000), headers={"Content-Encoding": "gzip"})
    if word == "broken-gzip":
        return web.Response(body=b"no gzip at all", headers={"Content-Encoding": "gzip"})
    if word == "deflate":
        packed = zlib.compress(b"flat " * 1000, wbits=-15)
        return web.Response(body=packed, headers={"Content-Encoding": "deflate"})
    if word == "chunked":
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"piece\n")
        await response.write_eof()
        return response
    if word == "headers":
        return web.Response(text="with headers", headers=headers)
    if word == "large":
        return web.Response(text="x" * 5000)
    if word == "nowhere":
        return web.Response(status=302)
    return web.Response(text=f"hello from {word or 'home'}\nsecond line")


def _to(place: str, status: int = 302) -> web.Response:
    return web.Response(status=status, headers={"Location": place}, text="elsewhere")


@contextlib.asynccontextmanager
async def tcp(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """`host:port` of a server that talks as it is told."""

    talking: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await talk(reader, writer)
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await asyncio.sleep(0)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"
    for task in talking:
        task.cancel()
    await asyncio.gather(*talking)
    await asyncio.sleep(0)


async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A banner, and whatever comes."""
    writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    await reader.readline()


async def irc(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wants an answer to its PING."""
    await reader.readline()
    await reader.readline()
    writer.write(b":server NOTICE * :*** Looking up your hostname\n:server NOTICE * :*** Found\nPING :abc$1\n")
    if await reader.readline() == b"PONG abc$1\n":
        writer.write(b":server 001 prober :Welcome\n")
    else:
        writer.write(b"ERROR\n")
    await writer.drain()
    await reader.read(1)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing, and waits."""
    await reader.read()


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says goodbye at once."""


async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes without a line end."""
    await reader.readline()
    writer.write(b"S")
    await writer.drain()
    await reader.read(1)


def smtp(context: ssl.SSLContext) -> Talk:
    """A mail server that can STARTTLS."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.readline()
        writer.write(b"250-mail.example\r\n250-STARTTLS\r\n250 HELP\r\n")
        await reader.readline()
        writer.write(b"220 go ahead\r\n")
        await writer.start_tls(context)
        await reader.readline()
        writer.write(b"250-mail.example\r\n250-AUTH PLAIN\r\n250 HELP\r\n")
        await writer.drain()
        await reader.readline()

    return talk


def answer(wire: bytes) -> bytes:
    """What the DNS server says to a question."""
    question = dns.message.from_wire(wire)
    said = dns.message.make_response(question)
    name, kind = question.question[0].name, question.question[0].rdtype
    text = str(name)
    if text.startswith("missing."):
        said.set_rcode(dns.rcode.NXDOMAIN)
        said.authority.append(
            dns.rrset.from_text("example.", 60, "IN", "SOA", "ns.example. root.example. 5 3600 600 86400 60")
        )
        return said.to_wire()
    records = {
        "A": ["192.0.2.1", "192.0.2.2"],
        "SOA": ["ns.example. root.example. 2025070101 3600 600 86400 60"],
        "MX": ["10 mail.example.", "20 mail2.example."],
        "TXT": ['"v=spf1 -all" "second part"'],
        "AAAA": ["2001:db8::1"],
        "SRV": ["1 2 443 shop.example."],
        "CAA": ['0 issue "letsencrypt.org"'],
    }.get(kind.name, [])
    if records:
        said.answer.append(dns.rrset.from_text(name, 300, "IN", kind.name, *records))
    said.authority.append(dns.rrset.from_text("example.", 600, "IN", "NS", "ns1.example.", "ns2.example."))
    if kind.name == "MX":
        said.additional.append(dns.rrset.from_text("mail.example.", 600, "IN", "A", "192.0.2.9"))
        said.use_edns(0)
    if question.flags & dns.flags.RD:
        said.flags |= dns.flags.RA
    return said.to_wire()


async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP proxy: passes on requests and CONNECT; where the name is given, it looks it up."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, _, rest = head.partition(b"\r\n")
    method, target, version = first.split(b" ")
    if b"proxy-authorization: basic dTpw".lower() not in rest.lower():
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        return
    place = target if method == b"CONNECT" else target.split(b"/")[2]
    host, _, port = place.decode().rpartition(":")
    there, away = await asyncio.open_connection(host, int(port))
    if method == b"CONNECT":
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        away.write(b" ".join((method, b"/" + target.split(b"/", 3)[3], version)) + b"\r\n" + rest)
    await asyncio.gather(_copy(reader, away), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # no subclass of it before Python 3.12

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(answer(data), addr)


async def _answer_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    said = answer(wire)
    writer.write(len(said).to_bytes(2, "big") + said)


@contextlib.asynccontextmanager
async def dns_server(context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """`host:port` of a DNS server, over UDP and TCP (or TLS)."""
    async with tcp(_answer_stream, context) as place:
        host, port = place.split(":")
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(_Datagrams, (host, int(port)))
        try:
            yield place
        finally:
            transport.close()
