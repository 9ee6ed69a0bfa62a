"""Queries as text: on one line, and in Prometheus' layout with its hundred columns.

`/api/v1/format_query` and `promtool promql format` print the same. Printing changes nothing of what a query means.
"""

from __future__ import annotations

import json
import math
import re

import numpy as np

from tidegate.metrics.promql import lexer, tree
from tidegate.model import labels as labels_

COLUMNS = 100
INDENT = "  "
_CLASSIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


def text(expr: tree.Expr) -> str:  # noqa: PLR0911 - one return for each kind
    """The query on one line."""
    match expr:
        case tree.NumberLiteral():
            return _number(expr)
        case tree.StringLiteral():
            return quoted(expr.value)
        case tree.VectorSelector():
            return _selector(expr)
        case tree.MatrixSelector():
            bare = tree.VectorSelector(expr.selector.name, expr.selector.matchers)
            extended = f" {expr.selector.extended}" if expr.selector.extended else ""
            return f"{_selector(bare)}[{duration(expr.span)}]{extended}{_at(expr.selector.when)}{_offset(expr.selector.when)}"
        case tree.Subquery():
            return text(expr.expr) + _subquery(expr)
        case tree.Paren():
            return f"({text(expr.expr)})"
        case tree.Unary():
            return expr.op + text(expr.expr)
        case tree.Binary():
            return f"{text(expr.left)} {_operator(expr)} {text(expr.right)}"
        case tree.Aggregate():
            param = "" if expr.param is None else f"{text(expr.param)}, "
            return f"{_aggregation(expr)}({param}{text(expr.expr)})"
        case tree.Call():
            return f"{expr.name}({', '.join(text(arg) for arg in expr.args)})"


def pretty(expr: tree.Expr, level: int = 0) -> str:  # noqa: PLR0911 - one return for each kind
    """The query in Prometheus' layout: what is longer than a line is split, part by part."""
    indent, line = INDENT * level, text(expr)
    if isinstance(expr, tree.Unary):
        return f"{indent}{expr.op}{pretty(expr.expr, level).strip()}"
    if isinstance(expr, tree.Subquery):
        return pretty(expr.expr, level) + _subquery(expr) if len(line.encode()) > COLUMNS else line
    if len(line.encode()) <= COLUMNS:
        return indent + line
    match expr:
        case tree.Paren():
            return f"{indent}(\n{pretty(expr.expr, level + 1)}\n{indent})"
        case tree.Binary():
            left, right = pretty(expr.left, level + 1), pretty(expr.right, level + 1)
            return f"{left}\n{indent}{_operator(expr)}\n{right}"
        case tree.Aggregate():
            param = "" if expr.param is None else f"{pretty(expr.param, level + 1)},\n"
            return f"{indent}{_aggregation(expr)}(\n{param}{pretty(expr.expr, level + 1)}\n{indent})"
        case tree.Call():
            args = ",\n".join(pretty(arg, level + 1) for arg in expr.args)
            return f"{indent}{expr.name}(\n{args}\n{indent})"
    return indent + line


def quoted(value: str) -> str:
    """A text in double quotes, as Go quotes it."""
    plain = json.dumps(value, ensure_ascii=False)
    for code, short in (("\\u0007", "\\a"), ("\\u000b", "\\v"), ("\\b", "\\b"), ("\\f", "\\f")):
        plain = plain.replace(code, short)
    return re.sub(r"\\u00([0-9a-f]{2})", r"\\x\1", plain).replace("\x7f", "\\x7f")


def number(value: float) -> str:
    """A number without an exponent."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    return str(np.format_float_positional(value, trim="-"))


def _number(expr: tree.NumberLiteral) -> str:
    if not expr.duration:
        return number(expr.value)
    return ("-" if expr.value < 0 else "") + length(round(abs(expr.value) * 1000))


def length(milliseconds: int) -> str:
    """A duration in Prometheus' form: weeks and years only where nothing is left over."""
    if not milliseconds:
        return "0s"
    left, parts = milliseconds, []
    for unit, size in lexer.UNITS_MS.items():
        if unit in ("y", "w") and left % size:
            continue
        count, left = divmod(left, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def duration(given: tree.Duration) -> str:
    """A duration inside brackets, or after `offset`."""
    if isinstance(given, tree.NumberLiteral):
        return ("-" if given.value < 0 else "") + length(round(abs(given.value) * 1000))
    found = _arithmetic(given)
    return f"({found})" if given.wrapped else found


def _arithmetic(given: tree.DurationExpr) -> str:
    if given.op in ("step", "range"):
        return f"{given.op}()"
    right = "" if given.right is None else _operand(given.right)
    if given.left is None:
        return right if given.op == "+" else given.op + right
    left = _operand(given.left)
    return f"{given.op}({left}, {right})" if given.op in ("min_of", "max_of") else f"{left} {given.op} {right}"


def _operand(given: tree.Duration) -> str:
    return _number(given) if isinstance(given, tree.NumberLiteral) else duration(given)


def _selector(expr: tree.VectorSelector) -> str:
    shown = sorted(
        f"{name(one.name)}{one.op}{quoted(one.value)}"
        for one in expr.matchers
        if not (one.name == labels_.NAME and one.op == "=" and one.value == expr.name and one.value)
    )
    braces = f"{{{','.join(shown)}}}" if shown else ""
    extended = f" {expr.extended}" if expr.extended else ""
    return f"{expr.name}{braces}{_at(expr.when)}{extended}{_offset(expr.when)}"


def name(label: str) -> str:
    """A label's name, quoted where it has to be."""
    return label if _CLASSIC.match(label) else quoted(label)


def _names(labels: tuple[str, ...]) -> str:
    return ", ".join(name(label) for label in labels)


def _at(when: tree.When) -> str:
    if when.edge:
        return f" @ {when.edge}()"
    return "" if when.timestamp is None else f" @ {when.timestamp / 1000:.3f}"


def _offset(when: tree.When) -> str:
    offset = when.offset
    if offset is None or (isinstance(offset, tree.NumberLiteral) and not offset.value):
        return ""
    return f" offset {duration(offset)}"


def _subquery(expr: tree.Subquery) -> str:
    step = "" if expr.step is None else duration(expr.step)
    return f"[{duration(expr.span)}:{step}]{_at(expr.when)}{_offset(expr.when)}"


def _aggregation(expr: tree.Aggregate) -> str:
    if expr.without:
        return f"{expr.op} without ({_names(expr.grouping)}) "
    return f"{expr.op} by ({_names(expr.grouping)}) " if expr.grouping else expr.op


def _operator(expr: tree.Binary) -> str:
    return expr.op + (" bool" if expr.as_bool else "") + _matching(expr.matching)


def _matching(matching: tree.Matching | None) -> str:
    if matching is None:
        return ""
    grouped = matching.card in ("many-to-one", "one-to-many")
    found = ""
    if matching.labels or matching.on or grouped:
        found = f" {'on' if matching.on else 'ignoring'} ({_names(matching.labels)})"
    if grouped:
        side = "left" if matching.card == "many-to-one" else "right"
        found += f" group_{side} ({_names(matching.include)})"
    return found + _fills(matching.fill_left, matching.fill_right)


def _fills(left: float | None, right: float | None) -> str:
    if left is not None and left == right:
        return f" fill ({_plain(left)})"
    found = "" if left is None else f" fill_left ({_plain(left)})"
    return found + ("" if right is None else f" fill_right ({_plain(right)})")


def _plain(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else number(value)
