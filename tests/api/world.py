"""A server with plain lists behind it, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx2
import numpy as np

from tests.gate import fakes
from tidegate import packs
from tidegate.api import app as app_
from tidegate.api import context as context_
from tidegate.api import server as server_
from tidegate.gate import keeper
from tidegate.kit import http, matchers, telemetry
from tidegate.model import alerts, labels, logs, ports, problems, series, settings
from tidegate.model import targets as targets_

TOKEN = "s3cret-of-ci"


@dataclasses.dataclass
class Silences:
    found: dict[str, alerts.Silence] = dataclasses.field(default_factory=dict)

    def all(self) -> Sequence[alerts.Silence]:
        return tuple(self.found.values())

    async def put(self, silence: alerts.Silence) -> str:
        if silence.id and silence.id not in self.found:
            raise problems.PermanentError(f"there is no silence {silence.id}", reason="not_found")
        if silence.ends_at <= silence.starts_at:
            raise problems.PermanentError("silence: it must end after it starts", reason="rejected")
        silence_id = silence.id or str(uuid.uuid4())
        self.found[silence_id] = dataclasses.replace(silence, id=silence_id, updated_at=fakes.NOW)
        return silence_id

    async def expire(self, silence_id: str) -> None:
        self.found[silence_id] = dataclasses.replace(self.found[silence_id], ends_at=fakes.NOW)


@dataclasses.dataclass
class Logs:
    lines: list[logs.LogLine] = dataclasses.field(default_factory=list)
    asked: list[tuple[str, float, float, int]] = dataclasses.field(default_factory=list)
    error: Exception | None = None

    async def search(self, query: str, *, start: float, end: float, limit: int) -> logs.LogPage:
        self.asked.append((query, start, end, limit))
        if self.error:
            raise self.error
        found = [line for line in self.lines if query.lower() in f"{line.level} {line.message}".lower()]
        return logs.LogPage(tuple(found[:limit]), len(found))


@dataclasses.dataclass
class Query:
    expr: str
    work: Callable[[float], series.Result]
    names: frozenset[str] = frozenset()
    lookback: float = 0.0
    lower_is_worse: bool = False
    threshold: str = ""
    presence: str = ""
    operand: str = ""
    waits: bool = False

    def instant(self, at: float) -> series.Result:
        return self.work(at)

    def range(self, start: float, end: float, step: float) -> series.Matrix:
        times = np.arange(int(start * 1000), int(end * 1000) + 1, int(step * 1000), dtype=np.int64)
        values = np.linspace(0, 1, len(times))
        return series.Matrix((series.Series(labels.make(__name__="up", job="shop"), times, values),))


@dataclasses.dataclass
class Engine:
    """Answers every expression with the same result, or as `work` says."""

    work: Callable[[float], series.Result] | None = None
    prepared: list[str] = dataclasses.field(default_factory=list)

    def allowing(self, *, experimental: bool) -> ports.QueryEngine:
        raise NotImplementedError

    def prepare(self, expr: str) -> ports.Query:
        self.prepared.append(expr)
        if expr.startswith("bad("):
            raise problems.QueryError("unknown function bad", position=0)
        return Query(expr, self.work or self._vector)

    def _vector(self, at: float) -> series.Result:
        found = (labels.make(__name__="up", job="cart"), labels.make(__name__="up", job="shop"))
        return series.Vector(found, np.array([1.0, float("nan")]), int(at * 1000))


@dataclasses.dataclass
class Queries:
    """What the API asks, answered by the engine above; the real ones are in `test_prometheus_answers`."""

    engine: Engine

    def instant(self, expr: str, at: float, *, lookback: float = 0.0, timeout: float = 0.0) -> series.Answer:
        del lookback, timeout
        return series.Answer(self.engine.prepare(expr).instant(at))

    def range(
        self, expr: str, start: float, end: float, step: float, *, lookback: float = 0.0, timeout: float = 0.0
    ) -> series.Answer:
        del lookback, timeout
        return series.Answer(self.engine.prepare(expr).range(start, end, step))

    def label_sets(self, selectors: Sequence[str], start: float, end: float) -> list[labels.Labels]:
        raise NotImplementedError

    def label_names(self, selectors: Sequence[str], start: float, end: float) -> list[str]:
        raise NotImplementedError

    def label_values(self, name: str, selectors: Sequence[str], start: float, end: float) -> list[str]:
        raise NotImplementedError

    def selectors(self, expr: str) -> list[Callable[[labels.Labels], bool]]:
        raise NotImplementedError

    def selects(self, selector: str, of: labels.Labels) -> bool:
        raise NotImplementedError

    def cardinality(self, limit: int) -> series.Cardinality:
        raise NotImplementedError

    def formatted(self, expr: str) -> str:
        raise NotImplementedError

    def parsed(self, expr: str) -> Mapping[str, Any]:
        raise NotImplementedError


@dataclasses.dataclass
class Sent:
    found: list[alerts.Sent] = dataclasses.field(default_factory=list)

    def recent(self, limit: int) -> Sequence[alerts.Sent]:
        return self.found[:limit]


@dataclasses.dataclass
class Streams:
    found: list[ports.StreamStatus] = dataclasses.field(default_factory=list)

    def streams(self) -> Sequence[ports.StreamStatus]:
        return self.found


@dataclasses.dataclass
class World:
    """Everything behind the API."""

    given: settings.Gate = dataclasses.field(
        default_factory=lambda: settings.Gate.model_validate(
            {"environments": {"production": {}, "staging": {}}, "default_environment": "production"}
        )
    )
    web: settings.Web = dataclasses.field(
        default_factory=lambda: settings.Web.model_validate(
            {"tokens": {"ci": {"token": TOKEN, "scopes": ["silence", "deploy", "alert", "admin"]}}}
        )
    )
    clock: Any = dataclasses.field(default_factory=fakes.Clock)
    book: fakes.Book = dataclasses.field(default_factory=fakes.Book)
    targets: fakes.Targets = dataclasses.field(default_factory=lambda: fakes.Targets([fakes.target()]))
    rules: fakes.Rules = dataclasses.field(default_factory=lambda: fakes.Rules([fakes.group()]))
    ledger: fakes.Ledger = dataclasses.field(default_factory=fakes.Ledger)
    silences: Silences = dataclasses.field(default_factory=Silences)
    logs: Logs = dataclasses.field(default_factory=Logs)
    engine: Engine = dataclasses.field(default_factory=Engine)
    queries: ports.Queries | None = None
    sent: Sent = dataclasses.field(default_factory=Sent)
    streams: Streams = dataclasses.field(default_factory=Streams)
    pushed: list[alerts.Alert] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    ill: list[str] = dataclasses.field(default_factory=list)
    reload_error: Exception | None = None
    reloads: int = 0
    served: int = 0
    said: list[tuple[targets_.Target, series.Metadata]] = dataclasses.field(default_factory=list)
    said_by_senders: list[series.Metadata] = dataclasses.field(default_factory=list)
    traced: dict[labels.Labels, list[series.Exemplar]] = dataclasses.field(default_factory=dict)
    registry: telemetry.Registry = dataclasses.field(default_factory=telemetry.Registry)

    @functools.cached_property
    def gate(self) -> keeper.Gate:
        return keeper.Gate(
            self.given, self.book, self.targets, self.rules, self.ledger, self.clock, "http://tg", self.registry
        )

    async def push(self, given: Sequence[alerts.Alert]) -> None:
        self.pushed += given

    async def reload(self) -> None:
        self.reloads += 1
        if self.reload_error:
            raise self.reload_error

    def context(self) -> context_.Context:
        return context_.Context(
            engine=self.engine,
            queries=self.queries or Queries(self.engine),
            rules=self.rules,
            targets=self.targets,
            metadata=self,
            exemplars=self,
            writes=self,
            book=self.book,
            silences=self.silences,
            logs=self.logs,
            sent=self.sent,
            streams=self.streams,
            gate=self.gate,
            ledger=self.ledger,
            reload=self.reload,
            clock=self.clock,
            registry=self._fresh_registry(),
            web=self.web,
            ready=lambda: self.missing,
            healthy=lambda: self.ill,
            push_alerts=self.push,
            external_url="http://tg",
            receivers=("team",),
            configuration=lambda: "web: {}",
            runbook=packs.read_runbook,
        )

    def _fresh_registry(self) -> telemetry.Registry:
        """The world's own, with the gate's metrics in it; a new one when it is served a second time."""
        assert self.gate
        self.served += 1
        return self.registry if self.served == 1 else telemetry.Registry()

    def write(self, body: bytes, message: str) -> ports.Written:
        raise NotImplementedError

    def told(self, metric: str = "") -> Iterator[series.Metadata]:
        return (said for said in self.said_by_senders if metric in ("", said.name))

    def metadata(self, metric: str = "") -> Iterator[tuple[targets_.Target, series.Metadata]]:
        for target, said in self.said:
            if metric in ("", said.name):
                yield target, said

    def exemplars(
        self, wanted: Callable[[labels.Labels], bool], start_ms: int, end_ms: int
    ) -> Mapping[labels.Labels, Sequence[series.Exemplar]]:
        return {
            of: [one for one in some if start_ms <= one.at_ms <= end_ms]
            for of, some in self.traced.items()
            if wanted(of)
        }

    def silence_all(self, *conditions: str) -> None:
        """Silence the alerts in the book that match, under the id `quiet`."""
        test = matchers.Conditions(matchers.parse(text) for text in conditions)
        self.book.silenced |= {one.labels: ("quiet",) for one in self.book.alerts if test.matches(one.labels)}


@contextlib.asynccontextmanager
async def serving(world: World) -> AsyncIterator[server_.Server]:
    """The world behind a real server on a free port."""
    server = server_.Server(app_.build(world.context()), "127.0.0.1:0")
    task = asyncio.create_task(server.run())
    while not server.started and not task.done():
        await asyncio.sleep(0.005)
    try:
        yield server
    finally:
        server.close()
        await task


@contextlib.asynccontextmanager
async def client(world: World) -> AsyncIterator[http.Client]:
    """A client of the application itself, without sockets between; paths are enough as URLs."""
    app = app_.build(world.context())
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 50_000))
    async with http.client(timeout=10, transport=transport) as found:
        found.base_url = "http://127.0.0.1:9320"
        yield found
    app.state.runner.close()


BEARER = {"authorization": f"Bearer {TOKEN}"}
