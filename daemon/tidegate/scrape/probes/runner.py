"""Runs one target's probe and makes an exposition of it, so that the scrape loop sees a target like any other.

A probe that fails is a good scrape of `probe_success 0`, with a note of the reason.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Awaitable, Callable

from tidegate.kit import access
from tidegate.model import client as client_
from tidegate.model import ports, problems, targets
from tidegate.scrape import protocols
from tidegate.scrape.probes import dns, gauges, http, icmp, names, tcp

Prober = Callable[[gauges.Gauges], Awaitable[None]]
"""Sets series. Raises `ProbeError` or `TransientError` when the probe fails."""


class Runner:
    """Probes one target, again and again."""

    def __init__(self, target: targets.Target, probe: targets.Probe, lookup: names.Lookup, clock: ports.Clock) -> None:
        module = probe.settings
        self._clock = clock
        self._timeout = min(module.timeout or target.timeout, target.timeout)
        self._prober = _prober(probe, lookup, clock)

    async def get(self) -> protocols.Exposition:
        """The series of one probe."""
        found, started = gauges.Gauges(), self._clock.now()
        wrong = ""
        try:
            async with asyncio.timeout(self._timeout):
                await self._prober(found)
        except TimeoutError:
            wrong = f"not done within {self._timeout:g} s"
        except (gauges.ProbeError, problems.TransientError) as error:
            wrong = str(error)
        found.set("probe_success", float(not wrong))
        found.set("probe_duration_seconds", self._clock.now() - started)
        return protocols.Exposition(found.text(), note=f"the probe failed: {wrong}" if wrong else "")


def _prober(probe: targets.Probe, lookup: names.Lookup, clock: ports.Clock) -> Prober:
    module, folder = probe.settings, pathlib.Path(probe.folder)

    def way(given: client_.Client) -> access.Access:
        return access.Access(access.resolved(given, folder), clock)

    if module.prober == "http":
        asking = way(module.http.client())
        return http.HttpProbe(probe.address, module.http, asking, lookup, clock, folder, probe.hostname).probe
    if module.prober == "tcp":
        trust = way(client_.Client(tls=module.tcp.tls_config.tls()))
        return lambda found: tcp.probe(probe.address, module.tcp, trust, lookup, found, clock, probe.hostname)
    if module.prober == "dns" and module.dns is not None:
        given, safe = module.dns, way(client_.Client(tls=module.dns.tls_config.tls()))
        return lambda found: dns.probe(probe.address, given, safe, lookup, found, clock)
    if module.prober == "icmp":
        return lambda found: icmp.probe(probe.address, module.icmp, lookup, found, clock)
    raise ValueError(module.unsupported)
