"""The tree of a query as Prometheus' API writes it (`/api/v1/parse_query`)."""

from __future__ import annotations

from typing import Any

from tidegate.metrics.promql import durations, printer, signatures, tree
from tidegate.model import alerts
from tidegate.model import labels as labels_


def written(expr: tree.Expr) -> dict[str, Any]:  # noqa: PLR0911 - one return for each kind
    """One expression with everything below it."""
    match expr:
        case tree.NumberLiteral():
            return {"type": "numberLiteral", "val": printer.number(expr.value)}
        case tree.StringLiteral():
            return {"type": "stringLiteral", "val": expr.value}
        case tree.VectorSelector():
            return {"type": "vectorSelector", **_selector(expr)}
        case tree.MatrixSelector():
            return {"type": "matrixSelector", **_selector(expr.selector), **_duration("range", expr.span)}
        case tree.Subquery():
            return {
                "type": "subquery",
                "expr": written(expr.expr),
                **_duration("range", expr.span),
                **_duration("step", expr.step),
                **_when(expr.when),
            }
        case tree.Paren():
            return {"type": "parenExpr", "expr": written(expr.expr)}
        case tree.Unary():
            return {"type": "unaryExpr", "op": expr.op, "expr": written(expr.expr)}
        case tree.Binary():
            return _binary(expr)
        case tree.Aggregate():
            return {
                "type": "aggregation",
                "op": expr.op,
                "expr": written(expr.expr),
                "param": None if expr.param is None else written(expr.param),
                "grouping": list(expr.grouping),
                "without": expr.without,
            }
        case tree.Call():
            return {"type": "call", "func": _function(expr.name), "args": [written(arg) for arg in expr.args]}


def _function(name: str) -> dict[str, Any]:
    signature = signatures.FUNCTIONS[name]
    return {
        "name": name,
        "argTypes": list(signature.args),
        "variadic": signature.variadic,
        "returnType": signature.result,
    }


def _binary(expr: tree.Binary) -> dict[str, Any]:
    matching = expr.matching
    how = matching and {
        "card": matching.card,
        "labels": list(matching.labels),
        "on": matching.on,
        "include": list(matching.include),
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    }
    return {
        "type": "binaryExpr",
        "op": expr.op,
        "lhs": written(expr.left),
        "rhs": written(expr.right),
        "matching": how,
        "bool": expr.as_bool,
    }


def _selector(expr: tree.VectorSelector) -> dict[str, Any]:
    matchers = [*expr.matchers, *([alerts.Matcher(labels_.NAME, "=", expr.name)] if expr.name else [])]
    return {
        "name": expr.name,
        "matchers": [{"name": one.name, "value": one.value, "type": one.op} for one in matchers],
        "anchored": expr.extended == "anchored",
        "smoothed": expr.extended == "smoothed",
        **_when(expr.when),
    }


def _when(when: tree.When) -> dict[str, Any]:
    return {**_duration("offset", when.offset), "timestamp": when.timestamp, "startOrEnd": when.edge or None}


def _duration(name: str, given: tree.Duration | None) -> dict[str, Any]:
    """A literal in milliseconds, or arithmetic as a tree."""
    if isinstance(given, tree.DurationExpr):
        return {name: 0, f"{name}Expr": _arithmetic(given)}
    return {name: durations.milliseconds(given), f"{name}Expr": None}


def _arithmetic(given: tree.Duration | None) -> dict[str, Any] | None:
    if given is None:
        return None
    if isinstance(given, tree.NumberLiteral):
        return {"type": "numberLiteral", "val": printer.number(given.value), "duration": given.duration}
    return {
        "type": "durationExpr",
        "op": given.op,
        "lhs": _arithmetic(given.left),
        "rhs": _arithmetic(given.right),
        "wrapped": given.wrapped,
    }
