"""From Lucene's query syntax (`query_string`) to KQL.

Joins are those of Lucene's classic parser: `AND` makes both its sides required, `-` and `NOT` forbid, and what is neither
counts only where nothing is required. Regular expressions, fuzziness and distances are refused.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Literal

from tidegate.rules.elastalert import kqltext

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<and>AND\b|&&) | (?P<or>OR\b|\|\|) | (?P<not>NOT\b|!)
  | (?P<open>\() | (?P<close>\)) | (?P<plus>\+) | (?P<minus>-)
  | (?P<phrase>"(?:[^"\\]|\\.)*")
  | (?P<regex>/(?:[^/\\]|\\.)*/)
  | (?P<range>[\[{]\s*(?P<low>"[^"]*"|\S+)\s+TO\s+(?P<high>"[^"]*"|[^\s\]}]+)\s*(?P<end>[\]}]))
  | (?P<compare>[<>]=?)
  | (?P<boost>\^[\d.]+)
  | (?P<fuzzy>~[\d.]*)
  | (?P<word>(?:\\.|[^\s()"\[\]{}:^~\\])+)
  | (?P<colon>:)
    """,
    re.VERBOSE,
)


class LuceneError(Exception):
    """The text cannot be said in KQL, or is none."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    parts: tuple[str, ...] = ()


@dataclasses.dataclass(slots=True)
class _Clause:
    kql: str
    occurs: Literal["must", "should", "not"]


def kql(text: str, fields: Sequence[str] = (), *, strict: bool = False) -> str:
    """The text as KQL; words without a field are looked for in `fields`. With `strict` words are joined by AND.

    Raises `LuceneError`.
    """
    if not text.strip() or text.strip() in ("*", "*:*"):
        return kqltext.EVERYTHING
    reader = _Reader(_tokens(text), fields, strict=strict)
    found = reader.clauses()
    if reader.peek():
        raise LuceneError(f"{reader.peek()!r} is not expected in this query")
    return found


def bound(value: Any) -> str:
    """One side of a range."""
    text = str(value)
    return text if re.fullmatch(r"-?\d+(\.\d+)?", text) else kqltext.quoted(text)


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise LuceneError(f"{text[at : at + 10]!r} cannot be read as a query")
        at, kind = match.end(), str(match.lastgroup)
        kind = "range" if kind in ("low", "high", "end") else kind
        if kind in ("regex", "fuzzy"):
            what = "regular expression" if kind == "regex" else "fuzziness or distance of words"
            raise LuceneError(f"KQL knows no {what}: {match[0]}")
        if kind not in ("space", "boost"):
            parts = (match["low"], match["high"], match["end"]) if kind == "range" else ()
            found.append(_Token(kind, match[0], parts))
    return found


class _Reader:
    """Reads clauses from the left."""

    def __init__(self, tokens: list[_Token], fields: Sequence[str], *, strict: bool) -> None:
        self._tokens, self._fields, self._strict = tokens, fields, strict
        self._at = 0

    def peek(self, ahead: int = 0) -> str:
        """The kind of the next token; empty at the end."""
        place = self._at + ahead
        return self._tokens[place].kind if place < len(self._tokens) else ""

    def clauses(self, field: str = "") -> str:
        """Clauses up to a closing bracket or the end."""
        found: list[_Clause] = []
        while self.peek() not in ("", "close"):
            join = self._next().kind if found and self.peek() in ("and", "or") else ""
            asked = self._occurs()
            part = self._clause(field)
            if found and found[-1].occurs != "not":
                if join == "and":
                    found[-1].occurs = "must"
                elif join == "or" and self._strict:
                    found[-1].occurs = "should"
            required = join == "and" or (self._strict and join != "or")
            found.append(_Clause(part, asked or ("must" if required else "should")))
        if not found:
            raise LuceneError("there is no condition in this query")
        return _joined(found)

    def _occurs(self) -> Literal["", "must", "not"]:
        occurs: Literal["", "must", "not"] = ""
        while self.peek() in ("plus", "minus", "not"):
            occurs = "must" if self._next().kind == "plus" else "not"
        return occurs

    def _clause(self, field: str) -> str:
        if self.peek() == "open":
            return self._group(field)
        if self.peek() == "word" and self.peek(1) == "colon":
            name = _plain(self._next().text)
            self._next()
            if name == "_exists_":
                return f"{kqltext.field(_plain(self._next().text))}:*"
            return self._group(name) if self.peek() == "open" else self._value(name)
        return self._value(field)

    def _group(self, field: str) -> str:
        self._next()
        inner = self.clauses(field)
        if self.peek() != "close":
            raise LuceneError("a bracket is not closed in this query")
        self._next()
        return inner

    def _value(self, field: str) -> str:
        token = self._next()
        names = [field] if field else list(self._fields)
        if token.kind == "compare":
            return kqltext.every(
                [f"{kqltext.field(name)} {token.text} {bound(self._next().text)}" for name in _known(names)]
            )
        if token.kind == "range":
            return kqltext.some([_range(name, token.parts, token.text[0]) for name in _known(names)])
        if token.kind not in ("word", "phrase"):
            raise LuceneError(f"{token.text!r} is not expected in this query")
        value = _phrase(token.text) if token.kind == "phrase" else _word(token.text)
        return kqltext.some([f"{kqltext.field(name)}:{value}" for name in names]) if names else value

    def _next(self) -> _Token:
        if self._at >= len(self._tokens):
            raise LuceneError("this query ends too early")
        self._at += 1
        return self._tokens[self._at - 1]


def _joined(clauses: Sequence[_Clause]) -> str:
    must = [one.kql for one in clauses if one.occurs == "must"]
    should = [one.kql for one in clauses if one.occurs == "should"]
    forbidden = [kqltext.neither(one.kql) for one in clauses if one.occurs == "not"]
    wanted = must or ([kqltext.some(should)] if should else [])
    return kqltext.every([*wanted, *forbidden])


def _known(names: list[str]) -> list[str]:
    if not names:
        raise LuceneError("a range needs a field")
    return names


def _range(field: str, parts: Sequence[str], start: str) -> str:
    low, high, end = parts
    sides = [(low, ">=" if start == "[" else ">"), (high, "<=" if end == "]" else "<")]
    name = kqltext.field(field)
    found = [f"{name} {sign} {bound(text.strip(chr(34)))}" for text, sign in sides if text != "*"]
    return kqltext.every(found) if found else f"{name}:*"


def _phrase(text: str) -> str:
    return kqltext.quoted(_plain(text[1:-1]))


def _word(text: str) -> str:
    """A word; `*` in it stands for anything, an escaped one for itself."""
    bare = re.sub(r"\\.", "", text)
    if "?" in bare:
        raise LuceneError("KQL has no `?` for one character")
    if "*" not in bare:
        return kqltext.quoted(_plain(text))
    parts = re.split(r"(?<!\\)\*", text)
    return "*".join(kqltext.pattern(_plain(part).replace("*", "\0")).replace("\0", "\\*") for part in parts)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
