"""The shape of a parsed query. Field names are full names (`log.level`), patterns keep their `*`."""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

Comparison = Literal["<", "<=", ">", ">="]
_SPECIAL = frozenset('\\():<>"*{} \t\n')
_WORDS = frozenset({"and", "or", "not"})


@dataclasses.dataclass(frozen=True, slots=True)
class Everything:
    """Matches every line."""


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """A field holds a value. Without a field: any of the searched ones does."""

    field: str | None
    value: str
    """Literal text, or with `wildcard` a pattern in which `WILD` stands for any characters."""
    phrase: bool = False
    """Written in quotes: words in this order, side by side."""
    wildcard: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Exists:
    """A field is there."""

    field: str


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """A field's value lies on one side of a bound."""

    field: str
    op: Comparison
    bound: str


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


Node: TypeAlias = Everything | Match | Exists | Range | Not | And | Or

WILD = "\x00"
"""Stands for `*` inside a pattern: a character that no line may hold where it matters."""


def text(node: Node) -> str:  # noqa: PLR0911 - one return a kind
    """A query that parses to this tree again."""
    match node:
        case Everything():
            return "*"
        case Match(None, value, phrase, wildcard):
            return _value(value, phrase=phrase, wildcard=wildcard)
        case Match(field, value, phrase, wildcard):
            return f"{_escape(str(field))}:{_value(value, phrase=phrase, wildcard=wildcard)}"
        case Exists(field):
            return f"{_escape(field)}:*"
        case Range(field, op, bound):
            return f"{_escape(field)} {op} {_value(bound, phrase=True, wildcard=False)}"
        case Not(inner):
            return f"not ({text(inner)})"
        case And(parts):
            return "(" + " and ".join(text(part) for part in parts) + ")"
        case Or(parts):
            return "(" + " or ".join(text(part) for part in parts) + ")"


def _value(value: str, *, phrase: bool, wildcard: bool) -> str:
    if phrase:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if wildcard:
        return "*".join(_escape(part) for part in value.split(WILD))
    return _escape(value)


def _escape(value: str) -> str:
    if value.lower() in _WORDS:
        return "\\" + value
    return "".join("\\" + char if char in _SPECIAL else char for char in value)
