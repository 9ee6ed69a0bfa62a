"""From a query's tree to what each condition means for the kind of its field.

Patterns of names become the fields they name, bare words the fields they are looked for in. A condition that could never
match, or that an index could not answer, is an error with its place: a rule that silently counts nothing is worse.
"""

from __future__ import annotations

import re

from tidegate.logs.ecs import fields
from tidegate.logs.kql import dates, meaning, tree, view, words
from tidegate.model import problems

_IN_WORD = re.compile(r"[\w.:',;’·]*\Z")
_LONG = 2**63
_SPOKEN = {"long": "number", "float": "number", "date": "date", "boolean": "boolean"}


def of(node: tree.Node) -> meaning.Node:  # noqa: PLR0911 - one return a kind
    """The meaning of a tree. Raises `QueryError` with the position."""
    match node:
        case tree.Everything():
            return meaning.Constant(value=True)
        case tree.Nested():
            return _nested(node)
        case tree.Not(inner):
            return meaning.Not(of(inner))
        case tree.And(parts):
            return meaning.And(tuple(of(part) for part in parts))
        case tree.Or(parts):
            return meaning.Or(tuple(of(part) for part in parts))
        case tree.Exists(field):
            return _or([meaning.There(name) for name in _named(field, node.at)])
        case tree.Range():
            return _range(node)
        case tree.Match(field):
            return _anywhere(node) if field is None or tree.WILD in field else _match(node, field)


def _nested(node: tree.Nested) -> meaning.Node:
    kind = fields.kind(node.path)
    if kind not in ("unknown", "group"):
        raise problems.QueryError(f"`{node.path}` holds no list of objects", position=node.at)
    return meaning.Nested(node.path, of(node.inner))


def _anywhere(node: tree.Match) -> meaning.Node:
    """In several fields: those for which the value makes sense."""
    found: list[meaning.Node] = []
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


def _or(parts: list[meaning.Node]) -> meaning.Node:
    return parts[0] if len(parts) == 1 else meaning.Or(tuple(parts))


def _match(node: tree.Match, field: str) -> meaning.Node:
    kind = fields.kind(field)
    if kind == "text":
        return _text(node, field)
    if kind == "group":
        some = ", ".join(fields.below(field)[:3])
        raise problems.QueryError(f"`{field}` is a group of fields, such as {some}", position=node.at)
    if (
        kind == "label"
        and node.wildcard
        and field not in fields.FLATTENED
        and node.value.find(tree.WILD) < len(node.value) - 1
    ):
        # Elasticsearch's `wildcard` refuses single labels, and its `query_string` looks at all labels at once.
        raise problems.QueryError(f"in `{field}`, which is a label, a `*` can only stand at the end", position=node.at)
    if kind in ("keyword", "label", "unknown"):
        if (longest := fields.longest(field)) and view.units(node.value) > longest:
            raise problems.QueryError(f"values of `{field}` are searched up to {longest} characters", position=node.at)
        return meaning.Like(field, node.value) if node.wildcard else meaning.Is(field, node.value)
    if node.wildcard:
        raise problems.QueryError(f"`{field}` is a {_SPOKEN[kind]}: it takes no wildcard", position=node.at)
    return _exact(field, kind, node.value, node.at)


def _exact(field: str, kind: fields.Kind, value: str, at: int) -> meaning.Node:
    """Equality for numbers, dates and booleans."""
    if kind == "boolean":
        if value not in ("true", "false"):
            raise problems.QueryError(f"`{field}` is true or false", position=at)
        return meaning.Flag(field, value == "true")
    return _date(field, None, value, at) if kind == "date" else _number(field, None, value, at, kind)


def _text(node: tree.Match, field: str) -> meaning.Node:
    if not node.wildcard:
        found = tuple(words.words(node.value))
        if not found:
            raise problems.QueryError("this holds no word, so it can match no text", position=node.at)
        return (
            meaning.Phrase(field, found, node.value)
            if node.phrase and len(found) > 1
            else meaning.AnyWord(field, found)
        )
    plain = [word for word in node.value.split() if tree.WILD not in word]
    parts: list[meaning.Node] = [_word_like(word, field, node.at) for word in node.value.split() if tree.WILD in word]
    if found := tuple(words.words(" ".join(plain))):
        parts.append(meaning.AnyWord(field, found))
    return _or(parts)


def _word_like(pattern: str, field: str, at: int) -> meaning.Node:
    literal = pattern.replace(tree.WILD, "")
    if not literal:
        return meaning.There(field)
    if not _IN_WORD.match(literal):
        odd = next(char for char in literal if not _IN_WORD.match(char))
        raise problems.QueryError(
            f"text is cut into words at `{odd}`, and a wildcard stands for part of one word; join words with `and`",
            position=at,
        )
    return meaning.WordLike(field, words.lower(pattern))


def _range(node: tree.Range) -> meaning.Node:
    field, kind = node.field, fields.kind(node.field)
    if kind == "date":
        return _date(field, node.op, node.bound, node.at)
    if kind in ("long", "float"):
        return _number(field, node.op, node.bound, node.at, kind)
    if kind in ("text", "group", "boolean"):
        what = "text" if kind == "text" else "a group of fields" if kind == "group" else "true or false"
        raise problems.QueryError(f"`{field}` is {what}: it cannot be compared with `{node.op}`", position=node.at)
    if kind != "unknown" and meaning.number(node.bound) is not None:
        raise problems.QueryError(
            f"`{field}` is kept as text, in which 1000 comes before 5: numbers cannot be compared; use a wildcard",
            position=node.at,
        )
    return meaning.Order(field, node.op, node.bound)


def _number(field: str, op: tree.Comparison | None, text: str, at: int, kind: fields.Kind) -> meaning.Node:
    value = meaning.number(text)
    if value is None:
        raise problems.QueryError(f"`{field}` is a number, and `{text}` is none", position=at)
    if kind == "long" and abs(value) >= _LONG:
        raise problems.QueryError(f"`{text}` is too large for `{field}`", position=at)
    return meaning.Number(field, op, value, kind == "long")


def _date(field: str, op: tree.Comparison | None, text: str, at: int) -> meaning.Node:
    moment = dates.parse(text)
    if moment is None:
        raise problems.QueryError(
            f"`{text}` is no date such as 2024-05-01, 2024-05-01T10:00:00Z or now-1h", position=at
        )
    return meaning.Date(field, op, moment, text)
