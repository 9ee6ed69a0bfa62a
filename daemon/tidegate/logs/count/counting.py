"""What log metrics count: which lines, under which labels, up to how many series.

Most lines match no metric, so metrics are found by what they demand: one that can only match where a keyword field has
certain values is tried only on lines that have one of them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

from tidegate.logs import kql
from tidegate.logs.ecs import fields
from tidegate.logs.kql import matcher, meaning, view
from tidegate.model import labels as labels_
from tidegate.model import rules

OVERFLOW = (("overflow", "true"),)
LONGEST = 1024
"""Characters of a label's value; the index keeps no longer keywords either."""


@dataclasses.dataclass(slots=True)
class Counter:
    """One metric, compiled."""

    rule: rules.LogMetric
    matches: matcher.Test
    demand: tuple[str, frozenset[str]] | None
    fields: tuple[tuple[str, str], ...]
    """Labels, and the fields that they come from."""
    counts: dict[tuple[str, ...], float] = dataclasses.field(default_factory=dict)
    overflow: float = 0.0

    @classmethod
    def of(cls, rule: rules.LogMetric, now: matcher.Now) -> Counter:
        """From a rule. Raises `QueryError`."""
        node = meaning.of(kql.parse(rule.query))
        named = tuple((label, fields.resolve(field)) for label, field in rule.by)
        made = cls(rule, matcher.test(node, now), demand(node), named)
        if not rule.by:
            made.counts[()] = 0.0
        return made

    def count(self, seen: view.View) -> bool:
        """Count a line that matches; whether it went over the limit."""
        key = tuple(_first(seen, field) for _, field in self.fields)
        if key not in self.counts and len(self.counts) >= self.rule.series_limit:
            self.overflow += 1
            return True
        self.counts[key] = self.counts.get(key, 0.0) + 1
        return False

    def series(self) -> Iterator[tuple[labels_.Labels, float]]:
        """Each series (without its name) and its count."""
        for key, count in self.counts.items():
            named = {name: value for (name, _), value in zip(self.fields, key, strict=True)}
            yield labels_.merge(self.rule.labels, named), count
        if self.overflow:
            yield labels_.merge(self.rule.labels, OVERFLOW), self.overflow


class Book:
    """All metrics of a configuration, ready to count."""

    def __init__(
        self, wanted: Sequence[rules.LogMetric], before: Sequence[Counter] = (), now: matcher.Now = time.time
    ) -> None:
        """Metrics that `before` has already go on counting. Raises `QueryError`."""
        kept = {_identity(one.rule): one for one in before}
        self.counters = tuple(kept.get(_identity(rule)) or Counter.of(rule, now) for rule in wanted)
        self._always: list[Counter] = []
        self._demanding: dict[str, dict[str, list[Counter]]] = {}
        for one in self.counters:
            if one.demand is None:
                self._always.append(one)
                continue
            field, values = one.demand
            by_value = self._demanding.setdefault(field, {})
            for value in values:
                by_value.setdefault(value, []).append(one)

    def count(self, seen: view.View) -> list[Counter]:
        """Count one line; the metrics that went over their limit with it."""
        return [one for one in self._candidates(seen) if one.matches(seen) and one.count(seen)]

    def _candidates(self, seen: view.View) -> Iterator[Counter]:
        """Each metric that may match, once."""
        yield from self._always
        for field, by_value in self._demanding.items():
            found = seen.values(field)
            if len(found) == 1:
                yield from by_value.get(view.text(found[0]), ())
            elif found:
                some = [one for value in found for one in by_value.get(view.text(value), ())]
                yield from {id(one): one for one in some}.values()


def demand(node: meaning.Node) -> tuple[str, frozenset[str]] | None:
    """A keyword field, and the values one of which it has in every match; None when there is no such field."""
    match node:
        case meaning.Is(field, value) if fields.kind(field) == "keyword":
            return field, frozenset((value,))
        case meaning.And(parts):
            found = [one for part in parts if (one := demand(part))]
            return min(found, key=lambda one: len(one[1]), default=None)
        case meaning.Or(parts):
            either = [demand(part) for part in parts]
            named = {one[0] for one in either if one}
            if None in either or len(named) != 1:
                return None
            return named.pop(), frozenset(value for one in either if one for value in one[1])
    return None


def _first(seen: view.View, field: str) -> str:
    found = seen.values(field)
    return view.text(found[0])[:LONGEST] if found and not isinstance(found[0], Mapping) else ""


def _identity(rule: rules.LogMetric) -> rules.LogMetric:
    return dataclasses.replace(rule, place=rules.Place(), help="")
