"""From the text of a query to words, each with its place.

Inside braces every name is a label's, inside brackets a colon separates range and step. Nothing here knows the grammar.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Literal, TypeAlias

from tidegate.model import problems

Kind: TypeAlias = Literal["number", "duration", "string", "name", "op", "end"]

_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
_DURATION = re.compile(r"(?:[0-9]+y)?(?:[0-9]+w)?(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m(?!s))?(?:[0-9]+s)?(?:[0-9]+ms)?")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_PLAIN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`', re.DOTALL)
_OP = re.compile(r"==|!=|=~|!~|<=|>=|</|>/|[-+*/%^=<>(){}\[\],@:]")
_WORD_CHAR = re.compile(r"[a-zA-Z0-9_]")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.)|\Z)", re.DOTALL
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
UNITS_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PART = re.compile(r"([0-9]+)(ms|[ywdhms])")


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """One word of a query."""

    kind: Kind
    text: str
    """As written; for strings, what they mean."""
    start: int
    end: int

    @property
    def lower(self) -> str:
        """Keywords may be written in any case."""
        return self.text.lower() if self.kind == "name" else ""


def words(text: str) -> list[Word]:
    """All words, the end last. Raises `QueryError` with the place."""
    found: list[Word] = []
    at, braces, brackets = 0, False, 0
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if at >= len(text):
            return [*found, Word("end", "", len(text), len(text))]
        word = _next(text, at, braces=braces, brackets=brackets > 0)
        if word.kind == "op":
            braces = word.text == "{" or (braces and word.text != "}")
            brackets += {"[": 1, "]": -1}.get(word.text, 0)
        found.append(word)
        at = word.end


def _next(text: str, at: int, *, braces: bool, brackets: bool) -> Word:
    char = text[at]
    if char in "\"'`":
        return _string(text, at)
    if not braces and (char.isdigit() or (char == "." and text[at + 1 : at + 2].isdigit())):
        return _numeral(text, at)
    name = (_PLAIN if braces or brackets else _NAME).match(text, at)
    if name is not None and char != ":":
        return Word("name", name[0], at, name.end())
    if name is not None and not brackets:
        return Word("name", name[0], at, name.end())
    op = _OP.match(text, at)
    if op is None:
        raise error(text, at, f"unexpected character: {char!r}")
    return Word("op", op[0], at, op.end())


def _numeral(text: str, at: int) -> Word:
    duration, number = _DURATION.match(text, at), _NUMBER.match(text, at)
    end_d, end_n = duration.end() if duration else at, number.end() if number else at
    kind: Kind = "duration" if end_d > at and end_d >= end_n else "number"
    end = max(end_d, end_n)
    if _WORD_CHAR.match(text, end):
        while end < len(text) and _WORD_CHAR.match(text, end):
            end += 1
        raise error(text, at, f"bad number or duration syntax: {text[at:end]!r}")
    return Word(kind, text[at:end], at, end)


def _string(text: str, at: int) -> Word:
    found = _STRING.match(text, at)
    if found is None:
        raise error(text, at, "unterminated raw string" if text[at] == "`" else "unterminated quoted string")
    raw = found[0][1:-1]
    meant = raw if text[at] == "`" else _unescaped(text, at, raw)
    return Word("string", meant, at, found.end())


def _unescaped(text: str, at: int, raw: str) -> str:
    def one(found: re.Match[str]) -> str:
        letter, hexed, octal, short, long, _ = found.groups()
        if letter:
            return _ESCAPES[letter]
        if hexed or octal:
            return chr(int(hexed, 16) if hexed else int(octal, 8))
        if short or long:
            code = int(short or long, 16)
            if code < 0x110000 and not 0xD800 <= code < 0xE000:
                return chr(code)
        raise error(text, at + 1 + found.start(), f"unknown escape sequence {found[0]!r}")

    return _ESCAPE.sub(one, raw) if "\\" in raw else raw


def milliseconds(duration: str) -> int:
    """A duration's length."""
    return sum(int(number) * UNITS_MS[unit] for number, unit in _PART.findall(duration))


def error(text: str, at: int, what: str) -> problems.QueryError:
    """A parse error with line and column, as Prometheus writes it."""
    before = text[:at]
    line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
    return problems.QueryError(f"{line}:{column}: parse error: {what}", position=at)
