"""Checks that a query makes sense: types of operands and arguments, what modifiers may stand where, patterns.

Changes the tree in one way: operators with a scalar on a side lose their matching, and set operators match many to many.
Rules and texts are Prometheus'. Raises `QueryError` with the place.
"""

from __future__ import annotations

import dataclasses

from tidegate.kit import matchers as matchers_
from tidegate.metrics.promql import lexer, signatures, tree
from tidegate.metrics.promql.tree import ValueType
from tidegate.model import labels as labels_
from tidegate.model import problems

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
SETS = frozenset({"and", "or", "unless"})
_SHOWN = {"vector": "instant vector", "matrix": "range vector"}


def checked(text: str, parsed: tree.Expr, *, experimental: bool) -> tree.Expr:
    """The query, ready to be evaluated. `experimental` allows what Prometheus has behind flags."""
    return _Check(text, experimental).expr(parsed)


def value_type(expr: tree.Expr) -> ValueType:  # noqa: PLR0911 - one return for each kind
    """What an expression gives."""
    match expr:
        case tree.NumberLiteral():
            return "scalar"
        case tree.StringLiteral():
            return "string"
        case tree.MatrixSelector() | tree.Subquery():
            return "matrix"
        case tree.Paren() | tree.Unary():
            return value_type(expr.expr)
        case tree.Call():
            return signatures.FUNCTIONS[expr.name].result
        case tree.Binary():
            both = value_type(expr.left) == value_type(expr.right) == "scalar"
            return "scalar" if both else "vector"
    return "vector"


def shown(kind: ValueType) -> str:
    """A type as people call it."""
    return _SHOWN.get(kind, kind)


