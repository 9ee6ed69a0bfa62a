"""What each condition of a query means for the kind of its field; the back ends only know these meanings.

Patterns of names become the fields they name, bare words the fields they are looked for in. A condition that could never
match, or that an index could not answer, is an error with its place: a rule that silently counts nothing is worse.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import TypeAlias

from tidegate.logs.ecs import fields
from tidegate.logs.kql import dates, tree, view, words
from tidegate.model import problems


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
_IN_WORD = re.compile(r"[\w.:',;’·]*\Z")
_LONG = 2**63


def of(node: tree.Node) -> Node:  # noqa: PLR0911 - one return a kind
    """The meaning of a tree. Raises `QueryError` with the position."""
    match node:
        case tree.Everything():
            return Constant(value=True)
        case tree.Nested():
            return _nested(node)
        case tree.Not(inner):
            return Not(of(inner))
        case tree.And(parts):
            return And(tuple(of(part) for part in parts))
        case tree.Or(parts):
            return Or(tuple(of(part) for part in parts))
        case tree.Exists(field):
            return _or([There(name) for name in _named(field, node.at)])
        case tree.Range():
            return _range(node)
        case tree.Match(field):
            return _anywhere(node) if field is None or tree.WILD in field else _match(node, field)


def _nested(node: tree.Nested) -> Node:
    kind = fields.kind(node.path)
    if kind not in ("unknown", "group"):
        raise problems.QueryError(f"`{node.path}` holds no list of objects", position=node.at)
    return Nested(node.path, of(node.inner))


def number(text: str) -> int | float | None:
    """A number as written in a query; None when the text is none."""
    if not _NUMBER.match(text):
        return None
    value = float(text)
    if not math.isfinite(value):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else value


def _anywhere(node: tree.Match) -> Node:
    """In several fields: those for which the value makes sense."""
    found: list[Node] = []
    reasons: list[problems.QueryError] = []
    for name in fields.SEARCHED if node.field is None else _named(node.field, node.at):
        try:
            found.append(_match(node, name))
        except problems.QueryError as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    return _or(found)


def _named(field: str, at: int) -> tuple[str, ...]:
    """The fields that a name or a pattern of names stands for."""
    if tree.WILD not in field:
        return (field,)
    pattern = field.replace(tree.WILD, "*")
    found = fields.like(pattern)
    if not found:
        raise problems.QueryError(f"no field that is known is named like `{pattern}`", position=at)
    return found


def _or(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def _match(node: tree.Match, field: str) -> Node:
    kind = fields.kind(field)
    if kind == "text":
        return _text(node, field)
    if kind == "group":
        some = ", ".join(fields.below(field)[:3])
        raise problems.QueryError(f"`{field}` is a group of fields, such as {some}", position=node.at)
    if (
        kind == "label"
        and node.wildcard
        and field != fields.LABELS
        and node.value.find(tree.WILD) < len(node.value) - 1
    ):
        # Elasticsearch's `wildcard` refuses single labels, and its `query_string` looks at all labels at once.
        raise problems.QueryError(f"in `{field}`, which is a label, a `*` can only stand at the end", position=node.at)
    if kind in ("keyword", "label", "unknown"):
        if (longest := fields.longest(field)) and view.units(node.value) > longest:
            raise problems.QueryError(f"values of `{field}` are searched up to {longest} characters", position=node.at)
        return Like(field, node.value) if node.wildcard else Is(field, node.value)
    if node.wildcard:
        raise problems.QueryError(f"`{field}` is a {_SPOKEN[kind]}: it takes no wildcard", position=node.at)
    return _exact(field, kind, node.value, node.at)


_SPOKEN = {"long": "number", "float": "number", "date": "date", "boolean": "boolean"}


def _exact(field: str, kind: fields.Kind, value: str, at: int) -> Node:
    """Equality for numbers, dates and booleans."""
    if kind == "boolean":
        if value not in ("true", "false"):
            raise problems.QueryError(f"`{field}` is true or false", position=at)
        return Flag(field, value == "true")
    return _date(field, None, value, at) if kind == "date" else _number(field, None, value, at, kind)


def _text(node: tree.Match, field: str) -> Node:
    if not node.wildcard:
        found = tuple(words.words(node.value))
        if not found:
            raise problems.QueryError("this holds no word, so it can match no text", position=node.at)
        return Phrase(field, found, node.value) if node.phrase and len(found) > 1 else AnyWord(field, found)
    plain = [word for word in node.value.split() if tree.WILD not in word]
    parts: list[Node] = [_word_like(word, field, node.at) for word in node.value.split() if tree.WILD in word]
    if found := tuple(words.words(" ".join(plain))):
        parts.append(AnyWord(field, found))
    return _or(parts)


def _word_like(pattern: str, field: str, at: int) -> Node:
    literal = pattern.replace(tree.WILD, "")
    if not literal:
        return There(field)
    if not _IN_WORD.match(literal):
        odd = next(char for char in literal if not _IN_WORD.match(char))
        raise problems.QueryError(
            f"text is cut into words at `{odd}`, and a wildcard stands for part of one word; join words with `and`",
            position=at,
        )
    return WordLike(field, words.lower(pattern))


def _range(node: tree.Range) -> Node:
    field, kind = node.field, fields.kind(node.field)
    if kind == "date":
        return _date(field, node.op, node.bound, node.at)
    if kind in ("long", "float"):
        return _number(field, node.op, node.bound, node.at, kind)
    if kind in ("text", "group", "boolean"):
        what = "text" if kind == "text" else "a group of fields" if kind == "group" else "true or false"
        raise problems.QueryError(f"`{field}` is {what}: it cannot be compared with `{node.op}`", position=node.at)
    if kind != "unknown" and number(node.bound) is not None:
        raise problems.QueryError(
            f"`{field}` is kept as text, in which 1000 comes before 5: numbers cannot be compared; use a wildcard",
            position=node.at,
        )
    return Order(field, node.op, node.bound)


def _number(field: str, op: tree.Comparison | None, text: str, at: int, kind: fields.Kind) -> Node:
    value = number(text)
    if value is None:
        raise problems.QueryError(f"`{field}` is a number, and `{text}` is none", position=at)
    if kind == "long" and abs(value) >= _LONG:
        raise problems.QueryError(f"`{text}` is too large for `{field}`", position=at)
    return Number(field, op, value, kind == "long")


def _date(field: str, op: tree.Comparison | None, text: str, at: int) -> Node:
    moment = dates.parse(text)
    if moment is None:
        raise problems.QueryError(
            f"`{text}` is no date such as 2024-05-01, 2024-05-01T10:00:00Z or now-1h", position=at
        )
    return Date(field, op, moment, text)
