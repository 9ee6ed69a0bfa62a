"""What conditions of a query can mean, whatever was typed: both back ends, and what narrows a search, know only these.

Nothing here looks at a query or a document; `interpret` makes them of a query's tree.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import TypeAlias

from tidegate.logs.kql import dates, tree


@dataclasses.dataclass(frozen=True, slots=True)
class Constant:
    """Every line, or none."""

    value: bool


@dataclasses.dataclass(frozen=True, slots=True)
class There:
    """A field is there."""

    field: str


@dataclasses.dataclass(frozen=True, slots=True)
class AnyWord:
    """A text holds one of these words."""

    field: str
    words: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Phrase:
    """A text holds these words in this order, side by side. `text` is how they were written."""

    field: str
    words: tuple[str, ...]
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class WordLike:
    """A text holds a word of this pattern (lower case, `tree.WILD`)."""

    field: str
    pattern: str


@dataclasses.dataclass(frozen=True, slots=True)
class Is:
    """A keyword, label or unknown field is this, as a whole."""

    field: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class Like:
    """A keyword, label or unknown field as a whole has this pattern (`tree.WILD`)."""

    field: str
    pattern: str


@dataclasses.dataclass(frozen=True, slots=True)
class Flag:
    """A boolean field is this."""

    field: str
    value: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """A number field compares with this number."""

    field: str
    op: tree.Comparison | None
    """None is equality."""
    value: int | float
    whole: bool
    """The field holds whole numbers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Date:
    """A date field compares with this date."""

    field: str
    op: tree.Comparison | None
    """None: it lies within."""
    moment: dates.Moment
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """A keyword comes before or after this text, character by character; an unknown field's number compares as one."""

    field: str
    op: tree.Comparison
    bound: str


@dataclasses.dataclass(frozen=True, slots=True)
class Nested:
    """One object of a field meets the condition, whose names are full ones."""

    path: str
    inner: Node


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


Node: TypeAlias = (
    Constant | There | AnyWord | Phrase | WordLike | Is | Like | Flag | Number | Date | Order | Nested | Not | And | Or
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?\Z")


def number(text: str) -> int | float | None:
    """A number as written in a query; None when the text is none."""
    if not _NUMBER.match(text):
        return None
    value = float(text)
    if not math.isfinite(value):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else value
