"""The grammar of durations: `5m`, numbers of seconds, and arithmetic on them with `step()` and `range()`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from tidegate.metrics.promql import lexer, tree
from tidegate.metrics.promql.cursor import Cursor
from tidegate.metrics.promql.lexer import Word

LONGEST_SECONDS = 2**63 / 1e9
PRECEDENCE: Mapping[str, int] = MappingProxyType({"+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6})
UNARY = 5
RIGHT_ASSOCIATIVE = frozenset({"^"})


class Spans(Cursor):
    """Reads durations and numbers."""

    def _number(self) -> tree.NumberLiteral | None:
        word = self._word
        if word.kind == "number":
            self._take()
            return tree.NumberLiteral(_value(word.text), at=self._span(word.start))
        if word.kind == "duration":
            self._take()
            value = lexer.milliseconds(word.text) / 1000
            if value <= 0 and not word.text.strip("0s"):
                value = 0.0
            return tree.NumberLiteral(value, duration=True, at=self._span(word.start))
        if word.kind == "name" and word.lower in ("inf", "nan"):
            self._take()
            return tree.NumberLiteral(float(word.lower), at=self._span(word.start))
        return None

    def _positive(self, where: str) -> tree.Duration:
        found = self._duration(0, where)
        if isinstance(found, tree.NumberLiteral) and found.value <= 0:
            raise self._error("duration must be greater than 0", found.at[0])
        return found

    def _signed_duration(self) -> tree.Duration:
        """After `offset`: one duration; operators after it are those of the query."""
        if not (self._is("-") or self._is("+")):
            return self._duration_atom("offset")
        op = self._take()
        return self._negated(op, self._duration_atom("offset"))

    def _negated(self, op: Word, operand: tree.Duration) -> tree.Duration:
        at = (op.start, operand.at[1])
        if isinstance(operand, tree.NumberLiteral):
            return dataclasses.replace(operand, value=-operand.value if op.text == "-" else operand.value, at=at)
        return tree.DurationExpr(op.text, None, operand, at=at)

    def _duration(self, least: int, where: str) -> tree.Duration:
        """Arithmetic on durations, inside brackets or parentheses."""
        if self._is("-") or self._is("+"):
            op = self._take()
            left = self._negated(op, self._duration(UNARY, where))
        else:
            left = self._duration_atom(where)
        while self._word.kind == "op" and self._word.text in ("+", "-", "*", "/", "%", "^"):
            op = self._word
            precedence = PRECEDENCE[op.text]
            if precedence <= least - (op.text in RIGHT_ASSOCIATIVE):
                break
            self._take()
            right = self._duration(precedence, where)
            if op.text in ("/", "%") and isinstance(right, tree.NumberLiteral) and not right.value:
                raise self._error("division by zero" if op.text == "/" else "modulo by zero", op.start)
            left = tree.DurationExpr(op.text, left, right, at=(left.at[0], right.at[1]))
        return left

    def _duration_atom(self, where: str) -> tree.Duration:
        word = self._word
        number = self._number()
        if number is not None:
            if not abs(number.value) <= LONGEST_SECONDS:
                raise self._error("duration out of range", word.start)
            return number
        if self._is("("):
            self._take()
            inner = self._duration(0, where)
            self._expect(")", where)
            at = self._span(word.start)
            if isinstance(inner, tree.NumberLiteral):
                return tree.DurationExpr("+", None, inner, wrapped=True, at=at)
            return dataclasses.replace(inner, wrapped=True, at=at)
        if self._keyword("step", "range"):
            self._take()
            self._expect("(", where)
            self._expect(")", where)
            return tree.DurationExpr(word.lower, at=self._span(word.start))
        if self._keyword("min_of", "max_of"):
            return self._extreme(word, where)
        raise self._unexpected(where, "number, duration, step(), or range()")

    def _extreme(self, word: Word, where: str) -> tree.Duration:
        self._take()
        self._expect("(", where)
        left = self._duration(0, where)
        self._expect(",", where)
        right = self._duration(0, where)
        self._expect(")", where)
        return tree.DurationExpr(word.lower, left, right, at=self._span(word.start))


def _value(text: str) -> float:
    plain = text.replace("_", "")
    return float(int(plain, 16)) if plain[:2].lower() == "0x" else float(plain)
