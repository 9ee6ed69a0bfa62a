"""The stages after the rules, live code on a virtual clock with receivers that only write down: book, routing, gate.

An `Audience` of rules that run over history or over a test's input. It says what would have been sent, and when the gate
would have been shut; it sends nothing, and keeps nothing. Deploys and silences are no part of history: there are none.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
from collections.abc import Callable, Collection, Mapping, Sequence

from tidegate.alerts import book as book_
from tidegate.alerts import dispatch, routing, silences
from tidegate.alerts import store as alert_store
from tidegate.gate import keeper, ledger
from tidegate.kit import clock as clock_
from tidegate.kit import config, database, tasks, telemetry
from tidegate.model import alerts, gate, ports, targets
from tidegate.model import labels as labels_
from tidegate.notify import integration, receivers
from tidegate.rules import audience, evaluate

TURN = 0.001
"""Seconds that the stages get after an evaluation, so that what is due at its very time is done."""
UP = "up"
WINDOW = 300
"""Seconds of `up` from which a target's scrape interval is read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shut:
    """A time for which the gate of a service would not have said `allow`; `end` is the end of all for one that goes on."""

    environment: str
    service: str
    verdict: gate.VerdictName
    start: float
    end: float
    over: bool
    message: str
    """The first one of this time."""


class Rehearsal:
    """Implements `rules.audience.Audience`. Has to run on a `kit.virtual` loop."""

    def __init__(self, loaded: config.Loaded, logs: ports.LogReader | None = None) -> None:
        """Raises `ConfigError` for a routing tree, receivers or gates that cannot be used."""
        given = loaded.settings
        self._given, self._logs = given, logs
        self._tree = routing.build(given.alerts, loaded.document)
        self._receivers = receivers.build(given.alerts, loaded.document, loaded.folder, stream=io.StringIO())
        self.external_url = given.web.external_url.rstrip("/") or f"http://{given.web.listen}"
        self.external_labels: Mapping[str, str] = given.rules.external_labels
        self.resolved_retention = given.rules.resolved_retention
        self.selectors: Sequence[str] = (UP,)
        self._targets = _Targets()
        self._parts: list[asyncio.Task[None]] = []
        self._open: dict[tuple[str, str], Shut] = {}
        self._shut: list[Shut] = []
        self._recorder = _Recorder(self._receivers)

    @property
    def book(self) -> ports.AlertBook:
        """The alerts."""
        return self._book

    @property
    def statuses(self) -> Callable[[], Sequence[targets.TargetStatus]] | None:
        """Read off `up`; `None` when the settings do not ask for it."""
        return self._targets.targets if self._given.rules.keep_on_target_loss else None

    @property
    def sent(self) -> Sequence[audience.Sent]:
        """Every message so far."""
        return self._recorder.sent

    @property
    def integrations(self) -> Mapping[str, Sequence[str]]:
        """The names of every receiver's integrations."""
        return {name: [one.name for one in found] for name, found in self._receivers.items()}

    async def begin(self, engine: ports.QueryEngine, at: float) -> None:
        """Build the stages and start them."""
        given, registry = self._given, telemetry.Registry()
        self._clock = clock_.LoopClock(at)
        self._clock.now()
        self._state = database.Fleeting()
        self._state.create(alert_store.METADATA)
        muting = silences.Silences(self._state, self._clock, registry, given.alerts.silence_retention)
        retention = max([self.resolved_retention, *(one.soak for one in given.gate.environments.values())])
        book = self._book = book_.Book(self._state, self._clock, registry, muting, retention)
        dispatcher = dispatch.Dispatcher(
            book,
            muting,
            self._tree,
            self._recorder,
            self._state,
            self._clock,
            registry,
            logs=self._logs,
            log_lines=given.alerts.log_lines,
            external_url=self.external_url,
        )
        self._rules = _Groups()
        deploys = ledger.Ledger(self._state, registry)
        self._gate = keeper.Gate(
            given.gate,
            book,
            self._targets,
            self._rules,
            deploys,
            self._clock,
            self.external_url,
            registry,
            lambda expr: engine.prepare(expr).threshold,
        )
        self._targets.read(engine)
        self._parts = [asyncio.create_task(part()) for part in (dispatcher.run, book.run)]
        await self._clock.sleep(0)

    async def until(self, at: float) -> None:
        """Let time pass; what was due is done. Targets are as they are then."""
        await self._clock.sleep(at - self._clock.now())
        self._targets.look(at)

    async def evaluated(self, at: float, groups: Sequence[ports.GroupStatus]) -> None:
        """Let the stages take the alerts, and ask the gate."""
        self._rules.found = groups
        await self._clock.sleep(TURN)
        self._judge(at)

    async def close(self) -> None:
        """Stop the stages."""
        await tasks.cancel(*self._parts)
        self._state.close()

    def ask(self, environment: str, service: str, version: str = "") -> gate.Verdict:
        """The gate's answer now. Raises `KeyError` for an unknown environment."""
        return self._gate.ask(environment, service, version)

    def shut(self, end: float) -> list[Shut]:
        """When the gates were shut, up to the end."""
        going_on = [dataclasses.replace(one, end=end) for one in self._open.values()]
        return sorted([*self._shut, *going_on], key=lambda one: (one.start, one.environment, one.service))

    def _judge(self, at: float) -> None:
        """Note which gates shut and which open. One that nobody knows any more is open: nobody asks for it."""
        verdicts = {pair: self._gate.ask(*pair) for pair in self._gate.known()}
        for pair, before in list(self._open.items()):
            if pair not in verdicts or verdicts[pair].verdict != before.verdict:
                self._shut.append(dataclasses.replace(self._open.pop(pair), end=at, over=True))
        for pair, verdict in verdicts.items():
            if verdict.verdict != "allow" and pair not in self._open:
                self._open[pair] = Shut(*pair, verdict.verdict, at, at, over=False, message=verdict.message)


