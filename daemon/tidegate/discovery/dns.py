"""Targets behind DNS names: Prometheus' `dns_sd_configs`, for addresses (A, AAAA).

A name that cannot be looked up keeps the targets it had: a resolver that is away must not look like services that are.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import socket

from tidegate.discovery import static
from tidegate.model import problems, settings, targets

FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}


class Names:
    """Looks up the names of one job."""

    def __init__(self, job: settings.Job, defaults: settings.Scrape) -> None:
        self._job, self._defaults = job, defaults
        self._good: dict[tuple[str, str], list[targets.Target]] = {}
        self.problems: tuple[problems.Problem, ...] = ()

    async def read(self) -> list[targets.Target]:
        """The targets as the names stand for now."""
        wrong: list[problems.Problem] = []
        for entry in self._job.dns_sd_configs:
            for name in entry.names:
                try:
                    self._good[name, entry.type] = await self._one(name, entry)
                except OSError as error:
                    summary = f"cannot look up {name}: {error.strerror or error}"
                    wrong.append(problems.Problem("targets-dns", summary, severity="warning"))
        self.problems = tuple(wrong)
        return [target for group in self._good.values() for target in group]

    async def _one(self, name: str, entry: settings.DnsConfig) -> list[targets.Target]:
        loop = asyncio.get_running_loop()
        answers = await loop.getaddrinfo(name, entry.port, family=FAMILIES[entry.type], type=socket.SOCK_STREAM)
        hosts = sorted({str(answer[4][0]) for answer in answers})
        labels = {"__meta_dns_name": name}
        made = []
        for host in hosts:
            shown = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
            found = static.target(f"{shown}:{entry.port}", {}, self._job, self._defaults)
            made.append(_discovered(found, labels))
        return made


def _discovered(target: targets.Target, more: dict[str, str]) -> targets.Target:
    return dataclasses.replace(target, discovered=tuple(sorted({**dict(target.discovered), **more}.items())))
