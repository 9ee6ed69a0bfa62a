"""The words of one query and the place in them, with what every part of the grammar needs: to look, to take, to complain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tidegate.metrics.promql import lexer
from tidegate.metrics.promql.lexer import Word
from tidegate.model import problems

T = TypeVar("T")


class Cursor:
    """Goes through one query word by word."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = lexer.words(text)
        self._next = 0
        if self._words[0].kind == "end":
            raise lexer.error(text, 0, "no expression found in input")

    @property
    def _word(self) -> Word:
        return self._words[self._next]

    def _take(self) -> Word:
        word = self._word
        self._next += 1
        return word

    def _is(self, op: str) -> bool:
        return self._word.kind == "op" and self._word.text == op

    def _keyword(self, *names: str) -> bool:
        return self._word.lower in names

    def _expect(self, op: str, where: str, expected: str = "") -> Word:
        if not self._is(op):
            raise self._unexpected(where, expected or f'"{op}"')
        return self._take()

    def _unexpected(self, where: str, expected: str = "") -> problems.QueryError:
        word = self._word
        shown = "end of input" if word.kind == "end" else f'"{word.text}"'
        kinds = {"name": "identifier ", "number": "number ", "duration": "duration ", "string": "string "}
        what = f"unexpected {kinds.get(word.kind, '')}{shown}" + (f" in {where}" if where else "")
        return self._error(what + (f", expected {expected}" if expected else ""), word.start)

    def _error(self, what: str, at: int) -> problems.QueryError:
        return lexer.error(self._text, at, what)

    def finished(self) -> None:
        """Nothing may be left. Raises `QueryError`."""
        if self._word.kind != "end":
            raise self._unexpected("")

    def _span(self, start: int) -> tuple[int, int]:
        return start, self._words[self._next - 1].end

    def _listed(self, one: Callable[[], T], close: str, where: str, *, trailing: bool = True) -> tuple[T, ...]:
        """Things between commas, up to and with the closing word."""
        found: list[T] = []
        while not self._is(close):
            found.append(one())
            if not self._is(","):
                break
            comma = self._take()
            if self._is(close) and not trailing:
                raise self._error("trailing commas not allowed in function call args", comma.start)
        self._expect(close, where, f'"," or "{close}"')
        return tuple(found)
