"""From text to tokens: words, phrases, operators, each with its place.

A backslash takes the meaning from what follows, and writes `\\t`, `\\n`, `\\r` and `\\uXXXX`. Keywords may be written in any
case. Words side by side are one value, as in Kibana: `message: connection refused`.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from tidegate.logs.kql import tree
from tidegate.model import problems

Kind = Literal["(", ")", "{", "}", ":", "<", "<=", ">", ">=", "word", "phrase", "and", "or", "not", "end"]
_ENDS_WORD = frozenset('():<>"{}')
_IN_QUOTES = re.compile(r'\\(?:[\\"tnr]|u[0-9a-fA-F]{4})')
"""What a backslash means something before in quotes; before anything else it is itself, as in Kibana: `"C:\\Windows"`."""
_NAMED = {"t": "\t", "n": "\n", "r": "\r"}
_KEYWORD = re.compile(r"\\(and|or|not)(?=[\s():<>\"{}]|\Z)", re.IGNORECASE)
_PREFIX = re.compile(r"and|or|not", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F]{4}")


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """One token."""

    kind: Kind
    at: int
    text: str = ""
    """A word's text; `tree.WILD` where a `*` was written without a backslash."""

    @property
    def shown(self) -> str:
        """For messages."""
        return (self.text or self.kind).replace(tree.WILD, "*")


def tokens(text: str) -> list[Token]:
    """All tokens, the last one is `end`. Raises `QueryError` with the position."""
    if tree.WILD in text:
        raise problems.QueryError("this character cannot be searched for", position=text.index(tree.WILD))
    found: list[Token] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
        else:
            token, at = (
                _operator(text, at) if char in "(){}:<>" else _phrase(text, at) if char == '"' else _word(text, at)
            )
            found.append(token)
    found.append(Token("end", len(text)))
    return _joined(found)


def _operator(text: str, at: int) -> tuple[Token, int]:
    kind = text[at]
    if kind in "<>" and text[at + 1 : at + 2] == "=":
        kind += "="
    return Token(kind, at), at + len(kind)  # type: ignore[arg-type]  # one of the nine


def _phrase(text: str, start: int) -> tuple[Token, int]:
    out: list[str] = []
    at = start + 1
    while at < len(text) and text[at] != '"':
        if _IN_QUOTES.match(text, at):
            char, at = _escaped(text, at)
        else:
            char, at = text[at], at + 1
        out.append(char)
    if at >= len(text):
        raise problems.QueryError("the quote is not closed", position=start)
    return Token("phrase", start, "".join(out)), at + 1


def _word(text: str, start: int) -> tuple[Token, int]:
    if literal := _KEYWORD.match(text, start):
        return Token("word", start, literal[1]), literal.end()
    out: list[str] = []
    at, escaped = start, False
    while at < len(text) and not text[at].isspace() and text[at] not in _ENDS_WORD:
        if text[at] == "\\":
            char, at = _escaped(text, at)
            escaped = True
        else:
            char, at = tree.WILD if text[at] == "*" else text[at], at + 1
        out.append(char)
    word = "".join(out)
    if not escaped and word.lower() in ("and", "or", "not"):
        return Token(word.lower(), start, word), at  # type: ignore[arg-type]  # one of the three
    return Token("word", start, word), at


def _escaped(text: str, at: int) -> tuple[str, int]:
    """The character that a backslash and what follows stand for, and where the text goes on."""
    following = text[at + 1 : at + 2]
    if not following:
        raise problems.QueryError("nothing follows the backslash", position=at)
    if following == "u" and (code := _HEX.match(text, at + 2)):
        char = chr(int(code[0], 16))
        if char == tree.WILD or "\ud800" <= char <= "\udfff":
            raise problems.QueryError("this character cannot be searched for", position=at)
        return char, at + 6
    if following.isalnum() and following not in _NAMED and not _PREFIX.match(text, at + 1):
        raise problems.QueryError(f"`\\{following}` means nothing; write a backslash as `\\\\`", position=at)
    return _NAMED.get(following, following), at + 2


def _joined(found: list[Token]) -> list[Token]:
    out: list[Token] = []
    for token in found:
        if token.kind == "word" and out and out[-1].kind == "word":
            out[-1] = dataclasses.replace(out[-1], text=f"{out[-1].text} {token.text}")
        else:
            out.append(token)
    return out
