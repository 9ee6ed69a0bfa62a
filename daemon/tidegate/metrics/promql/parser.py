"""From words to the tree of a query: the grammar of PromQL, with its precedences, as Prometheus 3 has it.

A parser of operator precedence: what binds tighter is read first. Types are checked afterwards, in `typecheck`. Errors say
line and column. https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType

from tidegate.metrics.promql import signatures, spans, tree
from tidegate.metrics.promql.lexer import Word
from tidegate.model import alerts

PRECEDENCE: Mapping[str, int] = MappingProxyType(
    {"or": 1, "and": 2, "unless": 2}
    | dict.fromkeys(("==", "!=", "<=", "<", ">=", ">", "</", ">/"), 3)
    | {**spans.PRECEDENCE, "atan2": 5}
)
MATCH_OPS: Mapping[str, alerts.MatchOp] = MappingProxyType({"=": "=", "==": "=", "!=": "!=", "=~": "=~", "!~": "!~"})
_NOT_NAMES = frozenset({"atan2", "bool", "on", "ignoring", "group_left", "group_right"})
"""Keywords that no metric can be called without quotes."""
DEEPEST = 200
"""Expressions inside one another; more is no query that a person wrote."""
EARLIEST_MS, LATEST_MS = -(2**63), 2**63


def parse(text: str) -> tree.Expr:
    """The tree. Raises `QueryError` with the place."""
    parser = _Parser(text)
    found = parser.expression(0)
    parser.finished()
    return found


class _Parser(spans.Spans):
    """Reads one query."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    # --- operators -----------------------------------------------------------------------------------------------

    def expression(self, least: int) -> tree.Expr:
        """An expression whose operators bind at least so tightly."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} expressions inside one another", self._word.start)
        left = self._unary() if self._is("-") or self._is("+") else self._postfix(self._primary())
        while True:
            op = self._operator()
            precedence = PRECEDENCE.get(op, 0)
            if precedence <= least - (op in spans.RIGHT_ASSOCIATIVE) or not precedence:
                break
            left = self._binary(left, op, precedence)
        self._depth -= 1
        return left

    def _operator(self) -> str:
        return self._word.text if self._word.kind == "op" else self._word.lower

    def _unary(self) -> tree.Expr:
        op = self._take()
        operand = self.expression(spans.UNARY)
        at = (op.start, operand.at[1])
        if isinstance(operand, tree.NumberLiteral):
            value = -operand.value if op.text == "-" else operand.value
            return dataclasses.replace(operand, value=value, at=at)
        return tree.Unary(op.text, operand, at=at)

    def _binary(self, left: tree.Expr, op: str, precedence: int) -> tree.Expr:
        self._take()
        as_bool = self._keyword("bool")
        if as_bool:
            self._take()
        matching = self._filled(self._matching())
        right = self.expression(precedence)
        at = (left.at[0], right.at[1])
        return tree.Binary(op, left, right, matching, as_bool, at=at)

    def _matching(self) -> tree.Matching:
        if not self._keyword("on", "ignoring"):
            return tree.Matching()
        on = self._take().lower == "on"
        names = self._labels()
        if not self._keyword("group_left", "group_right"):
            return tree.Matching("one-to-one", on, names)
        card: tree.Card = "many-to-one" if self._take().lower == "group_left" else "one-to-many"
        return tree.Matching(card, on, names, self._labels() if self._is("(") else ())

    def _filled(self, matching: tree.Matching) -> tree.Matching:
        while self._keyword("fill", "fill_left", "fill_right") and self._words[self._next + 1].text == "(":
            which = self._take().lower
            value = self._fill_value()
            if which != "fill_right":
                matching = dataclasses.replace(matching, fill_left=value)
            if which != "fill_left":
                matching = dataclasses.replace(matching, fill_right=value)
        return matching

    def _fill_value(self) -> float:
        self._expect("(", "fill modifier")
        sign = -1.0 if self._is("-") else 1.0
        if self._is("-") or self._is("+"):
            self._take()
        number = self._number()
        if number is None:
            raise self._unexpected("fill modifier", "number")
        self._expect(")", "fill modifier")
        return sign * number.value

    def _labels(self) -> tuple[str, ...]:
        self._expect("(", "grouping opts")
        return self._listed(self._label, ")", "grouping opts")

    def _label(self) -> str:
        if self._word.kind == "string" or (self._word.kind == "name" and ":" not in self._word.text):
            word = self._take()
            if not word.text:
                raise self._error(f"invalid label name for grouping: {word.text!r}", word.start)
            return word.text
        raise self._unexpected("grouping opts", "label")

    # --- what stands alone ---------------------------------------------------------------------------------------

    def _primary(self) -> tree.Expr:
        word = self._word
        number = self._number()
        if number is not None:
            return number
        if word.kind == "string":
            self._take()
            return tree.StringLiteral(word.text, at=self._span(word.start))
        if self._is("("):
            self._take()
            inner = self.expression(0)
            self._expect(")", "paren expression")
            return tree.Paren(inner, at=self._span(word.start))
        if self._is("{"):
            return self._selector("", word.start)
        if word.kind == "name":
            return self._named(word)
        raise self._unexpected("")

    def _named(self, word: Word) -> tree.Expr:
        after = self._words[self._next + 1]
        name = word.lower
        if name in signatures.AGGREGATIONS and (after.text == "(" or after.lower in ("by", "without")):
            return self._aggregate()
        if name in _NOT_NAMES:
            raise self._unexpected("")
        self._take()
        if self._is("(") and ":" not in word.text:
            self._take()
            args = self._listed(lambda: self.expression(0), ")", "function call args", trailing=False)
            known = (
                word.text if word.text in signatures.FUNCTIONS else name if name in _CALLED_IN_ANY_CASE else word.text
            )
            if known not in signatures.FUNCTIONS:
                raise self._error(f'unknown function with name "{word.text}"', word.start)
            return tree.Call(known, args, at=self._span(word.start))
        return self._selector(word.text, word.start)

    def _aggregate(self) -> tree.Expr:
        op = self._take()
        grouping, without = self._grouping()
        self._expect("(", "aggregation")
        args = self._listed(lambda: self.expression(0), ")", "aggregation", trailing=False)
        if grouping is None:
            grouping, without = self._grouping()
        at = self._span(op.start)
        if not args:
            raise self._error("no arguments for aggregate expression provided", op.start)
        wanted = 2 if op.lower in signatures.PARAMETERS else 1
        if len(args) != wanted:
            what = "wrong number of arguments for aggregate expression provided"
            raise self._error(f"{what}, expected {wanted}, got {len(args)}", op.start)
        return tree.Aggregate(op.lower, args[-1], args[0] if wanted == 2 else None, grouping or (), without, at=at)

    def _grouping(self) -> tuple[tuple[str, ...] | None, bool]:
        if not self._keyword("by", "without"):
            return None, False
        without = self._take().lower == "without"
        return self._labels(), without

    # --- selectors -----------------------------------------------------------------------------------------------

    def _selector(self, name: str, start: int) -> tree.VectorSelector:
        matchers: tuple[alerts.Matcher, ...] = ()
        if self._is("{"):
            self._take()
            matchers = self._listed(self._matcher, "}", "label matching")
        return tree.VectorSelector(name, matchers, at=self._span(start))

    def _matcher(self) -> alerts.Matcher:
        label = self._word
        if label.kind not in ("name", "string"):
            raise self._unexpected("label matching", 'identifier or "}"')
        self._take()
        if label.kind == "string" and (self._is(",") or self._is("}")):
            return alerts.Matcher("__name__", "=", label.text)
        op = self._word
        if op.kind != "op" or op.text not in ("=", "!=", "=~", "!~"):
            raise self._unexpected("label matching", "label matching operator")
        self._take()
        if self._word.kind != "string":
            raise self._unexpected("label matching", "string")
        return alerts.Matcher(label.text, MATCH_OPS[op.text], self._take().text)

    # --- what follows a selector ---------------------------------------------------------------------------------

    def _postfix(self, expr: tree.Expr) -> tree.Expr:
        while True:
            if self._is("["):
                expr = self._ranged(expr)
            elif self._keyword("offset"):
                expr = self._offset(expr)
            elif self._is("@"):
                expr = self._pinned(expr)
            elif self._keyword("anchored", "smoothed"):
                expr = self._extended(expr)
            else:
                return expr

    def _ranged(self, expr: tree.Expr) -> tree.Expr:
        opening = self._take()
        span = self._positive("subquery or range selector")
        if self._is("]"):
            self._take()
            return self._matrix(expr, span, opening.start)
        self._expect(":", "subquery or range", '":" or "]"')
        step = None if self._is("]") else self._positive("subquery selector")
        self._expect("]", "subquery selector")
        return tree.Subquery(expr, span, step, at=self._span(expr.at[0]))

    def _matrix(self, expr: tree.Expr, span: tree.Duration, opening: int) -> tree.MatrixSelector:
        if not isinstance(expr, tree.VectorSelector):
            raise self._error("ranges only allowed for vector selectors", opening)
        if expr.when.offset is not None:
            raise self._error("no offset modifiers allowed before range", opening)
        if expr.when != tree.When():
            raise self._error("no @ modifiers allowed before range", opening)
        return tree.MatrixSelector(expr, span, at=self._span(expr.at[0]))

    def _offset(self, expr: tree.Expr) -> tree.Expr:
        self._take()
        offset = self._signed_duration()
        before = self._when(expr, "offset modifier")
        if before.offset is not None:
            raise self._error("offset may not be set multiple times", expr.at[0])
        return self._at_time(expr, dataclasses.replace(before, offset=offset))

    def _pinned(self, expr: tree.Expr) -> tree.Expr:
        self._take()
        before = self._when(expr, "@ modifier")
        if before.timestamp is not None or before.edge:
            raise self._error("@ <timestamp> may not be set multiple times", expr.at[0])
        edges: dict[str, tree.Edge] = {"start": "start", "end": "end"}
        if self._word.lower in edges:
            edge = edges[self._take().lower]
            self._expect("(", "@")
            self._expect(")", "@")
            return self._at_time(expr, dataclasses.replace(before, edge=edge))
        sign = -1.0 if self._is("-") else 1.0
        if self._is("-") or self._is("+"):
            self._take()
        number = self._number()
        if number is None:
            raise self._unexpected("@", "timestamp")
        at_ms = sign * number.value * 1000
        if not math.isfinite(at_ms) or not EARLIEST_MS < at_ms / 1000 < LATEST_MS:
            raise self._error(f"timestamp out of bounds for @ modifier: {sign * number.value:f}", expr.at[0])
        return self._at_time(expr, dataclasses.replace(before, timestamp=round(at_ms)))

    def _extended(self, expr: tree.Expr) -> tree.Expr:
        word = self._take()
        selector = expr.selector if isinstance(expr, tree.MatrixSelector) else expr
        if isinstance(expr, tree.Subquery):
            raise self._error(f"{word.lower} modifier is not supported for subqueries", expr.at[0])
        if not isinstance(selector, tree.VectorSelector):
            raise self._error(f"{word.lower} modifier not implemented", expr.at[0])
        if selector.extended and selector.extended != word.lower:
            raise self._error("anchored and smoothed modifiers cannot be used together", expr.at[0])
        changed = dataclasses.replace(selector, extended="anchored" if word.lower == "anchored" else "smoothed")
        at = self._span(expr.at[0])
        if isinstance(expr, tree.MatrixSelector):
            return dataclasses.replace(expr, selector=changed, at=at)
        return dataclasses.replace(changed, at=at)

    def _when(self, expr: tree.Expr, what: str) -> tree.When:
        match expr:
            case tree.VectorSelector() | tree.Subquery():
                return expr.when
            case tree.MatrixSelector():
                return expr.selector.when
        kinds = "an instant vector selector or range vector selector or a subquery"
        raise self._error(f"{what} must be preceded by {kinds}", expr.at[0])

    def _at_time(self, expr: tree.Expr, when: tree.When) -> tree.Expr:
        at = self._span(expr.at[0])
        match expr:
            case tree.MatrixSelector():
                return dataclasses.replace(expr, selector=dataclasses.replace(expr.selector, when=when), at=at)
            case tree.VectorSelector() | tree.Subquery():
                return dataclasses.replace(expr, when=when, at=at)
        raise TypeError(type(expr).__name__)


_CALLED_IN_ANY_CASE = frozenset({"start", "end", "step", "range", "min_of", "max_of"})
