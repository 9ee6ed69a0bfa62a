"""What a query means, said as plainly as possible: the oracle of the matcher. Slow, without compiling, caching or narrowing."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from tidegate.logs.ecs import fields
from tidegate.logs.kql import tree, words


def matches(node: tree.Node, document: Mapping[str, Any]) -> bool:
    """Whether a document matches; without dates."""
    match node:
        case tree.Everything():
            return True
        case tree.Not(inner):
            return not matches(inner, document)
        case tree.Nested(path, inner):
            return any(matches(inner, {path: one}) for one in _objects(document, path))
        case tree.And(parts):
            return all(matches(part, document) for part in parts)
        case tree.Or(parts):
            return any(matches(part, document) for part in parts)
        case tree.Exists(field):
            return bool(_values(document, field))
        case tree.Range(field, op, bound):
            return any(_compares(value, op, bound) for value in _values(document, field))
        case tree.Match(None):
            return any(_holds(node, name, document) for name in fields.SEARCHED)
        case tree.Match(field):
            return _holds(node, str(field), document)


def _objects(value: Any, path: str) -> list[Mapping[str, Any]]:
    """The objects under a name, however dots and lists are written."""
    if isinstance(value, list):
        return [found for one in value for found in _objects(one, path)]
    if not isinstance(value, Mapping):
        return []
    if not path:
        return [value]
    steps = [(key, path[len(key) :].removeprefix(".")) for key in value if f"{path}.".startswith(f"{key}.")]
    return [found for key, rest in steps for found in _objects(value[key], rest)]


def _values(document: Mapping[str, Any], field: str) -> list[Any]:
    found = [value for name, value in _leaves(document, "") if name == field]
    return [value for value in found if value is not None]


def _leaves(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [leaf for key, below in value.items() for leaf in _leaves(below, f"{name}.{key}" if name else key)]
    if isinstance(value, list):
        return [leaf for below in value for leaf in _leaves(below, name)]
    return [(name, value)]


def _holds(node: tree.Match, field: str, document: Mapping[str, Any]) -> bool:
    return any(_is(node, field, value) for value in _values(document, field))


def _is(node: tree.Match, field: str, value: Any) -> bool:
    if fields.kind(field) == "long":
        return float(value) == float(node.value)
    if fields.kind(field) != "text":
        return _like(str(value), node.value) if node.wildcard else str(value) == node.value
    found = words.words(str(value))
    if node.wildcard:
        wanted = node.value.split()
        return any(_like(word, part.lower()) for word in found for part in wanted)
    wanted = words.words(node.value)
    if node.phrase:
        return " ".join(["", *wanted, ""]) in " ".join(["", *found, ""])
    return bool(set(wanted) & set(found))


def _like(value: str, pattern: str) -> bool:
    literal = "".join("*" if char == tree.WILD else f"[{char}]" if char in "*?[" else char for char in pattern)
    return fnmatch.fnmatchcase(value, literal)


def _compares(value: Any, op: str, bound: str) -> bool:
    low = float(value) - float(bound)
    return {"<": low < 0, "<=": low <= 0, ">": low > 0, ">=": low >= 0}[op]
