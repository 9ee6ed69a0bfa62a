"""A query as Elasticsearch's Query DSL, for indices with our template. Elasticsearch's own KQL is never relied on."""

from __future__ import annotations

from typing import Any, TypeAlias

from tidegate.logs import fields
from tidegate.logs.kql import matcher, tree

Clause: TypeAlias = dict[str, Any]
_OPERATORS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def compile(node: tree.Node) -> Clause:  # noqa: A001, PLR0911 - the word for it; one return a kind
    """The clause. Raises `QueryError` for a form that has no meaning here."""
    match node:
        case tree.Everything():
            return {"match_all": {}}
        case tree.Not(inner):
            return {"bool": {"must_not": [compile(inner)]}}
        case tree.And(parts):
            return {"bool": {"filter": [compile(part) for part in parts]}}
        case tree.Or(parts):
            return _any([compile(part) for part in parts])
        case tree.Exists(field):
            return {"exists": {"field": field}}
        case tree.Range(field, op, bound):
            return {"range": {field: {_OPERATORS[op]: bound}}}
        case tree.Match(None):
            return _any([_match(node, field) for field in fields.SEARCHED])
        case tree.Match(field):
            return _match(node, str(field))


def _any(clauses: list[Clause]) -> Clause:
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def _match(node: tree.Match, field: str) -> Clause:
    kind = fields.kind(field)
    if node.wildcard:
        value = matcher.pattern_of_words(node) if kind == "text" else node.value
        escaped = value.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?").replace(tree.WILD, "*")
        return {"wildcard": {field: {"value": escaped}}}
    if kind == "text":
        return {"match_phrase" if node.phrase else "match": {field: node.value}}
    return {"term": {field: {"value": node.value}}}
