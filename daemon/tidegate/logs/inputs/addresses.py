"""Listening: addresses, certificates, and how many connections may be open."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import pathlib
import ssl
from collections.abc import Awaitable, Callable

from tidegate.kit import tasks, telemetry
from tidegate.logs.inputs import instruments
from tidegate.model import receiving

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def split(listen: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[::1]:port` or `:port`. Raises `ValueError`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{listen!r} is no address and port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{listen!r} is no address and port")
    return host.strip("[]"), int(port)


def loopback(listen: str) -> bool:
    """Whether only this machine reaches an address."""
    host, _ = split(listen)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def context(config: receiving.ServerTls | None, folder: pathlib.Path) -> ssl.SSLContext | None:
    """The TLS side of a listener; file names are relative to `folder`. Raises `OSError` (`ssl.SSLError` is one)."""
    if config is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(folder / config.cert_file, folder / config.key_file)
    if config.client_ca_file:
        made.load_verify_locations(folder / config.client_ca_file)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


class Connections:
    """The open connections of one listener."""

    def __init__(self, name: str, most: int, metrics: instruments.Instruments) -> None:
        self._name = name
        self._most = most
        self._metrics = metrics
        self._log = telemetry.logger("logs.inputs")
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def serving(self, serve: Serve) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        """A callback for `asyncio.start_server` that keeps to the limit and always closes what it was given."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._closed:  # accepted by the kernel before, and handed over after
                writer.transport.abort()
                return
            if len(self._tasks) >= self._most:
                self._metrics.refused.labels(self._name, "connections").inc()
                writer.transport.abort()
                return
            task = asyncio.create_task(self._one(serve, reader, writer))
            self._tasks.add(task)
            task.add_done_callback(functools.partial(self._gone, writer))

        return accept

    async def listen(
        self, serve: Serve, address: str, context: ssl.SSLContext | None, handshake: float
    ) -> asyncio.Server:
        """A listener that does not serve yet. Raises `OSError` when the address cannot be had."""
        host, port = split(address)
        timeout = handshake if context else None
        taken = self.serving(serve)
        return await asyncio.start_server(
            taken, host, port, ssl=context, ssl_handshake_timeout=timeout, start_serving=False
        )

    async def until_cancelled(self, server: asyncio.Server) -> None:
        """Serve until cancelled; then close the listener, and every connection.

        Only here it begins to: a listener that is cancelled while it starts to serve by itself would stay open.
        """
        try:
            await server.start_serving()
            await asyncio.get_running_loop().create_future()
        finally:
            self._closed = True
            server.close()
            await tasks.cancel(*self._tasks)

    async def _one(self, serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gauge = self._metrics.connections.labels(self._name)
        gauge.inc()
        try:
            with contextlib.suppress(OSError):
                await serve(reader, writer)
            writer.close()
        except Exception as error:  # noqa: BLE001 - one connection must not end the others
            self._metrics.refused.labels(self._name, "error").inc()
            self._log.exception("a connection failed", input=self._name, reason=str(error))
        finally:
            gauge.dec()

    def _gone(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        """Close what a task leaves open, also one that was cancelled before it began."""
        self._tasks.discard(task)
        if not writer.is_closing():
            writer.transport.abort()
