"""Runs a query over ECS documents in the stream, with the meaning it has in an index.

A query is compiled once into closures over a `view.View`. An array matches when any of its elements does; a missing field
never matches, so `not` of it does. Texts are searched for a word's characters before they are cut into words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tidegate.logs.ecs import fields
from tidegate.logs.kql import dates, interpret, meaning, texts, tree, view, wholes

Matches: TypeAlias = Callable[[Mapping[str, Any]], bool]
Test: TypeAlias = view.Test
Now: TypeAlias = wholes.Now
values = view.values


def compile(node: tree.Node, now: Now = time.time) -> Matches:  # noqa: A001 - the word for it
    """A function of a document. Raises `QueryError` for a condition that has no meaning, with the position."""
    return runs(test(interpret.of(node), now))


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
            return texts.any_word(node)
        case meaning.Phrase():
            return texts.phrase(node)
        case meaning.WordLike():
            return texts.word_like(node)
        case meaning.Is():
            return wholes.is_(node)
        case meaning.Like():
            return wholes.like(node)
        case meaning.Flag(field, wanted):
            return lambda one: any(wholes.boolean(value) is wanted for value in one.values(field))
        case meaning.Number():
            return wholes.number(node)
        case meaning.Date():
            return wholes.date(node, now)
        case meaning.Order():
            return wholes.order(node)


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
        return lambda one: any(wholes.numeric(value) is not None for value in one.values(field))
    if kind == "date":
        return lambda one: any(dates.milliseconds(value) is not None for value in one.values(field))
    return lambda one: any(not isinstance(value, Mapping) for value in one.values(field))


def _some_leaf(field: str) -> Test:
    """A name is there when anything below it is; not below a single label, which is a value as a whole."""
    whole = fields.kind(field) == "label" and field not in fields.FLATTENED

    def run(one: view.View) -> bool:
        for value in one.values(field):
            if not isinstance(value, Mapping):
                if view.kept(value, fields.longest(field)):
                    return True
            elif not whole and any(_found(name, leaf) for name, leaf in view.named(value, field)):
                return True
        return False

    return run


def _found(name: str, leaf: Any) -> bool:
    return f"{name}.text" in fields.KNOWN or view.kept(leaf, fields.longest(name))
