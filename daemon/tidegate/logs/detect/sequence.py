"""`sequence`: one line, then another (or none of it), with the same key and within a time.

Lines of several files come in no order, so that they wait for some seconds and are then taken by their own times. A time
counts as passed only when every line up to it was read. What was found is remembered with the time of its last line, so
that lines which are read a second time after a crash find nothing new.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any, Final

from tidegate.logs.detect import base
from tidegate.logs.kql import dates, matcher, view
from tidegate.model import rules

DONE: Final = "completed_timestamp_seconds"
SLACK: Final = 5.0
"""Seconds that a line waits for earlier ones."""
MOST_WAITING: Final = 20_000
"""Lines that wait; with more, they are taken at once."""


@dataclasses.dataclass(slots=True)
class _Open:
    """A sequence that has begun."""

    step: int
    """The query that it waits for."""
    start: float
    """Time of its first line."""


class Sequence:
    """A `base.Detector`; its last query is the one that must not come, when there is one."""

    def __init__(self, rule: rules.LogDetector, now: matcher.Now) -> None:
        """Raises `QueryError`."""
        self.rule = rule
        texts = (*rule.steps, rule.without) if rule.without else rule.steps
        self.queries: tuple[base.Query, ...] = tuple(base.Query(text, now) for text in texts)
        self.dropped = 0
        self._keys = base.Keys(rule.by)
        self._waiting: list[tuple[float, frozenset[int], base.Key]] = []
        """Time, queries matched and key of lines not taken yet."""
        self._open: collections.OrderedDict[base.Key, _Open] = collections.OrderedDict()
        self._done: collections.OrderedDict[base.Key, tuple[float, float]] = collections.OrderedDict()
        """Time of the last line, and when it was found."""
        self._now = 0.0

    def see(self, seen: view.View, matched: frozenset[int], now: float) -> None:
        """See `base.Detector`."""
        self._now = now
        written = next(iter(seen.values("@timestamp")), None)
        at = dates.seconds(written) if written is not None else None
        self._waiting.append((now if at is None else min(at, now), matched, self._keys.of(seen)))
        if len(self._waiting) >= MOST_WAITING:
            self._take(len(self._waiting))

    def settle(self, read_to: float) -> None:
        """See `base.Detector`."""
        self._now = max(self._now, read_to)
        self._waiting.sort(key=lambda one: one[0])
        ready = sum(at <= read_to - SLACK for at, _, _ in self._waiting)
        self._take(ready)
        self._expire(read_to - SLACK)
        while self._done and self._now - next(iter(self._done.values()))[1] > self.rule.forget:
            self._done.popitem(last=False)

    def series(self, read_to: float) -> base.Series:  # noqa: ARG002 - nothing here changes by time alone
        """See `base.Detector`."""
        for key, (_, found) in self._done.items():
            yield self._keys.labels(key, self.rule.series(DONE)), found

    def dump(self, read_to: float) -> Any:  # noqa: ARG002 - see `series`
        """See `base.Detector`."""
        return {
            "waiting": [[at, sorted(matched), key] for at, matched, key in self._waiting],
            "open": [[key, one.step, one.start] for key, one in self._open.items()],
            "done": [[key, *times] for key, times in self._done.items()],
        }

    def load(self, state: Any, now: float) -> None:
        """See `base.Detector`."""
        self._now = now
        for at, matched, key in state["waiting"]:
            self._waiting.append((float(at), frozenset(map(int, matched)), base.key_of(key)))
        for key, step, start in state["open"]:
            self._open[base.key_of(key)] = _Open(int(step), float(start))
        for key, at, found in state["done"]:
            self._done[base.key_of(key)] = float(at), float(found)

    def _take(self, count: int) -> None:
        """Take the first lines that wait, by their times."""
        self._waiting.sort(key=lambda one: one[0])
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        for at, matched, key in ready:
            self._expire_one(at, key)
            self._line(at, matched, key)

    def _line(self, at: float, matched: frozenset[int], key: base.Key) -> None:
        """One line may match several queries: it ends a sequence, goes on with one, or begins one, in this order."""
        steps = len(self.rule.steps)
        there = self._open.get(key)
        if steps in matched:
            self._open.pop(key, None)
        elif there is not None and there.step < steps and there.step in matched:
            there.step += 1
            if there.step == steps:
                self._complete(key, at)
        elif 0 in matched:
            self._begin(key, at)

    def _begin(self, key: base.Key, at: float) -> None:
        """A later first line replaces an earlier one that nothing followed, unless that is what is looked for."""
        there = self._open.get(key)
        if there is None:
            if len(self._open) >= self.rule.limit:
                self._open.popitem(last=False)
                self.dropped += 1
            self._open[key] = _Open(1, at)
        elif there.step == 1 and len(self.rule.steps) > 1:
            there.start = at
            self._open.move_to_end(key)

    def _expire(self, at: float) -> None:
        for key in [key for key, one in self._open.items() if at - one.start > self.rule.within]:
            self._expire_one(at, key)

    def _expire_one(self, at: float, key: base.Key) -> None:
        """Close a sequence whose time is over: one line that nothing followed is what was looked for."""
        there = self._open.get(key)
        if there is None or at - there.start <= self.rule.within:
            return
        if len(self.rule.steps) == 1:
            self._complete(key, there.start + self.rule.within)
        else:
            del self._open[key]

    def _complete(self, key: base.Key, at: float) -> None:
        self._open.pop(key, None)
        known = self._done.get(key)
        if known is not None and at <= known[0]:
            return
        if known is None and len(self._done) >= self.rule.limit:
            self._done.popitem(last=False)
            self.dropped += 1
        self._done[key] = at, self._now
        self._done.move_to_end(key)
