"""Syslog from real senders to stored documents: util-linux' logger, rsyslog, Python's handler, over UDP, TCP and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging.handlers
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
from typing import Any

import pytest
import trustme

from tests.faults import fake
from tests.logs.inputs import peers
from tidegate.logs.inputs import syslog


def listener(**more: Any) -> dict[str, Any]:
    return {"syslog": {"in": {"listen": "127.0.0.1:0", **more}}}


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("form", ["--rfc5424", "--rfc3164"])
@pytest.mark.parametrize("count", [True, False])
async def test_logger(tmp_path: pathlib.Path, protocol: str, form: str, count: bool) -> None:
    if protocol == "udp" and count:
        pytest.skip("datagrams are not counted")
    logger = program("logger")
    async with peers.running(tmp_path, listener(protocol=protocol)) as it:
        host, port = await it.address("syslog-in")
        it.written = {f"l-{number}" for number in range(50)}
        texts = tmp_path / "texts"
        texts.write_text("".join(f"ümlaut seq={name}\n" for name in sorted(it.written)))
        flags = [form, "--udp" if protocol == "udp" else "--tcp", *(["--octet-count"] if count else [])]
        sender = await asyncio.create_subprocess_exec(
            *(
                logger,
                "-n",
                host,
                "-P",
                str(port),
                "-p",
                "local3.err",
                "-t",
                "shop",
                "--id=77",
                "-f",
                str(texts),
                *flags,
            )
        )
        assert await sender.wait() == 0
        await it.stored()
        it.report(f"logger {protocol} {form} count={count}")
        one = it.documents()[0]
        assert one["message"].startswith("ümlaut seq=l-")
        assert one["log"]["level"] == "error"
        assert one["log"]["syslog"]["facility"] == {"code": 19, "name": "local3"}
        assert one["process"] == {"name": "shop", "pid": 77}
        assert one["host"]["name"] in (socket.gethostname(), socket.gethostname().partition(".")[0])
        if form == "--rfc5424":
            assert "timeQuality" in one["log"]["syslog"]["structured_data"]


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
async def test_python_handler(tmp_path: pathlib.Path, kind: socket.SocketKind) -> None:
    protocol = "udp" if kind == socket.SOCK_DGRAM else "tcp"
    async with peers.running(tmp_path, listener(protocol=protocol)) as it:
        address = await it.address("syslog-in")

        def send() -> None:
            handler = logging.handlers.SysLogHandler(address, facility="daemon", socktype=kind)
            for number in range(200):
                it.written.add(f"p-{number}")
                handler.emit(logging.LogRecord("n", logging.WARNING, "", 0, f"seq=p-{number}", None, None))
            handler.close()

        await asyncio.to_thread(send)
        await it.stored()
        it.report(f"SysLogHandler {protocol}")
        assert {each["log"]["level"] for each in it.documents()} == {"warning"}
        assert {each["host"]["name"] for each in it.documents()} == {"127.0.0.1"}


@pytest.mark.parametrize("template", ["RSYSLOG_ForwardFormat", "RSYSLOG_SyslogProtocol23Format"])
async def test_rsyslog(tmp_path: pathlib.Path, template: str) -> None:
    rsyslogd = program("rsyslogd")
    async with peers.running(tmp_path, listener()) as it:
        _, port = await it.address("syslog-in")
        source = peers.free_port(socket.SOCK_DGRAM)
        config = tmp_path / "rsyslog.conf"
        config.write_text(
            f'global(workDirectory="{tmp_path}")\nmodule(load="imudp")\ninput(type="imudp" port="{source}")\n'
            f'*.* action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="octet-counted"'
            f' template="{template}" action.resumeRetryCount="-1")\n'
        )
        daemon = await asyncio.create_subprocess_exec(
            *(rsyslogd, "-n", "-f", str(config), "-i", str(tmp_path / "pid")), stderr=subprocess.PIPE
        )
        try:
            it.written = {f"r-{number}" for number in range(20)}
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:

                def send() -> bool:
                    made.sendto(b"<134>Oct 11 22:14:15 web-1 app[5]: seq=hello", ("127.0.0.1", source))
                    return it.metric("input_received_total", input="syslog-in") > 0

                await it.until(send)
                for name in it.written:
                    made.sendto(f"<134>Oct 11 22:14:15 web-1 app[5]: seq={name}".encode(), ("127.0.0.1", source))
                await it.until(lambda: it.written <= it.names().keys())
        finally:
            daemon.terminate()
            await daemon.communicate()
        one = next(each for each in it.documents() if each["message"].strip() == "seq=r-1")
        assert (one["host"]["name"], one["process"], one["log"]["level"]) == (
            "web-1",
            {"name": "app", "pid": 5},
            "info",
        )


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def certificates(folder: pathlib.Path, authority: trustme.CA, *, clients: bool) -> dict[str, str]:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    found = {"cert_file": "cert.pem", "key_file": "key.pem"}
    return {**found, "client_ca_file": "ca.pem"} if clients else found


async def test_tls_with_client_certificates_and_garbage(tmp_path: pathlib.Path, authority: trustme.CA) -> None:
    tls = certificates(tmp_path, authority, clients=True)
    async with peers.running(tmp_path, listener(tls=tls)) as it:
        host, port = await it.address("syslog-in")
        for garbage in (b"<14>in the clear\n" * 100, b"\x16\x03\x01\xff\xff" + b"\0" * 500):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(garbage)
            with contextlib.suppress(ConnectionError):
                assert b"<14>" not in await reader.read()  # an alert at most, then the end
            writer.close()
        bare = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        bare.maximum_version = ssl.TLSVersion.TLSv1_2  # where a missing certificate ends the handshake itself
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(host, port, ssl=bare)
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        authority.issue_cert("client").configure_cert(context)
        _, writer = await asyncio.open_connection(host, port, ssl=context)
        for number in range(300):
            text = f"<14>1 2026-01-02T03:04:05Z h a - - - multi\nline seq=t-{number}".encode()
            it.written.add(f"t-{number}")
            writer.write(b"%d " % len(text) + text)
        writer.close()
        await it.stored()
        it.report("syslog over TLS, garbage beside")
        assert it.documents()[0]["message"].startswith("multi\nline")


async def test_a_full_spool_holds_tcp_back_and_loses_nothing(tmp_path: pathlib.Path) -> None:
    config = listener(spool={"max_bytes": "1MB"})
    async with peers.running(tmp_path, config, elasticsearch={"bulk_bytes": 100_000}) as it:
        down = [True]
        it.server.whole.append(lambda *_: fake.error(503, "unavailable", "told to") if down[0] else None)
        address = await it.address("syslog-in")

        async def send() -> None:
            _, writer = await asyncio.open_connection(*address)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
            for number in range(12_000):
                it.written.add(f"b-{number}")
                writer.write(b"<14>seq=b-%d %b\n" % (number, b"x" * 400))
                await writer.drain()
            writer.close()
            await writer.wait_closed()

        sending = asyncio.create_task(send())
        await it.until(lambda: it.metric("spool_bytes", input="syslog-in") > 900_000)
        await asyncio.sleep(0.3)
        assert not sending.done()
        assert it.metric("spool_bytes", input="syslog-in") <= 1024 * 1024
        down[0] = False
        await it.until(sending.done, 50.0)
        await it.stored(30.0)
        it.report("TCP held back by a full spool")


async def test_udp_counts_what_it_cannot_keep(tmp_path: pathlib.Path) -> None:
    config = listener(protocol="udp", spool={"max_bytes": "64KB"})
    async with peers.running(tmp_path, config) as it:
        it.server.whole.append(lambda *_: fake.error(503, "unavailable", "told to"))
        address = await it.address("syslog-in")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            for number in range(400):
                made.sendto(b"<14>seq=u-%d %b" % (number, b"x" * 500), address)
                if number % 20 == 0:
                    await asyncio.sleep(0.002)

        def seen() -> tuple[float, float]:
            kept = it.metric("input_received_total", input="syslog-in")
            return kept, it.metric("input_refused_total", input="syslog-in", reason="full")

        await it.until(lambda: sum(seen()) == 400)
        kept, refused = seen()
        assert kept > 50
        assert refused > 100
        it.server.whole.clear()
        await it.until(lambda: len(it.names()) == kept)
        print(f"UDP, spool full, {400 - len(it.names())}, 0, 0, {refused:g}")


async def test_the_kernel_tells_its_drops() -> None:
    if not pathlib.Path("/proc/net/udp").exists():
        pytest.skip("there is no /proc/net/udp here")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made, socket.socket(type=socket.SOCK_DGRAM) as sender:
        made.bind(("127.0.0.1", 0))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert syslog.kernel_drops(made) == 0
        for _ in range(500):
            sender.sendto(b"x" * 1000, made.getsockname())
        made.setblocking(False)
        got = 0
        with contextlib.suppress(BlockingIOError):
            while made.recv(2000):
                got += 1
        assert syslog.kernel_drops(made) == 500 - got > 0


async def test_bad_streams_are_counted_and_do_not_disturb(tmp_path: pathlib.Path) -> None:
    config = listener(idle_timeout="300ms", max_message_bytes=1000, max_connections=3)
    async with peers.running(tmp_path, config) as it:
        address = await it.address("syslog-in")

        def refused(reason: str) -> float:
            return it.metric("input_refused_total", input="syslog-in", reason=reason)

        _, absurd = await asyncio.open_connection(*address)
        absurd.write(b"99999999 x")
        await it.until(lambda: refused("framing") == 1)
        _, half = await asyncio.open_connection(*address)
        half.write(b"<14>seq=h-1\n500 <14>never whole")
        half.write_eof()
        await it.until(lambda: refused("unfinished") == 1)
        _, reset = await asyncio.open_connection(*address)
        reset.write(b"<14>seq=h-2\n")
        await it.until(lambda: it.metric("input_received_total", input="syslog-in") == 2)
        reset.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.transport.abort()
        await it.until(lambda: refused("reset") == 1)
        silent = [await asyncio.open_connection(*address) for _ in range(3)]
        await it.until(lambda: it.metric("input_connections", input="syslog-in") == 3)
        reader, fourth = await asyncio.open_connection(*address)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert refused("connections") == 1
        await it.until(lambda: refused("timeout") == 3)
        _, good = await asyncio.open_connection(*address)
        good.write(b"<14>seq=h-3 \xff\xfe " + b"y" * 5000 + b"\n<14>seq=h-4\n")
        it.written = {"h-1", "h-2", "h-3", "h-4"}
        await it.stored()
        it.report("bad streams")
        cut = next(each for each in it.documents() if "h-3" in each["message"])
        assert cut["message"].startswith("seq=h-3 \ufffd\ufffd y")
        assert cut["log"]["flags"] == ["truncated"]
        assert it.metric("input_cut_total", input="syslog-in") == 1
        for writer in (absurd, half, fourth, good, *(each for _, each in silent)):
            writer.close()
