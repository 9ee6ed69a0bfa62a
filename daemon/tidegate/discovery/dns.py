"""Targets behind DNS names: Prometheus' `dns_sd_configs`, for addresses (A, AAAA).

A name that cannot be looked up keeps the targets it had: a resolver that is away must not look like services that are.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from tidegate.discovery import build
from tidegate.model import problems, scraping

FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}


class Names:
    """Looks up the names of one entry."""

    def __init__(self, entry: scraping.DnsConfig) -> None:
        self._entry = entry
        self._good: dict[str, list[build.Discovered]] = {}
        self.interval = entry.refresh_interval
        self.problems: tuple[problems.Problem, ...] = ()

    async def find(self) -> list[build.Discovered]:
        """The targets as the names stand for now."""
        wrong: list[problems.Problem] = []
        for name in self._entry.names:
            try:
                self._good[name] = await self._one(name)
            except OSError as error:
                summary = f"cannot look up {name}: {error.strerror or error}"
                wrong.append(problems.Problem("targets-dns", summary, severity="warning"))
        self.problems = tuple(wrong)
        return [one for group in self._good.values() for one in group]

    async def _one(self, name: str) -> list[build.Discovered]:
        loop, entry = asyncio.get_running_loop(), self._entry
        answers = await loop.getaddrinfo(name, entry.port, family=FAMILIES[entry.type], type=socket.SOCK_STREAM)
        hosts = sorted({str(answer[4][0]) for answer in answers})
        return [({"__address__": f"{_shown(host)}:{entry.port}"}, {"__meta_dns_name": name}) for host in hosts]


def _shown(host: str) -> str:
    return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
