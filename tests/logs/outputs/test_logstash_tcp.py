"""The `tcp` input of Logstash: what it has read counts as stored, and what breaks off is sent again."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator

import orjson
import pytest
import trustme

from tests.faults import outrig
from tidegate.model import logoutputs


class Input:
    """Reads JSON lines until the end of the stream, and closes."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.broken = 0
        """Connections to reset before their lines are read."""
        self.stuck = 0
        """Connections that are never read."""
        self.stays = 0
        """Connections whose lines are taken, and that stay open."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.broken:
                self.broken -= 1
                await reader.readline()
                reset = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                writer.transport.abort()
                return
            if self.stuck:
                self.stuck -= 1
                await asyncio.sleep(3)
                return
            body = await reader.read(-1)
            for document in map(orjson.loads, body.splitlines()):
                self.texts.append(document["message"])
                self.ids.append(document["@metadata"]["_id"])
            if self.stays:
                self.stays -= 1
                await asyncio.sleep(3)
        finally:
            with contextlib.suppress(OSError):
                writer.close()


@contextlib.asynccontextmanager
async def listening(made: Input, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def play(folder: pathlib.Path, made: Input, url: str, **more: object) -> outrig.Rig:
    given = {"logstash": {"url": url, "timeout": 1, **more}, "elasticsearch": {"bulk_bytes": 20_000}}
    async with outrig.running(folder, given) as it:
        it.write(range(1000))
        await it.stored(made)
        found = it.verdict(made)
        counted = it.metric("output_uncertain_total", output="logstash")
        print(f"logstash-tcp, {found.lost}, {found.doubled}, {counted:g}")
        assert (found.lost, found.strangers) == (0, 0)
        assert found.doubled <= counted
        assert len(set(made.ids)) == 1000  # by its id, each is one document
        return it


async def test_lines_arrive(tmp_path: pathlib.Path) -> None:
    made = Input()
    async with listening(made) as port:
        it = await play(tmp_path, made, f"tcp://127.0.0.1:{port}")
        assert it.verdict(made).doubled == 0


async def test_over_tls(tmp_path: pathlib.Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("logstash.test").configure_cert(context)
    made = Input()
    async with listening(made, context) as port:
        trust = {"ca_file": "ca.pem", "server_name": "logstash.test"}
        it = await play(tmp_path, made, f"tls://127.0.0.1:{port}", tls_config=trust)
        assert it.verdict(made).doubled == 0


async def test_nobody_is_fooled_by_another_name(tmp_path: pathlib.Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("someone.else").configure_cert(context)
    made = Input()
    async with listening(made, context) as port:
        given = {"logstash": {"url": f"tls://127.0.0.1:{port}", "tls_config": {"ca_file": "ca.pem"}}}
        async with outrig.running(tmp_path, given) as it:
            it.write(range(10))
            await it.until(lambda: "certificate verify failed" in it.agent.streams()[-1].error)
            assert made.texts == []


async def test_connections_that_are_reset(tmp_path: pathlib.Path) -> None:
    made = Input()
    made.broken = 3
    async with listening(made) as port:
        it = await play(tmp_path, made, f"tcp://127.0.0.1:{port}")
        assert it.metric("output_requests_total", output="logstash", outcome="connection") >= 3


async def test_peers_that_do_not_read_or_do_not_close(tmp_path: pathlib.Path) -> None:
    made = Input()
    made.stuck, made.stays = 1, 1
    async with listening(made) as port:
        it = await play(tmp_path, made, f"tcp://127.0.0.1:{port}")
        assert it.metric("output_requests_total", output="logstash", outcome="timeout") >= 2
        assert it.verdict(made).doubled > 0


async def test_nobody_there_is_not_uncertain(tmp_path: pathlib.Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    made = Input()
    given = {"logstash": {"url": f"tcp://127.0.0.1:{port}"}}
    async with outrig.running(tmp_path, given) as it:
        it.write(range(10))
        await it.until(lambda: "cannot reach" in it.agent.streams()[-1].error)
        server = await asyncio.start_server(made.serve, "127.0.0.1", port)
        await it.stored(made)
        assert it.metric("output_uncertain_total", output="logstash") == 0
        server.close()


def test_what_has_no_meaning_over_tcp_is_refused() -> None:
    with pytest.raises(ValueError, match="basic_auth, compress cannot be used with tcp"):
        logoutputs.Logstash.model_validate({"url": "tcp://a:1", "compress": True, "basic_auth": {"username": "x"}})


def test_redirects_are_refused() -> None:
    with pytest.raises(ValueError, match="does not follow redirects"):
        logoutputs.Logstash.model_validate({"url": "http://a:1", "follow_redirects": True})
