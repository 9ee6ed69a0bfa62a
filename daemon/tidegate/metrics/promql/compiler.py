"""From the parser's tree to a tree of evaluators.

The only place that knows which syntax becomes which node, and which forms are refused by name. Compiling happens once
for each query text; evaluators hold no state between evaluations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from tidegate.metrics.promql import (
    aggregate,
    buckets,
    calls,
    durations,
    experimental,
    extended,
    functions,
    info,
    invariance,
    matching,
    naming,
    operators,
    pointwise,
    ranking,
    rates,
    selectors,
    signatures,
    syntax,
    tree,
    typecheck,
)
from tidegate.metrics.promql.values import Node, RangeNode, ScalarNode, StringNode, VectorNode
from tidegate.model import labels as labels_
from tidegate.model import problems

_NATIVE = frozenset({"histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"})


def compiled(expr: tree.Expr) -> Node:
    """The evaluator of a whole query, whose durations are all worked out."""
    match typecheck.value_type(expr):
        case "scalar":
            return _scalar(expr)
        case "string":
            return StringNode(_text(expr))
        case "matrix":
            return _range(expr)
    return _vector(expr)


def _text(expr: tree.Expr) -> str:
    expr = tree.unwrapped(expr)
    if not isinstance(expr, tree.StringLiteral):
        raise problems.QueryError("parse error: expected a string literal")
    return expr.value


def _vector(expr: tree.Expr) -> VectorNode:
    expr = tree.unwrapped(expr)
    node = _bare_vector(expr)
    return calls.Fixed(node) if not isinstance(expr, tree.VectorSelector) and invariance.fixed(expr) else node


def _bare_vector(expr: tree.Expr) -> VectorNode:
    match expr:
        case tree.VectorSelector():
            if expr.extended == "anchored":
                raise problems.QueryError("anchored modifier can only be used with range selectors", kind="execution")
            if expr.extended:
                return extended.SmoothedInstant(_extended(expr, 0))
            return selectors.InstantSelector(syntax.matchers(expr), _when(expr.when))
        case tree.Unary():
            return operators.Negative(_vector(expr.expr)) if expr.op == "-" else _vector(expr.expr)
        case tree.Binary():
            return _binary(expr)
        case tree.Aggregate():
            return _aggregate(expr)
        case tree.Call():
            return _call(expr)
    raise syntax.unsupported(f"`{type(expr).__name__}` as a vector")


def _when(when: tree.When) -> selectors.When:
    at: selectors.At = when.edge or when.timestamp
    return selectors.When(durations.milliseconds(when.offset), at)


def _scalar(expr: tree.Expr) -> ScalarNode:
    expr = tree.unwrapped(expr)
    match expr:
        case tree.NumberLiteral():
            return calls.Number(expr.value)
        case tree.Unary():
            return operators.NegativeScalar(_scalar(expr.expr)) if expr.op == "-" else _scalar(expr.expr)
        case tree.Binary():
            return operators.ScalarScalar(expr.op, _scalar(expr.left), _scalar(expr.right))
        case tree.Call():
            make = _SCALARS.get(expr.name)
            if make is not None:
                return make(list(expr.args))
            raise _refused(expr)
    raise syntax.unsupported(f"`{type(expr).__name__}` as a scalar")


def _range(expr: tree.Expr) -> RangeNode:
    expr = tree.unwrapped(expr)
    if isinstance(expr, tree.MatrixSelector):
        span, inner = durations.milliseconds(expr.span), expr.selector
        if inner.extended:
            raise syntax.unsupported(f"the `{inner.extended}` modifier (experimental) here")
        return selectors.RangeSelector(syntax.matchers(inner), _when(inner.when), span)
    if not isinstance(expr, tree.Subquery):
        raise syntax.unsupported(f"`{type(expr).__name__}` as a range")
    inner_node = (
        calls.VectorOf(_scalar(expr.expr)) if typecheck.value_type(expr.expr) == "scalar" else _vector(expr.expr)
    )
    step = None if expr.step is None else durations.milliseconds(expr.step)
    return selectors.Subquery(inner_node, _when(expr.when), durations.milliseconds(expr.span), step)


# --- operators ---------------------------------------------------------------------------------------------------


def _binary(expr: tree.Binary) -> VectorNode:
    op = expr.op
    if op not in operators.ARITHMETIC and op not in operators.COMPARISON and op not in typecheck.SETS:
        raise syntax.unsupported(f"the operator `{op}` on native histograms")
    left, right = typecheck.value_type(expr.left), typecheck.value_type(expr.right)
    if right == "scalar":
        return operators.VectorScalar(op, _vector(expr.left), _scalar(expr.right), swapped=False, as_bool=expr.as_bool)
    if left == "scalar":
        return operators.VectorScalar(op, _vector(expr.right), _scalar(expr.left), swapped=True, as_bool=expr.as_bool)
    how = expr.matching or tree.Matching()
    if op in typecheck.SETS:
        return matching.SetOperator(op, _vector(expr.left), _vector(expr.right), how)
    return matching.VectorVector(op, _vector(expr.left), _vector(expr.right), how, as_bool=expr.as_bool)


def _aggregate(expr: tree.Aggregate) -> VectorNode:
    op, operand = expr.op, _vector(expr.expr)
    grouping = (
        aggregate.Grouping(expr.grouping, expr.without) if expr.grouping or expr.without else aggregate.Grouping()
    )
    if expr.param is None:
        return aggregate.Aggregation(op, operand, grouping)
    match op:
        case "topk" | "bottomk":
            return ranking.TopK(_scalar(expr.param), operand, grouping, largest=op == "topk")
        case "quantile":
            return aggregate.Quantile(_scalar(expr.param), operand, grouping)
        case "count_values":
            return ranking.CountValues(_label(_text(expr.param)), operand, grouping)
        case "limitk":
            return experimental.LimitK(_scalar(expr.param), operand, grouping)
        case "limit_ratio":
            return experimental.LimitRatio(_scalar(expr.param), operand)
    raise syntax.unsupported(f"the aggregation `{op}` (experimental)")


def _label(name: str) -> str:
    if not name:
        raise problems.QueryError(f"invalid label name {name}", kind="execution")
    return name


# --- functions ---------------------------------------------------------------------------------------------------


def _refused(expr: tree.Call) -> problems.QueryError:
    if expr.name in _NATIVE:
        return syntax.unsupported(f"the function `{expr.name}` (native histograms)")
    note = " (experimental)" if signatures.FUNCTIONS[expr.name].experimental else ""
    return syntax.unsupported(f"the function `{expr.name}`{note}")


def _extended(selector: tree.VectorSelector, span: int) -> extended.Selector:
    kind: extended.Kind = "anchored" if selector.extended == "anchored" else "smoothed"
    return extended.Selector(syntax.matchers(selector), _when(selector.when), span, kind)


def _call(expr: tree.Call) -> VectorNode:
    name, args = expr.name, list(expr.args)
    for arg in map(tree.unwrapped, args):
        if isinstance(arg, tree.MatrixSelector) and arg.selector.extended:
            window = _extended(arg.selector, durations.milliseconds(arg.span))
            return calls.Unnamed(extended.ExtendedCall(name, window))
    if name in functions.EXTRAPOLATED:
        operand = _range(args[0])
        counter, per_second = functions.EXTRAPOLATED[name]
        make_call = calls.CounterCall if counter else calls.WindowCall
        return make_call(rates.extrapolated(operand.span, counter=counter, per_second=per_second), operand)
    if name in functions.WINDOW:
        return calls.WindowCall(functions.WINDOW[name], _range(args[0]), keeps_name=name in functions.KEEPS_NAME)
    if name in pointwise.MATHS:
        return calls.Pointwise(pointwise.MATHS[name], _vector(args[0]))
    if name in pointwise.DATES:
        operand_ = _vector(args[0]) if args else calls.VectorOf(calls.Time())
        return calls.Pointwise(pointwise.DATES[name], operand_)
    make = _OTHER.get(name)
    if make is None:
        raise _refused(expr)
    return make(args)


def _absent(args: list[tree.Expr]) -> VectorNode:
    expr = tree.unwrapped(args[0])
    selector = expr.selector if isinstance(expr, tree.MatrixSelector) else expr
    labels: labels_.Labels = ()
    if isinstance(selector, tree.VectorSelector):
        labels = naming.absent_labels(syntax.matchers(selector))
    matrix = typecheck.value_type(expr) == "matrix"
    return naming.Absent(_range(expr) if matrix else _vector(expr), labels)


def _clamp(args: list[tree.Expr], low: tree.Expr | None, high: tree.Expr | None) -> VectorNode:
    bounds = [
        calls.Number(-np.inf) if low is None else _scalar(low),
        calls.Number(np.inf) if high is None else _scalar(high),
    ]
    return calls.Clamp(_vector(args[0]), bounds[0], bounds[1])


def _histogram(measure: buckets.Measure, args: list[tree.Expr]) -> VectorNode:
    return buckets.HistogramFunction(measure, [_scalar(each) for each in args[:-1]], _vector(args[-1]))


def _sorted_by_label(args: list[tree.Expr], *, descending: bool) -> VectorNode:
    names = tuple(_text(each) for each in args[1:])
    return experimental.SortByLabel(_vector(args[0]), names, descending=descending)


def _quantiles(args: list[tree.Expr]) -> VectorNode:
    return buckets.Quantiles(_vector(args[0]), _label(_text(args[1])), [_scalar(each) for each in args[2:]])


def _info(args: list[tree.Expr]) -> VectorNode:
    selector = args[1] if len(args) > 1 else None
    matchers = selector.matchers if isinstance(selector, tree.VectorSelector) else ()
    return info.Info(_vector(args[0]), matchers, info.reference(args[0]))


def _round(args: list[tree.Expr]) -> VectorNode:
    nearest = _scalar(args[1]) if len(args) > 1 else calls.Number(1.0)
    return calls.Pointwise(pointwise.rounded, _vector(args[0]), nearest)


def _join(args: list[tree.Expr]) -> VectorNode:
    return naming.LabelJoin(_vector(args[0]), _text(args[1]), _text(args[2]), tuple(_text(each) for each in args[3:]))


def _replace(args: list[tree.Expr]) -> VectorNode:
    target, template, origin, pattern = (_text(each) for each in args[1:])
    return naming.LabelReplace(_vector(args[0]), target, template, origin, pattern)


_OTHER: Mapping[str, Callable[[list[tree.Expr]], VectorNode]] = MappingProxyType(
    {
        "absent": _absent,
        "absent_over_time": _absent,
        "clamp": lambda args: _clamp(args, args[1], args[2]),
        "clamp_max": lambda args: _clamp(args, None, args[1]),
        "clamp_min": lambda args: _clamp(args, args[1], None),
        "histogram_fraction": lambda args: _histogram(buckets.measured_fraction, args),
        "histogram_quantile": lambda args: _histogram(buckets.measured_quantile, args),
        "label_join": _join,
        "label_replace": _replace,
        "predict_linear": lambda args: calls.PredictLinear(_range(args[0]), _scalar(args[1])),
        "quantile_over_time": lambda args: calls.QuantileOverTime(_scalar(args[0]), _range(args[1])),
        "round": _round,
        "sort": lambda args: ranking.Sort(_vector(args[0]), descending=False),
        "sort_desc": lambda args: ranking.Sort(_vector(args[0]), descending=True),
        "double_exponential_smoothing": lambda args: calls.Smoothing(
            _range(args[0]), _scalar(args[1]), _scalar(args[2])
        ),
        "histogram_quantiles": _quantiles,
        "info": _info,
        "sort_by_label": lambda args: _sorted_by_label(args, descending=False),
        "sort_by_label_desc": lambda args: _sorted_by_label(args, descending=True),
        "timestamp": lambda args: calls.Timestamp(_vector(args[0])),
        "vector": lambda args: calls.VectorOf(_scalar(args[0])),
    }
)
_SCALARS: Mapping[str, Callable[[list[tree.Expr]], ScalarNode]] = MappingProxyType(
    {
        "time": lambda _: calls.Time(),
        "pi": lambda _: calls.Number(float(np.pi)),
        "scalar": lambda args: calls.ScalarOf(_vector(args[0])),
        "start": lambda _: experimental.QueryTime("start"),
        "end": lambda _: experimental.QueryTime("end"),
        "range": lambda _: experimental.QueryTime("range"),
        "step": lambda _: experimental.QueryTime("step"),
        "min_of": lambda args: experimental.Extreme(pointwise.smallest, _scalar(args[0]), _scalar(args[1])),
        "max_of": lambda args: experimental.Extreme(pointwise.largest, _scalar(args[0]), _scalar(args[1])),
    }
)
