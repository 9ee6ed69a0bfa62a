"""Which table a pushed series goes to: series that share their timestamps share a table, a lane of their job and instance.

An agent's series of one target have the times of its scrapes, so one lane holds them all; senders that stamp each series
by itself get several, up to a limit. A series stays in its lane. What is stored there is not known here.
"""

from __future__ import annotations

import dataclasses
import zlib

from tidegate.metrics import store as store_
from tidegate.metrics import table as table_
from tidegate.model import labels as labels_

PREFIX = "push;"
LIMIT = 32
"""Lanes of one job and instance."""
INTERVAL = 15.0
"""Seconds between samples until there are enough of them to tell."""
TOLERANCE = 0.005
"""Part of an interval by which the next row of a lane may be off."""
NEAR = 5
"""Milliseconds that are never off."""


@dataclasses.dataclass(slots=True)
class Lane:
    """One table, and the times that are about to be stored in it."""

    table: table_.Table
    coming: set[int] = dataclasses.field(default_factory=set)

    def expects(self, at_ms: int) -> bool:
        """Whether a row of this time is there, or would be the next one."""
        data = self.table.ring
        if at_ms in self.coming:
            return True
        if not data.rows:
            return not self.coming
        first, end = data.span(at_ms - 1, at_ms)
        return end > first or (at_ms > data.last_time and self._in_step(at_ms))

    def _in_step(self, at_ms: int) -> bool:
        data = self.table.ring
        times = data.row_times(max(data.first, data.rows - 2), data.rows)
        step = int(times[1] - times[0]) if times.size > 1 else round(self.table.interval * 1000)
        off = (at_ms - data.last_time) % step if step else 0
        return min(off, step - off) <= max(NEAR, step * TOLERANCE)


class Lanes:
    """The lanes of all jobs and instances. Not safe for concurrent use."""

    def __init__(self, store: store_.Store) -> None:
        self._store = store
        self._lanes: dict[str, list[Lane]] = {}
        self._touched: list[Lane] = []

    def choose(self, labels: labels_.Labels, newest_ms: int) -> Lane:
        """The lane that has this series, or else one whose times its newest sample has."""
        source = labels_.get(labels, "instance") or labels_.get(labels, labels_.NAME)
        group = f"{PREFIX}{labels_.get(labels, 'job')};{source}"
        lanes = self._lanes.get(group)
        if lanes is None or any(one.table.dropped_since is not None for one in lanes):
            lanes = self._lanes[group] = self._found(group)
        for one in lanes:
            if one.table.holds(labels):
                return one
        for one in lanes:
            if one.expects(newest_ms):
                return self._coming(one, newest_ms)
        if len(lanes) >= LIMIT:
            return self._coming(lanes[zlib.crc32(repr(labels).encode()) % LIMIT], newest_ms)
        lanes.append(Lane(self._store.own_table(_key(group, len(lanes)), INTERVAL)))
        return self._coming(lanes[-1], newest_ms)

    def stored(self) -> None:
        """What was coming is there."""
        for one in self._touched:
            one.coming.clear()
        self._touched.clear()

    def _found(self, group: str) -> list[Lane]:
        """The lanes that the store has; tables that it was about to give up are kept."""
        found = []
        for number in range(LIMIT):
            key = _key(group, number)
            interval = self._store.interval(key)
            if not interval:
                break
            found.append(Lane(self._store.own_table(key, interval)))
        return found

    def _coming(self, one: Lane, at_ms: int) -> Lane:
        one.coming.add(at_ms)
        self._touched.append(one)
        return one


def _key(group: str, number: int) -> str:
    return f"{group};{number}" if number else group
