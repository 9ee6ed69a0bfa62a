"""Which parts of a query are the same at every step, so that they are evaluated once. Rules are Prometheus'."""

from __future__ import annotations

from tidegate.metrics.promql import pointwise, tree

_QUERY_TIMES = ("start", "end", "range", "step")
_UNSAFE = frozenset({"predict_linear", "time", "timestamp", *pointwise.DATES, *_QUERY_TIMES})


def fixed(expr: tree.Expr) -> bool:
    """Whether the value is the same at every step."""
    match expr:
        case tree.VectorSelector() | tree.Subquery():
            return _pinned(expr.when)
        case tree.MatrixSelector():
            return _pinned(expr.selector.when)
        case tree.Call():
            return expr.name not in _UNSAFE and all(fixed(each) for each in expr.args)
        case tree.Aggregate():
            return fixed(expr.expr)  # as Prometheus: of a parameter that changes, the first value counts
    return all(fixed(child) for child in tree.children(expr))


def _pinned(when: tree.When) -> bool:
    return when.timestamp is not None or bool(when.edge)


def time_dependent(expr: tree.Expr) -> bool:
    """Whether it calls a function that depends on the step's time even when its arguments do not."""
    if isinstance(expr, tree.Call) and expr.name in _UNSAFE:
        return True
    return any(time_dependent(child) for child in tree.children(expr))