class _Recorder:
    """A sink (see `alerts.sink`) that only writes down."""

    def __init__(self, receivers_: Mapping[str, tuple[integration.Integration, ...]]) -> None:
        self._receivers = receivers_
        self.sent: list[audience.Sent] = []

    def integrations(self, receiver: str) -> Sequence[integration.Integration]:
        """How a receiver is told."""
        return self._receivers.get(receiver, ())

    def put(
        self, connection: database.Connection, notification: alerts.Notification, integrations: Collection[str]
    ) -> None:
        """Write down what each of the integrations would have shown."""
        del connection
        for one in self.integrations(notification.receiver):
            if one.name in integrations:
                self.sent.append(_sent(notification, one))

    def wake(self) -> None:
        """Nothing is delivered."""


class _Groups:
    """A `ports.RuleReader` of the last evaluation."""

    def __init__(self) -> None:
        self.found: Sequence[ports.GroupStatus] = ()

    def groups(self) -> Sequence[ports.GroupStatus]:
        """Every group."""
        return self.found


class _Targets:
    """A `ports.TargetReader`: every series of `up` is a target, and its newest sample the last scrape."""

    def __init__(self) -> None:
        self._found: list[targets.TargetStatus] = []
        self._made: dict[labels_.Labels, targets.Target] = {}

    def read(self, engine: ports.QueryEngine) -> None:
        """Read from here."""
        self._up, self._times = engine.prepare(UP), engine.prepare(f"timestamp({UP})")
        self._counts = engine.prepare(f"count_over_time({UP}[{WINDOW}s])")

    def look(self, at: float) -> None:
        """See how they are doing."""
        values = {
            labels_.without(labels, labels_.NAME): value for labels, value in evaluate.vector(self._up.instant(at))
        }
        times = dict(evaluate.vector(self._times.instant(at)))
        counts = dict(evaluate.vector(self._counts.instant(at)))
        self._found = [
            self._status(labels, value, times.get(labels, at), WINDOW / counts.get(labels, 1.0))
            for labels, value in values.items()
        ]

    def _status(self, labels: labels_.Labels, value: float, at: float, interval: float) -> targets.TargetStatus:
        """`interval` is what the samples of the window tell; scrapes that are missing make it too long."""
        target = self._made.get(labels)
        if target is None or interval < target.interval:
            name, url = labels_.get(labels, "job"), labels_.get(labels, "instance")
            target = self._made[labels] = targets.Target(name, url, labels, interval=interval)
        error = "" if value else "the scrape failed"
        return targets.TargetStatus(target, "up" if value else "down", at, error=error)

    def dropped(self) -> tuple[Sequence[targets.Dropped], Mapping[str, int]]:
        """History does not know."""
        return (), {}

    def targets(self) -> Sequence[targets.TargetStatus]:
        """Every target."""
        return self._found


def _sent(notification: alerts.Notification, one: integration.Integration) -> audience.Sent:
    reading = integration.Reading("", "")
    if isinstance(one.sender, integration.Readable):
        reading = one.sender.reading(notification)
    return audience.Sent(
        notification.created_at,
        notification.receiver,
        one.name,
        tuple(item.alert.labels for item in notification.firing),
        tuple(item.alert.labels for item in notification.resolved),
        reading.title,
        reading.text,
    )
