"""From text to a checked tree: the one way into the parser."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tidegate.metrics.promql import parser, tree, typecheck
from tidegate.model import alerts, problems
from tidegate.model import labels as labels_


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Around whatever goes down a tree: a chain of very many operators is refused instead of ending the caller."""
    try:
        yield
    except RecursionError:
        raise problems.QueryError("parse error: too many expressions inside one another") from None


def parse(text: str, *, experimental: bool = False) -> tree.Expr:
    """The query's tree. Raises `QueryError` with line and column; `experimental` allows what Prometheus has behind flags."""
    with bounded():
        return typecheck.checked(text, parser.parse(text), experimental=experimental)


def matchers(selector: tree.VectorSelector) -> tuple[alerts.Matcher, ...]:
    """A vector selector's conditions, the metric name among them."""
    if not selector.name:
        return selector.matchers
    return (alerts.Matcher(labels_.NAME, "=", selector.name), *selector.matchers)


def unsupported(form: str) -> problems.QueryError:
    """The error for what PromQL has and this engine has not."""
    return problems.QueryError(f"not supported: {form}")
