"""What can be said of a query without running it: metric names, how far back it looks, its outermost comparison."""

from __future__ import annotations

from tidegate.metrics.promql import durations, syntax, tree
from tidegate.model import labels as labels_

_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_SETS = frozenset({"and", "or", "unless"})


def names(expr: tree.Expr) -> frozenset[str]:
    """Metric names that selectors fix with `=`."""
    if isinstance(expr, tree.VectorSelector):
        found = syntax.matchers(expr)
        return frozenset(each.value for each in found if each.name == labels_.NAME and each.op == "=")
    return frozenset[str]().union(*(names(child) for child in tree.children(expr)))


def lookback(expr: tree.Expr, default: int, step: int) -> int:
    """Milliseconds of history before the evaluation time that are read; selectors with a literal `@` count as at it."""
    match expr:
        case tree.VectorSelector():
            return max(default + durations.milliseconds(expr.when.offset), 0)
        case tree.MatrixSelector():
            more = default if expr.selector.extended else 0
            span = durations.milliseconds(expr.span) + more
            return max(span + durations.milliseconds(expr.selector.when.offset), 0)
        case tree.Subquery():
            own = durations.milliseconds(expr.span) + durations.milliseconds(expr.when.offset)
            grid = step if expr.step is None else durations.milliseconds(expr.step)
            return max(own + min(grid, 0) + lookback(expr.expr, default, step), 0)
    return max((lookback(child, default, step) for child in tree.children(expr)), default=0)


def comparison(expr: tree.Expr) -> tuple[str, str]:
    """The outermost comparison as (operator, number), seen from the vector's side; empty where there is none."""
    expr = tree.unwrapped(expr)
    if not isinstance(expr, tree.Binary):
        return "", ""
    if expr.op in _SETS:
        found = comparison(expr.left)
        return found if found[0] or expr.op == "unless" else comparison(expr.right)
    if expr.op not in _MIRROR:
        return "", ""
    left, right = _number(expr.left), _number(expr.right)
    return (_MIRROR[expr.op], left) if left and not right else (expr.op, right)


def _number(expr: tree.Expr) -> str:
    expr = tree.unwrapped(expr)
    return f"{expr.value:.15g}" if isinstance(expr, tree.NumberLiteral) else ""
