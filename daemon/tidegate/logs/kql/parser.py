"""From text to tree, by recursive descent: `or` binds weakest, then `and`, then `not`, then parentheses and fields.

Values of one field may be a list in parentheses. Keywords may be written in any case; a backslash takes the meaning from
what follows. Errors say where.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, NoReturn

from tidegate.logs import fields
from tidegate.logs.kql import tree
from tidegate.model import problems

Kind = Literal["(", ")", ":", "<", "<=", ">", ">=", "word", "phrase", "and", "or", "not", "end"]
LONGEST = 8192
DEEPEST = 100


@dataclasses.dataclass(frozen=True, slots=True)
class _Token:
    kind: Kind
    at: int
    text: str = ""
    """A word's text; `tree.WILD` where a `*` was written without a backslash."""


def parse(text: str) -> tree.Node:
    """The tree. Raises `QueryError` with the position."""
    if len(text) > LONGEST:
        raise problems.QueryError(f"the query is longer than {LONGEST} characters", position=LONGEST)
    parser = _Parser(_tokens(text))
    if parser.at("end"):
        return tree.Everything()
    found = parser.any_of()
    parser.expect_end()
    return found


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._place = self._depth = 0

    def at(self, *kinds: Kind) -> bool:
        return self._tokens[self._place].kind in kinds

    def _take(self) -> _Token:
        token = self._tokens[self._place]
        self._place += 1
        return token

    def any_of(self, field: str | None = None) -> tree.Node:
        """`a or b`"""
        return self._joined(field, "or")

    def _joined(self, field: str | None, word: Literal["or", "and"]) -> tree.Node:
        parts = [self._joined(field, "and") if word == "or" else self._maybe_not(field)]
        while self.at(word):
            self._take()
            parts.append(self._joined(field, "and") if word == "or" else self._maybe_not(field))
        if len(parts) == 1:
            return parts[0]
        return tree.Or(tuple(parts)) if word == "or" else tree.And(tuple(parts))

    def _maybe_not(self, field: str | None) -> tree.Node:
        if not self.at("not"):
            return self._term(field)
        token = self._take()
        self._deeper(token)
        inner = self._maybe_not(field)
        self._depth -= 1
        return tree.Not(inner)

    def _term(self, field: str | None) -> tree.Node:
        if self.at("("):
            return self._parenthesis(field)
        if not self.at("word", "phrase"):
            self._wrong("expected a value" if field else "expected a field, a value or a parenthesis")
        token = self._take()
        if field is None and self.at(":"):
            self._take()
            return self._after_field(_field(token))
        if field is None and self.at("<", "<=", ">", ">="):
            return self._range(_field(token))
        return _match(field, token)

    def _parenthesis(self, field: str | None) -> tree.Node:
        opening = self._take()
        self._deeper(opening)
        inner = self.any_of(field)
        if not self.at(")"):
            raise problems.QueryError("this parenthesis is not closed", position=opening.at)
        self._take()
        self._depth -= 1
        return inner

    def _after_field(self, field: str) -> tree.Node:
        if self.at("("):
            return self._parenthesis(field)
        if not self.at("word", "phrase"):
            self._wrong(f"expected a value for `{field}`")
        return _match(field, self._take())

    def _range(self, field: str) -> tree.Node:
        op = self._take().kind
        if not self.at("word", "phrase"):
            self._wrong(f"expected a bound after `{op}`")
        bound = self._take()
        if tree.WILD in bound.text:
            raise problems.QueryError("a bound cannot have a wildcard", position=bound.at)
        return tree.Range(field, op, bound.text)  # type: ignore[arg-type]  # one of the four

    def _deeper(self, token: _Token) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise problems.QueryError("too many levels of parentheses", position=token.at)

    def _wrong(self, message: str) -> NoReturn:
        token = self._tokens[self._place]
        met = "the end" if token.kind == "end" else f"`{token.text or token.kind}`".replace(tree.WILD, "*")
        raise problems.QueryError(f"{message}, found {met}", position=token.at)

    def expect_end(self) -> None:
        """Nothing may be left over."""
        if not self.at("end"):
            hint = "; a closing parenthesis too many?" if self.at(")") else "; join conditions with `and` or `or`"
            token = self._tokens[self._place]
            shown = (token.text or token.kind).replace(tree.WILD, "*")
            raise problems.QueryError(f"`{shown}` does not belong here{hint}", position=token.at)


def _field(token: _Token) -> str:
    if tree.WILD in token.text:
        raise problems.QueryError("wildcards in field names are not supported", position=token.at)
    return fields.resolve(token.text)


def _match(field: str | None, token: _Token) -> tree.Node:
    wildcard = token.kind == "word" and tree.WILD in token.text
    if wildcard and not token.text.strip(tree.WILD):
        return tree.Exists(field) if field else tree.Everything()
    return tree.Match(field, token.text, token.kind == "phrase", wildcard)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
        elif char in "():":
            found.append(_Token(char, at))  # type: ignore[arg-type]  # one of the three
            at += 1
        elif char in "<>":
            kind = char + "=" if text[at + 1 : at + 2] == "=" else char
            found.append(_Token(kind, at))  # type: ignore[arg-type]  # one of the four
            at += len(kind)
        elif char in "{}":
            raise problems.QueryError("nested queries `{ }` are not supported", position=at)
        else:
            token, at = _phrase(text, at) if char == '"' else _word(text, at)
            found.append(token)
    found.append(_Token("end", len(text)))
    return _words_joined(found, text)


def _phrase(text: str, start: int) -> tuple[_Token, int]:
    out: list[str] = []
    at = start + 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        out.append(text[at])
        at += 1
    if at >= len(text):
        raise problems.QueryError("the quote is not closed", position=start)
    return _Token("phrase", start, "".join(out)), at + 1


def _word(text: str, start: int) -> tuple[_Token, int]:
    out: list[str] = []
    at, escaped = start, False
    while at < len(text) and not text[at].isspace() and text[at] not in '():<>"{}':
        char = text[at]
        if char == "\\":
            at += 1
            escaped = True
            if at >= len(text):
                raise problems.QueryError("nothing follows the backslash", position=at - 1)
            out.append(text[at])
        else:
            out.append(tree.WILD if char == "*" else char)
        at += 1
    word = "".join(out)
    if not escaped and word.lower() in ("and", "or", "not"):
        return _Token(word.lower(), start, word), at  # type: ignore[arg-type]  # one of the three
    return _Token("word", start, word), at


def _words_joined(tokens: list[_Token], text: str) -> list[_Token]:
    """Words side by side are one value, as in Kibana: `message: connection refused`."""
    out: list[_Token] = []
    for token in tokens:
        if token.kind == "word" and out and out[-1].kind == "word" and text[out[-1].at : token.at].strip():
            out[-1] = dataclasses.replace(out[-1], text=f"{out[-1].text} {token.text}")
        else:
            out.append(token)
    return out
