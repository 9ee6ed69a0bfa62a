"""A query as Kibana's own KQL, for links: it finds there what it finds here.

Short names and bare words are written out, for Kibana knows neither our short names nor which fields a bare word is looked
for in; absolute dates become bounds to the millisecond.
"""

from __future__ import annotations

import datetime

from tidegate.logs.kql import meaning, tree
from tidegate.model import problems


def text(node: meaning.Node, path: str = "") -> str:  # noqa: C901, PLR0911, PLR0912 - one return a kind
    """The query. `path` is that of the nested condition around it, with a dot.

    Raises `QueryError` for what Kibana cannot say.
    """
    match node:
        case meaning.Constant(value):
            return "*" if value else "not *"
        case meaning.Not(inner):
            return f"not ({text(inner, path)})"
        case meaning.And(parts):
            return "(" + " and ".join(text(part, path) for part in parts) + ")"
        case meaning.Or(parts):
            return "(" + " or ".join(text(part, path) for part in parts) + ")"
        case meaning.Nested(below, inner):
            return f"{_name(below, path)}:{{ {text(inner, f'{below}.')} }}"
        case meaning.There(field):
            return f"{_name(field, path)}:*"
        case meaning.AnyWord(field, words):
            return f"{_name(field, path)}:({' or '.join(map(tree.quoted, words))})"
        case meaning.Phrase(field, _, written):
            return f"{_name(field, path)}:{tree.quoted(written)}"
        case meaning.Is(field, value):
            return f"{_name(field, path)}:{tree.quoted(value)}"
        case meaning.WordLike(field, pattern) | meaning.Like(field, pattern):
            if any(map(str.isspace, pattern)):
                raise problems.QueryError("Kibana takes the parts of a pattern with spaces for several patterns")
            return f"{_name(field, path)}:{tree.pattern(pattern)}"
        case meaning.Flag(field, wanted):
            return f"{_name(field, path)}:{'true' if wanted else 'false'}"
        case meaning.Number(field, op, number):
            return f"{_name(field, path)}{op or ':'}{number}"
        case meaning.Order(field, op, bound):
            return f"{_name(field, path)} {op} {tree.quoted(bound)}"
        case meaning.Date():
            return _date(node, _name(node.field, path))


def _name(field: str, path: str) -> str:
    return tree.pattern(field.removeprefix(path))


def _date(node: meaning.Date, name: str) -> str:
    if node.moment.moving:
        bound = tree.quoted(node.text)
        return f"{name} {node.op} {bound}" if node.op else f"({name} >= {bound} and {name} <= {bound})"
    first, last = _iso(node.moment.first(0.0)), _iso(node.moment.last(0.0))
    if node.op is None:
        return f"({name} >= {first} and {name} <= {last})"
    return f"{name} {node.op} {last if node.op in ('>', '<=') else first}"


def _iso(at: int) -> str:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=at)
    return f'"{moment.replace(tzinfo=None).isoformat(timespec="milliseconds")}Z"'
