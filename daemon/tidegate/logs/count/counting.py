"""What log metrics count: which lines, under which labels, up to how many series.

Most lines match no metric, so a line is parsed only when its bytes leave a metric over that may match (`prefilter`).
"""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from tidegate.logs import kql
from tidegate.logs.count import prefilter, tallies
from tidegate.logs.ecs import fields
from tidegate.logs.kql import interpret, matcher, meaning, view
from tidegate.model import labels as labels_
from tidegate.model import ports, rules

OVERFLOW = (("overflow", "true"),)
_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
Reason: TypeAlias = Literal["", "overflow", "unusable"]
"""Nothing, that a line went over the limit, or that it has no value that the function can use."""
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
    make: Callable[[], tallies.Tally]
    now: matcher.Now
    kept: dict[tuple[str, ...], tallies.Tally] = dataclasses.field(default_factory=dict)
    overflow: tallies.Tally | None = None

    @classmethod
    def of(cls, rule: rules.LogMetric, now: matcher.Now) -> Counter:
        """From a rule. Raises `QueryError`."""
        node = interpret.of(kql.parse(rule.query))
        named = tuple((label, fields.resolve(field)) for label, field in rule.by)
        made = cls(rule, matcher.test(node, now), node, named, tallies.maker(rule), now)
        if not rule.by:
            made.kept[()] = made.make()
        return made

    def count(self, seen: view.View) -> Reason:
        """Count a line that matches; what is to be said of it."""
        values = self._values(seen) if self.rule.field else ()
        if self.rule.field and not values:
            return "unusable"
        key = tuple(_first(seen, field) for _, field in self.fields)
        tally = self.kept.get(key)
        if tally is None and len(self.kept) >= self.rule.series_limit:
            self.overflow = self.overflow or self.make()
            self.overflow.add(values, self.now())
            return "overflow"
        if tally is None:
            tally = self.kept[key] = self.make()
        tally.add(values, self.now() if self.rule.field else 0.0)
        return ""

    def series(self) -> Iterator[tuple[labels_.Labels, float]]:
        """Each series, its name among its labels, and its value."""
        now = self.now()
        for key, tally in self.kept.items():
            named = {name: value for (name, _), value in zip(self.fields, key, strict=True)}
            yield from self._named(tally, labels_.merge(self.rule.labels, named), now)
        if self.overflow is not None:
            yield from self._named(self.overflow, labels_.merge(self.rule.labels, OVERFLOW), now)

    def _named(self, tally: tallies.Tally, of: labels_.Labels, now: float) -> Iterator[tuple[labels_.Labels, float]]:
        for ending, more, value in tally.samples(now):
            yield labels_.merge(of, {labels_.NAME: self.rule.name + ending, **dict(more)}), value

    def _values(self, seen: view.View) -> Sequence[Any]:
        """The values of the field that the function can use."""
        found = seen.values(fields.resolve(self.rule.field))
        if self.rule.function == "distinct":
            return [view.text(value)[:LONGEST] for value in found if not isinstance(value, Mapping)]
        numbers = (_number(value) for value in found)
        return [number for number in numbers if number is not None]


class Book:
    """All metrics of a configuration, ready to count."""

    def __init__(
        self, wanted: Sequence[rules.LogMetric], before: Sequence[Counter] = (), now: matcher.Now = time.time
    ) -> None:
        """Metrics that `before` has already go on counting. Raises `QueryError`."""
        kept = {_identity(one.rule): one for one in before}
        self.counters = tuple(kept.get(_identity(rule)) or Counter.of(rule, now) for rule in wanted)
        self._prefilter = prefilter.Prefilter([one.node for one in self.counters])

    def count(self, seen: view.View) -> list[tuple[Counter, Reason]]:
        """Count one line; what is to be said of it, by metric."""
        counted = ((one, one.count(seen)) for one in self.counters if one.matches(seen))
        return [(one, reason) for one, reason in counted if reason]

    def count_lines(self, lines: ports.LogLines) -> list[tuple[Counter, Reason]]:
        """Count some lines, parsing only those that a metric may match; what is to be said of them, by metric."""
        told: list[tuple[Counter, Reason]] = []
        candidates, counters = self._prefilter.candidates, self.counters
        for number, body in enumerate(lines.bodies):
            if some := candidates(body):
                seen = view.View(lines.document(number))
                for each in some:
                    one = counters[each]
                    if one.matches(seen) and (reason := one.count(seen)):
                        told.append((one, reason))
        return told


def _first(seen: view.View, field: str) -> str:
    found = seen.values(field)
    return view.text(found[0])[:LONGEST] if found and not isinstance(found[0], Mapping) else ""


def _number(value: Any) -> float | None:
    """A finite number, also one that is written as a text, as labels are."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _identity(rule: rules.LogMetric) -> rules.LogMetric:
    return dataclasses.replace(rule, place=rules.Place(), help="")
