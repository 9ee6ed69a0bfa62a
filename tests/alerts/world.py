"""A small world around the dispatcher, in virtual time: push alerts at a second, look at what was told at which second."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import TypeVar

import yaml
from sqlalchemy import event

from tidegate.alerts import book, dispatch, routing, silences, store
from tidegate.kit import clock, database, matchers, tasks, telemetry, yamlfile
from tidegate.model import alerts, labels, ports, settings

T = TypeVar("T")


class InlineDatabase(database.Database):
    """Does the work at once, in the caller's thread; does not wait for the disk."""

    fail: bool = False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        if url.startswith("sqlite"):
            event.listen(self._engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))

    async def run(self, work: Callable[[database.Connection], T]) -> T:
        if self.fail:
            raise OSError("the disk is full")
        return self._in_transaction(work)


@dataclasses.dataclass(frozen=True)
class Integration:
    name: str = "webhook[0]"
    send_resolved: bool = True


@dataclasses.dataclass(frozen=True)
class Telling:
    """One message, as the timeline tests compare it: seconds since the start, receiver, names by state."""

    at: float
    receiver: str
    firing: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()
    integrations: tuple[str, ...] = ("webhook[0]",)


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.receivers: dict[str, Sequence[Integration]] = {}
        self.messages: list[tuple[alerts.Notification, tuple[str, ...]]] = []
        self.woken = 0
        self.fail = False

    def integrations(self, receiver: str) -> Sequence[Integration]:
        return self.receivers.get(receiver, (Integration(),))

    def put(
        self, connection: database.Connection, notification: alerts.Notification, integrations: Collection[str]
    ) -> None:
        if self.fail:
            raise OSError("no room in the outbox")
        self.messages.append((notification, tuple(integrations)))

    def wake(self) -> None:
        self.woken += 1


def alert(name: str, state: alerts.State = "firing", at: float = 0.0, **more: str) -> alerts.Alert:
    """An alert of a rule, at a unix time."""
    return alerts.Alert(
        labels.make({"alertname": name, **more}),
        state,
        f"rules.yaml;shop;{name}",
        active_at=at,
        fired_at=at if state != "pending" else 0.0,
        resolved_at=at if state == "resolved" else 0.0,
        last_seen=at,
    )


def route(text: str) -> routing.Tree:
    """The tree of an `alerts:` section in YAML."""
    document = yamlfile.Document(text, "tidegate.yaml")
    return routing.build(settings.Alerts.model_validate(yaml.safe_load(text)["alerts"]), document)


class World:
    """Everything of the stage, wired."""

    def __init__(
        self, state: database.Database, tree: str, logs: ports.LogReader | None = None, before: World | None = None
    ) -> None:
        self.clock: clock.LoopClock = before.clock if before else clock.LoopClock()
        self.registry = telemetry.Registry()
        self.sink = Recorder()
        self.state = state
        self.start: float = before.start if before else self.clock.now()
        self.silences = silences.Silences(state, self.clock, self.registry, 3600.0)
        self.book = book.Book(state, self.clock, self.registry, self.silences, 900.0)
        self.dispatcher = dispatch.Dispatcher(
            self.book,
            self.silences,
            route(tree),
            self.sink,
            state,
            self.clock,
            self.registry,
            logs=logs,
            external_url="http://tidegate.test/",
        )

    async def until(self, second: float) -> None:
        """Let time pass until so many seconds after the start."""
        await self.clock.sleep(self.start + second - self.clock.now())

    async def push(self, *names: str, state: alerts.State = "firing", **more: str) -> None:
        """Alerts change state now; those that resolve keep when they began."""
        changed = []
        for name in names:
            fresh = alert(name, state, self.clock.now(), **more)
            before = self.book.get(fresh.fingerprint)
            if before is not None and before.state == "firing":
                fresh = dataclasses.replace(
                    before, state=state, resolved_at=self.clock.now() if state == "resolved" else 0.0
                )
            changed.append(fresh)
        await self.book.put(changed)

    async def silence(self, text: str, seconds: float) -> str:
        now = self.clock.now()
        return await self.silences.put(
            alerts.Silence("", matchers.parse_all(text), now, now + seconds, "test", "because")
        )

    def reload(self, tree: str) -> None:
        self.dispatcher.reload(route(tree), log_lines=5, external_url="http://tidegate.test")

    def told(self) -> list[Telling]:
        """Everything that was told, in order."""
        return [
            Telling(
                round(message.created_at - self.start, 3),
                message.receiver,
                tuple(sorted(item.alert.name for item in message.firing)),
                tuple(sorted(item.alert.name for item in message.resolved)),
                integrations,
            )
            for message, integrations in self.sink.messages
        ]

    def stored(self) -> list[store.Told]:
        return self.state.run_now(store.load_told)


@contextlib.asynccontextmanager
async def running(
    state: database.Database, tree: str, logs: ports.LogReader | None = None, before: World | None = None
) -> AsyncIterator[World]:
    """A world whose parts run; leaving it is a crash: nothing is finished. Time goes on from the world `before`."""
    world = World(state, tree, logs, before)
    parts = [asyncio.create_task(part()) for part in (world.dispatcher.run, world.book.run, world.silences.run)]
    try:
        await world.clock.sleep(0)
        yield world
    finally:
        await tasks.cancel(*parts)
