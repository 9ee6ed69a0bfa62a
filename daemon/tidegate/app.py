"""Wiring of `tidegate server` and `tidegate run`: build everything, draw the arrows, start, reload, stop. No logic.

Order matters twice: what can fail comes before what is touched (`plan`), and sources stop before sinks, so that what was
seen is still told.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import pathlib
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import tidegate
from tidegate import notice, packs, reloads, schedule, sources
from tidegate import plan as plan_
from tidegate.alerts import book as book_
from tidegate.alerts import dispatch, silences
from tidegate.alerts import store as alert_store
from tidegate.api import app as api
from tidegate.api import context, server
from tidegate.gate import keeper, ledger
from tidegate.kit import clock as clock_
from tidegate.kit import config, database, lag, shown, tasks, telemetry, watch
from tidegate.logs import agent
from tidegate.logs.count import counters
from tidegate.logs.detect import detectors
from tidegate.logs.inputs import listening
from tidegate.logs.local_store import local
from tidegate.logs.outputs import build
from tidegate.logs.ship import output
from tidegate.metrics import adhoc, store
from tidegate.metrics.promql import engine
from tidegate.metrics.remote import receive, writer
from tidegate.model import ports, problems, series, settings, targets
from tidegate.notify import outbox
from tidegate.notify import store as outbox_store
from tidegate.rules import manager as rules_
from tidegate.scrape import manager as scrape

if TYPE_CHECKING:
    from tidegate.logs.elasticsearch import bulk, search

Part: TypeAlias = tuple[str, Callable[[], Awaitable[None]]]

SWEEP = 60.0
FLUSH = 3.0
"""Seconds that messages under way, and lines that were read, get at the end."""
STALLED = 5.0
"""Seconds of loop lag at which the process is not healthy."""


async def run(
    path: pathlib.Path | None,
    environ: Mapping[str, str],
    stop: asyncio.Event,
    say: Callable[[str], None],
    *,
    embedded: bool,
) -> None:
    """Run until `stop`. Raises `ConfigError` before anything is started, `FatalError` when it cannot go on."""
    app = App(path, environ, embedded=embedded)
    await app.run(stop, say)


class App:
    """One process."""

    def __init__(self, path: pathlib.Path | None, environ: Mapping[str, str], *, embedded: bool) -> None:
        """Build everything; nothing runs yet. Raises `ConfigError` or `FatalError`."""
        self._path, self._environ, self._embedded = path, environ, embedded
        self._log = telemetry.logger("app")
        self.clock = clock_.SystemClock()
        self.registry = telemetry.Registry()
        loaded = config.load(path, environ)
        data = loaded.resolve(loaded.settings.data_dir)
        scraped = loaded.settings.scrape
        self.store = store.Store(
            data / "samples",
            self.clock,
            self.registry,
            retention=scraped.retention,
            series_limit=scraped.series_limit,
            keep=scraped.keep,
        )
        self.engine = engine.Engine(self.store, experimental=loaded.settings.rules.experimental_promql)
        self.plan = plan_.make(path, environ, self.engine, self.clock)
        self.supervisor = tasks.Supervisor(self.clock, self.registry)
        self.schedule = schedule.Scheduler(self.clock, self.registry)
        self.lag = lag.LoopLag(self.registry)
        self._build_alerts(data)
        self._build_logs(data)
        self._build_stages(data)
        self._build_web()
        self._instruments()
        self._found = targets.Found()

    async def run(self, stop: asyncio.Event, say: Callable[[str], None]) -> None:
        """Start, and work until `stop` or until something that cannot be lived without is gone."""
        self.schedule.start()
        self._apply(self.plan)
        sinks = [self._start(name, part) for name, part in self._sinks()]
        sources = [self._start(name, part) for name, part in self._sources()]
        discovering = asyncio.create_task(self._discover())
        web = asyncio.create_task(self.web.run(), name="web")
        stopped = asyncio.create_task(stop.wait())
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload_soon)
        for one in self.plan.loaded.notices:
            say(one.render())
        say(notice.greeting(self.plan, self.web.url, embedded=self._embedded))
        try:
            done, _ = await asyncio.wait({stopped, web, *sinks, *sources}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            stopped.cancel()
            self.web.close()
            await self._stop([*sources, discovering], sinks)
            await asyncio.wait({web})

    async def reload(self) -> None:
        """Take the configuration as it is now. Raises `ConfigError`, with the old one still in force."""
        try:
            fresh = await asyncio.to_thread(plan_.make, self._path, self._environ, self.engine, self.clock)
            self._apply(fresh)
        except (problems.ConfigError, problems.QueryError) as error:
            self._reloads.refused()
            self._log.error("configuration refused, the old one stays", problems=str(error))
            raise error if isinstance(error, problems.ConfigError) else _as_config(error) from None
        for name in notice.restarts(self.plan.settings, fresh.settings):
            self._log.warning("a change needs a restart", setting=name)
        self.plan = fresh
        self._discovering.set()
        self._reloads.taken()
        self._log.info("configuration taken", rules=sum(len(group.rules) for group in fresh.rules.groups))

    # --- building ------------------------------------------------------------------------------------------------

    def _build_alerts(self, data: pathlib.Path) -> None:
        given = self.plan.settings
        url = given.state.url.get_secret_value() if given.state.url else database.sqlite_url(data / "state.db")
        self.database = database.Database(url)
        self.database.create(alert_store.METADATA, outbox_store.METADATA)
        self.silences = silences.Silences(self.database, self.clock, self.registry, given.alerts.silence_retention)
        self.book = book_.Book(self.database, self.clock, self.registry, self.silences, given.rules.resolved_retention)
        self.outbox = outbox.Outbox(self.plan.integrations, self.database, self.clock, self.registry)
        self.ledger = ledger.Ledger(self.database, self.registry)

    def _build_logs(self, data: pathlib.Path) -> None:
        given = self.plan.settings.logs
        self.local: local.LocalStore | None = None
        self.reader: ports.LogStore
        self.remote: search.ElasticsearchReader | None = None
        if given.elasticsearch.urls:
            from tidegate.logs.elasticsearch import search  # noqa: PLC0415 - 60 ms that only its users are worth

            self.reader = self.remote = search.ElasticsearchReader(given.elasticsearch, given.kibana)
        else:
            self.reader = self.local = local.LocalStore(
                data / "logs", given.embedded_retention, given.embedded_max_bytes, self.clock, self.registry
            )
        self.counters = counters.LogCounters(self.store, self.schedule, self.clock, self.registry)
        self.shipper: agent.LogAgent | None = None
        self.detectors: detectors.LogDetectors | None = None
        self.bulk: bulk.ElasticsearchOutput | None = None
        self.others: list[output.Output] = []
        if self._embedded:
            store: output.Output
            if self.local:
                store = self.local
            else:
                from tidegate.logs.elasticsearch import bulk  # noqa: PLC0415 - see above

                store = self.bulk = bulk.ElasticsearchOutput(given.elasticsearch, self.clock, self.registry)
            folder = self.plan.loaded.folder
            self.others = build.outputs(given, folder, self.clock, self.registry)
            self.inputs = listening.Inputs(given, data, folder, self.clock, self.registry)
            found = detectors.LogDetectors(
                self.store, self.schedule, self.clock, self.registry, folder=data / agent.FOLDER, lag=self._lag
            )
            self.detectors = found
            outputs, observers = [store, *self.others], [self.counters.observe, found.observe]
            self.shipper = agent.LogAgent(
                given, data, folder, outputs, observers, self.clock, self.registry, spools=self.inputs
            )

    def _lag(self) -> float:
        return self.shipper.lag() if self.shipper else 0.0

    def _build_stages(self, data: pathlib.Path) -> None:
        given = self.plan.settings
        self.scraper = scrape.ScrapeManager(self.store, self.schedule, self.clock, self.registry, self.supervisor)
        self.receiver = receive.Receiver(self.store, self.clock, self.registry)
        self.writer = writer.Writer(
            data / "remote-write", self.store, self._said, self.clock, self.registry, self.supervisor
        )
        self.rules = rules_.RuleManager(
            self.engine,
            self.store,
            self.book,
            self.schedule,
            self.clock,
            self.registry,
            self.supervisor,
            warm=self._warm,
            statuses=self.scraper.targets,
        )
        self.dispatcher = dispatch.Dispatcher(
            self.book,
            self.silences,
            self.plan.tree,
            self.outbox,
            self.database,
            self.clock,
            self.registry,
            logs=self.reader,
            log_lines=given.alerts.log_lines,
            external_url=self._external_url(given),
        )
        self.gate = keeper.Gate(
            given.gate,
            self.book,
            self.scraper,
            self.rules,
            self.ledger,
            self.clock,
            self._external_url(given),
            self.registry,
            lambda expr: self.engine.prepare(expr).threshold,
        )

    def _build_web(self) -> None:
        given = self.plan.settings
        self.context = context.Context(
            engine=self.engine,
            queries=adhoc.Adhoc(self.engine, self.store),
            rules=self.rules,
            targets=self.scraper,
            metadata=self.scraper,
            exemplars=self.scraper,
            writes=self.receiver,
            book=self.book,
            silences=self.silences,
            logs=self.reader,
            sent=self.outbox,
            streams=self.shipper or _NoStreams(),
            gate=self.gate,
            ledger=self.ledger,
            reload=self.reload,
            clock=self.clock,
            registry=self.registry,
            web=self._web_settings(given),
            ready=self._missing,
            healthy=self._unhealthy,
            push_alerts=self.book.put,
            external_url=self._external_url(given),
            resolve_timeout=given.alerts.global_.resolve_timeout,
            receivers=tuple(receiver.name for receiver in given.alerts.receivers),
            configuration=lambda: shown.text(self.plan.settings),
            reload_failed=lambda: self._reloads.failed,
            runbook=packs.read_runbook,
            retention=given.scrape.retention,
            started_at=self.clock.now(),
        )
        self.starlette = api.build(self.context)
        self.web = server.Server(self.starlette, given.web.listen)

    def _instruments(self) -> None:
        telemetry.process_metrics(self.registry)
        telemetry.Gauge("tidegate_build_info", "Always 1.", ["version"], registry=self.registry).labels(
            tidegate.__version__
        ).set(1)
        self._reloads = reloads.Reloads(self.registry)
        self._lookups_failed = telemetry.Counter(
            "tidegate_discovery_failures", "Looks for targets that went wrong.", ["kind"], registry=self.registry
        )
        self._discovering = asyncio.Event()

    # --- running -------------------------------------------------------------------------------------------------

    def _sinks(self) -> list[Part]:
        found: list[Part] = [
            ("outbox", self.outbox.run),
            ("dispatcher", self.dispatcher.run),
            ("alert book", self.book.run),
            ("silences", self.silences.run),
            ("loop lag", self.lag.run),
            ("remote write", self.writer.run),
        ]
        return found + ([("log store", self.local.run)] if self.local else [])

    def _sources(self) -> list[Part]:
        found: list[Part] = [
            ("scraping", self.scraper.run),
            ("rules", self.rules.run),
            ("log metrics", self.counters.run),
            ("gate", self.gate.run),
            ("sweeper", self._sweep),
            ("watcher", self._watch),
        ]
        if self.shipper:
            found += [
                ("log agent", self.shipper.run),
                ("log inputs", functools.partial(self.inputs.run, self.shipper)),
            ]
        if self.detectors:
            found.append(("log rules", self.detectors.run))
        return found

    def _start(self, name: str, part: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(self.supervisor.run(name, part), name=name)

    async def _stop(self, sources: Sequence[asyncio.Task[None]], sinks: Sequence[asyncio.Task[None]]) -> None:
        self._log.info("stopping")
        await tasks.cancel(*sources)
        self.schedule.stop()
        if self.shipper:
            await self.shipper.close(FLUSH)
        if self.detectors:
            await self.detectors.save()
        await self.writer.close(FLUSH)
        await self.dispatcher.close(FLUSH)
        await self.outbox.close(FLUSH)
        await tasks.cancel(*sinks)
        for part in (self.local, self.remote, *self.others):
            if part:
                await part.close()
        self.store.close()
        self.database.close()

    def _apply(self, fresh: plan_.Plan) -> None:
        """Swap the parts that a configuration decides. Everything that can fail has been done, or comes first."""
        given = fresh.settings
        self.gate.reload(given.gate)
        self.rules.set_rules(
            fresh.rules,
            external_url=self._external_url(given),
            external_labels=given.rules.external_labels,
            resolved_retention=given.rules.resolved_retention,
            keep_on_target_loss=given.rules.keep_on_target_loss,
            datasources=fresh.datasources,
        )
        self.counters.set_metrics(fresh.rules.log_metrics)
        if self.detectors:
            self.detectors.set_detectors(fresh.rules.log_detectors)
        self.writer.set_receivers(fresh.receivers)
        self.store.need(self.rules.needs())
        if self.shipper:
            self.inputs.reload(given.logs)
            self.shipper.set_inputs(given.logs.inputs)
        if self.bulk and given.logs.elasticsearch != self.plan.settings.logs.elasticsearch:
            self.bulk.reconfigure(given.logs.elasticsearch)
        self.silences.reload(given.alerts.silence_retention)
        self.book.reload(_retention(given))
        api.reload(self.starlette, self._web_settings(given))
        if fresh is not self.plan:
            self.outbox.reload(fresh.integrations)
            self.dispatcher.reload(fresh.tree, log_lines=given.alerts.log_lines, external_url=self._external_url(given))
        self._keep = frozenset(self.rules.needs()) if given.scrape.keep == "rules" else None

    async def _discover(self) -> None:
        """Find targets for the configuration in force; begin again after a reload."""
        while True:
            self._discovering.clear()
            looking = asyncio.create_task(
                self.supervisor.run(
                    "discovery",
                    lambda: self.plan.discovery.run(
                        self._take_targets, lambda kind: self._lookups_failed.labels(kind).inc()
                    ),
                )
            )
            try:
                await self._discovering.wait()
            finally:
                await tasks.cancel(looking)

    def _take_targets(self, found: targets.Found) -> None:
        self._found = found
        keep = self._keep
        self.scraper.set_targets(found, (lambda name: name in keep) if keep is not None else None)

    async def _sweep(self) -> None:
        while True:
            await self.clock.sleep(SWEEP)
            await asyncio.to_thread(self.store.sweep)

    async def _watch(self) -> None:
        patterns = sources.watched(self.plan.loaded, self._path)
        before = await asyncio.to_thread(watch.digest, patterns)
        while True:
            before = await watch.changed(patterns, before, self.clock)
            with contextlib.suppress(problems.ConfigError):  # said and counted by reload
                await self.reload()
            patterns = sources.watched(self.plan.loaded, self._path)
            before = await asyncio.to_thread(watch.digest, patterns)

    def _reload_soon(self) -> None:
        async def reload() -> None:
            with contextlib.suppress(problems.ConfigError):
                await self.reload()

        self._reloading = asyncio.create_task(reload())

    # --- answers about ourselves ---------------------------------------------------------------------------------

    def _said(self) -> Iterable[series.Metadata]:
        """What is known of metrics, scraped or pushed."""
        yield from self.receiver.told()
        yield from (said for _, said in self.scraper.metadata())

    def _warm(self) -> bool:
        """Whether every target was scraped once."""
        return all(status.last_scrape for status in self.scraper.targets()) and len(self.scraper.targets()) >= len(
            self._found.targets
        )

    def _missing(self) -> Sequence[str]:
        waiting = [status.group.name for status in self.rules.groups() if not status.last_evaluation]
        return [f"the rules of group {name} were not evaluated yet" for name in waiting]

    def _unhealthy(self) -> Sequence[str]:
        worst = self.lag.worst
        return [f"the event loop stalled for {worst:.1f} s"] if worst > STALLED else []

    def _external_url(self, given: settings.Settings) -> str:
        return given.web.external_url.rstrip("/") or f"http://{given.web.listen}"

    def _web_settings(self, given: settings.Settings) -> settings.Web:
        """On one machine whoever is on it may write; see `web.open_writes`."""
        return given.web.model_copy(update={"open_writes": given.web.open_writes or self._embedded})


def _retention(given: settings.Settings) -> float:
    """How long resolved alerts are kept: the gate must remember them for as long as it soaks."""
    return max([given.rules.resolved_retention, *(one.soak for one in given.gate.environments.values())])


class _NoStreams:
    """A server without an agent tails nothing."""

    def streams(self) -> Sequence[ports.StreamStatus]:
        """Nothing."""
        return ()


def _as_config(error: problems.QueryError) -> problems.ConfigError:
    return problems.ConfigError([problems.Problem("rule-expr", str(error))])
