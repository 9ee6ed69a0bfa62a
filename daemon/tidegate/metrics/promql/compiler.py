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
    matching,
    naming,
    operators,
    overtime,
    pointwise,
    ranking,
    rates,
    selectors,
    syntax,
)
from tidegate.metrics.promql.syntax import Tree
from tidegate.metrics.promql.values import Node, RangeNode, ScalarNode, StringNode, VectorNode
from tidegate.model import labels as labels_
from tidegate.model import problems

_WINDOW: Mapping[str, rates.Function] = MappingProxyType(
    {
        "irate": rates.instant(counter=True),
        "idelta": rates.instant(counter=False),
        "changes": rates.counted(resets=False),
        "resets": rates.counted(resets=True),
        "deriv": overtime.slope,
        "avg_over_time": overtime.average,
        "sum_over_time": overtime.total,
        "min_over_time": overtime.extreme("min"),
        "max_over_time": overtime.extreme("max"),
        "count_over_time": overtime.count,
        "last_over_time": overtime.last,
        "first_over_time": overtime.first,
        "present_over_time": overtime.present,
        "stddev_over_time": overtime.deviation,
        "stdvar_over_time": overtime.variance,
    }
)
_EXTRAPOLATED = MappingProxyType({"rate": (True, True), "increase": (True, False), "delta": (False, False)})
_KEEPS_NAME = frozenset({"last_over_time", "first_over_time"})
_NATIVE = frozenset({"histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"})
_UNSAFE = frozenset({"predict_linear", "time", "timestamp", *pointwise.DATES})
_CARDS: Mapping[str, matching.Card] = MappingProxyType(
    {
        "OneToOne": "one-to-one",
        "ManyToOne": "many-to-one",
        "OneToMany": "one-to-many",
        "ManyToMany": "many-to-many",
    }
)
_SETS = frozenset({"and", "or", "unless"})


def compiled(tree: Tree) -> Node:
    """The evaluator of a whole query."""
    match syntax.value_type(tree):
        case "scalar":
            return _scalar(tree)
        case "string":
            return StringNode(_text(tree))
        case "matrix":
            return _range(tree)
    return _vector(tree)


def fixed(tree: Tree) -> bool:  # noqa: PLR0911 - one return for each kind of node
    """Whether the value is the same at every step."""
    match syntax.kind(tree):
        case "NumberLiteral" | "StringLiteral":
            return True
        case "VectorSelector" | "SubqueryExpr":
            return tree.at is not None
        case "MatrixSelector":
            return tree.vector_selector.at is not None
        case "ParenExpr" | "UnaryExpr":
            return fixed(tree.expr)
        case "AggregateExpr":
            return fixed(tree.expr) and (tree.param is None or fixed(tree.param))
        case "BinaryExpr":
            return fixed(tree.lhs) and fixed(tree.rhs)
        case "Call":
            return tree.func.name not in _UNSAFE and all(fixed(each) for each in tree.args)
    return False


def time_dependent(tree: Tree) -> bool:
    """Whether it calls a function that depends on the step's time even when its arguments do not."""
    if syntax.kind(tree) == "Call" and tree.func.name in _UNSAFE:
        return True
    return any(time_dependent(child) for child in syntax.children(tree))


def _text(tree: Tree) -> str:
    tree = syntax.unwrapped(tree)
    if syntax.kind(tree) != "StringLiteral":
        raise problems.QueryError("parse error: expected a string literal")
    return str(tree.val)


def _vector(tree: Tree) -> VectorNode:
    tree = syntax.unwrapped(tree)
    node = _bare_vector(tree)
    return calls.Fixed(node) if syntax.kind(tree) != "VectorSelector" and fixed(tree) else node


def _bare_vector(tree: Tree) -> VectorNode:
    match syntax.kind(tree):
        case "VectorSelector":
            return selectors.InstantSelector(syntax.matchers(tree), syntax.when(tree))
        case "UnaryExpr":
            return operators.Negative(_vector(tree.expr))
        case "BinaryExpr":
            return _binary(tree)
        case "AggregateExpr":
            return _aggregate(tree)
        case "Call":
            return _call(tree)
    raise syntax.unsupported(f"`{syntax.kind(tree)}` as a vector")


def _scalar(tree: Tree) -> ScalarNode:
    tree = syntax.unwrapped(tree)
    match syntax.kind(tree):
        case "NumberLiteral":
            return calls.Number(float(tree.val))
        case "UnaryExpr":
            return operators.NegativeScalar(_scalar(tree.expr))
        case "BinaryExpr":
            return operators.ScalarScalar(str(tree.op), _scalar(tree.lhs), _scalar(tree.rhs))
        case "Call":
            match tree.func.name:
                case "time":
                    return calls.Time()
                case "pi":
                    return calls.Number(float(np.pi))
                case "scalar":
                    return calls.ScalarOf(_vector(tree.args[0]))
            raise _refused(tree)
    raise syntax.unsupported(f"`{syntax.kind(tree)}` as a scalar")


def _range(tree: Tree) -> RangeNode:
    tree = syntax.unwrapped(tree)
    if syntax.kind(tree) == "MatrixSelector":
        inner = tree.vector_selector
        span = syntax.milliseconds(tree.range)
        return selectors.RangeSelector(syntax.matchers(inner), syntax.when(inner), span)
    inner = tree.expr
    operand = calls.VectorOf(_scalar(inner)) if syntax.value_type(inner) == "scalar" else _vector(inner)
    step = None if tree.step is None else syntax.milliseconds(tree.step)
    return selectors.Subquery(operand, syntax.when(tree), syntax.milliseconds(tree.range), step)


# --- operators ---------------------------------------------------------------------------------------------------


