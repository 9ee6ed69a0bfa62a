"""What log metrics count: which lines, under which labels, up to how many series.

Most lines match no metric, so a line is parsed only when its bytes leave a metric over that may match (`prefilter`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

from tidegate.logs import kql
from tidegate.logs.count import prefilter
from tidegate.logs.ecs import fields
from tidegate.logs.kql import interpret, matcher, meaning, view
from tidegate.model import labels as labels_
from tidegate.model import ports, rules

OVERFLOW = (("overflow", "true"),)
LONGEST = 1024
"""Characters of a label's value; the index keeps no longer keywords either."""


@dataclasses.dataclass(slots=True)
class Counter:
    """One metric, compiled."""

    rule: rules.LogMetric
    matches: matcher.Test
    node: meaning.Node
    fields: tuple[tuple[str, str], ...]
    """Labels, and the fields that they come from."""
    counts: dict[tuple[str, ...], float] = dataclasses.field(default_factory=dict)
    overflow: float = 0.0

    @classmethod
    def of(cls, rule: rules.LogMetric, now: matcher.Now) -> Counter:
        """From a rule. Raises `QueryError`."""
        node = interpret.of(kql.parse(rule.query))
        named = tuple((label, fields.resolve(field)) for label, field in rule.by)
        made = cls(rule, matcher.test(node, now), node, named)
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
        self._prefilter = prefilter.Prefilter([one.node for one in self.counters])

    def count(self, seen: view.View) -> list[Counter]:
        """Count one line; the metrics that went over their limit with it."""
        return [one for one in self.counters if one.matches(seen) and one.count(seen)]

    def count_lines(self, lines: ports.LogLines) -> list[Counter]:
        """Count some lines, parsing only those that a metric may match; the metrics that went over their limit."""
        over: list[Counter] = []
        candidates, counters = self._prefilter.candidates, self.counters
        for number, body in enumerate(lines.bodies):
            if some := candidates(body):
                seen = view.View(lines.document(number))
                for each in some:
                    one = counters[each]
                    if one.matches(seen) and one.count(seen):
                        over.append(one)
        return over


def _first(seen: view.View, field: str) -> str:
    found = seen.values(field)
    return view.text(found[0])[:LONGEST] if found and not isinstance(found[0], Mapping) else ""


def _identity(rule: rules.LogMetric) -> rules.LogMetric:
    return dataclasses.replace(rule, place=rules.Place(), help="")
