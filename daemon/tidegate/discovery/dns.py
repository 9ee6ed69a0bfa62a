"""Targets behind DNS names: Prometheus' `dns_sd_configs`.

A name that cannot be looked up keeps the targets it had: a resolver that is away must not look like services that are. A
name that is known to have no records has no targets. How a name is looked up is the business of `discovery.resolver`.
"""

from __future__ import annotations

import asyncio

from tidegate.discovery import build, resolver
from tidegate.model import problems, scraping

META = "__meta_dns_"


class Names:
    """Looks up the names of one entry."""

    kind = "dns"

    def __init__(self, entry: scraping.DnsConfig, with_: resolver.Resolver | None = None) -> None:
        self._entry, self._resolver = entry, with_ or resolver.Resolver()
        self._good: dict[str, list[build.Discovered]] = {}
        self.interval = entry.refresh_interval
        self.problems: tuple[problems.Problem, ...] = ()

    async def find(self) -> list[build.Discovered]:
        """The targets as the names stand for now."""
        said = await asyncio.gather(*(self._one(name) for name in self._entry.names))
        self.problems = tuple(one for one in said if one is not None)
        return [one for group in self._good.values() for one in group]

    async def _one(self, name: str) -> problems.Problem | None:
        """Renew one name; the problem when nobody could tell."""
        try:
            records = await self._resolver.lookup(name, self._entry.type)
        except resolver.LookupFailedError as error:
            return problems.Problem("targets-dns", f"cannot look up {name}: {error}", severity="warning")
        # Servers turn their answers round; the order must not look like a change.
        made = sorted(_labels(name, record, self._entry.port) for record in set(records))
        self._good[name] = [(dict(one), {}) for one in made]
        return None


def _labels(name: str, record: resolver.Record, port: int) -> tuple[tuple[str, str], ...]:
    """The labels of one target, `__address__` first."""
    host = record.host.rstrip(".") if record.type in {"SRV", "MX", "NS"} else record.host
    shown = f"[{host}]" if ":" in host else host
    found = {"__address__": f"{shown}:{record.port if record.type == 'SRV' else port}", META + "name": name}
    if record.type == "SRV":
        found[META + "srv_record_target"] = record.host
        found[META + "srv_record_port"] = str(record.port)
    elif record.type in {"MX", "NS"}:
        found[f"{META}{record.type.lower()}_record_target"] = record.host
    return tuple(found.items())
