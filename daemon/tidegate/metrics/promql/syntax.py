"""From text to the parser's tree, and the facts of tree nodes that need care to read.

The parser is `promql-parser`. It accepts a few things that PromQL does not have, gives no positions, and panics when a
negative `@` time is read as a datetime; all of that is dealt with here. Nothing else calls `promql_parser.parse`.
"""

from __future__ import annotations

import datetime
import re
from typing import Any, TypeAlias

import promql_parser
import re2

from tidegate.metrics.promql.selectors import At, When
from tidegate.model import alerts, problems
from tidegate.model import labels as labels_

Tree: TypeAlias = Any
"""A node of promql-parser, which has no type information."""

_AT = re.compile(
    r"^ {8}(?: {4})?at: Some\(\n\s+At\(\n\s+SystemTime \{\n\s+tv_sec: (-?\d+),\n\s+tv_nsec: (\d+)", re.MULTILINE
)
_NAMED = re.compile(r"(?:unknown function with name|call to function|character inside brackets:) '([^']+)'")
_OPS: dict[str, alerts.MatchOp] = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_NOT_YET = (
    (re.compile(r"[\w\]})]\s+(anchored|smoothed)\b"), "the `{}` modifier (experimental)"),
    (re.compile(r"(</|>/)"), "the operator `{}` on native histograms"),
    (re.compile(r"\[[^\]]*\b(step|range|min_of|max_of)\s*\("), "a duration expression with `{}()` (experimental)"),
    (
        re.compile(r"offset\s[^,]*?\b(step|range|min_of|max_of)\s*\("),
        "a duration expression with `{}()` (experimental)",
    ),
    (re.compile(r"\[[^\]]*[0-9smhdwy)]\s*([-+*/%^])"), "a duration expression with `{}` (experimental)"),
    (re.compile(r"offset\s*(\()"), "a duration expression in parentheses (experimental)"),
    (re.compile(r"\b(info)\s*\("), "the function `{}` (experimental)"),
)
_STRINGS = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')


def unsupported(form: str) -> problems.QueryError:
    """The error for what PromQL has and this engine has not."""
    return problems.QueryError(f"not supported: {form}")


def parse(text: str) -> Tree:
    """Parse. Raises `QueryError`, with a position where the parser's message lets us find it."""
    try:
        return promql_parser.parse(text)
    except ValueError as error:
        message = str(error)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001 - the parser's panics are no `Exception`
        message = f"invalid promql query: {error}"
    plain = _STRINGS.sub(lambda match: "_" * len(match.group()), text)
    for pattern, form in _NOT_YET:
        found = pattern.search(plain)
        if found:
            raise problems.QueryError(
                f"not supported: {form.format(found.group(1))}", position=found.start(1)
            ) from None
    named = _NAMED.search(message)
    position = text.find(named.group(1)) if named else -1
    raise problems.QueryError(f"parse error: {message}", position=position) from None


def kind(tree: Tree) -> str:
    """The name of the node's class."""
    return type(tree).__name__


def unwrapped(tree: Tree) -> Tree:
    """Without parentheses around it."""
    while kind(tree) == "ParenExpr":
        tree = tree.expr
    return tree


def children(tree: Tree) -> list[Tree]:
    """The nodes right below one."""
    match kind(tree):
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            return [tree.expr]
        case "MatrixSelector":
            return [tree.vector_selector]
        case "BinaryExpr":
            return [tree.lhs, tree.rhs]
        case "AggregateExpr":
            return [tree.expr] + ([] if tree.param is None else [tree.param])
        case "Call":
            return list(tree.args)
    return []


def value_type(tree: Tree) -> str:  # noqa: PLR0911 - one return for each kind of node
    """`scalar`, `vector`, `matrix` or `string`."""
    match kind(tree):
        case "NumberLiteral":
            return "scalar"
        case "StringLiteral":
            return "string"
        case "MatrixSelector" | "SubqueryExpr":
            return "matrix"
        case "ParenExpr" | "UnaryExpr":
            return value_type(tree.expr)
        case "Call":
            return str(tree.func.return_type).rpartition(".")[2].lower()
        case "BinaryExpr":
            both = value_type(tree.lhs) == value_type(tree.rhs) == "scalar"
            return "scalar" if both else "vector"
    return "vector"


def milliseconds(duration: datetime.timedelta | None) -> int:
    """A duration in whole milliseconds."""
    return 0 if duration is None else round(duration / datetime.timedelta(milliseconds=1))


def when(tree: Tree) -> When:
    """The offset and `@` time of a selector or subquery. `tree` is the innermost node that carries them."""
    offset = milliseconds(tree.offset)
    return When(offset, None if tree.at is None else _at(tree))


def _at(tree: Tree) -> At:
    sort = str(tree.at.type).rpartition(".")[2]
    if sort == "Start":
        return "start"
    if sort == "End":
        return "end"
    # Reading `.at.at` panics for times before 1970 and fails far in the future: the debug text has the exact numbers.
    found = list(_AT.finditer(repr(tree)))
    if not found:
        raise problems.QueryError("the time after @ cannot be read")
    seconds, nanoseconds = found[-1].groups()
    return int(seconds) * 1000 + round(int(nanoseconds) / 1e6)


def matchers(tree: Tree) -> tuple[alerts.Matcher, ...]:
    """A vector selector's matchers, the metric name among them."""
    if tree.matchers.or_matchers:
        raise problems.QueryError("parse error: `or` between label matchers is not PromQL")
    found = [alerts.Matcher(labels_.NAME, "=", tree.name)] if tree.name else []
    for each in tree.matchers.matchers:
        op = _OPS[str(each.op).rpartition(".")[2]]
        if op in {"=~", "!~"}:
            _check_pattern(each.value)
        found.append(alerts.Matcher(each.name, op, each.value))
    return tuple(found)


def _check_pattern(pattern: str) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        raise problems.QueryError(f"parse error: error parsing regexp: {error}: `{pattern}`") from error
