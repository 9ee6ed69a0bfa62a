"""Queries over history, answered many steps at a time: what an expression gives at the next evaluations, from one range query.

Only for expressions that read nothing but history which is there already: what rules record as they go is not. An
evaluation gets what an instant query at its time would give; if the range query fails, each step is asked for itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

import numpy as np

from tidegate.model import labels as labels_
from tidegate.model import ports, problems, series

STEPS = 240
"""Evaluations that are asked for together."""
RELATIVE = ("start()", "end()", "step()", "range()")
"""What means something else in a range query than at one of its steps."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ahead:
    """Implements `ports.QueryEngine` for one group."""

    engine: ports.QueryEngine
    interval: float
    """Seconds between the group's evaluations."""
    steady: Collection[str]
    """Expressions that read only history."""
    loaded: Callable[[], float]
    """Up to when (unix seconds) the history is there."""

    def allowing(self, *, experimental: bool) -> Ahead:
        """See `ports.QueryEngine`."""
        return dataclasses.replace(self, engine=self.engine.allowing(experimental=experimental))

    def prepare(self, expr: str) -> ports.Query:
        """See `ports.QueryEngine`."""
        query = self.engine.prepare(expr)
        if expr not in self.steady or any(one in expr for one in RELATIVE):
            return query
        return Query(query, self)


class Query:
    """Implements `ports.Query`."""

    def __init__(self, query: ports.Query, ahead: Ahead) -> None:
        self._query, self._ahead = query, ahead
        self._window = _Window((), np.zeros((0, 0)), np.zeros((0, 0), np.bool_), 0, 1)
        self._single_until = 0.0
        """Up to when each step is asked for itself."""
        self.expr, self.names, self.lookback = query.expr, query.names, query.lookback
        self.lower_is_worse, self.threshold = query.lower_is_worse, query.threshold
        self.presence, self.operand, self.waits = query.presence, query.operand, query.waits

    def instant(self, at: float) -> series.Result:
        """See `ports.Query`."""
        found = self._window.at(round(at * 1000))
        if found is not None:
            return found
        now = self._query.instant(at)
        if not isinstance(now, series.Vector):
            self._single_until = float("inf")
        if at >= self._single_until:
            self._look(at)
        return now

    def range(self, start: float, end: float, step: float) -> series.Matrix:
        """See `ports.Query`."""
        return self._query.range(start, end, step)

    def _look(self, at: float) -> None:
        """Ask for the steps after a time."""
        interval = self._ahead.interval
        steps = min(int((self._ahead.loaded() - at) / interval), STEPS)
        if steps < 1:
            return
        end = at + steps * interval
        try:
            found = self._query.range(at + interval, end, interval)
        except problems.QueryError:
            self._single_until = end
            return
        self._window = _window(found, round((at + interval) * 1000), round(interval * 1000), steps)


@dataclasses.dataclass(frozen=True, slots=True)
class _Window:
    """Vectors at some steps."""

    labels: tuple[labels_.Labels, ...]
    values: series.Values
    """[steps, series]."""
    there: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    first_ms: int
    step_ms: int

    def at(self, at_ms: int) -> series.Vector | None:
        """The vector at a time; None when it is not one of the steps."""
        step, rest = divmod(at_ms - self.first_ms, self.step_ms)
        if rest or not 0 <= step < len(self.values):
            return None
        kept = np.flatnonzero(self.there[step])
        return series.Vector(tuple(self.labels[one] for one in kept.tolist()), self.values[step][kept], at_ms)


def _window(found: series.Matrix, first_ms: int, step_ms: int, steps: int) -> _Window:
    values = np.zeros((steps, len(found.series)))
    there = np.zeros(values.shape, np.bool_)
    for number, one in enumerate(found.series):
        places = (one.times - first_ms) // step_ms
        values[places, number] = one.values
        there[places, number] = True
    return _Window(tuple(one.labels for one in found.series), values, there, first_ms, step_ms)
