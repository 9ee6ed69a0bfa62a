"""`silence`: how long each stream has been still, up to the time up to which lines were read.

An agent that cannot read on (its output is away, files wait) says nothing new of any stream: unread lines are no silence.
Neither is the time in which the agent itself was down. A stream is forgotten once it was still for `forget` seconds.
"""

from __future__ import annotations

import collections
from typing import Any, Final

from tidegate.logs.detect import base
from tidegate.logs.kql import matcher, view
from tidegate.model import rules

IDLE: Final = "idle_seconds"


class Silence:
    """A `base.Detector`."""

    def __init__(self, rule: rules.LogDetector, now: matcher.Now) -> None:
        """Raises `QueryError`."""
        self.rule = rule
        self.queries: tuple[base.Query, ...] = (base.Query(rule.query, now),)
        self.dropped = 0
        self._keys = base.Keys(rule.by)
        self._last: collections.OrderedDict[base.Key, float] = collections.OrderedDict()

    def see(self, seen: view.View, matched: frozenset[int], now: float) -> None:  # noqa: ARG002 - there is one query
        """See `base.Detector`."""
        key = self._keys.of(seen)
        if key not in self._last and len(self._last) >= self.rule.limit:
            self._last.popitem(last=False)
            self.dropped += 1
        self._last[key] = now
        self._last.move_to_end(key)

    def settle(self, read_to: float) -> None:
        """See `base.Detector`."""
        while self._last:
            key, last = next(iter(self._last.items()))
            if read_to - last <= self.rule.forget:
                return
            del self._last[key]

    def series(self, read_to: float) -> base.Series:
        """See `base.Detector`."""
        for key, last in self._last.items():
            yield self._keys.labels(key, self.rule.series(IDLE)), max(read_to - last, 0.0)

    def dump(self, read_to: float) -> Any:
        """See `base.Detector`."""
        return [[key, max(read_to - last, 0.0)] for key, last in self._last.items()]

    def load(self, state: Any, now: float) -> None:
        """See `base.Detector`."""
        for key, idle in state:
            self._last[base.key_of(key)] = now - float(idle)
