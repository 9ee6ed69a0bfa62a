"""Whether there is data to judge: the query that has a result exactly when an expression's input is there.

It is the expression without what filters by value: `rate(x[5m]) > 5` asks for `rate(x[5m])`. Where two vectors meet, both
must be there; what `unless` takes away need not. An expression that has a result without any data (`absent`, `vector`)
has no such query.
"""

from __future__ import annotations

import dataclasses

from tidegate.metrics.promql import printer, tree, typecheck

_ABSENT = frozenset({"absent", "absent_over_time"})
_COMPARE = frozenset({"==", "!=", "<", "<=", ">", ">="})
_TOGETHER = tree.Matching(card="many-to-many", on=True)


def query(expr: tree.Expr) -> str:
    """The query; empty when the expression has a result without data."""
    found = _input(expr)
    return "" if found is None else printer.text(found)


def operand(expr: tree.Expr) -> str:
    """What the outermost comparison compares with a number; empty when there is none."""
    expr = tree.unwrapped(expr)
    if not isinstance(expr, tree.Binary) or expr.op not in _COMPARE or expr.as_bool:
        return ""
    vectors = [side for side in (expr.left, expr.right) if typecheck.value_type(side) == "vector"]
    return printer.text(tree.unwrapped(vectors[0])) if len(vectors) == 1 else ""


def _input(expr: tree.Expr) -> tree.Expr | None:
    match expr:
        case tree.VectorSelector() | tree.MatrixSelector():
            return expr
        case tree.Paren() | tree.Unary():
            return _input(expr.expr)
        case tree.Subquery() | tree.Aggregate():
            inner = _input(expr.expr)
            return None if inner is None else dataclasses.replace(expr, expr=_wrapped(inner))
        case tree.Call():
            return _call(expr)
        case tree.Binary():
            return _binary(expr)
    return None


def _call(expr: tree.Call) -> tree.Expr | None:
    if expr.name in _ABSENT or typecheck.value_type(expr) != "vector":
        return None
    series = [typecheck.value_type(one) in ("vector", "matrix") for one in expr.args]
    found = [_input(one) if read else one for one, read in zip(expr.args, series, strict=True)]
    given = [one for one in found if one is not None]
    if not any(series) or len(given) < len(found):
        return None
    wrapped = (_wrapped(one) if read else one for one, read in zip(given, series, strict=True))
    return dataclasses.replace(expr, args=tuple(wrapped))


def _binary(expr: tree.Binary) -> tree.Expr | None:
    sides = [_input(side) if typecheck.value_type(side) == "vector" else None for side in (expr.left, expr.right)]
    if expr.matching is None:  # a number has no part in it
        return next((side for side in sides if side is not None), None)
    left, right = sides
    matching = expr.matching
    either = expr.op == "or" or (matching.fill_left is not None and matching.fill_right is not None)
    if either:
        return None if left is None or right is None else _joined("or", left, right)
    if expr.op == "unless" or matching.fill_right is not None:
        return left
    if matching.fill_left is not None:
        return right
    if left is None or right is None:
        return right if left is None else left
    return _joined("and", left, right)


def _joined(op: str, left: tree.Expr, right: tree.Expr) -> tree.Expr:
    return tree.Binary(op=op, left=_wrapped(left), right=_wrapped(right), matching=_TOGETHER)


def _wrapped(expr: tree.Expr) -> tree.Expr:
    """In brackets where an operator could be torn apart."""
    return tree.Paren(expr=expr) if isinstance(expr, tree.Binary) else expr
