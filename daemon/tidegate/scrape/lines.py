"""The parts of a line that both exposition formats share: series, labels, escapes, numbers, and the place of what is wrong.

Reads with care, one character class after the other, what `scrape.quick` would not take at a glance. The two grammars
themselves are `scrape.textformat` and `scrape.openmetrics`; they differ in where spaces may stand, which `loose` says.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Literal, TypeAlias

from tidegate.model import labels as labels_
from tidegate.model import problems

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SPACE = re.compile(r"[ \t]*")
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.ASCII | re.IGNORECASE
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}
_SURROGATE = re.compile("[\ud800-\udfff]")
SHOWN = 80
Comment: TypeAlias = tuple[Literal["HELP", "TYPE", "UNIT"], str, str]
"""What a comment says of a metric family: the kind, the family's name, the text without escapes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Exemplar:
    """What stands after ` # ` on a sample line."""

    labels: labels_.Labels
    value: float
    at_ms: int | None
    """None where the line gives no time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One sample line."""

    labels: labels_.Labels
    value: float
    number: str
    """The value as written."""
    prefix: str
    """Everything before the value: what names the series in this exposition."""
    timestamp: int | None = None
    """Milliseconds."""
    stamp: str = ""
    """The timestamp as written."""
    exemplar: Exemplar | None = None


class Reader:
    """A place in one line."""

    def __init__(self, line: str, number: int, *, loose: bool) -> None:
        """`number` is the line's, from 1. `loose` allows spaces and tabs between any two parts."""
        self.line, self.number, self._loose = line, number, loose
        self.at = 0

    def skip(self) -> None:
        """Go past spaces and tabs, where they are allowed."""
        if self._loose:
            self.at = _SPACE.match(self.line, self.at).end()  # type: ignore[union-attr]  # matches everywhere

    def take(self, text: str) -> bool:
        """Go past a text that stands here."""
        found = self.line.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go past what a pattern finds here."""
        found = pattern.match(self.line, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def series(self) -> labels_.Labels:
        """A name, labels, or both. Raises `TransientError`."""
        self.skip()
        start = self.at
        name = self.match(_NAME)
        pairs: dict[str, str] = {labels_.NAME: name[0]} if name else {}
        end = self.at
        self.skip()
        if self.take("{"):
            self._labels(pairs, named=True)
        elif not name:
            raise self.error(start, "expected a metric name")
        else:
            self.at = end
        if not pairs.get(labels_.NAME):
            raise self.error(start, "a sample without a metric name")
        return tuple(sorted(pairs.items()))

    def label_set(self) -> dict[str, str]:
        """Labels from after the opening brace to past the closing one, without a metric's name."""
        pairs: dict[str, str] = {}
        self._labels(pairs, named=False)
        return pairs

    def quoted(self) -> str | None:
        """A text in quotes, without its escapes."""
        start = self.at
        found = self.match(_QUOTED)
        return None if found is None else unescape(self.checked(found[1], start))

    def name(self) -> str | None:
        """A metric's name, plain or in quotes."""
        found = self.match(_NAME)
        return found[0] if found is not None else self.quoted()

    def checked(self, text: str, start: int) -> str:
        """The text, when it was UTF-8. Raises `TransientError`."""
        if _SURROGATE.search(text):
            raise self.error(start, "not UTF-8")
        return text

    def error(self, at: int, message: str) -> problems.TransientError:
        """What a scrape that cannot be used raises: with the place in the exposition, and the line."""
        return failed(f"line {self.number}, column {at + 1}: {message}: {show(self.line)}")

    def _labels(self, pairs: dict[str, str], *, named: bool) -> None:
        if "}" not in self.line[self.at :]:
            raise self.error(self.at, "the braces are not closed")
        while True:
            self.skip()
            if self.take("}"):
                return
            self._pair(pairs, named)
            self.skip()
            if not self.take(",") and not self.line.startswith("}", self.at):
                raise self.error(self.at, "expected `,` or `}`")

    def _pair(self, pairs: dict[str, str], named: bool) -> None:
        start = self.at
        plain = self.match(_LABEL)
        name = plain[0] if plain else self.quoted()
        if name is None:
            raise self.error(start, "expected a label name")
        self.skip()
        if named and not plain and self.line[self.at : self.at + 1] in (",", "}"):
            self._put(pairs, start, labels_.NAME, name)
            return
        if not self.take("="):
            raise self.error(self.at, "expected `=`")
        self.skip()
        value = self.quoted()
        if value is None:
            raise self.error(self.at, "expected a quoted value")
        self._put(pairs, start, name, value)

    def _put(self, pairs: dict[str, str], start: int, name: str, value: str) -> None:
        if name in pairs:
            raise self.error(start, f"the label {name!r} stands twice")
        pairs[name] = value


def number(raw: str) -> float | None:
    """A value as Go reads it, without hexadecimal digits and underscores; None for what is no number or too large."""
    if _NUMBER.fullmatch(raw) is None:
        return None
    value = float(raw)
    return None if math.isinf(value) and raw[-1].isdigit() else value


def unescape(text: str) -> str:
    r"""Without the escapes `\\`, `\"` and `\n`; any other backslash stays."""
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), text) if "\\" in text else text


def show(raw: str) -> str:
    """The beginning of a text, for a message."""
    return repr(raw[:SHOWN].encode("utf-8", "replace").decode())


def failed(message: str) -> problems.TransientError:
    """What a scrape that cannot be used raises."""
    return problems.TransientError(message, reason="parse")
