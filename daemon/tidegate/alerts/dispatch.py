"""The dispatcher: puts alerts into groups, and when a group is due decides who is told, and records that they were.

What each integration was told and the message to it are committed in one transaction: a crash leaves either both or
neither, so nobody is left untold and nobody is told again after a restart. Delivery is the sink's business. Timers run on
the injected clock; each group keeps a fixed grid of `group_interval`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Sequence

from tidegate.alerts import book as book_
from tidegate.alerts import evidence, grouping, routing, silences, sink, store
from tidegate.kit import clock as clock_
from tidegate.kit import database, tasks, telemetry
from tidegate.model import alerts, labels, ports

FLUSHES = 8
"""Groups under way at once."""
RETRY = 5.0
"""Seconds until a group is tried again when the database refused it."""
SLICE = 100
"""Alerts that are routed before others get the event loop."""
LONGEST_WAIT = 600.0
LATE = 1.0
MAX_ALERTS = 1000
"""Alerts of one message; more are left out and counted."""
KEEP_FIRING = 30 * 86400.0
"""How long it is remembered that somebody was told of an alert whose end never came."""


@dataclasses.dataclass(frozen=True, slots=True)
class GroupView:
    """One group, for the API."""

    receiver: str
    key: str
    labels: labels.Labels
    alerts: tuple[alerts.Alert, ...]
    next_at: float


class Dispatcher:
    """Routes, groups, mutes and times; hands messages to the sink."""

    def __init__(
        self,
        book: book_.Book,
        muting: silences.Silences,
        tree: routing.Tree,
        outbox: sink.Sink,
        state: database.Database,
        clock: ports.Clock,
        registry: telemetry.Registry,
        *,
        logs: ports.LogReader | None = None,
        log_lines: int = 5,
        external_url: str = "",
    ) -> None:
        """Listens to the book from now on; `run` does the work."""
        self._book, self._silences, self._tree, self._outbox = book, muting, tree, outbox
        self._database, self._clock = state, clock
        self._evidence = evidence.Evidence(logs, registry, log_lines)
        self._external_url = external_url.rstrip("/")
        self._log = telemetry.logger("dispatcher")
        self._groups = grouping.Groups()
        self._told: dict[tuple[str, str, str], store.Told] = {}
        self._pending: dict[str, alerts.Alert] = {}
        self._loaded = self._rerouted = False
        self._collected_at = 0.0
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(FLUSHES)
        self._flushes: set[asyncio.Task[None]] = set()
        self._instruments(registry)
        book.subscribe(self._on_alerts)
        book.keep_while(self._needed)

    def reload(self, tree: routing.Tree, *, log_lines: int, external_url: str) -> None:
        """Swap the routing tree. Groups that exist under both keep their timers; nothing is told twice."""
        self._tree, self._rerouted = tree, True
        self._evidence.limit = log_lines
        self._external_url = external_url.rstrip("/")
        self._wake.set()

    def receivers(self, of: labels.Labels) -> tuple[str, ...]:
        """Names of the receivers for an alert."""
        return self._tree.receivers(of)

    def groups(self) -> Sequence[GroupView]:
        """Every group, as it is now."""
        return [
            GroupView(group.route.receiver, group.key, group.labels, tuple(group.alerts.values()), group.next_at)
            for group in self._groups
        ]

    async def run(self) -> None:
        """Work until cancelled. May be run again after a crash."""
        self._told = {told.key: told for told in await self._database.run(store.load_told)}
        for alert in self._book.all():
            self._pending.setdefault(alert.fingerprint, alert)
        try:
            while True:
                self._wake.clear()
                if self._rerouted:
                    await self._reroute()
                await self._take()
                self._loaded = True
                await self._collect()
                self._start_due()
                await clock_.wait(self._clock, self._wake, self._pause())
        finally:
            await tasks.cancel(*self._flushes)

    async def close(self, deadline: float = 5.0) -> None:
        """Let the groups that are being told finish, for at most `deadline` seconds. Cancel `run` afterwards."""
        if self._flushes:
            await asyncio.wait(set(self._flushes), timeout=deadline)

    def _instruments(self, registry: telemetry.Registry) -> None:
        self._flushed = telemetry.Counter(
            "tidegate_group_flushes",
            "Looks at due alert groups: `told`, `nothing_new`, `muted` or `failed`.",
            ["outcome"],
            registry=registry,
        )
        self._truncated = telemetry.Counter(
            "tidegate_notification_alerts_truncated",
            "Alerts left out of messages because their group was too large.",
            registry=registry,
        )
        telemetry.Gauge("tidegate_alert_groups", "Groups of alerts.", registry=registry).set_function(
            lambda: float(len(self._groups))
        )

    def _on_alerts(self, changed: Sequence[alerts.Alert]) -> None:
        self._pending.update((alert.fingerprint, alert) for alert in changed)
        self._wake.set()

    def _needed(self, fingerprint: str) -> bool:
        return not self._loaded or fingerprint in self._pending or self._groups.holds(fingerprint)

    async def _take(self) -> None:
        """Route what came in, a slice at a time."""
        while self._pending:
            now = self._clock.now()
            for fingerprint in list(self._pending)[:SLICE]:
                self._insert(self._pending.pop(fingerprint), now)
            await self._clock.sleep(0)

    def _insert(self, alert: alerts.Alert, now: float) -> None:
        for route in self._tree.match(alert.labels):
            if (taken := self._as_member(route, alert, now)) is not None:
                self._groups.add(route, taken, now)

    def _as_member(self, route: routing.Route, alert: alerts.Alert, now: float) -> alerts.Alert | None:
        """The alert as its group has to know it; None when the group has no use for it."""
        if alert.state == "firing":
            return alert
        key = route.group_key(route.group_labels(alert.labels))
        group = self._groups.get((route.receiver, key))
        member = group.alerts.get(alert.fingerprint) if group else None
        known = member is not None or self._was_told(route.receiver, key, alert.fingerprint)
        if alert.state == "resolved":
            return alert if known else None
        if member is not None and member.state == "resolved":
            return None  # pending again, and the end of the last time is still to be told
        return dataclasses.replace(alert, state="resolved", resolved_at=now) if known else None

    def _was_told(self, receiver: str, key: str, fingerprint: str) -> bool:
        """Whether anyone behind a receiver was last told that an alert fires."""
        found = (self._told.get((receiver, item.name, key)) for item in self._outbox.integrations(receiver))
        return any(told is not None and fingerprint in told.firing for told in found)

    async def _reroute(self) -> None:
        """Sort every alert that matters into the new tree's groups."""
        self._rerouted = False
        tree, now = self._tree, self._clock.now()
        known = {alert.fingerprint: alert for alert in self._book.all() if alert.state == "firing"}
        known.update({fingerprint: alert for group in self._groups for fingerprint, alert in group.alerts.items()})
        members: dict[tuple[str, str], tuple[routing.Route, list[alerts.Alert]]] = {}
        for index, alert in enumerate(known.values()):
            for route in tree.match(alert.labels):
                key = route.group_key(route.group_labels(alert.labels))
                if alert.state == "firing" or self._as_member(route, alert, now) is not None:
                    members.setdefault((route.receiver, key), (route, []))[1].append(alert)
            if index % SLICE == SLICE - 1:
                await self._clock.sleep(0)
        self._groups.regroup(members, now)

    def _start_due(self) -> None:
        for group in self._groups.due(self._clock.now()):
            group.flushing = group.flushed = True
            task = asyncio.create_task(self._flush(group))
            self._flushes.add(task)
            task.add_done_callback(self._flushes.discard)

    def _pause(self) -> float:
        at = self._groups.next_at()
        return LONGEST_WAIT if at is None else min(max(at - self._clock.now(), 0.0), LONGEST_WAIT)

    async def _flush(self, group: grouping.Group) -> None:
        """Look at one group, and plan the next look."""
        due = group.next_at
        again = due + group.route.group_interval
        try:
            async with self._slots:
                outcome = await self._tell(group, max(due, self._clock.now() - LATE))
        except Exception:  # noqa: BLE001 - one group's failure must not end the others
            self._log.exception("group could not be told; trying again", group=group.key, receiver=group.route.receiver)
            outcome, again = "failed", self._clock.now() + RETRY
        finally:
            group.flushing = False
        self._flushed.labels(outcome).inc()
        if group.alerts:
            self._groups.schedule(group, max(again, self._clock.now()))
        self._wake.set()

    async def _tell(self, group: grouping.Group, now: float) -> str:
        """Tell whoever has to be told; what came of it."""
        snapshot = dict(group.alerts)
        route, key = group.route, group.key
        heard = sorted((a for a in snapshot.values() if not self._silences.matching(a.labels)), key=grouping.order)
        outcome = "muted"
        if heard:
            told = self._due(route, key, heard, now)
            if told:
                await self._commit(group, key, heard, told, now)
            outcome = "told" if told else "nothing_new"
        over = [
            fingerprint
            for fingerprint, alert in snapshot.items()
            if alert.state == "resolved" and group.alerts.get(fingerprint) is alert
        ]
        self._groups.remove(group, over)
        return outcome

    def _due(self, route: routing.Route, key: str, heard: Sequence[alerts.Alert], now: float) -> list[store.Told]:
        """For each integration that needs news, what it will have been told."""
        firing = frozenset(alert.fingerprint for alert in heard if alert.state == "firing")
        resolved = frozenset(alert.fingerprint for alert in heard if alert.state == "resolved")
        keep = 2 * route.repeat_interval
        expires = now + (max(keep, KEEP_FIRING) if firing else keep)
        return [
            store.Told(route.receiver, item.name, key, firing, resolved, now, expires)
            for item in self._outbox.integrations(route.receiver)
            if grouping.needs_update(
                self._told.get((route.receiver, item.name, key)),
                firing,
                resolved,
                repeat_interval=route.repeat_interval,
                send_resolved=item.send_resolved,
                now=now,
            )
        ]

    async def _commit(
        self, group: grouping.Group, key: str, heard: Sequence[alerts.Alert], told: Sequence[store.Told], now: float
    ) -> None:
        """Record what is told and store the message, in one transaction."""
        wants_resolved = {item.name for item in self._outbox.integrations(told[0].receiver) if item.send_resolved}
        names = [item.integration for item in told if item.firing or item.integration in wants_resolved]
        message = await self._message(group, key, heard, now) if names else None

        def write(connection: database.Connection) -> None:
            store.save_told(connection, told)
            if message is not None:
                self._outbox.put(connection, message, names)

        await self._database.run(write)
        self._told.update((item.key, item) for item in told)
        self._outbox.wake()

    async def _message(
        self, group: grouping.Group, key: str, heard: Sequence[alerts.Alert], now: float
    ) -> alerts.Notification:
        shown = heard[:MAX_ALERTS]
        found = await self._evidence.collect(shown, now)
        nothing = evidence.Found()
        items = [(alert, found.get(alert.fingerprint, nothing)) for alert in shown]
        self._truncated.inc(len(heard) - len(shown))
        return alerts.Notification(
            id=uuid.uuid4().hex,
            receiver=group.route.receiver,
            group_key=key,
            group_labels=group.labels,
            alerts=tuple(alerts.NotifiedAlert(alert, part.lines, part.note, part.url) for alert, part in items),
            created_at=now,
            external_url=self._external_url,
            truncated=len(heard) - len(shown),
        )

    async def _collect(self) -> None:
        """Forget, now and then, what nobody needs to know any more."""
        now = self._clock.now()
        if now - self._collected_at < LONGEST_WAIT:
            return
        self._collected_at = now
        old = [key for key, told in self._told.items() if told.expires_at <= now]
        if old:
            await self._database.run(lambda connection: store.delete_told(connection, old))
        for key in old:
            self._told.pop(key, None)
