"""Wiring of `tidegate agent`: tail, count, ship, and answer probes and the server's scrapes. No logic."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import pathlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

import tidegate
from tidegate import agentplan, reloads, schedule, sources
from tidegate.api import bare, server
from tidegate.kit import clock as clock_
from tidegate.kit import lag, tasks, telemetry, watch
from tidegate.logs import agent
from tidegate.logs.count import counters
from tidegate.logs.detect import detectors
from tidegate.logs.elasticsearch import bulk
from tidegate.logs.inputs import listening
from tidegate.logs.outputs import build
from tidegate.logs.ship import output
from tidegate.model import problems, settings

FLUSH = 4.0
"""Seconds that lines under way get at the end."""
STALLED = 5.0


async def run(
    path: pathlib.Path | None, environ: Mapping[str, str], stop: asyncio.Event, say: Callable[[str], None]
) -> None:
    """Run until `stop`. Raises `ConfigError` before anything is started, `FatalError` when it cannot go on."""
    await Agent(path, environ).run(stop, say)


class Agent:
    """One agent process."""

    def __init__(self, path: pathlib.Path | None, environ: Mapping[str, str]) -> None:
        """Build everything; nothing runs yet. Raises `ConfigError` or `FatalError`."""
        self._path, self._environ = path, environ
        self._log = telemetry.logger("agent")
        self.clock = clock_.SystemClock()
        self.registry = telemetry.Registry()
        self.plan = agentplan.make(path, environ)
        given, loaded = self.plan.settings, self.plan.loaded
        self._reloads = reloads.Reloads(self.registry)
        self.supervisor = tasks.Supervisor(self.clock, self.registry)
        self.schedule = schedule.Scheduler(self.clock, self.registry)
        self.lag = lag.LoopLag(self.registry)
        self.counters = counters.LogCounters(None, self.schedule, self.clock, self.registry)
        self.bulk: bulk.ElasticsearchOutput | None = None
        self.outputs = self._outputs(given.logs, loaded.folder)
        data = loaded.resolve(given.data_dir)
        self.detectors = detectors.LogDetectors(
            None, self.schedule, self.clock, self.registry, folder=data / agent.FOLDER, lag=self._lag
        )
        self.inputs = listening.Inputs(given.logs, data, loaded.folder, self.clock, self.registry)
        self.shipper = agent.LogAgent(
            given.logs,
            data,
            loaded.folder,
            self.outputs,
            [self.counters.observe, self.detectors.observe],
            self.clock,
            self.registry,
            host=environ.get("TIDEGATE_NODE_NAME", ""),
            spools=self.inputs,
        )
        self.web = server.Server(bare.build(self.registry, tuple, self._unhealthy), given.web.listen)
        telemetry.process_metrics(self.registry)

    async def run(self, stop: asyncio.Event, say: Callable[[str], None]) -> None:
        """Start, and work until `stop` or until something that cannot be lived without is gone."""
        self.schedule.start()
        self.counters.set_metrics(self.plan.logs.log_metrics)
        self.detectors.set_detectors(self.plan.logs.log_detectors)
        parts: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("loop lag", self.lag.run),
            ("log metrics", self.counters.run),
            ("log rules", self.detectors.run),
            ("log agent", self.shipper.run),
            ("log inputs", functools.partial(self.inputs.run, self.shipper)),
            ("watcher", self._watch),
        ]
        running = [asyncio.create_task(self.supervisor.run(name, part), name=name) for name, part in parts]
        web = asyncio.create_task(self.web.run(), name="web")
        stopped = asyncio.create_task(stop.wait())
        say(self._greeting())
        try:
            done, _ = await asyncio.wait({stopped, web, *running}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            stopped.cancel()
            self.web.close()
            await tasks.cancel(*running)
            self.schedule.stop()
            await self.shipper.close(FLUSH)
            await self.detectors.save()
            for each in self.outputs:
                await each.close()
            await asyncio.wait({web})

    def _outputs(self, given: settings.Logs, folder: pathlib.Path) -> list[output.Output]:
        """Everywhere that lines go."""
        others = build.outputs(given, folder, self.clock, self.registry)
        if not given.elasticsearch.urls:
            return others
        self.bulk = bulk.ElasticsearchOutput(given.elasticsearch, self.clock, self.registry)
        return [self.bulk, *others]

    async def reload(self) -> None:
        """Take inputs, log metrics, nodes and keys as they are now. Raises `ConfigError`, with the old ones in force."""
        try:
            fresh = await asyncio.to_thread(agentplan.make, self._path, self._environ)
            self._apply(fresh)
        except problems.ConfigError as error:
            self._reloads.refused()
            self._log.error("configuration refused, the old one stays", problems=str(error))
            raise
        for name in reloads.process(self.plan.settings, fresh.settings):
            self._log.warning("a change needs a restart", setting=name)
        self.plan = fresh
        self._reloads.taken()
        self._log.info("configuration taken")

    def _apply(self, fresh: agentplan.Plan) -> None:
        given = fresh.settings.logs
        if self.bulk and given.elasticsearch != self.plan.settings.logs.elasticsearch:
            self.bulk.reconfigure(given.elasticsearch)
        self.inputs.reload(given)
        self.shipper.set_inputs(given.inputs)
        self.counters.set_metrics(fresh.logs.log_metrics)
        self.detectors.set_detectors(fresh.logs.log_detectors)

    async def _watch(self) -> None:
        patterns = sources.watched(self.plan.loaded, self._path)
        before = await asyncio.to_thread(watch.digest, patterns)
        while True:
            before = await watch.changed(patterns, before, self.clock)
            with contextlib.suppress(problems.ConfigError):  # said and counted by reload
                await self.reload()

    def _lag(self) -> float:
        return self.shipper.lag()

    def _unhealthy(self) -> Sequence[str]:
        worst = self.lag.worst
        return [f"the event loop stalled for {worst:.1f} s"] if worst > STALLED else []

    def _greeting(self) -> str:
        given = self.plan.settings.logs
        taken = [path for one in given.inputs for path in one.paths] + list(self.inputs.running)
        where = ", ".join((*given.elasticsearch.urls, *build.names(given)))
        return f"Tidegate {tidegate.__version__} agent: {', '.join(taken) or 'nothing'} to {where}"
