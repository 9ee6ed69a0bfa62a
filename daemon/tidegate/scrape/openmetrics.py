"""OpenMetrics 1.0, line by line: exactly one space between the parts, timestamps in seconds, exemplars, `# EOF`.

This is the grammar that a scrape is held to, and it is Prometheus' own. What the specification asks beyond the grammar
(names, order and values of a family's samples) is `scrape.strict`.

https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import math
import re

from tidegate.model import labels as labels_
from tidegate.model import problems
from tidegate.scrape import lines

EOF = "# EOF"
_COMMENT = re.compile(r"# (HELP|TYPE|UNIT) ")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TOKEN = re.compile(r" ([^ \n]+)")
TYPES = frozenset({"counter", "gauge", "histogram", "summary", "gaugehistogram", "info", "stateset", "unknown"})
EXEMPLAR = " # {"
_MILLISECONDS = 1000


def body_lines(text: str) -> list[str]:
    """The lines before `# EOF`. Raises `TransientError` when it is missing or something follows it."""
    found = text.split("\n")
    if found[-1] == "":
        found.pop()
    if not found or found[-1] != EOF:
        raise lines.failed(f"line {len(found) or 1}, column 1: the exposition does not end with `# EOF`")
    found.pop()
    return found


def sample(line: str, at: int) -> lines.Sample:
    """Read a sample line. `at` is its number. Raises `TransientError` with line and column."""
    reader = lines.Reader(line, at, loose=False)
    if not line:
        raise reader.error(0, "an empty line")
    labels = reader.series()
    raw, value = _number(reader, "expected a space and a value after the series")
    prefix = line[: reader.at - len(raw)]
    start, stamp = reader.at, None
    if start < len(line) and not line.startswith(EXEMPLAR, start):
        stamp = _timestamp(reader)
    written = line[start + 1 : reader.at]
    exemplar = _exemplar(reader) if reader.take(EXEMPLAR) else None
    if reader.at < len(line):
        raise reader.error(reader.at, "expected nothing more, or an exemplar ` # {...} value`")
    return lines.Sample(labels, value, raw, prefix, stamp, written, exemplar)


def comment(line: str, at: int) -> lines.Comment:
    """Read a HELP, TYPE or UNIT line: there are no other comments. Raises `TransientError`."""
    reader = lines.Reader(line, at, loose=False)
    if line == EOF:
        raise reader.error(0, "`# EOF` stands before the end")
    kind = reader.match(_COMMENT)
    if kind is None:
        raise reader.error(0, "expected `# HELP `, `# TYPE `, `# UNIT ` or `# EOF`")
    name = reader.name()
    if not name:
        raise reader.error(reader.at, f"expected a metric name after {kind[1]}")
    if not reader.take(" "):
        raise reader.error(reader.at, f"expected a space and a text after the name of {kind[1]}")
    text = reader.checked(line[reader.at :], reader.at)
    if kind[1] == "HELP":
        return "HELP", name, lines.unescape(text)
    if kind[1] == "TYPE":
        if text not in TYPES:
            raise reader.error(reader.at, "expected a metric type")
        return "TYPE", name, text
    if text and not name.endswith(f"_{text}"):
        raise reader.error(reader.at, f"the unit {lines.show(text)} is not the end of the name")
    return "UNIT", name, text


def exemplar(text: str) -> lines.Exemplar | None:
    """An exemplar from after ` # {` to the end of its line; None for what is none."""
    quickly = _plain_exemplar(text)
    if quickly is not None:
        return quickly
    reader = lines.Reader(text, 0, loose=False)
    try:
        found = _exemplar(reader)
    except problems.TransientError:
        return None
    return found if reader.at == len(text) else None


def _plain_exemplar(text: str) -> lines.Exemplar | None:
    """An exemplar without escapes, empty values and other letters than those of ASCII, as nearly all are."""
    inner, close, rest = text.partition('"} ')
    words = rest.split(" ")
    if not close or "\\" in inner or len(words) > 2 or not text.isascii():
        return None
    pairs: dict[str, str] = {}
    pieces = inner.split('",')
    for piece in pieces:
        name, _, content = piece.partition('="')
        if not content or '"' in content or _LABEL.fullmatch(name) is None:
            return None
        pairs[name] = content
    value, at_ms = lines.number(words[0]), milliseconds(words[1]) if len(words) == 2 else None
    if value is None or len(pairs) < len(pieces) or (at_ms is None and len(words) == 2):
        return None
    return lines.Exemplar(labels_.make(pairs), value, at_ms)


def milliseconds(raw: str) -> int | None:
    """A timestamp in seconds, cut to milliseconds as Prometheus does; None for what is no finite number."""
    seconds = lines.number(raw)
    if seconds is None or not math.isfinite(seconds) or not math.isfinite(seconds * _MILLISECONDS):
        return None
    return int(seconds * _MILLISECONDS)


def _exemplar(reader: lines.Reader) -> lines.Exemplar:
    labels = labels_.make(reader.label_set())
    _, value = _number(reader, "expected a space and a value after the exemplar's labels")
    return lines.Exemplar(labels, value, _timestamp(reader) if reader.at < len(reader.line) else None)


def _number(reader: lines.Reader, wanted: str) -> tuple[str, float]:
    start = reader.at
    token = reader.match(_TOKEN)
    if token is None:
        raise reader.error(start, wanted)
    value = lines.number(token[1])
    if value is None:
        raise reader.error(start + 1, f"not a number: {lines.show(token[1])}")
    return token[1], value


def _timestamp(reader: lines.Reader) -> int:
    start = reader.at
    token = reader.match(_TOKEN)
    if token is None:
        raise reader.error(start, "expected a space and a timestamp, or the end of the line")
    found = milliseconds(token[1])
    if found is None:
        raise reader.error(start + 1, f"not a timestamp in seconds: {lines.show(token[1])}")
    return found
