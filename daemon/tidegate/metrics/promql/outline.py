"""Reads off a query what checks of rules want to know: its selectors, its joins, the labels that its result can have."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.metrics.promql import durations, syntax, tree
from tidegate.model import outline

_COMPARE = frozenset({"==", "!=", "<", "<=", ">", ">="})
_SETS = frozenset({"and", "or", "unless"})
_ABSENT = frozenset({"absent", "absent_over_time"})
_CHOICES = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_KEEP_LABELS = frozenset({"label_replace", "label_join", "info", "vector", "absent", "absent_over_time"})


def read(text: str, *, experimental: bool = False) -> outline.Outline:
    """The outline of a query. Raises `QueryError`."""
    expr = syntax.parse(text, experimental=experimental)
    return outline.Outline(
        tuple(_selectors(expr, text, optional=False)), tuple(_joins(expr, text)), _conditional(expr), _labels(expr)
    )


def _selectors(expr: tree.Expr, text: str, *, optional: bool, function: str = "") -> Iterator[outline.Selector]:
    match expr:
        case tree.VectorSelector():
            yield _selector(expr, text, 0.0, "", optional=optional)
        case tree.MatrixSelector():
            window = 0 if isinstance(expr.span, tree.DurationExpr) else durations.milliseconds(expr.span)
            yield _selector(expr.selector, text, window / 1000, function, optional=optional)
        case tree.Call():
            for child in expr.args:
                yield from _selectors(child, text, optional=optional or expr.name in _ABSENT, function=expr.name)
        case tree.Binary(op="or" | "unless"):
            yield from _selectors(expr.left, text, optional=optional or expr.op == "or")
            yield from _selectors(expr.right, text, optional=True)
        case _:
            for child in tree.children(expr):
                yield from _selectors(child, text, optional=optional, function=function)


def _selector(
    expr: tree.VectorSelector, text: str, window: float, function: str, *, optional: bool
) -> outline.Selector:
    return outline.Selector(text[slice(*expr.at)], expr.at, syntax.matchers(expr), window, function, optional)


def _joins(expr: tree.Expr, text: str) -> Iterator[outline.Join]:
    if isinstance(expr, tree.Binary) and expr.matching is not None and expr.op not in {"or", "unless"}:
        matching = expr.matching
        filled = matching.fill_left is not None or matching.fill_right is not None
        if not filled and not _conditional(expr.left) and not _conditional(expr.right):
            left, right = text[slice(*expr.left.at)], text[slice(*expr.right.at)]
            yield outline.Join(expr.op, left, right, expr.at, matching.on, matching.labels)
    for child in tree.children(expr):
        yield from _joins(child, text)


def _conditional(expr: tree.Expr) -> bool:
    match expr:
        case tree.Binary():
            if expr.op in _COMPARE and not expr.as_bool:
                return True
            if expr.op == "or":
                return _conditional(expr.left) and _conditional(expr.right)
            return expr.op == "unless" or _conditional(expr.left) or _conditional(expr.right)
        case tree.Call(name="absent" | "absent_over_time"):
            return True
    return any(_conditional(child) for child in tree.children(expr))


def _labels(expr: tree.Expr) -> frozenset[str] | None:
    """None when the labels depend on the data."""
    match expr:
        case tree.Aggregate():
            return _aggregated(expr)
        case tree.Paren() | tree.Unary() | tree.Subquery():
            return _labels(expr.expr)
        case tree.Binary():
            return _joined(expr)
        case tree.Call() if expr.name not in _KEEP_LABELS and expr.args:
            return _labels(expr.args[-1])
    return None


def _aggregated(expr: tree.Aggregate) -> frozenset[str] | None:
    if expr.op == "count_values":
        return None
    inner = _labels(expr.expr)
    if expr.op in _CHOICES:
        return inner
    if not expr.without:
        return frozenset(expr.grouping)
    return None if inner is None else inner - frozenset(expr.grouping)


def _joined(expr: tree.Binary) -> frozenset[str] | None:
    left, right = _labels(expr.left), _labels(expr.right)
    matching = expr.matching
    if matching is None:
        if isinstance(tree.unwrapped(expr.left), tree.NumberLiteral):
            return right
        return left if isinstance(tree.unwrapped(expr.right), tree.NumberLiteral) else None
    if expr.op == "or":
        return None if left is None or right is None else left | right
    if expr.op in _SETS:
        return left
    if matching.card == "one-to-one" and matching.on:
        return frozenset(matching.labels)
    many = right if matching.card == "one-to-many" else left
    return None if many is None else many | frozenset(matching.include)
