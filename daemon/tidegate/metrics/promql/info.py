"""`info(x, {matchers})`: adds labels of info series such as `target_info` to the series of the same instance and job.

Experimental in Prometheus (promql/info.go), whose rules these are: the newest of several info series counts, labels that a
series has already stay, and a series is left out when a matcher asks for a label that no info series gave it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tidegate.kit import matchers as matchers_
from tidegate.metrics import columns
from tidegate.metrics.promql import durations, tree
from tidegate.metrics.promql.selectors import At, InstantSelector, When
from tidegate.metrics.promql.values import METADATA, Context, Vec, VectorNode, fail, merge
from tidegate.model import alerts
from tidegate.model import labels as labels_

TARGET_INFO = "target_info"
IDENTIFYING = ("instance", "job")
Chosen = dict[tuple[str, str, str], int]
"""Row of the info series by its name, instance and job."""


class Info(VectorNode):
    """The function."""

    def __init__(self, operand: VectorNode, matchers: Sequence[alerts.Matcher], when: When) -> None:
        self.operand = operand
        names = _names([one for one in matchers if one.name == labels_.NAME])
        data = [one for one in matchers if one.name != labels_.NAME]
        self.selector = InstantSelector((*names, *data), when)
        self.children = (operand, self.selector)
        self._is_info = matchers_.Conditions(names, newlines=True)
        self._wanted = {one.name for one in data}
        self._optional = all(matchers_.condition(one, newlines=True)("") for one in data)

    def vector(self, ctx: Context) -> Vec:
        vec, infos = self.operand.vector(ctx), self.selector.stamps(ctx)
        base, others = ctx.texts.labels(vec.labels), ctx.texts.labels(infos.labels)
        present, there = vec.mask(), infos.mask()
        made: dict[tuple[int, labels_.Labels], int] = {}
        shown: dict[tuple[int, ...], list[int]] = {}
        cells: list[tuple[int, list[int]]] = []
        for step in range(ctx.steps):
            chosen = _newest(others, infos.values[step], np.flatnonzero(there[step]).tolist())
            pattern = (*sorted(chosen.values()), -1, *np.flatnonzero(present[step]).tolist())
            if pattern not in shown:
                rows = np.flatnonzero(present[step]).tolist()
                shown[pattern] = [made.setdefault(key, len(made)) for key in self._enriched(base, rows, others, chosen)]
            cells.append((step, shown[pattern]))
        return _assembled(ctx, vec, list(made), cells)

    def _enriched(
        self, base: Sequence[labels_.Labels], rows: list[int], others: Sequence[labels_.Labels], chosen: Chosen
    ) -> Iterator[tuple[int, labels_.Labels]]:
        """(row, labels) of what is left of the series that are there."""
        names = sorted({name for name, _, _ in chosen})
        for row in rows:
            own = dict(base[row])
            if self._is_info.matches(base[row]):
                yield row, base[row]
                continue
            places = (own.get("instance", ""), own.get("job", ""))
            found = [others[chosen[name, *places]] for name in names if (name, *places) in chosen and any(places)]
            if found or self._optional:
                yield row, labels_.make({**self._added(own, found), **own})

    def _added(self, own: dict[str, str], found: list[labels_.Labels]) -> dict[str, str]:
        added: dict[str, str] = {}
        for name, value in (pair for of in found for pair in of):
            if name in METADATA or (self._wanted and name not in self._wanted):
                continue
            if added.get(name, value) != value:
                raise fail(f"conflicting label: {name}")
            if name not in own:
                added[name] = value
        return added


def _names(given: Sequence[alerts.Matcher]) -> tuple[alerts.Matcher, ...]:
    """Conditions on the info metrics' names."""
    if any(one.op in ("=", "=~") for one in given):
        return tuple(given)
    if given:
        return (alerts.Matcher(labels_.NAME, "=~", ".+_info"), *given)
    return (alerts.Matcher(labels_.NAME, "=", TARGET_INFO),)


def _newest(
    others: Sequence[labels_.Labels], stamps: np.ndarray[tuple[int], np.dtype[np.float64]], rows: list[int]
) -> Chosen:
    """Of info series with the same name, instance and job the one with the newest sample."""
    chosen: Chosen = {}
    for row in rows:
        own = dict(others[row])
        key = (own.get(labels_.NAME, ""), own.get("instance", ""), own.get("job", ""))
        other = chosen.setdefault(key, row)
        if other == row:
            continue
        if stamps[other] == stamps[row]:
            at = round(float(stamps[row]) * 1000)
            pair = f"existing {labels_.text(others[other])} @ {at}, new {labels_.text(others[row])} @ {at}"
            raise fail(f"found duplicate series for info metric: {pair}")
        if stamps[other] < stamps[row]:
            chosen[key] = row
    return chosen


def _assembled(
    ctx: Context, vec: Vec, made: list[tuple[int, labels_.Labels]], cells: list[tuple[int, list[int]]]
) -> Vec:
    if not made:
        return ctx.nothing()
    rows = np.array([row for row, _ in made])
    present = np.zeros((ctx.steps, len(made)), np.bool_)
    for step, shown in cells:
        present[step, shown] = True
    frame = columns.frame(ctx.reader.pool, [of for _, of in made])
    return merge(Vec(frame, vec.values[:, rows], present, None if vec.drop is None else vec.drop[rows]))


# --- when the info series are looked at --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class _Reference:
    at: At
    offset: int

    def same(self, other: _Reference) -> bool:
        if isinstance(self.at, int) and isinstance(other.at, int):
            return self.at - self.offset == other.at - other.offset
        return self == other


def reference(expr: tree.Expr) -> When:
    """When the series of an expression are looked at, if that is one and the same for all; else at the step's time."""
    found = list(_references(expr, ()))
    first = next((one for one in found if one is not None), None)
    if first is None or any(one is None or not first.same(one) for one in found):
        return When()
    return When(first.offset, first.at)


def _references(expr: tree.Expr, outer: tuple[tree.When, ...]) -> Iterator[_Reference | None]:
    """One for each selector; None for a vector that reads no series."""
    match expr:
        case tree.VectorSelector():
            yield _shifted((expr.when, *reversed(outer)))
        case tree.MatrixSelector():
            yield _shifted((expr.selector.when, *reversed(outer)))
        case tree.Subquery():
            yield from _references(expr.expr, (*outer, expr.when))
        case tree.Call(name="info"):
            yield from _references(expr.args[0], outer)
        case _:
            below = [found for child in _vectors(expr) for found in _references(child, outer)]
            yield from below or [None]


def _vectors(expr: tree.Expr) -> list[tree.Expr]:
    scalars = (tree.NumberLiteral, tree.StringLiteral)
    return [child for child in tree.children(expr) if not isinstance(tree.unwrapped(child), scalars)]


def _shifted(path: Sequence[tree.When]) -> _Reference:
    """A selector's time: offsets of the subqueries around it add up until an `@` fixes it."""
    at: At = None
    offset = 0
    for when in path:
        if at is not None:
            break
        offset += durations.milliseconds(when.offset)
        at = when.edge or when.timestamp
    return _Reference(at, offset)
