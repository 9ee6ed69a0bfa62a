"""Prometheus' text formats 0.0.4 and 1.0.0, line by line.

Accepts what Prometheus' own parser accepts: classic and quoted (UTF-8) names, spaces and tabs or nothing between the
parts, a comma after the last label. Speed is the business of `scrape.quick`, which leaves to this what it does not take.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import re

from tidegate.scrape import lines

_REST = re.compile(r"[ \t]*([^{\s]+)(?:[ \t]+(-?[0-9]{1,18}))?[ \t]*$", re.ASCII)
_COMMENT = re.compile(r"[ \t]*#[ \t]+(HELP|TYPE)(?:[ \t]+|$)")
_HELP_ESCAPE = re.compile(r"\\([\\n])")
TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})


def sample(line: str, at: int) -> lines.Sample:
    """Read a sample line. `at` is its number. Raises `TransientError` with line and column."""
    reader = lines.Reader(line, at, loose=True)
    labels = reader.series()
    rest = _REST.match(line, reader.at)
    if rest is None:
        raise reader.error(reader.at, "expected a value, and perhaps a timestamp, after the series")
    value = lines.number(rest[1])
    if value is None:
        raise reader.error(rest.start(1), f"not a number: {lines.show(rest[1])}")
    stamp = int(rest[2]) if rest[2] is not None else None
    return lines.Sample(labels, value, rest[1], line[: rest.start(1)], stamp)


def comment(line: str, at: int) -> lines.Comment | None:
    """Read a comment; None for one that says nothing about a metric. Raises `TransientError`."""
    found = _COMMENT.match(line)
    if found is None:
        return None
    reader = lines.Reader(line, at, loose=True)
    reader.at = found.end()
    name = reader.name()
    if not name:
        raise reader.error(reader.at, f"expected a metric name after {found[1]}")
    start = min(reader.at + 1, len(line))
    text = line[start:]
    if found[1] == "HELP":
        return "HELP", name, _HELP_ESCAPE.sub(_unescaped, reader.checked(text, start))
    if text not in TYPES:
        raise reader.error(start, "expected a metric type: counter, gauge, histogram, summary or untyped")
    return "TYPE", name, "unknown" if text == "untyped" else text


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else "\\"
