"""The alert book: every alert that is not long over, in memory for readers and on disk for the next process.

`put` returns when the change is committed, so an alert that a rule fired outlives SIGKILL from that moment on. Listeners
are called after the commit. Who is told what is not decided here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tidegate.alerts import silences as silences_
from tidegate.alerts import store
from tidegate.kit import database, telemetry
from tidegate.model import alerts, ports

Listener: TypeAlias = Callable[[Sequence[alerts.Alert]], None]
PUSHED = "api"
LONGEST_WAIT = 15.0
"""Seconds between looks at what expired, when nothing is known to expire sooner."""
RETENTION = 900.0
SLICE = 100
"""Alerts whose fingerprints are computed before others get the event loop."""


class Book:
    """Implements `ports.AlertBook`."""

    def __init__(
        self,
        state: database.Database,
        clock: ports.Clock,
        registry: telemetry.Registry,
        silences: silences_.Silences,
        retention: float = RETENTION,
    ) -> None:
        """Reads the stored alerts (blocks). `retention` (seconds) is how long resolved ones are kept."""
        self._database = state
        self._clock = clock
        self._silences = silences
        self._retention = retention
        self._log = telemetry.logger("alerts")
        self._writing = asyncio.Lock()
        self._listeners: list[Listener] = []
        self._needed: Callable[[str], bool] = lambda _: False
        self._received = telemetry.Counter(
            "tidegate_alerts_received", "Alert states taken into the book.", ["state"], registry=registry
        )
        self._expired = telemetry.Counter(
            "tidegate_alerts_expired",
            "Alerts that were taken for resolved because nobody spoke of them again.",
            registry=registry,
        )
        gauge = telemetry.Gauge("tidegate_alerts", "Alerts in the book, by state.", ["state"], registry=registry)
        self._alerts = {alert.fingerprint: alert for alert in state.run_now(store.load_alerts)}
        for name in ("pending", "firing", "resolved"):
            gauge.labels(name).set_function(functools.partial(self._count, name))

    def reload(self, retention: float) -> None:
        """Take over a new retention."""
        self._retention = retention

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with every change once it is committed. It must not block."""
        self._listeners.append(listener)

    def keep_while(self, needed: Callable[[str], bool]) -> None:
        """Do not forget resolved alerts as long as `needed(fingerprint)`: somebody has still to be told of them."""
        self._needed = needed

    def all(self) -> Sequence[alerts.Alert]:
        """Pending, firing and recently resolved ones."""
        return tuple(self._alerts.values())

    def get(self, fingerprint: str) -> alerts.Alert | None:
        """One alert."""
        return self._alerts.get(fingerprint)

    def silenced_by(self, alert: alerts.Alert) -> Sequence[str]:
        """Ids of the active silences that match it."""
        return self._silences.matching(alert.labels)

    async def put(self, changed: Sequence[alerts.Alert]) -> None:
        """Take the state of these alerts, and return when it is on disk.

        An alert that goes from pending to resolved without ever having fired is dropped from the book.
        """
        for index, alert in enumerate(changed):
            if alert.fingerprint and index % SLICE == SLICE - 1:  # computed here once, and cached
                await self._clock.sleep(0)
        if changed:
            async with self._writing:
                kept = await self._write(changed)
            self._tell(kept)

    async def _write(self, changed: Sequence[alerts.Alert]) -> Sequence[alerts.Alert]:
        """Commit, then show the change to readers; what was kept. The caller holds the lock."""
        latest = {alert.fingerprint: alert for alert in changed}
        dropped = [fingerprint for fingerprint, alert in latest.items() if self._never_fired(fingerprint, alert)]
        kept = [alert for fingerprint, alert in latest.items() if fingerprint not in set(dropped)]

        def write(connection: database.Connection) -> None:
            store.delete_alerts(connection, dropped)
            store.save_alerts(connection, kept)

        await self._database.run(write)
        for fingerprint in dropped:
            self._alerts.pop(fingerprint, None)
        self._alerts.update((alert.fingerprint, alert) for alert in kept)
        for alert in kept:
            self._received.labels(alert.state).inc()
        return kept

    async def collect(self) -> None:
        """Resolve what expired, and forget what was resolved longer ago than the retention."""
        async with self._writing:
            now = self._clock.now()
            due = [alert for alert in self._alerts.values() if alert.state == "firing" and 0 < alert.expires_at <= now]
            resolved = [dataclasses.replace(a, state="resolved", resolved_at=a.expires_at) for a in due]
            if resolved:
                await self._write(resolved)
            await self._forget(now)
        self._expired.inc(len(resolved))
        self._tell(resolved)

    async def _forget(self, now: float) -> None:
        old = [
            fingerprint
            for fingerprint, alert in self._alerts.items()
            if alert.state == "resolved" and self._over(alert, now) and not self._needed(fingerprint)
        ]
        if old:
            await self._database.run(lambda connection: store.delete_alerts(connection, old))
        for fingerprint in old:
            del self._alerts[fingerprint]

    async def run(self) -> None:
        """Expire pushed alerts on time and forget old ones, until cancelled.

        The first look comes after a wait, so that whoever tells of alerts has claimed what it needs by then.
        """
        while True:
            await self._clock.sleep(self._wait())
            await self.collect()

    def _wait(self) -> float:
        now = self._clock.now()
        ends = [a.expires_at for a in self._alerts.values() if a.state == "firing" and a.expires_at > 0]
        return min(max(min(ends, default=now + LONGEST_WAIT) - now, 0.1), LONGEST_WAIT)

    def _over(self, alert: alerts.Alert, now: float) -> bool:
        return max(alert.resolved_at, alert.last_seen) + self._retention <= now

    def _never_fired(self, fingerprint: str, alert: alerts.Alert) -> bool:
        if alert.state != "resolved" or alert.fired_at or alert.rule == PUSHED:
            return False
        before = self._alerts.get(fingerprint)
        return before is None or before.state == "pending"

    def _tell(self, changed: Sequence[alerts.Alert]) -> None:
        for listener in self._listeners:
            try:
                listener(changed)
            except Exception:  # noqa: BLE001 - a listener's fault must not undo the rule engine's commit
                self._log.exception("listener failed")

    def _count(self, state: str) -> float:
        return float(sum(1 for alert in self._alerts.values() if alert.state == state))
