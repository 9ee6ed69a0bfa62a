"""Tests of values as a whole: keywords, labels, numbers, dates, booleans, and which comes before which."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from tidegate.logs.ecs import fields
from tidegate.logs.kql import dates, meaning, texts, view

Now: TypeAlias = Callable[[], float]
_OPERATORS: Final[Mapping[str | None, Callable[[Any, Any], bool]]] = {
    None: operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def is_(node: meaning.Is) -> view.Test:
    """Whether a value is this one."""
    field, wanted = node.field, node.value
    number = meaning.number(wanted) if fields.kind(field) == "unknown" else None
    nested = field in fields.FLATTENED

    def run(one: view.View) -> bool:
        for value in one.values(field):
            if value == wanted:
                return True
            if isinstance(value, str):
                continue
            if isinstance(value, Mapping):
                if nested and any(view.text(leaf) == wanted for leaf in view.leaves(value)):
                    return True
            elif _number_is(value, number) or view.text(value) == wanted:
                return True
        return False

    return run


def _number_is(value: Any, number: float | None) -> bool:
    return number is not None and not isinstance(value, bool) and bool(value == number)


def like(node: meaning.Like) -> view.Test:
    """Whether a value has a pattern."""
    field, pattern, longest = node.field, texts.glob(node.pattern), fields.longest(node.field)

    def run(one: view.View) -> bool:
        for value in one.values(field):
            found = view.leaves(value) if field in fields.FLATTENED else () if isinstance(value, Mapping) else (value,)
            if any(view.kept(leaf, longest) and pattern(view.text(leaf)) for leaf in found):
                return True
        return False

    return run


def boolean(value: Any) -> bool | None:
    """A document's boolean, also when it is written as text; None for what is none."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False, "": False}.get(value) if isinstance(value, str) else None


def number(node: meaning.Number) -> view.Test:
    """Whether a number compares as asked."""
    field, compare, wanted, whole = node.field, _OPERATORS[node.op], node.value, node.whole

    def run(one: view.View) -> bool:
        for value in one.values(field):
            number = numeric(value)
            if number is not None and compare(int(number) if whole else number, wanted):
                return True
        return False

    return run


def numeric(value: Any) -> int | float | None:
    """A document's number, also when it is written as text, as Elasticsearch takes it."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    return meaning.number(value) if isinstance(value, str) else None


def date(node: meaning.Date, now: Now) -> view.Test:
    """Whether a date lies where it is asked for."""
    field, moment, op = node.field, node.moment, node.op

    def within(at: int, of: float) -> bool:
        if op is None:
            return moment.first(of) <= at <= moment.last(of)
        return _OPERATORS[op](at, moment.last(of) if op in (">", "<=") else moment.first(of))

    def run(one: view.View) -> bool:
        for value in one.values(field):
            at = dates.milliseconds(value)
            if at is not None and within(at, now()):
                return True
        return False

    return run


def order(node: meaning.Order) -> view.Test:
    """Whether a value comes before or after another."""
    field, compare, bound = node.field, _OPERATORS[node.op], node.bound
    longest, nested = fields.longest(field), field in fields.FLATTENED
    number = meaning.number(bound) if fields.kind(field) == "unknown" else None

    def run(one: view.View) -> bool:
        for value in one.values(field):
            if number is not None and isinstance(value, int | float) and not isinstance(value, bool):
                if compare(value, number):
                    return True
                continue
            found = view.leaves(value) if nested else () if isinstance(value, Mapping) else (value,)
            if any(view.kept(leaf, longest) and compare(view.text(leaf), bound) for leaf in found):
                return True
        return False

    return run
