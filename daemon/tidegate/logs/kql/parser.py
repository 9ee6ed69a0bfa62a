"""From tokens to tree, by recursive descent: `or` binds weakest, then `and`, then `not`, then parentheses and fields.

Values of one field may be a list in parentheses. Errors say where. What a condition means for its field is `meaning`'s
business.
"""

from __future__ import annotations

from typing import Literal, NoReturn

from tidegate.logs.ecs import fields
from tidegate.logs.kql import lexer, tree
from tidegate.model import problems

LONGEST = 8192
DEEPEST = 100


def parse(text: str) -> tree.Node:
    """The tree. Raises `QueryError` with the position."""
    if len(text) > LONGEST:
        raise problems.QueryError(f"the query is longer than {LONGEST} characters", position=LONGEST)
    parser = _Parser(lexer.tokens(text))
    if parser.at("end"):
        return tree.Everything()
    found = parser.any_of()
    parser.expect_end()
    return found


class _Parser:
    def __init__(self, tokens: list[lexer.Token]) -> None:
        self._tokens = tokens
        self._place = self._depth = 0
        self._path = ""
        """Of the nested condition around, with a dot."""

    def at(self, *kinds: lexer.Kind) -> bool:
        return self._tokens[self._place].kind in kinds

    def _take(self) -> lexer.Token:
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
            return self._nested(token) if self.at("{") else self._after_field(self._field(token))
        if field is None and self.at("<", "<=", ">", ">="):
            return self._range(self._field(token), token)
        if field is None and self._path and token.text != tree.WILD:
            raise problems.QueryError("inside `{ }` every condition names its field", position=token.at)
        return _match(field, token)

    def _field(self, token: lexer.Token) -> str:
        """A field's full name, or a pattern of names."""
        if self._path:
            return self._path + token.text
        return token.text if tree.WILD in token.text else fields.resolve(token.text)

    def _nested(self, named: lexer.Token) -> tree.Node:
        """What stands in braces: its names are below the field's, its conditions about one object at a time."""
        if tree.WILD in named.text:
            raise problems.QueryError("a nested condition needs one field, not a pattern of names", position=named.at)
        opening, around = self._take(), self._path
        self._deeper(opening)
        self._path = f"{around}{named.text}."
        inner = self.any_of()
        if not self.at("}"):
            raise problems.QueryError("this brace is not closed", position=opening.at)
        self._take()
        self._depth -= 1
        self._path = around
        return tree.Nested(f"{around}{named.text}", inner, named.at)

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

    def _range(self, field: str, named: lexer.Token) -> tree.Node:
        op = self._take().kind
        if not self.at("word", "phrase"):
            self._wrong(f"expected a bound after `{op}`")
        if tree.WILD in field:
            raise problems.QueryError("a comparison needs one field, not a pattern of names", position=named.at)
        bound = self._take()
        if tree.WILD in bound.text:
            raise problems.QueryError("a bound cannot have a wildcard", position=bound.at)
        return tree.Range(field, op, bound.text, bound.at)  # type: ignore[arg-type]  # one of the four

    def _deeper(self, token: lexer.Token) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise problems.QueryError("too many levels of parentheses and braces", position=token.at)

    def _wrong(self, message: str) -> NoReturn:
        token = self._tokens[self._place]
        met = "the end" if token.kind == "end" else f"`{token.shown}`"
        raise problems.QueryError(f"{message}, found {met}", position=token.at)

    def expect_end(self) -> None:
        """Nothing may be left over."""
        if not self.at("end"):
            hint = "; a closing parenthesis too many?" if self.at(")") else "; join conditions with `and` or `or`"
            token = self._tokens[self._place]
            raise problems.QueryError(f"`{token.shown}` does not belong here{hint}", position=token.at)


def _match(field: str | None, token: lexer.Token) -> tree.Node:
    wildcard = token.kind == "word" and tree.WILD in token.text
    if wildcard and not token.text.strip(tree.WILD):
        return tree.Exists(field, token.at) if field and field.strip(tree.WILD) else tree.Everything()
    return tree.Match(field, token.text, token.kind == "phrase", wildcard, token.at)
