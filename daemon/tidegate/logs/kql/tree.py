"""The shape of a parsed query. Field names are full names (`log.level`), patterns keep their `*` as `WILD`.

Conditions remember where they were written (`at`, an offset into the text), which does not count when trees are compared.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

Comparison = Literal["<", "<=", ">", ">="]
_SPECIAL = frozenset('\\():<>"*{}')
_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_WORDS = frozenset({"and", "or", "not"})

WILD = "\ue000"
"""Stands for `*` inside a pattern: a private-use character, which the lexer refuses as such."""


def _at() -> int:
    """A field for the position."""
    position: int = dataclasses.field(default=-1, compare=False, repr=False)
    return position


@dataclasses.dataclass(frozen=True, slots=True)
class Everything:
    """Matches every line."""


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """A field holds a value. Without a field: any of the searched ones does."""

    field: str | None
    """A full name, or with `WILD` a pattern of names."""
    value: str
    """Literal text, or with `wildcard` a pattern in which `WILD` stands for any characters."""
    phrase: bool = False
    """Written in quotes: words in this order, side by side."""
    wildcard: bool = False
    at: int = _at()


@dataclasses.dataclass(frozen=True, slots=True)
class Exists:
    """A field is there."""

    field: str
    """A full name, or with `WILD` a pattern of names."""
    at: int = _at()


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """A field's value lies on one side of a bound."""

    field: str
    op: Comparison
    bound: str
    at: int = _at()


@dataclasses.dataclass(frozen=True, slots=True)
class Nested:
    """One object of a field's list meets all of a condition, whose fields have names below it."""

    path: str
    inner: Node
    """With full names: `items.price`."""
    at: int = _at()


@dataclasses.dataclass(frozen=True, slots=True)
class Not:
    """The other way round."""

    inner: Node


@dataclasses.dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    parts: tuple[Node, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    parts: tuple[Node, ...]


Node: TypeAlias = Everything | Match | Exists | Range | Nested | Not | And | Or


def text(node: Node, path: str = "") -> str:  # noqa: PLR0911 - one return a kind
    """A query that parses to this tree again. `path` is that of the nested condition around it, with a dot."""
    match node:
        case Everything():
            return "*"
        case Match(None, value, phrase, wildcard):
            return _value(value, phrase=phrase, wildcard=wildcard)
        case Match(field, value, phrase, wildcard):
            return f"{_name(str(field), path)}:{_value(value, phrase=phrase, wildcard=wildcard)}"
        case Exists(field):
            return f"{_name(field, path)}:*"
        case Range(field, op, bound):
            return f"{_name(field, path)} {op} {_value(bound, phrase=True, wildcard=False)}"
        case Nested(below, inner):
            return f"{_name(below, path)}:{{ {text(inner, below + '.')} }}"
        case Not(inner):
            return f"not ({text(inner, path)})"
        case And(parts):
            return "(" + " and ".join(text(part, path) for part in parts) + ")"
        case Or(parts):
            return "(" + " or ".join(text(part, path) for part in parts) + ")"


def _name(field: str, path: str) -> str:
    return pattern(field.removeprefix(path))


def _value(value: str, *, phrase: bool, wildcard: bool) -> str:
    if phrase:
        return quoted(value)
    return pattern(value) if wildcard else _escape(value)


def quoted(value: str) -> str:
    """A phrase."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def pattern(value: str) -> str:
    """A value or a name without quotes, with its wildcards."""
    return "*".join(_escape(part) for part in value.split(WILD)) if WILD in value else _escape(value)


def _escape(value: str) -> str:
    if value.lower() in _WORDS:
        return "\\" + value
    return "".join(map(_escaped, value))


def _escaped(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    return "\\" + char if char in _SPECIAL or char.isspace() else char
