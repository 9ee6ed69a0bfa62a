"""Label matchers as people write them: `severity="critical"`, `{service=~"shop|cart", env!=dev}`, `"a name"="x"`.

Parses Alertmanager's syntax (its UTF-8 grammar, and the classic one where the former fails, as Alertmanager's fallback
mode does) and evaluates it. Patterns are RE2, anchored at both ends; a label that is missing counts as empty.
PromQL selectors are not read here: they have escapes of their own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

import re2

from tidegate.model import alerts, labels, problems

_RESERVED = frozenset("{}!=~,\\\"'`")
_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!=|!~|=)\s*(.*?)\s*", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_HEX = {"x": 2, "u": 4, "U": 8}
_QUIET = re2.Options()
_QUIET.log_errors = False


def parse(text: str) -> alerts.Matcher:
    """One matcher. Raises `QueryError` with the position of what is wrong."""
    found = parse_all(text)
    if len(found) != 1:
        raise problems.QueryError(f"expected one matcher, got {len(found)}", position=0)
    return found[0]


def parse_all(text: str) -> tuple[alerts.Matcher, ...]:
    """Matchers separated by commas, with or without braces around them. Raises `QueryError`."""
    try:
        found = _Parser(text).all()
    except problems.QueryError:
        classic = _classic(text)
        if classic is None:
            raise
        found = classic
    for matcher in found:
        pattern_of(matcher)
    return found


def make(name: str, op: str, value: str) -> alerts.Matcher:
    """A matcher from its parts, checked. Raises `QueryError`."""
    if not name:
        raise problems.QueryError("a matcher needs a label name")
    if op not in ("=", "!=", "=~", "!~"):
        raise problems.QueryError(f"unknown operator {op!r}; one of =, !=, =~, !~")
    matcher = alerts.Matcher(name, op, value)  # type: ignore[arg-type]  # checked above
    pattern_of(matcher)
    return matcher


def text(matchers: Iterable[alerts.Matcher]) -> str:
    """In braces, quoted so that `parse_all` reads it back."""
    return "{" + ",".join(_text(matcher) for matcher in matchers) + "}"


class Conditions:
    """Matchers that must all hold, compiled once."""

    __slots__ = ("_tests", "matchers")

    def __init__(self, matchers: Iterable[alerts.Matcher], *, newlines: bool = False) -> None:
        """`newlines` as in `condition`. Raises `QueryError` when a pattern is not RE2."""
        self.matchers = tuple(matchers)
        self._tests = tuple((matcher.name, condition(matcher, newlines=newlines)) for matcher in self.matchers)

    def matches(self, of: labels.Labels) -> bool:
        """Whether a label set meets all of them; true when there are none."""
        return all(test(labels.get(of, name)) for name, test in self._tests)


def pattern_of(matcher: alerts.Matcher) -> Any:
    """The compiled pattern of a `=~` or `!~` matcher, None for the others. Raises `QueryError`."""
    return _compile(matcher.value) if matcher.op in ("=~", "!~") else None


@functools.lru_cache(maxsize=4096)
def _compile(pattern: str, *, newlines: bool = False) -> Any:
    try:
        return re2.compile(f"(?{'s' if newlines else ''}:{pattern})", _QUIET)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise problems.QueryError(f"not an RE2 pattern: {reason.replace('(?:' + pattern + ')', pattern)}") from None


def condition(matcher: alerts.Matcher, *, newlines: bool = False) -> Callable[[str], bool]:
    """Whether a label value meets the condition, compiled once. Raises `QueryError` when a pattern is not RE2.

    `newlines` lets `.` match a line's end too, as PromQL's selectors do and Alertmanager's matchers do not.
    """
    value = matcher.value
    if matcher.op == "=":
        return lambda given: given == value
    if matcher.op == "!=":
        return lambda given: given != value
    full = _compile(value, newlines=newlines).fullmatch
    if matcher.op == "=~":
        return lambda given: full(given) is not None
    return lambda given: full(given) is None


def _text(matcher: alerts.Matcher) -> str:
    plain = all(char not in _RESERVED and not char.isspace() for char in matcher.name)
    return f"{matcher.name if plain else _quote(matcher.name)}{matcher.op}{_quote(matcher.value)}"


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class _Parser:
    """Alertmanager's UTF-8 grammar, by recursive descent."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    def all(self) -> tuple[alerts.Matcher, ...]:
        closing = self._take("{")
        found: list[alerts.Matcher] = []
        while not self._ended(closing=closing):
            if found and not self._take(","):
                raise self._error("expected a comma" + (" or close brace" if closing else " or the end"))
            if self._ended(closing=closing):
                break
            found.append(self._matcher())
        if closing and not self._take("}"):
            raise self._error("expected a close brace")
        if not self._ended(closing=False):
            raise self._error("expected the end")
        return tuple(found)

    def _ended(self, *, closing: bool) -> bool:
        self._space()
        return self._at >= len(self._source) or (closing and self._source[self._at] == "}")

    def _matcher(self) -> alerts.Matcher:
        name = self._word("a label name")
        self._space()
        start = self._at
        for op in ("=~", "!~", "!=", "="):
            if self._take(op):
                return make(name, op, self._word("a label value", empty=True))
        self._at = start
        raise self._error("expected an operator such as =, !=, =~ or !~")

    def _word(self, what: str, *, empty: bool = False) -> str:
        self._space()
        start = self._at
        if self._take('"'):
            return self._quoted(start)
        while self._at < len(self._source) and not self._stops(self._source[self._at]):
            self._at += 1
        if self._at == start and not (empty and (start == len(self._source) or self._source[start] in ",}")):
            raise self._error(f"expected {what}")
        return self._source[start : self._at]

    def _stops(self, char: str) -> bool:
        return char in _RESERVED or char.isspace()

    def _quoted(self, start: int) -> str:
        parts: list[str] = []
        while self._at < len(self._source):
            char = self._source[self._at]
            self._at += 1
            if char == '"':
                return "".join(parts)
            parts.append(self._escape() if char == "\\" else char)
        self._at = start
        raise self._error("a quote is not closed")

    def _escape(self) -> str:
        char = self._source[self._at : self._at + 1]
        digits = self._source[self._at + 1 : self._at + 1 + _HEX.get(char, 0)]
        if char in _ESCAPES and char:
            self._at += 1
            return _ESCAPES[char]
        if char in _HEX and re.fullmatch(rf"[0-9a-fA-F]{{{_HEX[char]}}}", digits) and int(digits, 16) < 0x110000:
            self._at += 1 + len(digits)
            return chr(int(digits, 16))
        raise self._error(f"unknown escape \\{char}")

    def _take(self, mark: str) -> bool:
        if mark != '"':
            self._space()
        if self._source.startswith(mark, self._at):
            self._at += len(mark)
            return True
        return False

    def _space(self) -> None:
        while self._at < len(self._source) and self._source[self._at].isspace():
            self._at += 1

    def _error(self, message: str) -> problems.QueryError:
        rest = self._source[self._at : self._at + 12]
        found = f", got {rest!r}" if rest else ", got the end"
        return problems.QueryError(f"{message}{found}", position=self._at)


def _classic(source: str) -> tuple[alerts.Matcher, ...] | None:
    r"""The older grammar: bare values may hold anything, and only `\\`, `\"` and `\n` are escapes (so `\.` stays)."""
    body = source.strip()
    if body.startswith("{") or body.endswith("}"):
        if not (body.startswith("{") and body.endswith("}")):
            return None
        body = body[1:-1]
    found = []
    for part in _split(body):
        match = _CLASSIC.fullmatch(part)
        value = _classic_value(match[3]) if match else None
        if match is None or value is None:
            return None
        found.append(make(match[1], match[2], value))
    return tuple(found)


def _split(body: str) -> list[str]:
    parts, quoted, escaped, start = [], False, False, 0
    for at, char in enumerate(body):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            parts.append(body[start:at])
            start = at + 1
    last = body[start:]
    return [*parts, last] if last.strip() or not parts else parts


def _classic_value(raw: str) -> str | None:
    quoted = len(raw) > 1 and raw.startswith('"') and raw.endswith('"')
    inner = raw[1:-1] if quoted else raw
    if re.search(r'(?<!\\)(?:\\\\)*"', inner):
        return None
    return re.sub(r'\\([\\"n])', lambda match: "\n" if match[1] == "n" else match[1], inner)