def _binary(tree: Tree) -> VectorNode:
    op, modifier = str(tree.op), tree.modifier
    if op not in operators.ARITHMETIC and op not in operators.COMPARISON and op not in _SETS:
        raise syntax.unsupported(f"the operator `{op}`")
    as_bool = modifier is not None and bool(modifier.return_bool)
    left, right = syntax.value_type(tree.lhs), syntax.value_type(tree.rhs)
    if right == "scalar":
        return operators.VectorScalar(op, _vector(tree.lhs), _scalar(tree.rhs), swapped=False, as_bool=as_bool)
    if left == "scalar":
        return operators.VectorScalar(op, _vector(tree.rhs), _scalar(tree.lhs), swapped=True, as_bool=as_bool)
    how = _matching(modifier)
    if op in _SETS:
        return matching.SetOperator(op, _vector(tree.lhs), _vector(tree.rhs), how)
    return matching.VectorVector(op, _vector(tree.lhs), _vector(tree.rhs), how, as_bool=as_bool)


def _matching(modifier: Tree) -> matching.Matching:
    if modifier is None:
        return matching.Matching()
    fills = modifier.fill_values
    if fills is not None and (fills.lhs is not None or fills.rhs is not None):
        raise syntax.unsupported("the `fill` modifiers of binary operators (experimental)")
    card = _CARDS[str(modifier.card).rpartition(".")[2]]
    if modifier.matching is None:
        return matching.Matching(card)
    on = str(modifier.matching.type).rpartition(".")[2] == "Include"
    return matching.Matching(card, on, tuple(modifier.matching.labels), tuple(modifier.group_labels or ()))


def _aggregate(tree: Tree) -> VectorNode:
    op, operand = str(tree.op), _vector(tree.expr)
    grouping = aggregate.Grouping()
    if tree.modifier is not None:
        without = str(tree.modifier.type).rpartition(".")[2] == "Without"
        grouping = aggregate.Grouping(tuple(tree.modifier.labels), without)
    match op:
        case "topk" | "bottomk":
            return ranking.TopK(_scalar(tree.param), operand, grouping, largest=op == "topk")
        case "quantile":
            return aggregate.Quantile(_scalar(tree.param), operand, grouping)
        case "count_values":
            return ranking.CountValues(_label(_text(tree.param)), operand, grouping)
        case "limitk" | "limit_ratio":
            raise syntax.unsupported(f"the aggregation `{op}` (experimental)")
    return aggregate.Aggregation(op, operand, grouping)


def _label(name: str) -> str:
    if not name:
        raise problems.QueryError(f"invalid label name {name}", kind="execution")
    return name


# --- functions ---------------------------------------------------------------------------------------------------


def _refused(tree: Tree) -> problems.QueryError:
    name = tree.func.name
    if name in _NATIVE:
        return syntax.unsupported(f"the function `{name}` (native histograms)")
    note = " (experimental)" if tree.func.experimental else ""
    return syntax.unsupported(f"the function `{name}`{note}")


def _call(tree: Tree) -> VectorNode:
    name, args = tree.func.name, list(tree.args)
    if name in _EXTRAPOLATED:
        operand = _range(args[0])
        counter, per_second = _EXTRAPOLATED[name]
        make_call = calls.CounterCall if counter else calls.WindowCall
        return make_call(rates.extrapolated(operand.span, counter=counter, per_second=per_second), operand)
    if name in _WINDOW:
        return calls.WindowCall(_WINDOW[name], _range(args[0]), keeps_name=name in _KEEPS_NAME)
    if name in pointwise.MATHS:
        return calls.Pointwise(pointwise.MATHS[name], _vector(args[0]))
    if name in pointwise.DATES:
        operand_ = _vector(args[0]) if args else calls.VectorOf(calls.Time())
        return calls.Pointwise(pointwise.DATES[name], operand_)
    make = _OTHER.get(name)
    if make is None:
        raise _refused(tree)
    return make(args)


def _absent(args: list[Tree]) -> VectorNode:
    tree = syntax.unwrapped(args[0])
    matrix = syntax.value_type(tree) == "matrix"
    selector = tree.vector_selector if syntax.kind(tree) == "MatrixSelector" else tree
    labels: labels_.Labels = ()
    if syntax.kind(selector) == "VectorSelector":
        labels = naming.absent_labels(syntax.matchers(selector))
    return naming.Absent(_range(tree) if matrix else _vector(tree), labels)


def _clamp(args: list[Tree], low: Tree | None, high: Tree | None) -> VectorNode:
    bounds = [
        calls.Number(-np.inf) if low is None else _scalar(low),
        calls.Number(np.inf) if high is None else _scalar(high),
    ]
    return calls.Clamp(_vector(args[0]), bounds[0], bounds[1])


def _histogram(measure: buckets.Measure, args: list[Tree]) -> VectorNode:
    return buckets.HistogramFunction(measure, [_scalar(each) for each in args[:-1]], _vector(args[-1]))


def _round(args: list[Tree]) -> VectorNode:
    nearest = _scalar(args[1]) if len(args) > 1 else calls.Number(1.0)
    return calls.Pointwise(pointwise.rounded, _vector(args[0]), nearest)


def _join(args: list[Tree]) -> VectorNode:
    return naming.LabelJoin(_vector(args[0]), _text(args[1]), _text(args[2]), tuple(_text(each) for each in args[3:]))


def _replace(args: list[Tree]) -> VectorNode:
    target, template, origin, pattern = (_text(each) for each in args[1:])
    return naming.LabelReplace(_vector(args[0]), target, template, origin, pattern)


_OTHER: Mapping[str, Callable[[list[Tree]], VectorNode]] = MappingProxyType(
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
        "timestamp": lambda args: calls.Timestamp(_vector(args[0])),
        "vector": lambda args: calls.VectorOf(_scalar(args[0])),
    }
)
