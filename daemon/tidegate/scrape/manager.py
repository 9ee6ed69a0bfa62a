"""Keeps one loop for each target: starts those of new targets, ends those of targets that went away."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

import aiohttp

from tidegate.kit import tasks, telemetry
from tidegate.model import labels as labels_
from tidegate.model import ports, series
from tidegate.model import targets as targets_
from tidegate.scrape import fetch, loop, protocols
from tidegate.scrape.probes import names, runner


@dataclasses.dataclass(frozen=True, slots=True)
class _Running:
    loop: loop.Loop
    ticks: ports.Ticks
    task: asyncio.Task[None]


class ScrapeManager:
    """Implements `ports.TargetReader`, `ports.MetadataReader` and `ports.ExemplarReader`."""

    def __init__(
        self,
        store: ports.SampleStore,
        schedule: ports.Schedule,
        clock: ports.Clock,
        registry: telemetry.Registry,
        supervisor: tasks.Supervisor,
    ) -> None:
        self._store, self._schedule, self._clock, self._supervisor = store, schedule, clock, supervisor
        self._instruments = loop.Instruments(registry)
        self._found = targets_.Found()
        self._keep: Callable[[str], bool] | None = None
        self._changed = asyncio.Event()
        self._running: dict[targets_.Target, _Running] = {}
        telemetry.Gauge("tidegate_scrape_targets", "Targets.", registry=registry).set_function(
            lambda: float(len(self._running))
        )

    def set_targets(self, found: targets_.Found, keep: Callable[[str], bool] | None = None) -> None:
        """What to scrape from now on, and which metric names to store (`keep`). Loops of equal targets go on."""
        self._found = found
        self._keep = keep
        for one in self._running.values():
            one.loop.forget()
        self._changed.set()

    def targets(self) -> Sequence[targets_.TargetStatus]:
        """See `ports.TargetReader`."""
        running = [one.loop.status for one in self._running.values()]
        waiting = [targets_.TargetStatus(target) for target in self._found.targets if target not in self._running]
        return sorted([*running, *waiting], key=lambda status: (status.target.job, status.target.url))

    def dropped(self) -> tuple[Sequence[targets_.Dropped], Mapping[str, int]]:
        """See `ports.TargetReader`."""
        return self._found.dropped, self._found.dropped_counts

    def metadata(self, metric: str = "") -> Iterator[tuple[targets_.Target, series.Metadata]]:
        """See `ports.MetadataReader`."""
        for target, one in list(self._running.items()):
            families = one.loop.families
            for said in (families.get(metric),) if metric else families:
                if said is not None:
                    yield target, said

    def exemplars(
        self, wanted: Callable[[labels_.Labels], bool], start_ms: int, end_ms: int
    ) -> dict[labels_.Labels, list[series.Exemplar]]:
        """See `ports.ExemplarReader`."""
        found: dict[labels_.Labels, list[series.Exemplar]] = {}
        for one in self._running.values():
            for of, some in one.loop.exemplars.select(wanted, start_ms, end_ms).items():
                found.setdefault(of, []).extend(some)
        return found

    async def run(self) -> None:
        """Scrape until cancelled."""
        resolver = names.Resolver()
        async with fetch.session() as http:
            try:
                while True:
                    self._changed.clear()
                    await self._stop_unwanted()
                    for target in self._found.targets:
                        if target not in self._running:
                            self._start(target, self._way(target, http, resolver))
                    await self._changed.wait()
            finally:
                await tasks.cancel(*(one.task for one in self._running.values()))
                for one in self._running.values():
                    one.ticks.close()
                self._running.clear()
                resolver.close()

    def _way(
        self, target: targets_.Target, http: aiohttp.ClientSession, resolver: names.Resolver
    ) -> Callable[[], Awaitable[protocols.Exposition]]:
        """How the series of a target are got."""
        if target.probe is not None:
            return runner.Runner(target, target.probe, resolver.lookup, self._clock).get
        return fetch.Fetcher(http, target, self._clock).get

    def _start(self, target: targets_.Target, get: Callable[[], Awaitable[protocols.Exposition]]) -> None:
        keep = self._keep
        one = loop.Loop(
            target, get, self._store, self._clock, self._instruments, lambda name: keep is None or keep(name)
        )
        ticks = self._schedule.every(target.key, target.interval)
        task = asyncio.create_task(self._supervisor.run("scrape", lambda: one.run(ticks)), name=f"scrape {target.url}")
        self._running[target] = _Running(one, ticks, task)

    def _stored(self, name: str) -> bool:
        return self._keep is None or self._keep(name)

    async def _stop_unwanted(self) -> None:
        for target in set(self._running) - set(self._found.targets):
            one = self._running.pop(target)
            one.ticks.close()
            await tasks.cancel(one.task)
            one.loop.end(self._clock.now())
