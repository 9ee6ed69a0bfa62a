"""What can be said of a query without running it: metric names, how far back it looks, its outermost comparison."""

from __future__ import annotations

from tidegate.metrics.promql import syntax
from tidegate.metrics.promql.syntax import Tree
from tidegate.model import labels as labels_

_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_SETS = frozenset({"and", "or", "unless"})


def names(tree: Tree) -> frozenset[str]:
    """Metric names that selectors fix with `=`."""
    if syntax.kind(tree) == "VectorSelector":
        found = syntax.matchers(tree)
        return frozenset(each.value for each in found if each.name == labels_.NAME and each.op == "=")
    return frozenset[str]().union(*(names(child) for child in syntax.children(tree)))


def lookback(tree: Tree, default: int, step: int) -> int:
    """Milliseconds of history before the evaluation time that are read; selectors with a literal `@` count as at it."""
    match syntax.kind(tree):
        case "VectorSelector":
            return max(default + syntax.when(tree).offset, 0)
        case "MatrixSelector":
            return max(syntax.milliseconds(tree.range) + syntax.when(tree.vector_selector).offset, 0)
        case "SubqueryExpr":
            own = syntax.milliseconds(tree.range) + syntax.when(tree).offset
            grid = step if tree.step is None else syntax.milliseconds(tree.step)
            return max(own + min(grid, 0) + lookback(tree.expr, default, step), 0)
    return max((lookback(child, default, step) for child in syntax.children(tree)), default=0)


def comparison(tree: Tree) -> tuple[str, str]:
    """The outermost comparison as (operator, number), seen from the vector's side; empty where there is none."""
    tree = syntax.unwrapped(tree)
    if syntax.kind(tree) != "BinaryExpr":
        return "", ""
    op = str(tree.op)
    if op in _SETS:
        found = comparison(tree.lhs)
        return found if found[0] or op == "unless" else comparison(tree.rhs)
    if op not in _MIRROR:
        return "", ""
    left, right = _number(tree.lhs), _number(tree.rhs)
    return (_MIRROR[op], left) if left and not right else (op, right)


def _number(tree: Tree) -> str:
    tree = syntax.unwrapped(tree)
    return f"{tree.val:.15g}" if syntax.kind(tree) == "NumberLiteral" else ""
