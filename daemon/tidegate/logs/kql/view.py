"""A document as conditions look at it: each field is looked up, lowered and cut into words once, however many ask."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from tidegate.logs.ecs import fields
from tidegate.logs.kql import words


def values(document: Mapping[str, Any], field: str) -> list[Any]:
    """Every value of a field, whether written with dots or nested, from every element of a list; null is none."""
    found: list[Any] = []
    _collect(document, field, found)
    return found


def text(value: Any) -> str:
    """A value as the text that an index keeps of it."""
    if isinstance(value, str):
        return value
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def units(value: str) -> int:
    """Its length as Java counts it: characters beyond the first 65,536 are two."""
    return len(value) if value.isascii() else len(value.encode("utf-16-le", "surrogatepass")) // 2


def kept(value: Any, longest: int | None) -> bool:
    """Whether an index searches a keyword: longer ones are only stored."""
    return longest is None or not isinstance(value, str) or 2 * len(value) <= longest or units(value) <= longest


def leaves(value: Any) -> list[Any]:
    """What stands at the ends of nested objects."""
    if isinstance(value, Mapping):
        return [leaf for below in value.values() for leaf in leaves(below)]
    if isinstance(value, list):
        return [leaf for below in value for leaf in leaves(below)]
    return [] if value is None else [value]


def named(value: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """The same with their full names."""
    for key, below in value.items():
        if isinstance(below, Mapping):
            yield from named(below, f"{name}.{key}")
        else:
            yield from ((f"{name}.{key}", leaf) for leaf in leaves(below))


class View:
    """One document. Not to be kept longer than the document."""

    __slots__ = ("_document", "_texts", "_values", "_words")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._values: dict[str, list[Any]] = {}
        self._texts: dict[str, list[str]] = {}
        self._words: dict[str, list[list[str] | None]] = {}

    def values(self, field: str) -> list[Any]:
        """The values of a field."""
        found = self._values.get(field)
        if found is None:
            found = self._values[field] = values(self._document, fields.source(field))
        return found

    def texts(self, field: str) -> list[str]:
        """The values of a text field, in lower case."""
        found = self._texts.get(field)
        if found is None:
            there = (text(value) for value in self.values(field) if not isinstance(value, Mapping))
            found = self._texts[field] = [words.lower(one) for one in there]
            self._words[field] = [None] * len(found)
        return found

    def words(self, field: str, number: int) -> list[str]:
        """The words of one of `texts`."""
        found = self._words[field][number]
        if found is None:
            found = self._words[field][number] = words.of_lower(self._texts[field][number])
        return found


Test: TypeAlias = Callable[[View], bool]
"""One condition, or several, of one document."""


def _collect(node: Mapping[str, Any], field: str, found: list[Any]) -> None:
    value = node.get(field)
    if type(value) is str:
        found.append(value)
    elif value is not None:
        _flatten(value, found)
    for head, rest in _steps(field):
        below = node.get(head)
        if below is None:
            continue
        if isinstance(below, dict):
            _collect(below, rest, found)
        elif isinstance(below, list):
            for one in below:
                if isinstance(one, dict):
                    _collect(one, rest, found)


@functools.lru_cache(maxsize=4096)
def _steps(field: str) -> tuple[tuple[str, str], ...]:
    """Every way to split a name at one of its dots."""
    return tuple((field[:at], field[at + 1 :]) for at, char in enumerate(field) if char == ".")


def _flatten(value: Any, found: list[Any]) -> None:
    if isinstance(value, list):
        for one in value:
            _flatten(one, found)
    elif value is not None:
        found.append(value)
