"""`change`: when the value of a field was last another one than in the line before it, for each key.

A key whose last line is longer ago than `within` begins anew; one without a line for so long is forgotten. A line without
the field says nothing.
"""

from __future__ import annotations

import collections
from typing import Any, Final

from tidegate.logs.detect import base
from tidegate.logs.ecs import fields
from tidegate.logs.kql import matcher, view
from tidegate.model import rules

CHANGED: Final = "changed_timestamp_seconds"


class Change:
    """A `base.Detector`."""

    def __init__(self, rule: rules.LogDetector, now: matcher.Now) -> None:
        """Raises `QueryError`."""
        self.rule = rule
        self.queries: tuple[base.Query, ...] = (base.Query(rule.query, now),)
        self.dropped = 0
        self._keys = base.Keys(rule.by)
        self._field = fields.resolve(rule.field)
        self._last: collections.OrderedDict[base.Key, tuple[str, float]] = collections.OrderedDict()
        self._changed: collections.OrderedDict[tuple[base.Key, str], float] = collections.OrderedDict()

    def see(self, seen: view.View, matched: frozenset[int], now: float) -> None:  # noqa: ARG002 - there is one query
        """See `base.Detector`."""
        key = self._keys.of(seen)
        value = next(base.values(seen, self._field), None)
        if value is None:
            return
        before = self._last.get(key)
        if before is None and len(self._last) >= self.rule.limit:
            self._last.popitem(last=False)
            self.dropped += 1
        self._last[key] = value, now
        self._last.move_to_end(key)
        if before is not None and before[0] != value and now - before[1] <= self.rule.within:
            self._change(key, value, now)

    def settle(self, read_to: float) -> None:
        """See `base.Detector`."""
        while self._last and read_to - next(iter(self._last.values()))[1] > self.rule.within:
            self._last.popitem(last=False)
        while self._changed and read_to - next(iter(self._changed.values())) > self.rule.forget:
            self._changed.popitem(last=False)

    def series(self, read_to: float) -> base.Series:  # noqa: ARG002 - nothing here changes by time alone
        """See `base.Detector`."""
        name = self.rule.series(CHANGED)
        for (key, value), at in self._changed.items():
            yield self._keys.labels(key, name, self.rule.label, value), at

    def dump(self, read_to: float) -> Any:  # noqa: ARG002 - see `series`
        """See `base.Detector`."""
        return {
            "last": [[key, value, at] for key, (value, at) in self._last.items()],
            "changed": [[key, value, at] for (key, value), at in self._changed.items()],
        }

    def load(self, state: Any, now: float) -> None:  # noqa: ARG002 - times are those of the clock
        """See `base.Detector`."""
        for key, value, at in state["last"]:
            self._last[base.key_of(key)] = str(value), float(at)
        for key, value, at in state["changed"]:
            self._changed[base.key_of(key), str(value)] = float(at)

    def _change(self, key: base.Key, value: str, now: float) -> None:
        if (key, value) not in self._changed and len(self._changed) >= self.rule.limit:
            self._changed.popitem(last=False)
            self.dropped += 1
        self._changed[key, value] = now
        self._changed.move_to_end((key, value))
