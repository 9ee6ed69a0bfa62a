"""Runs our probes in tests, and reads expositions so that two can be compared."""

from __future__ import annotations

import pathlib
import re

from tidegate.kit import clock
from tidegate.model import probing, targets
from tidegate.scrape import protocols
from tidegate.scrape.probes import names, runner

_VARIES = re.compile(r"^(probe_(?:\w+_)?duration_seconds|probe_dns_lookup_time_seconds)")
_CIPHER = re.compile(r'cipher="[^"]*"')


async def probe(
    module: probing.Module,
    address: str,
    *,
    hostname: str = "",
    timeout: float = 5.0,
    lookup: names.Lookup | None = None,
) -> protocols.Exposition:
    """One probe."""
    given = targets.Probe(address, "test", module, hostname, str(pathlib.Path.cwd()))
    target = targets.Target("test", address, (), timeout=timeout, probe=given)
    resolver = names.Resolver()
    try:
        return await runner.Runner(target, given, lookup or resolver.lookup, clock.SystemClock()).get()
    finally:
        resolver.close()


def values(exposition: str) -> dict[str, float]:
    """Each series as it is written."""
    found = {}
    for line in exposition.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            found[series] = float(value)
    return found


def comparable(exposition: str) -> dict[str, str]:
    """Series and metadata, without what differs from probe to probe: times, and the suite that two TLS libraries choose."""
    found = {}
    for line in exposition.splitlines():
        if line.startswith("#"):
            found[line] = ""
        elif line:
            series, _, value = line.rpartition(" ")
            found[_CIPHER.sub('cipher="..."', series)] = "" if _VARIES.match(series) else str(float(value))
    return found
