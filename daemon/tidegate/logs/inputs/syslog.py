"""Syslog over UDP, TCP and TLS. Messages go to the spool as they came; their meaning is read when they are shipped.

Syslog has no acknowledgement: a message is safe once the spool has it. TCP is read only as fast as the spool takes, so a
sender that keeps a queue loses nothing while we live. UDP cannot be held up: what does not fit is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from tidegate.logs.formats import spool as format_
from tidegate.logs.inputs import addresses, base, framing
from tidegate.model import receiving

HANDSHAKE = 10.0
KERNEL_BUFFER = 8 * 1024 * 1024
"""Asked for, so that a burst of datagrams waits in the kernel; it may give less."""
LOOK_AT_DROPS = 10.0
_READ = 64 * 1024


class Datagrams:
    """One UDP socket."""

    def __init__(self, place: base.Place, config: receiving.Syslog) -> None:
        self._place = place
        self._config = config
        self.address: tuple[str, int] = ("", 0)
        """Where it listens, once it does."""

    async def run(self) -> None:
        """Receive until cancelled."""
        host, port = addresses.split(self._config.listen)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Protocol(self._take), (host, port))
        try:
            made: socket.socket = transport.get_extra_info("socket")
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
            self.address = made.getsockname()[:2]
            gauge = self._place.metrics.kernel_drops.labels(self._place.name)
            while True:
                gauge.set(await asyncio.to_thread(kernel_drops, made))
                await self._place.clock.sleep(LOOK_AT_DROPS)
        finally:
            transport.close()

    def _take(self, data: bytes, peer: tuple[Any, ...]) -> None:
        place = self._place
        if not data.strip(b"\0\r\n "):
            place.metrics.refused.labels(place.name, "empty").inc()
            return
        most = self._config.max_message_bytes
        record, cut = _record(place, self._config, place.now(), data[:most], peer, cut=len(data) > most)
        if not place.spool.offer(record, 1):
            place.metrics.refused.labels(place.name, "full").inc()
        elif cut:
            place.metrics.cut.labels(place.name).inc()


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, tuple[Any, ...]], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._take(data, addr)


class Streams:
    """One TCP listener, with TLS or without."""

    def __init__(self, place: base.Place, config: receiving.Syslog, context: ssl.SSLContext | None) -> None:
        self._place = place
        self._config = config
        self._context = context
        self.address: tuple[str, int] = ("", 0)
        """Where it listens, once it does."""

    async def run(self) -> None:
        """Receive until cancelled."""
        limits = addresses.Connections(self._place.name, self._config.max_connections, self._place.metrics)
        handshake = min(HANDSHAKE, self._config.idle_timeout or HANDSHAKE)
        server = await limits.listen(self._serve, self._config.listen, self._context, handshake)
        for each in server.sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.address = server.sockets[0].getsockname()[:2]
        await limits.until_cancelled(server)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = framing.Frames(self._config.max_message_bytes)
        peer = writer.get_extra_info("peername")
        refused = self._place.metrics.refused
        try:
            while True:
                async with asyncio.timeout(self._config.idle_timeout or None):
                    data = await reader.read(_READ)
                if not data:
                    break
                await self._keep(frames.feed(data), peer)
        except TimeoutError:
            refused.labels(self._place.name, "timeout").inc()
        except framing.FramingError:
            refused.labels(self._place.name, "framing").inc()
        except OSError:
            refused.labels(self._place.name, "reset").inc()
        await self._keep(frames.end(), peer)
        if frames.unfinished:
            refused.labels(self._place.name, "unfinished").inc()

    async def _keep(self, messages: list[tuple[bytes, bool]], peer: tuple[Any, ...]) -> None:
        """Put messages on disk, as many at once as came together; waits as long as there is no room."""
        place, now = self._place, self._place.now()
        made = [_record(place, self._config, now, message, peer, cut=cut) for message, cut in messages]
        for group in base.grouped([record for record, _ in made], place.spool.largest):
            await place.spool.put(b"".join(group), len(group), wait=True)
        place.metrics.cut.labels(place.name).inc(sum(cut for _, cut in made))


def kernel_drops(made: socket.socket) -> int:
    """Datagrams that the kernel dropped on a socket, as /proc tells; 0 where it does not. Blocking."""
    with contextlib.suppress(OSError, ValueError):
        inode = str(pathlib.Path(f"/proc/self/fd/{made.fileno()}").readlink()).strip("socket:[]")
        table = pathlib.Path("/proc/net/udp6" if made.family == socket.AF_INET6 else "/proc/net/udp")
        for row in table.read_text().splitlines()[1:]:
            columns = row.split()
            if columns[9] == inode:
                return int(columns[12])
    return 0


def _record(
    place: base.Place, config: receiving.Syslog, now: str, message: bytes, peer: tuple[Any, ...], *, cut: bool = False
) -> tuple[bytes, bool]:
    more: dict[str, Any] = {} if config.time_zone == "UTC" else {"zone": config.time_zone}
    if cut:
        more["cut"] = True
    record, shortened = format_.record("syslog", now, (str(peer[0]), int(peer[1])), message, place.longest, **more)
    return record, cut or shortened
