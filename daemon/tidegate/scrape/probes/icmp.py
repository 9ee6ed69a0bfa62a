"""The prober `icmp`: sends an echo request, and waits for its reply.

Datagram sockets need no rights where the kernel allows them to our group (`net.ipv4.ping_group_range`); raw sockets need
`CAP_NET_RAW`. Where neither may be opened, the probe fails and says so.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import socket
import struct

from tidegate.model import ports, probing
from tidegate.scrape.probes import connection, gauges, names

PAYLOAD = b"Tidegate"
_DURATION = "probe_icmp_duration_seconds"
_REQUEST, _REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_PROTOCOL = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
_IP_RECVTTL, _IP_TTL, _IP_MTU_DISCOVER, _DO = 12, 2, 10, 2
"""Linux's numbers; Python's `socket` does not have all of them."""
_LIMIT = 65536


@dataclasses.dataclass(frozen=True, slots=True)
class _Echo:
    """What was sent."""

    ident: int
    sequence: int
    payload: bytes


async def probe(
    target: str, given: probing.IcmpProbe, lookup: names.Lookup, found: gauges.Gauges, clock: ports.Clock
) -> None:
    """Set the series of one probe. Raises `ProbeError` when it fails."""
    for phase in ("resolve", "setup", "rtt"):
        found.set(_DURATION, 0.0, {"phase": phase})
    address = await names.choose(target, given, lookup, found, clock)
    found.set(_DURATION, address.took, {"phase": "resolve"})
    started = clock.now()
    echo = _Echo(random.getrandbits(16), random.getrandbits(16), _payload(given))
    open_ = _socket(address, given)
    with open_:
        found.set(_DURATION, clock.now() - started, {"phase": "setup"})
        sent = clock.now()
        try:
            open_.sendto(_packet(_REQUEST[address.version], echo, address.version), (address.ip, 0))
        except OSError as error:
            raise gauges.ProbeError(f"cannot send: {connection.said(error)}") from None
        hops = await _reply(open_, address, echo)
        found.set(_DURATION, clock.now() - sent, {"phase": "rtt"})
        if hops is not None:
            found.set("probe_icmp_reply_hop_limit", hops)


def _payload(given: probing.IcmpProbe) -> bytes:
    return PAYLOAD[: given.payload_size].ljust(given.payload_size, b"\0") if given.payload_size else PAYLOAD


def _socket(address: names.Address, given: probing.IcmpProbe) -> socket.socket:
    """A socket that may send it. Raises `ProbeError`."""
    wrong = ""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            made = socket.socket(address.family, kind, _PROTOCOL[address.version])
        except OSError as error:
            wrong = error.strerror or str(error)
            continue
        try:
            _prepare(made, address, given)
        except (OSError, gauges.ProbeError) as error:
            made.close()
            raise gauges.ProbeError(f"cannot prepare the socket: {connection.said(error)}") from None
        return made
    raise gauges.ProbeError(f"may not ping: {wrong}; allow net.ipv4.ping_group_range or add CAP_NET_RAW")


def _prepare(made: socket.socket, address: names.Address, given: probing.IcmpProbe) -> None:
    made.settimeout(0)
    if given.source_ip_address:
        made.bind((names.source(given.source_ip_address), 0))
    if address.version == 4:
        made.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        if given.ttl:
            made.setsockopt(socket.IPPROTO_IP, _IP_TTL, given.ttl)
        if given.dont_fragment:
            made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _DO)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        if given.ttl:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, given.ttl)


def _packet(kind: int, echo: _Echo, version: int) -> bytes:
    """An echo message; the kernel makes the checksum of IPv6 itself."""
    head = struct.pack("!BBHHH", kind, 0, 0, echo.ident, echo.sequence)
    total = checksum(head + echo.payload) if version == 4 else 0
    return struct.pack("!BBHHH", kind, 0, total, echo.ident, echo.sequence) + echo.payload


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


async def _reply(open_: socket.socket, address: names.Address, echo: _Echo) -> float | None:
    """Wait for our reply; how many routers it could still have passed. Raises `ProbeError`."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(open_.fileno(), ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            try:
                data, extra, _, peer = open_.recvmsg(_LIMIT, 256)
            except BlockingIOError:
                continue
            except OSError as error:
                raise gauges.ProbeError(f"no reply: {connection.said(error)}") from None
            if peer[0].partition("%")[0] == address.ip.partition("%")[0] and _ours(open_, address.version, data, echo):
                return _hops(extra)
    finally:
        loop.remove_reader(open_.fileno())


def _ours(open_: socket.socket, version: int, data: bytes, echo: _Echo) -> bool:
    """Whether a packet is the reply to what we sent. Datagram sockets have an id of the kernel's, and get their own only."""
    raw = open_.type == socket.SOCK_RAW
    if raw and version == 4:
        data = data[(data[0] & 15) * 4 :] if data else data
    if len(data) < 8:
        return False
    kind, code, _, ident, sequence = struct.unpack("!BBHHH", data[:8])
    same = (kind, code, sequence) == (_REPLY[version], 0, echo.sequence)
    return same and data[8:] == echo.payload and (not raw or ident == echo.ident)


def _hops(extra: list[tuple[int, int, bytes]]) -> float | None:
    wanted = {(socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)}
    for level, kind, data in extra:
        if (level, kind) in wanted and len(data) >= 4:
            return float(struct.unpack("@i", data[:4])[0])
    return None
