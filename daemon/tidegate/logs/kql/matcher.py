"""Runs a query over ECS documents in the stream, with the meaning it has in an index.

Text fields match by words (`words`), keyword fields as a whole and by case, numbers by value. An array matches when any of
its elements does; a missing field never matches, so `not` of it does. A query is compiled once into closures.
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import re2

from tidegate.logs import fields
from tidegate.logs.kql import dates, tree, words
from tidegate.model import problems

Matches: TypeAlias = Callable[[Mapping[str, Any]], bool]
Now: TypeAlias = Callable[[], float]
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compile(node: tree.Node, now: Now = time.time) -> Matches:  # noqa: A001, PLR0911 - the word for it; one return a kind
    """A function of a document. Raises `QueryError` for a form that has no meaning here."""
    match node:
        case tree.Everything():
            return lambda _: True
        case tree.Not(inner):
            below = compile(inner, now)
            return lambda document: not below(document)
        case tree.And(parts):
            every = [compile(part, now) for part in parts]
            return lambda document: all(part(document) for part in every)
        case tree.Or(parts):
            either = [compile(part, now) for part in parts]
            return lambda document: any(part(document) for part in either)
        case tree.Exists(there):
            return lambda document: any(value is not None for value in values(document, there))
        case tree.Range():
            return _range(node, now)
        case tree.Match(None):
            searched = [_match(node, field) for field in fields.SEARCHED]
            return lambda document: any(part(document) for part in searched)
        case tree.Match(field):
            return _match(node, str(field))


def values(document: Mapping[str, Any], field: str) -> list[Any]:
    """Every value of a field, whether written with dots or nested; empty when it is missing."""
    if field in document:
        return _flat(document[field])
    found: list[Any] = []
    at = field.find(".")
    while at >= 0:
        below = document.get(field[:at])
        for one in below if isinstance(below, list) else [below]:
            if isinstance(one, Mapping):
                found += values(one, field[at + 1 :])
        at = field.find(".", at + 1)
    return found


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [inner for one in value for inner in _flat(one)]
    return [value]


def _match(node: tree.Match, field: str) -> Matches:
    test = _text(node) if fields.kind(field) == "text" else _whole(node)
    return lambda document: any(test(value) for value in values(document, field) if value is not None)


def _text(node: tree.Match) -> Callable[[Any], bool]:
    """A test of a text field's value."""
    if node.wildcard:
        pattern = _pattern(pattern_of_words(node))
        return lambda value: any(pattern.fullmatch(word) for word in words.words(str(value)))
    wanted = words.words(node.value)
    if not wanted:
        return lambda _: False
    if node.phrase:
        return lambda value: _contains(words.words(str(value)), wanted)
    some = frozenset(wanted)
    return lambda value: not some.isdisjoint(words.words(str(value)))


def pattern_of_words(node: tree.Match) -> str:
    """The pattern for single words of a text field. Raises `QueryError` when it spans several."""
    if any(char.isspace() for char in node.value):
        raise problems.QueryError("a wildcard in a text field stands for part of one word; use `and` for several")
    return node.value.lower()


def _whole(node: tree.Match) -> Callable[[Any], bool]:
    """A test of a keyword, number or boolean."""
    if node.wildcard:
        pattern = _pattern(node.value)
        return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None
    wanted, number = node.value, _number(node.value)

    def test(value: Any) -> bool:
        if isinstance(value, bool):
            return wanted == ("true" if value else "false")
        if isinstance(value, int | float):
            return number is not None and value == number
        return bool(value == wanted)

    return test


def _range(node: tree.Range, now: Now) -> Matches:
    compare = _OPERATORS[node.op]
    number = _number(node.bound)
    date = fields.kind(node.field) == "date"
    if date and dates.seconds(node.bound, 0.0) is None:
        raise problems.QueryError(f"{node.bound!r} is no date such as 2024-05-01T10:00:00Z or now-1h")

    def test(value: Any) -> bool:
        if date:
            at, bound = dates.seconds(str(value), 0.0), dates.seconds(node.bound, now())
            return at is not None and compare(at, bound)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return number is not None and compare(value, number)
        return isinstance(value, str) and compare(value, node.bound)

    return lambda document: any(test(value) for value in values(document, node.field) if value is not None)


def _contains(text: Sequence[str], wanted: Sequence[str]) -> bool:
    size = len(wanted)
    return any(text[at : at + size] == wanted for at in range(len(text) - size + 1))


def _pattern(value: str) -> Any:
    return re2.compile("(?s)" + ".*".join(re.escape(part) for part in value.split(tree.WILD)))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