class _Check:
    """Checks one query."""

    def __init__(self, text: str, experimental: bool) -> None:
        self._text, self._experimental = text, experimental

    def _error(self, node: tree.Node, what: str) -> problems.QueryError:
        return lexer.error(self._text, node.at[0], what)

    def expr(self, node: tree.Expr) -> tree.Expr:  # noqa: PLR0911 - one return for each kind
        """One expression with everything below it."""
        match node:
            case tree.Paren():
                return dataclasses.replace(node, expr=self.expr(node.expr))
            case tree.Unary():
                return self._unary(node)
            case tree.Binary():
                return self._binary(node)
            case tree.Aggregate():
                return self._aggregate(node)
            case tree.Call():
                return self._call(node)
            case tree.Subquery():
                return self._subquery(node)
            case tree.MatrixSelector():
                self._extended(node.selector)
                self._durations(node.span, node.selector.when)
                return dataclasses.replace(node, selector=self._selector(node.selector))
            case tree.VectorSelector():
                self._extended(node)
                self._durations(node.when)
                return self._selector(node)
        return node

    def _unary(self, node: tree.Unary) -> tree.Expr:
        inner = self.expr(node.expr)
        kind = value_type(inner)
        if kind not in ("scalar", "vector"):
            what = "unary expression only allowed on expressions of type scalar or instant vector"
            raise self._error(node, f'{what}, got "{shown(kind)}"')
        return dataclasses.replace(node, expr=inner)

    def _subquery(self, node: tree.Subquery) -> tree.Expr:
        inner = self.expr(node.expr)
        self._durations(node.span, node.step, node.when)
        if value_type(inner) != "vector":
            what = f"subquery is only allowed on instant vector, got {value_type(inner)} instead"
            raise self._error(node, what)
        return dataclasses.replace(node, expr=inner)

    def _durations(self, *found: tree.Duration | tree.When | None) -> None:
        for one in found:
            duration = one.offset if isinstance(one, tree.When) else one
            if isinstance(duration, tree.DurationExpr) and not self._experimental:
                raise self._error(duration, "experimental duration expression is not enabled")

    def _extended(self, node: tree.VectorSelector) -> None:
        if node.extended and not self._experimental:
            raise self._error(node, "anchored and smoothed modifiers are experimental and not enabled")

    # --- operators -----------------------------------------------------------------------------------------------

    def _binary(self, node: tree.Binary) -> tree.Expr:
        left, right = self.expr(node.left), self.expr(node.right)
        kinds = value_type(left), value_type(right)
        matching = node.matching or tree.Matching()
        at = dataclasses.replace(node, at=(left.at[1], right.at[0]))
        self._check_operator(node, at, kinds)
        if matching.on and set(matching.labels) & set(matching.include):
            name = min(set(matching.labels) & set(matching.include))
            raise self._error(node, f'label "{name}" must not occur in ON and GROUP clause at once')
        for side, kind in zip((left, right), kinds, strict=True):
            if kind not in ("scalar", "vector"):
                raise self._error(side, "binary expression must contain only scalar and instant vector types")
        if "scalar" in kinds:
            self._check_unmatched(node, matching)
            return dataclasses.replace(node, left=left, right=right, matching=None)
        if node.op in SETS:
            matching = self._set_matching(node, matching)
        if self._fills(matching) and not self._experimental:
            raise self._error(node, "binop fill modifiers are experimental and not enabled")
        return dataclasses.replace(node, left=left, right=right, matching=matching)

    def _check_operator(self, node: tree.Binary, at: tree.Node, kinds: tuple[ValueType, ValueType]) -> None:
        if node.as_bool and node.op not in COMPARISONS:
            raise self._error(at, "bool modifier can only be used on comparison operators")
        if node.op in COMPARISONS and not node.as_bool and kinds == ("scalar", "scalar"):
            raise self._error(at, "comparisons between scalars must use BOOL modifier")
        if node.op in SETS and "scalar" in kinds:
            raise self._error(node, f'set operator "{node.op}" not allowed in binary scalar expression')

    def _fills(self, matching: tree.Matching) -> bool:
        return matching.fill_left is not None or matching.fill_right is not None

    def _check_unmatched(self, node: tree.Binary, matching: tree.Matching) -> None:
        if matching.labels:
            raise self._error(node, "vector matching only allowed between instant vectors")
        if self._fills(matching):
            raise self._error(node, "filling in missing series only allowed between instant vectors")

    def _set_matching(self, node: tree.Binary, matching: tree.Matching) -> tree.Matching:
        if matching.card != "one-to-one":
            raise self._error(node, f'no grouping allowed for "{node.op}" operation')
        if self._fills(matching):
            raise self._error(node, "filling in missing series not allowed for set operators")
        return dataclasses.replace(matching, card="many-to-many")

    # --- aggregations and functions ------------------------------------------------------------------------------

    def _aggregate(self, node: tree.Aggregate) -> tree.Expr:
        if node.op in signatures.EXPERIMENTAL_AGGREGATIONS and not self._experimental:
            flag = "--enable-feature=promql-experimental-functions"
            raise self._error(node, f"{node.op}() is experimental and must be enabled with {flag}")
        expr = self._typed(node.expr, "vector", "aggregation expression")
        if node.param is None:
            return dataclasses.replace(node, expr=expr)
        param = self._typed(node.param, signatures.PARAMETERS[node.op], "aggregation parameter")
        return dataclasses.replace(node, expr=expr, param=param)

    def _typed(self, node: tree.Expr, wanted: ValueType, where: str) -> tree.Expr:
        found = self.expr(node)
        if value_type(found) != wanted:
            what = f"expected type {shown(wanted)} in {where}, got {shown(value_type(found))}"
            raise self._error(node, what)
        return found

    def _call(self, node: tree.Call) -> tree.Expr:
        signature = signatures.FUNCTIONS[node.name]
        if signature.experimental and not self._experimental:
            raise self._error(node, f'function "{node.name}" is not enabled')
        self._check_number(node, signature)
        if node.name == "info" and len(node.args) > 1:
            self._check_info(node)
        args: list[tree.Expr] = []
        for number, arg in enumerate(node.args):
            wanted = signature.args[min(number, len(signature.args) - 1)]
            if node.name == "info" and number and isinstance(arg, tree.VectorSelector):
                args.append(arg)
            else:
                args.append(self._typed(arg, wanted, f'call to function "{node.name}"'))
        return dataclasses.replace(node, args=tuple(args))

    def _check_number(self, node: tree.Call, signature: signatures.Signature) -> None:
        least, given = len(signature.args), len(node.args)
        if not signature.variadic:
            if given != least:
                raise self._error(node, f'expected {least} argument(s) in call to "{node.name}", got {given}')
            return
        most = least - 1 + signature.variadic
        if given < least - 1:
            raise self._error(node, f'expected at least {least - 1} argument(s) in call to "{node.name}", got {given}')
        if signature.variadic > 0 and given > most:
            raise self._error(node, f'expected at most {most} argument(s) in call to "{node.name}", got {given}')

    def _check_info(self, node: tree.Call) -> None:
        selector = node.args[1]
        if value_type(selector) != "vector":
            kind = shown(value_type(selector))
            raise self._error(node, f'expected type instant vector in call to function "info", got {kind}')
        if not isinstance(selector, tree.VectorSelector):
            raise self._error(selector, "expected label selectors only")
        if selector.name:
            raise self._error(selector, "expected label selectors only, got vector selector instead")

    # --- selectors -----------------------------------------------------------------------------------------------

    def _selector(self, node: tree.VectorSelector) -> tree.VectorSelector:
        for matcher in node.matchers:
            try:
                matchers_.pattern_of(matcher)
            except problems.QueryError as error:
                raise self._error(node, f"error parsing regexp: {error}: `{matcher.value}`") from None
        if not node.name:
            if not any(not matchers_.condition(matcher, newlines=True)("") for matcher in node.matchers):
                raise self._error(node, "vector selector must contain at least one non-empty matcher")
            return node
        for matcher in node.matchers:
            if matcher.name == labels_.NAME:
                what = f'metric name must not be set twice: "{node.name}" or "{matcher.value}"'
                raise self._error(node, what)
        return node
