"""Durations of a query: literals, and arithmetic on them with the query's own step and range.

Source: https://prometheus.io/docs/prometheus/latest/feature_flags/#promql-duration-arithmetic. A query is resolved before
it is compiled: then all durations are literals.
"""

from __future__ import annotations

import dataclasses
import math

from tidegate.metrics.promql import tree
from tidegate.model import problems

LONGEST = 2**63 / 1e9


def dynamic(expr: tree.Expr) -> bool:
    """Whether a duration depends on the query's step or range."""
    return any(_relative(one) for one in _own(expr)) or any(map(dynamic, tree.children(expr)))


def _relative(duration: tree.Duration | None) -> bool:
    if not isinstance(duration, tree.DurationExpr):
        return False
    return duration.op in ("step", "range") or _relative(duration.left) or _relative(duration.right)


def resolved(expr: tree.Expr, step: float, span: float) -> tree.Expr:  # noqa: PLR0911 - one for each kind
    """The same query with all durations worked out; step and range in seconds. Raises `QueryError`."""
    match expr:
        case tree.VectorSelector():
            return dataclasses.replace(expr, when=_when(expr.when, step, span))
        case tree.MatrixSelector():
            selector = dataclasses.replace(expr.selector, when=_when(expr.selector.when, step, span))
            return dataclasses.replace(expr, selector=selector, span=_literal(expr.span, step, span))
        case tree.Subquery():
            grid = None if expr.step is None else _literal(expr.step, step, span)
            inner, own = resolved(expr.expr, step, span), _literal(expr.span, step, span)
            return dataclasses.replace(expr, expr=inner, span=own, step=grid, when=_when(expr.when, step, span))
        case tree.Paren() | tree.Unary():
            return dataclasses.replace(expr, expr=resolved(expr.expr, step, span))
        case tree.Binary():
            left, right = resolved(expr.left, step, span), resolved(expr.right, step, span)
            return dataclasses.replace(expr, left=left, right=right)
        case tree.Aggregate():
            param = None if expr.param is None else resolved(expr.param, step, span)
            return dataclasses.replace(expr, expr=resolved(expr.expr, step, span), param=param)
        case tree.Call():
            return dataclasses.replace(expr, args=tuple(resolved(arg, step, span) for arg in expr.args))
    return expr


def milliseconds(duration: tree.Duration | None) -> int:
    """A literal's length; arithmetic that was not worked out counts with a step and a range of 0, and as 0 where that fails."""
    if duration is None:
        return 0
    try:
        return round(_seconds(duration, 0.0, 0.0) * 1000)
    except (problems.QueryError, OverflowError, ValueError):
        return 0


def _own(expr: tree.Expr) -> list[tree.Duration | None]:
    match expr:
        case tree.VectorSelector():
            return [expr.when.offset]
        case tree.MatrixSelector():
            return [expr.span, expr.selector.when.offset]
        case tree.Subquery():
            return [expr.span, expr.step, expr.when.offset]
    return []


def _when(when: tree.When, step: float, span: float) -> tree.When:
    if not isinstance(when.offset, tree.DurationExpr):
        return when
    return dataclasses.replace(when, offset=_literal(when.offset, step, span, negative=True))


def _literal(duration: tree.Duration, step: float, span: float, *, negative: bool = False) -> tree.NumberLiteral:
    if isinstance(duration, tree.NumberLiteral):
        return duration
    value = _seconds(duration, step, span)
    where = f"{duration.at[0]}:{duration.at[1]}"
    if not math.isfinite(value):
        raise problems.QueryError(f"{where}: duration is NaN or infinite")
    if value <= 0 and not negative:
        raise problems.QueryError(f"{where}: duration must be greater than 0")
    if abs(value) > LONGEST:
        raise problems.QueryError(f"{where}: duration is out of range")
    return tree.NumberLiteral(math.trunc(value * 1000) / 1000, duration=True, at=duration.at)


def _seconds(duration: tree.Duration, step: float, span: float) -> float:
    if isinstance(duration, tree.NumberLiteral):
        return duration.value
    left = 0.0 if duration.left is None else _seconds(duration.left, step, span)
    right = 0.0 if duration.right is None else _seconds(duration.right, step, span)
    match duration.op:
        case "step":
            return step
        case "range":
            return span
        case "/" | "%":
            return _divided(duration, left, right)
        case "^":
            return _power(left, right)
    values = {"+": left + right, "-": left - right, "*": left * right, "min_of": min(left, right)}
    return values.get(duration.op, max(left, right))


def _divided(duration: tree.DurationExpr, left: float, right: float) -> float:
    if not right:
        what = "division by zero" if duration.op == "/" else "modulo by zero"
        raise problems.QueryError(f"{duration.at[0]}:{duration.at[1]}: {what}")
    return left / right if duration.op == "/" else math.fmod(left, right)


def _power(left: float, right: float) -> float:
    try:
        found = left**right
    except (OverflowError, ZeroDivisionError):
        return math.inf
    return math.nan if isinstance(found, complex) else float(found)
