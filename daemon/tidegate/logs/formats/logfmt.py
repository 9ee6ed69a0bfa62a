"""logfmt: `ts=... level=info msg="text" key=value`, as Go programs write it.

A line is taken only when all of it is pairs and one of them is a level, a message or a time; else it is text.
"""

from __future__ import annotations

import re
from typing import Any

from tidegate.logs.formats import base, json

_PAIR = re.compile(r'\s*([^\s="\0]{1,1024})=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?=\s|\Z)')
_START = re.compile(rb'[^\s="]+=')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_MARKS = frozenset({"level", "lvl", "severity", "msg", "message", "ts", "time", "timestamp"})
_FEWEST = 2


def parse(raw: bytes) -> base.Line | None:
    """The line, or None when it is not logfmt."""
    if not _START.match(raw):
        return None
    text = base.text(raw)
    pairs = _pairs(text)
    if pairs is None or len(pairs) < _FEWEST or _MARKS.isdisjoint(pairs):
        return None
    return json.line(pairs, raw)


def _pairs(text: str) -> dict[str, Any] | None:
    """All pairs, or None when something else is in the line or a name comes twice."""
    pairs: dict[str, Any] = {}
    at, end, count = 0, len(text.rstrip()), 0
    while at < end:
        match = _PAIR.match(text, at)  # not a search: that would take quadratic time
        if match is None:
            return None
        key, quoted, bare = match.groups()
        if quoted is None:
            pairs[key] = bare
        else:
            pairs[key] = _ESCAPE.sub(_unescape, quoted) if "\\" in quoted else quoted
        at, count = match.end(), count + 1
    return pairs if at >= end and len(pairs) == count else None


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[1])
