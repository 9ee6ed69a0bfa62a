"""A query as Elasticsearch's Query DSL, for indices with our template. Elasticsearch's own KQL is never relied on."""

from __future__ import annotations

from typing import Any, TypeAlias

from tidegate.logs.ecs import fields
from tidegate.logs.kql import interpret, meaning, tree

Clause: TypeAlias = dict[str, Any]
_OPERATORS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_LAST = "\U0010ffff"
"""Comes after every text. Servers before 9 want both bounds for a label."""


def compile(node: tree.Node) -> Clause:  # noqa: A001 - the word for it
    """The clause. Raises `QueryError` for a condition that has no meaning, with the position."""
    return clause(interpret.of(node))


def clause(node: meaning.Node) -> Clause:  # noqa: C901, PLR0911, PLR0912 - one return a kind
    """The clause of a meaning."""
    match node:
        case meaning.Constant(value):
            return {"match_all": {}} if value else {"match_none": {}}
        case meaning.Not(inner):
            return {"bool": {"must_not": [clause(inner)]}}
        case meaning.Nested(path, inner):
            return {"nested": {"path": path, "query": clause(inner), "score_mode": "none", "ignore_unmapped": True}}
        case meaning.And(parts):
            return {"bool": {"filter": [clause(part) for part in parts]}}
        case meaning.Or(parts):
            return {"bool": {"should": [clause(part) for part in parts], "minimum_should_match": 1}}
        case meaning.There(field):
            return {"exists": {"field": field}}
        case meaning.AnyWord(field, words):
            return {"match": {field: {"query": " ".join(words), "operator": "or"}}}
        case meaning.Phrase(field, _, text):
            return {"match_phrase": {field: text}}
        case meaning.WordLike(field, pattern):
            return _wildcard(field, pattern)
        case meaning.Is(field, value):
            return {"term": {field: {"value": value}}}
        case meaning.Like(field, pattern):
            return _like(field, pattern)
        case meaning.Flag(field, wanted):
            return {"term": {field: {"value": wanted}}}
        case meaning.Number(field, op, number):
            return {"range": {field: {_OPERATORS[op]: number}}} if op else {"term": {field: {"value": number}}}
        case meaning.Date():
            return _date(node)
        case meaning.Order():
            return _order(node)


def _wildcard(field: str, pattern: str) -> Clause:
    escaped = pattern.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?").replace(tree.WILD, "*")
    return {"wildcard": {field: {"value": escaped}}}


def _like(field: str, pattern: str) -> Clause:
    """Single labels know no `wildcard` query; `meaning` leaves them only patterns that end in their one `*`."""
    if fields.kind(field) == "label" and field not in fields.FLATTENED:
        return {"prefix": {field: {"value": pattern.removesuffix(tree.WILD)}}}
    return _wildcard(field, pattern)


def _date(node: meaning.Date) -> Clause:
    """Absolute dates are worked out here, so that what an unfinished date means does not depend on the server."""
    if node.moment.moving:
        bounds: Clause = {_OPERATORS[node.op]: node.text} if node.op else {"gte": node.text, "lte": node.text}
    else:
        first, last = node.moment.first(0.0), node.moment.last(0.0)
        if node.op is None:
            bounds = {"gte": first, "lte": last}
        else:
            bounds = {_OPERATORS[node.op]: last if node.op in (">", "<=") else first}
        bounds["format"] = "epoch_millis"
    return {"range": {node.field: bounds}}


def _order(node: meaning.Order) -> Clause:
    bounds = {_OPERATORS[node.op]: node.bound}
    if fields.kind(node.field) == "label":
        bounds |= {"lte": _LAST} if node.op in (">", ">=") else {"gte": ""}
    return {"range": {node.field: bounds}}
