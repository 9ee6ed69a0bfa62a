"""Queries as dashboards and people ask them: PromQL with annotations, and what series and labels there are.

Implements `ports.Queries` on the engine and the store. What rules do does not come through here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate.kit import matchers as matchers_
from tidegate.metrics import columns, store
from tidegate.metrics.promql import engine, printer, syntax, tree, treejson
from tidegate.model import alerts, problems, series
from tidegate.model import labels as labels_

FIRST_MS, LAST_MS = -(2**62), 2**62
RECENT_MS = 300_000
"""Cardinality is that of the series with a sample in so many milliseconds before the newest one."""


class Adhoc:
    """Implements `ports.Queries`."""

    def __init__(self, engine_: engine.Engine, store_: store.Store) -> None:
        self._engine, self._store = engine_, store_

    def instant(self, expr: str, at: float, *, lookback: float = 0.0, timeout: float = 0.0) -> series.Answer:
        """See `ports.Queries`."""
        result, notes = self._prepared(expr, lookback, timeout).instant_annotated(at)
        return series.Answer(result, notes.warnings, notes.infos)

    def range(
        self, expr: str, start: float, end: float, step: float, *, lookback: float = 0.0, timeout: float = 0.0
    ) -> series.Answer:
        """See `ports.Queries`."""
        result, notes = self._prepared(expr, lookback, timeout).range_annotated(start, end, step)
        return series.Answer(result, notes.warnings, notes.infos)

    def label_sets(self, selectors: Sequence[str], start: float, end: float) -> list[labels_.Labels]:
        """See `ports.Queries`."""
        found = (self._store.labels(matchers, *_span(start, end)) for matchers in _conditions(selectors))
        return sorted(set(itertools.chain.from_iterable(found)))

    def label_names(self, selectors: Sequence[str], start: float, end: float) -> list[str]:
        """See `ports.Queries`."""
        return _union(selectors, lambda matchers: self._store.label_names(matchers, *_span(start, end)))

    def label_values(self, name: str, selectors: Sequence[str], start: float, end: float) -> list[str]:
        """See `ports.Queries`."""
        return _union(selectors, lambda matchers: self._store.label_values(name, matchers, *_span(start, end)))

    def selectors(self, expr: str) -> list[Callable[[labels_.Labels], bool]]:
        """See `ports.Queries`."""
        return [
            matchers_.Conditions(found, newlines=True).matches
            for found in _selectors(syntax.parse(expr, experimental=self._engine.experimental))
        ]

    def selects(self, selector: str, of: labels_.Labels) -> bool:
        """See `ports.Queries`."""
        return matchers_.Conditions(_matchers(selector), newlines=True).matches(of)

    def cardinality(self, limit: int) -> series.Cardinality:
        """See `ports.Queries`."""
        first, last = self._store.span()
        everything = (alerts.Matcher(labels_.NAME, "!=", ""),)
        frame = self._store.select(everything, last - RECENT_MS, last).labels
        return series.Cardinality(self._store.series_count, *_pairs(frame), first, last, *_largest(frame, limit))

    def formatted(self, expr: str) -> str:
        """See `ports.Queries`."""
        with syntax.bounded():
            return printer.pretty(syntax.parse(expr, experimental=self._engine.experimental))

    def parsed(self, expr: str) -> Mapping[str, Any]:
        """See `ports.Queries`."""
        with syntax.bounded():
            return treejson.written(syntax.parse(expr, experimental=self._engine.experimental))

    def _prepared(self, expr: str, lookback: float, timeout: float) -> engine.PreparedQuery:
        return self._engine.with_times(lookback=lookback, timeout=timeout).prepare(expr)


def _selectors(expr: tree.Expr) -> list[tuple[alerts.Matcher, ...]]:
    if isinstance(expr, tree.VectorSelector):
        return [syntax.matchers(expr)]
    return [found for child in tree.children(expr) for found in _selectors(child)]


def _matchers(selector: str) -> tuple[alerts.Matcher, ...]:
    """The conditions of a vector selector. Raises `QueryError`."""
    expr = syntax.parse(selector)
    if not isinstance(expr, tree.VectorSelector):
        raise problems.QueryError(f'{selector!r} is not a selector such as up{{job="shop"}}')
    return syntax.matchers(expr)


def _conditions(selectors: Sequence[str]) -> list[tuple[alerts.Matcher, ...]]:
    return [_matchers(one) for one in selectors] or [(alerts.Matcher(labels_.NAME, "!=", ""),)]


def _union(selectors: Sequence[str], find: Callable[[tuple[alerts.Matcher, ...]], Iterable[str]]) -> list[str]:
    return sorted(set(itertools.chain.from_iterable(find(one) for one in _conditions(selectors))))


def _span(start: float, end: float) -> tuple[int, int]:
    """Milliseconds, with the start itself inside; times beyond all clocks become the ends of ours."""
    low = round(max(start, FIRST_MS / 2000) * 1000) - 1
    return max(low, FIRST_MS), min(round(min(end, LAST_MS / 2000) * 1000), LAST_MS)


def _pairs(frame: columns.LabelFrame) -> tuple[int]:
    return (sum(int(np.count_nonzero(np.unique(column))) for column in frame.codes.T),)


def _largest(
    frame: columns.LabelFrame, limit: int
) -> tuple[series.Counts, series.Counts, series.Counts, series.Counts]:
    texts = frame.pool.texts
    by_name: list[tuple[str, int]] = []
    values: list[tuple[str, int]] = []
    sizes: list[tuple[str, int]] = []
    pairs: list[tuple[str, int]] = []
    for name, column in zip(frame.names, frame.codes.T, strict=True):
        codes, numbers = _distinct(column)
        values.append((name, len(codes)))
        sizes.append((name, sum(len(texts[code]) * number for code, number in zip(codes, numbers, strict=True))))
        shown = sorted(((texts[code], number) for code, number in zip(codes, numbers, strict=True)), key=_largest_first)
        shown = shown[:limit]
        pairs += [(f"{name}={text}", number) for text, number in shown]
        if name == labels_.NAME:
            by_name = shown
    return _sorted(by_name, limit), _sorted(values, limit), _sorted(sizes, limit), _sorted(pairs, limit)


def _distinct(column: npt.NDArray[np.int32]) -> tuple[list[int], list[int]]:
    codes, numbers = np.unique(column[column != 0], return_counts=True)
    return codes.tolist(), numbers.tolist()


def _sorted(counts: list[tuple[str, int]], limit: int) -> series.Counts:
    return tuple(sorted(counts, key=_largest_first)[:limit])


def _largest_first(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]
