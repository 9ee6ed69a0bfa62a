"""From a host to the one address that is probed, as the blackbox exporter chooses it.

Look-ups run in threads of their own: names that nobody answers for must hold up other probes only, never the program.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tidegate.model import ports, probing
from tidegate.scrape.probes import gauges

THREADS = 8
Lookup: TypeAlias = Callable[[str], Awaitable[list[str]]]
"""The addresses of a host. Raises `OSError`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where to probe."""

    ip: str
    version: int
    took: float
    """Seconds of the look-up."""

    @property
    def family(self) -> socket.AddressFamily:
        """For sockets."""
        return socket.AF_INET if self.version == 4 else socket.AF_INET6


class Resolver:
    """Asks the system."""

    def __init__(self) -> None:
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS, "probe-names")

    async def lookup(self, host: str) -> list[str]:
        """The addresses of a host. Raises `OSError`."""
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _found, host)

    def close(self) -> None:
        """Wait for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _found(host: str) -> list[str]:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("it is no name") from None
    return [str(answer[4][0]) for answer in answers]


async def choose(
    host: str, given: probing.Addressed, lookup: Lookup, found: gauges.Gauges, clock: ports.Clock
) -> Address:
    """The address to probe; sets the series of the look-up. Raises `ProbeError`."""
    found.zero("probe_ip_protocol", "probe_dns_lookup_time_seconds", "probe_ip_addr_hash")
    started = clock.now()
    try:
        addresses = await _addresses(host, lookup)
    finally:
        took = clock.now() - started
        found.set("probe_dns_lookup_time_seconds", took)
    version = 6 if given.preferred_ip_protocol in {"", "ip6"} else 4
    fitting = [one for one in addresses if one.version == version]
    if not fitting and (not given.ip_protocol_fallback or not addresses):
        raise gauges.ProbeError(f"{host} has no IPv{version} address")
    one = fitting[0] if fitting else addresses[-1]
    found.set("probe_ip_protocol", one.version)
    found.set("probe_ip_addr_hash", fnv32a(one.packed))
    return Address(str(one), one.version, took)


async def _addresses(host: str, lookup: Lookup) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    if not host:
        raise gauges.ProbeError("the target has no host")
    try:
        return [ipaddress.ip_address(text) for text in await lookup(host)]
    except OSError as error:
        raise gauges.ProbeError(f"cannot look up {host}: {error.strerror or error}") from None


def fnv32a(data: bytes) -> int:
    """The hash that the exporter gives of an address (FNV-1a, 32 bits)."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def source(text: str) -> str:
    """A source address of the settings. Raises `ProbeError` when it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise gauges.ProbeError(f"source_ip_address {text!r} is no address") from None


def split(target: str) -> tuple[str, str]:
    """Host and port of `host:port` or `[v6]:port`. Raises `ProbeError`."""
    if target.startswith("["):
        host, end, rest = target[1:].partition("]")
        if end and rest.startswith(":") and ":" not in rest[1:]:
            return host, rest[1:]
    elif target.count(":") == 1:
        host, _, port = target.partition(":")
        return host, port
    raise gauges.ProbeError(f"the target {target!r} is not host:port")
