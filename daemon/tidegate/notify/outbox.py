"""The outbox: every message that was decided on gets delivered, or is known to have failed, whatever happens to us.

A message is stored in the transaction that decides on it. Each integration is tried alone: capped backoff, or as long as
the peer asked; permanent errors are marked failed at once, transient ones after `GIVE_UP`. A process that dies while
sending leaves a claimed row, which the next process takes over: that one message may arrive twice, under the same key.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import uuid
from collections.abc import Collection, Mapping, Sequence

from tidegate.kit import clock as clock_
from tidegate.kit import database, tasks, telemetry
from tidegate.model import alerts, ports
from tidegate.notify import codec, delivery, integration, message, store

CONCURRENCY = 16
"""Deliveries under way at once."""
PER_TARGET = 2
"""Of those, to one integration: a slow one does not take all the places."""
LEASE = 120.0
"""Seconds that a claim holds; longer than any delivery may take."""
GIVE_UP = 4 * 3600.0
"""Seconds after which a message that cannot be delivered is given up: it would be no news any more."""
FIRST_WAIT = 1.0
LONGEST_WAIT = 120.0
KEEP = 7 * 86400.0
"""Seconds that finished deliveries are kept."""
RECENT = 500
UPKEEP = 3600.0

Target = tuple[str, str]


class Outbox:
    """Implements `ports.SentLog`, and the alert stage's `Sink`."""

    def __init__(
        self,
        integrations: Mapping[str, Sequence[integration.Integration]],
        state: database.Database,
        clock: ports.Clock,
        registry: telemetry.Registry,
        *,
        exclusive: bool = True,
        give_up: float = GIVE_UP,
    ) -> None:
        """`exclusive`: nobody else sends from this database, so claims found at start are of the dead."""
        self._integrations = integrations
        self._database, self._clock = state, clock
        self._exclusive, self._give_up = exclusive, give_up
        self._owner = uuid.uuid4().hex
        self._log = telemetry.logger("outbox")
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._closing = False
        self._sending: dict[asyncio.Task[None], Target] = {}
        self._paused: dict[Target, float] = {}
        self._recent: collections.OrderedDict[int, alerts.Sent] = collections.OrderedDict()
        self._backlog = store.Backlog(0, None, None)
        self._every = UPKEEP if exclusive else LEASE
        self._kept_at = 0.0
        self._retired: list[integration.Integration] = []
        self._instruments(registry)

    def _instruments(self, registry: telemetry.Registry) -> None:
        self._sent = telemetry.Counter(
            "tidegate_notifications",
            "Tries to deliver a message: `delivered`, `partial` (some addresses refused), `retried` or `failed`.",
            ["receiver", "integration", "outcome"],
            registry=registry,
        )
        self._failures = telemetry.Counter(
            "tidegate_notification_failures",
            "Tries that did not deliver, by reason.",
            ["receiver", "integration", "reason"],
            registry=registry,
        )
        self._taken_over = telemetry.Counter(
            "tidegate_outbox_taken_over",
            "Messages that a dead process was sending: they may arrive twice.",
            registry=registry,
        )
        depth = telemetry.Gauge("tidegate_outbox_depth", "Messages that are not delivered yet.", registry=registry)
        depth.set_function(lambda: float(self._backlog.depth))
        age = telemetry.Gauge(
            "tidegate_outbox_oldest_age_seconds", "Age of the oldest message not delivered yet.", registry=registry
        )
        age.set_function(self._age)

    def integrations(self, receiver: str) -> Sequence[integration.Integration]:
        """How a receiver is told."""
        return self._integrations.get(receiver, ())

    def put(
        self, connection: database.Connection, notification: alerts.Notification, integrations: Collection[str]
    ) -> None:
        """Store a message for some of its receiver's integrations, in the caller's transaction."""
        body = codec.dump(notification)
        for item in self.integrations(notification.receiver):
            if item.name in integrations:
                row: dict[str, object] = {
                    "notification_id": notification.id,
                    "receiver": notification.receiver,
                    "integration": item.name,
                    "summary": message.title(notification, send_resolved=item.send_resolved),
                    "body": body,
                    "created_at": notification.created_at,
                }
                store.add(connection, row, notification.group_key)

    def wake(self) -> None:
        """Look for new messages."""
        self._wake.set()

    def recent(self, limit: int) -> Sequence[alerts.Sent]:
        """Deliveries, newest first."""
        return [sent for _, sent in zip(range(limit), reversed(self._recent.values()), strict=False)]

    def reload(self, integrations: Mapping[str, Sequence[integration.Integration]]) -> None:
        """Take over new integrations. What waits for one that is gone fails; the old ones' connections are closed."""
        self._retired += [item for items in self._integrations.values() for item in items]
        self._integrations = integrations
        self._paused.clear()
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled. May be run again after a crash."""
        await self._begin()
        try:
            while True:
                self._wake.clear()
                await self._claim()
                await self._retire()
                if self._closing and not self._sending and not self._due():
                    self._idle.set()
                await clock_.wait(self._clock, self._wake, self._pause())
        finally:
            await tasks.cancel(*self._sending)

    async def close(self, deadline: float = 5.0) -> None:
        """Deliver what is due, for at most `deadline` seconds of the clock, then close connections. Cancel `run` afterwards."""
        self._closing = True
        self._wake.set()
        await clock_.wait(self._clock, self._idle, deadline)
        await tasks.cancel(*self._sending)
        for item in (*self._retired, *(item for items in self._integrations.values() for item in items)):
            await item.sender.close()

    async def _begin(self) -> None:
        await self._take_over(everything=self._exclusive)
        rows = await self._database.run(lambda connection: store.recent(connection, RECENT))
        self._recent = collections.OrderedDict(rows)

    async def _claim(self) -> None:
        """Take due rows as long as there are any and there is room, and start sending them."""
        await self._upkeep()
        while True:
            now, busy, room = self._clock.now(), self._busy(), CONCURRENCY - len(self._sending)
            after = next(reversed(self._recent), 0)

            def work(
                connection: database.Connection,
                now: float = now,
                busy: Collection[Target] = busy,
                room: int = room,
                after: int = after,
            ) -> tuple[list[store.Row], list[tuple[int, alerts.Sent]], store.Backlog]:
                rows = store.claim(connection, owner=self._owner, now=now, lease=LEASE, limit=room, busy=busy)
                return rows, store.recent(connection, RECENT, after), store.backlog(connection, busy)

            rows, new, self._backlog = await self._database.run(work)
            self._remember(new)
            for row in rows:
                task = asyncio.create_task(self._deliver(row))
                self._sending[task] = row.target
                task.add_done_callback(self._done)
            if not rows:
                return

    async def _upkeep(self) -> None:
        """Now and then: forget old rows, and take over rows of other senders that died."""
        now = self._clock.now()
        if now - self._kept_at < self._every:
            return
        self._kept_at = now
        await self._database.run(lambda connection: store.purge(connection, now - KEEP))
        if not self._exclusive:
            await self._take_over(everything=False)

    async def _take_over(self, *, everything: bool) -> None:
        now = self._clock.now()
        count = await self._database.run(lambda connection: store.take_over(connection, now, all_=everything))
        if count:
            self._log.warning("took over messages of a process that died; each may arrive twice", count=count)
            self._taken_over.inc(count)

    def _busy(self) -> set[Target]:
        now = self._clock.now()
        self._paused = {target: until for target, until in self._paused.items() if until > now}
        counts = collections.Counter(self._sending.values())
        full = {target for target, count in counts.items() if count >= PER_TARGET}
        if len(self._sending) >= CONCURRENCY:
            full |= {(receiver, item.name) for receiver, items in self._integrations.items() for item in items}
        return full | set(self._paused)

    def _due(self) -> bool:
        return self._backlog.next_at is not None and self._backlog.next_at <= self._clock.now()

    def _pause(self) -> float:
        now = self._clock.now()
        times = [now + self._every, *self._paused.values()]
        if self._backlog.next_at is not None and len(self._sending) < CONCURRENCY:
            times.append(self._backlog.next_at)
        return max(min(times) - now, 0.001)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._sending.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("delivery ended unexpectedly", error=repr(error))
        self._wake.set()

    async def _deliver(self, row: store.Row) -> None:
        """Try one row once, and record what came of it."""
        item = next((item for item in self.integrations(row.receiver) if item.name == row.integration), None)
        too_old = self._clock.now() - row.created_at >= self._give_up
        outcome = await delivery.attempt(item, row, too_old=too_old)
        self._count(row, outcome)
        now = self._clock.now()
        await self._record(row, outcome, now, self._plan(row, outcome, now))

    def _plan(self, row: store.Row, outcome: delivery.Outcome, now: float) -> float:
        """When the next try is due; who asked for a pause is left alone with other messages, too."""
        if outcome.state != "waiting":
            return now
        wait = tasks.backoff(row.attempts + 1, first=FIRST_WAIT, longest=LONGEST_WAIT)
        if outcome.after is not None:
            wait = max(wait, min(outcome.after, self._give_up))
            self._paused[row.target] = now + min(outcome.after, LONGEST_WAIT)
        return now + wait

    async def _record(self, row: store.Row, outcome: delivery.Outcome, now: float, next_at: float) -> None:
        """Write the outcome; a database that refuses is asked until it takes it, since the message is out."""
        error = outcome.error.replace("\x00", "")[: store.MAX_ERROR]
        values: dict[str, object] = {"state": outcome.state, "attempts": row.attempts + 1, "error": error}
        values |= {"next_at": next_at, "updated_at": now}
        tries = 0
        while True:
            try:
                await self._database.run(lambda connection: store.finish(connection, row.seq, self._owner, values))
                break
            except Exception:  # noqa: BLE001 - whatever the database says, the outcome must not be lost
                tries += 1
                self._log.exception("outcome of a delivery not recorded yet", notification=row.notification_id)
                await self._clock.sleep(tasks.backoff(tries, longest=10.0))
        if (sent := self._recent.get(row.seq)) is not None:
            self._recent[row.seq] = dataclasses.replace(
                sent, state=outcome.state, attempts=row.attempts + 1, error=error, updated_at=now
            )

    def _remember(self, new: Sequence[tuple[int, alerts.Sent]]) -> None:
        self._recent.update(new)
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    async def _retire(self) -> None:
        """Close the connections of integrations that a reload replaced, once nothing is under way."""
        if self._retired and not self._sending:
            retired, self._retired = self._retired, []
            for item in retired:
                await item.sender.close()

    def _count(self, row: store.Row, outcome: delivery.Outcome) -> None:
        words = {"waiting": "retried", "failed": "failed", "delivered": "partial" if outcome.error else "delivered"}
        self._sent.labels(row.receiver, row.integration, words[outcome.state]).inc()
        if outcome.state == "delivered":
            return
        self._failures.labels(row.receiver, row.integration, outcome.reason).inc()
        say = self._log.error if outcome.state == "failed" else self._log.warning
        say(
            "message failed" if outcome.state == "failed" else "message not delivered, trying again",
            receiver=row.receiver,
            integration=row.integration,
            notification=row.notification_id,
            reason=outcome.reason,
            error=outcome.error,
        )

    def _age(self) -> float:
        return max(self._clock.now() - self._backlog.oldest, 0.0) if self._backlog.oldest is not None else 0.0
