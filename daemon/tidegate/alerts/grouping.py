"""Groups of alerts: who belongs together, when the group is looked at next, and whether there is news to tell.

Pure bookkeeping; time comes in as numbers. Semantics: Alertmanager's aggregation groups and its deduplication stage
(`dispatch/dispatch.go`, `notify/dedup_stage.go`). Nothing here sends or stores.
"""

from __future__ import annotations

import collections
import dataclasses
import heapq
from collections.abc import Collection, Iterable, Iterator

from tidegate.alerts import routing, store
from tidegate.model import alerts, labels

_SLACK = 0.001
"""Seconds by which a repeat may come early: times are floats."""
_RANKS = {"page": 0, "critical": 0, "error": 1, "high": 1, "warning": 2, "info": 4, "none": 4, "low": 4}


@dataclasses.dataclass(slots=True, eq=False)
class Group:
    """Alerts that one receiver is told of together."""

    route: routing.Route
    labels: labels.Labels
    next_at: float
    """Unix seconds of the next look at it."""
    alerts: dict[str, alerts.Alert] = dataclasses.field(default_factory=dict)
    """By fingerprint."""
    flushed: bool = False
    """Whether it was looked at before; until then old alerts make it due at once."""
    flushing: bool = False

    @property
    def key(self) -> str:
        """Alertmanager's `groupKey`."""
        return self.route.group_key(self.labels)

    @property
    def identity(self) -> tuple[str, str]:
        """Receiver and key: the same group over restarts and reloads."""
        return self.route.receiver, self.key


class Groups:
    """All groups, by identity and by when they are due."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], Group] = {}
        self._queue: list[tuple[float, int, Group]] = []
        self._count = 0
        self._held: collections.Counter[str] = collections.Counter()

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(tuple(self._groups.values()))

    def get(self, identity: tuple[str, str]) -> Group | None:
        """A group."""
        return self._groups.get(identity)

    def holds(self, fingerprint: str) -> bool:
        """Whether any group has an alert."""
        return self._held[fingerprint] > 0

    def add(self, route: routing.Route, alert: alerts.Alert, now: float) -> None:
        """Put an alert into its group, which is made when new and is then due after `group_wait`."""
        group_labels = route.group_labels(alert.labels)
        group = self._groups.get((route.receiver, route.group_key(group_labels)))
        if group is None:
            group = Group(route, group_labels, now + route.group_wait)
            self._groups[group.identity] = group
            self.schedule(group, group.next_at)
        fingerprint = alert.fingerprint
        self._held[fingerprint] += fingerprint not in group.alerts
        group.alerts[fingerprint] = alert
        if not group.flushed and _since(alert) + route.group_wait < now < group.next_at:
            self.schedule(group, now)

    def remove(self, group: Group, fingerprints: Iterable[str]) -> None:
        """Take alerts out of a group; an empty group goes away."""
        for fingerprint in fingerprints:
            if group.alerts.pop(fingerprint, None) is not None:
                self._held[fingerprint] -= 1
                if not self._held[fingerprint]:
                    del self._held[fingerprint]
        if not group.alerts and self._groups.get(group.identity) is group:
            del self._groups[group.identity]

    def schedule(self, group: Group, at: float) -> None:
        """Look at a group at a time, and not before."""
        group.next_at = at
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, group))

    def due(self, now: float) -> list[Group]:
        """The groups whose time has come; each is scheduled again by its owner."""
        found: dict[tuple[str, str], Group] = {}
        while self._queue and self._queue[0][0] <= now:
            at, _, group = heapq.heappop(self._queue)
            if self._current(group, at):
                found[group.identity] = group
        return list(found.values())

    def next_at(self) -> float | None:
        """When the next group is due."""
        while self._queue and not self._current(self._queue[0][2], self._queue[0][0]):
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def regroup(self, members: dict[tuple[str, str], tuple[routing.Route, list[alerts.Alert]]], now: float) -> None:
        """Take over a new tree's groups; those that were there before keep their timers."""
        for group in self:
            route, kept = members.get(group.identity, (group.route, []))
            group.route = route
            self.remove(group, set(group.alerts) - {alert.fingerprint for alert in kept})
        for route, kept in members.values():
            for alert in kept:
                self.add(route, alert, now)

    def _current(self, group: Group, at: float) -> bool:
        return not group.flushing and group.next_at == at and self._groups.get(group.identity) is group


def needs_update(
    told: store.Told | None,
    firing: Collection[str],
    resolved: Collection[str],
    *,
    repeat_interval: float,
    send_resolved: bool,
    now: float,
) -> bool:
    """Whether an integration has to be told, given what it was told last (`DedupStage.needsUpdate`)."""
    if told is None:
        return bool(firing)
    if not told.firing.issuperset(firing):
        return True
    if not firing:
        return bool(told.firing)
    if send_resolved and not told.resolved.issuperset(resolved):
        return True
    return now - told.at > repeat_interval - _SLACK


def order(alert: alerts.Alert) -> tuple[int, int, float, labels.Labels]:
    """Sorts alerts for a message: firing before resolved, the gravest first, then the oldest."""
    rank = _RANKS.get(labels.get(alert.labels, "severity").lower(), 3)
    return int(alert.state == "resolved"), rank, alert.active_at, alert.labels


def _since(alert: alerts.Alert) -> float:
    return alert.fired_at or alert.active_at
