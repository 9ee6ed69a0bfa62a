"""The tree of a query, as the parser makes it: what was written, with the place of each part. Data only.

Durations are whole milliseconds, or an expression of the query's own step and range (`step()`, `range()`) that is worked
out when the query runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal, TypeAlias

from tidegate.model import alerts

ValueType: TypeAlias = Literal["scalar", "vector", "matrix", "string", "none"]
Edge: TypeAlias = Literal["", "start", "end"]
Card: TypeAlias = Literal["one-to-one", "many-to-one", "one-to-many", "many-to-many"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Any part of a query."""

    at: tuple[int, int] = dataclasses.field(default=(0, 0), compare=False, repr=False)
    """Where it stands in the text: [start, end)."""


@dataclasses.dataclass(frozen=True, slots=True)
class NumberLiteral(Node):
    """A number, or a duration in seconds."""

    value: float
    duration: bool = False
    """Whether it was written as a duration."""


@dataclasses.dataclass(frozen=True, slots=True)
class StringLiteral(Node):
    """A text."""

    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class DurationExpr(Node):
    """Arithmetic on durations."""

    op: str
    """`+ - * / % ^`, `step`, `range`, `min_of` or `max_of`."""
    left: Duration | None = None
    right: Duration | None = None
    wrapped: bool = False
    """Whether it stands in parentheses."""


Duration: TypeAlias = NumberLiteral | DurationExpr


@dataclasses.dataclass(frozen=True, slots=True)
class When:
    """`offset` and `@`."""

    offset: Duration | None = None
    timestamp: int | None = None
    """Milliseconds."""
    edge: Edge = ""


@dataclasses.dataclass(frozen=True, slots=True)
class VectorSelector(Node):
    """`name{matchers}`."""

    name: str
    matchers: tuple[alerts.Matcher, ...]
    """In the order written, without the one of the name before the braces."""
    when: When = When()
    extended: Literal["", "anchored", "smoothed"] = ""


@dataclasses.dataclass(frozen=True, slots=True)
class MatrixSelector(Node):
    """`selector[range]`. `offset` and `@` are its selector's."""

    selector: VectorSelector
    span: Duration


@dataclasses.dataclass(frozen=True, slots=True)
class Subquery(Node):
    """`expr[range:step]`."""

    expr: Expr
    span: Duration
    step: Duration | None = None
    when: When = When()


@dataclasses.dataclass(frozen=True, slots=True)
class Paren(Node):
    """`(expr)`."""

    expr: Expr


@dataclasses.dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-expr` or `+expr`."""

    op: str
    expr: Expr


@dataclasses.dataclass(frozen=True, slots=True)
class Matching:
    """How the series of two vectors find each other."""

    card: Card = "one-to-one"
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left op right`."""

    op: str
    left: Expr
    right: Expr
    matching: Matching | None = None
    """None unless both sides are vectors."""
    as_bool: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Aggregate(Node):
    """`op by (labels) (param, expr)`."""

    op: str
    expr: Expr
    param: Expr | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Call(Node):
    """`name(args)`."""

    name: str
    args: tuple[Expr, ...] = ()


Expr: TypeAlias = (
    NumberLiteral
    | StringLiteral
    | VectorSelector
    | MatrixSelector
    | Subquery
    | Paren
    | Unary
    | Binary
    | Aggregate
    | Call
)


def children(tree: Expr) -> Iterator[Expr]:
    """The expressions right below one."""
    match tree:
        case Paren() | Unary() | Subquery():
            yield tree.expr
        case MatrixSelector():
            yield tree.selector
        case Binary():
            yield from (tree.left, tree.right)
        case Aggregate():
            yield from (tree.expr,) if tree.param is None else (tree.param, tree.expr)
        case Call():
            yield from tree.args


def unwrapped(tree: Expr) -> Expr:
    """Without parentheses around it."""
    while isinstance(tree, Paren):
        tree = tree.expr
    return tree
