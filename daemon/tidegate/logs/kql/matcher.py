"""Runs a query over ECS documents in the stream, with the meaning it has in an index.

A query is compiled once into closures over a `view.View`. An array matches when any of its elements does; a missing field
never matches, so `not` of it does. Texts are searched for a word's characters before they are cut into words.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tidegate.logs.ecs import fields
from tidegate.logs.kql import dates, meaning, tree, view

Matches: TypeAlias = Callable[[Mapping[str, Any]], bool]
Test: TypeAlias = Callable[[view.View], bool]
Now: TypeAlias = Callable[[], float]
_OPERATORS: Final[Mapping[str | None, Callable[[Any, Any], bool]]] = {
    None: operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
values = view.values


def compile(node: tree.Node, now: Now = time.time) -> Matches:  # noqa: A001 - the word for it
    """A function of a document. Raises `QueryError` for a condition that has no meaning, with the position."""
    return runs(test(meaning.of(node), now))


def runs(over: Test) -> Matches:
    """A test of views as a function of documents."""
    return lambda document: over(view.View(document))


def test(node: meaning.Node, now: Now) -> Test:  # noqa: C901, PLR0911, PLR0912 - one return a kind
    """A function of a view, which several tests of one document may share."""
    match node:
        case meaning.Constant(value):
            return lambda _: value
        case meaning.Not(inner):
            below = test(inner, now)
            return lambda one: not below(one)
        case meaning.Nested(path, inner):
            return _nested(path, test(inner, now))
        case meaning.And(parts):
            return _every([test(part, now) for part in sorted(parts, key=_cost)])
        case meaning.Or(parts):
            return _some([test(part, now) for part in sorted(parts, key=_cost)])
        case meaning.There():
            return _there(node.field)
        case meaning.AnyWord():
            return _any_word(node)
        case meaning.Phrase():
            return _phrase(node)
        case meaning.WordLike():
            return _word_like(node)
        case meaning.Is():
            return _is(node)
        case meaning.Like():
            return _like(node)
        case meaning.Flag(field, wanted):
            return lambda one: any(_boolean(value) is wanted for value in one.values(field))
        case meaning.Number():
            return _number(node)
        case meaning.Date():
            return _date(node, now)
        case meaning.Order():
            return _order(node)


def _cost(node: meaning.Node) -> int:
    """What is cheap to test comes first."""
    match node:
        case meaning.Not(inner):
            return _cost(inner)
        case meaning.And(parts) | meaning.Or(parts):
            return max(map(_cost, parts))
        case meaning.AnyWord() | meaning.Phrase() | meaning.WordLike() | meaning.Nested():
            return 2
    return 1


def _every(tests: Sequence[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda one: first(one) and second(one)

    def run(one: view.View) -> bool:
        for each in tests:  # noqa: SIM110 - a loop is twice as fast as `all` over a generator
            if not each(one):
                return False
        return True

    return run


def _some(tests: Sequence[Test]) -> Test:
    def run(one: view.View) -> bool:
        for each in tests:  # noqa: SIM110 - a loop is twice as fast as `any` over a generator
            if each(one):
                return True
        return False

    return run


def _nested(path: str, below: Test) -> Test:
    """Each object is looked at as a document of its own, under the same names."""
    return lambda one: any(below(view.View({path: value})) for value in one.values(path) if isinstance(value, Mapping))


def _there(field: str) -> Test:
    kind = fields.kind(field)
    if kind in ("label", "keyword", "unknown", "group"):
        return _some_leaf(field)
    if kind in ("long", "float"):
        return lambda one: any(_numeric(value) is not None for value in one.values(field))
    if kind == "date":
        return lambda one: any(dates.milliseconds(value) is not None for value in one.values(field))
    return lambda one: any(not isinstance(value, Mapping) for value in one.values(field))


def _some_leaf(field: str) -> Test:
    """A name is there when anything below it is; not below a single label, which is a value as a whole."""
    whole = field.startswith(f"{fields.LABELS}.")

    def run(one: view.View) -> bool:
        for value in one.values(field):
            if not isinstance(value, Mapping):
                if _kept(value, fields.longest(field)):
                    return True
            elif not whole and any(_found(name, leaf) for name, leaf in view.named(value, field)):
                return True
        return False

    return run


def _found(name: str, leaf: Any) -> bool:
    return f"{name}.text" in fields.KNOWN or _kept(leaf, fields.longest(name))


def _kept(value: Any, longest: int | None) -> bool:
    """Whether an index searches a keyword: longer ones are only stored."""
    return longest is None or not isinstance(value, str) or 2 * len(value) <= longest or view.units(value) <= longest


# --- text --------------------------------------------------------------------------------------------------------


def _any_word(node: meaning.AnyWord) -> Test:
    field, wanted = node.field, frozenset(node.words)
    only = node.words[0] if len(wanted) == 1 else None

    def single(one: view.View) -> bool:
        for number, text in enumerate(one.texts(field)):  # noqa: SIM110 - faster than `any` over a generator
            if only in text and only in one.words(field, number):  # type: ignore[operator]  # it is a word here
                return True
        return False

    def several(one: view.View) -> bool:
        for number, text in enumerate(one.texts(field)):
            if any(word in text for word in wanted) and not wanted.isdisjoint(one.words(field, number)):
                return True
        return False

    return several if only is None else single


def _phrase(node: meaning.Phrase) -> Test:
    field, wanted = node.field, list(node.words)
    rarest = max(wanted, key=len)

    def run(one: view.View) -> bool:
        for number, text in enumerate(one.texts(field)):
            if rarest in text and _contains(one.words(field, number), wanted):
                return True
        return False

    return run


def _contains(text: Sequence[str], wanted: Sequence[str]) -> bool:
    size, first = len(wanted), wanted[0]
    return any(word == first and text[at : at + size] == wanted for at, word in enumerate(text))


def _word_like(node: meaning.WordLike) -> Test:
    field, pattern = node.field, _glob(node.pattern)
    longest = max(node.pattern.split(tree.WILD), key=len)

    def run(one: view.View) -> bool:
        for number, text in enumerate(one.texts(field)):
            if longest in text and any(pattern(word) for word in one.words(field, number)):
                return True
        return False

    return run


# --- whole values ------------------------------------------------------------------------------------------------


def _is(node: meaning.Is) -> Test:
    field, wanted = node.field, node.value
    number = meaning.number(wanted) if fields.kind(field) == "unknown" else None
    nested = field == fields.LABELS

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


def _like(node: meaning.Like) -> Test:
    field, pattern, longest = node.field, _glob(node.pattern), fields.longest(node.field)

    def run(one: view.View) -> bool:
        for value in one.values(field):
            found = view.leaves(value) if field == fields.LABELS else () if isinstance(value, Mapping) else (value,)
            if any(_kept(leaf, longest) and pattern(view.text(leaf)) for leaf in found):
                return True
        return False

    return run


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False, "": False}.get(value) if isinstance(value, str) else None


def _number(node: meaning.Number) -> Test:
    field, compare, wanted, whole = node.field, _OPERATORS[node.op], node.value, node.whole

    def run(one: view.View) -> bool:
        for value in one.values(field):
            number = _numeric(value)
            if number is not None and compare(int(number) if whole else number, wanted):
                return True
        return False

    return run


def _numeric(value: Any) -> int | float | None:
    """A document's number, also when it is written as text, as Elasticsearch takes it."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    return meaning.number(value) if isinstance(value, str) else None


def _date(node: meaning.Date, now: Now) -> Test:
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


def _order(node: meaning.Order) -> Test:
    field, compare, bound = node.field, _OPERATORS[node.op], node.bound
    longest, nested = fields.longest(field), field == fields.LABELS
    number = meaning.number(bound) if fields.kind(field) == "unknown" else None

    def run(one: view.View) -> bool:
        for value in one.values(field):
            if number is not None and isinstance(value, int | float) and not isinstance(value, bool):
                if compare(value, number):
                    return True
                continue
            found = view.leaves(value) if nested else () if isinstance(value, Mapping) else (value,)
            if any(_kept(leaf, longest) and compare(view.text(leaf), bound) for leaf in found):
                return True
        return False

    return run


def _glob(pattern: str) -> Callable[[str], bool]:
    """Whether a whole text has a pattern: what stands between its wildcards comes in this order."""
    start, *middle, end = pattern.split(tree.WILD)
    least = len(start) + len(end)

    def run(text: str) -> bool:
        if len(text) < least or not text.startswith(start) or not text.endswith(end):
            return False
        at, last = len(start), len(text) - len(end)
        for part in middle:
            found = text.find(part, at, last)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return run
