"""One line of the text format, read with care: names, labels, escapes, values, timestamps, and the place of what is wrong.

Accepts what Prometheus' own parser accepts: classic and quoted (UTF-8) names, spaces and tabs between the parts, a comma
after the last label. Speed is the business of `scrape.exposition`, which asks here only for lines it has never seen.
"""

from __future__ import annotations

import dataclasses
import re

from tidegate.model import labels as labels_
from tidegate.model import problems

_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(rb"[a-zA-Z_][a-zA-Z0-9_]*")
_PAIRS = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*)"(?:,|$)')
_REST = re.compile(rb"[ \t]+(\S+)(?:[ \t]+(-?[0-9]+))?[ \t]*$")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SPACE = re.compile(rb"[ \t]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}
_TYPES = {
    b"counter",
    b"gauge",
    b"histogram",
    b"summary",
    b"untyped",
    b"unknown",
    b"info",
    b"stateset",
    b"gaugehistogram",
}
SHOWN = 80


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One sample line."""

    labels: labels_.Labels
    value: float
    number: bytes
    """The value as written."""
    text: bytes
    """Everything before the space before the value: what names the series in this exposition."""
    timestamp: int | None
    """Milliseconds."""


def sample(line: bytes, at: int) -> Sample:
    """Read a sample line. `at` is its number. Raises `TransientError` with line and column."""
    start = _SPACE.match(line).end()  # type: ignore[union-attr]  # matches everywhere
    name = _NAME.match(line, start)
    end = name.end() if name else start
    pairs: dict[str, str] = {labels_.NAME: name[0].decode()} if name else {}
    if line[_skip(line, end) : _skip(line, end) + 1] == b"{":
        end = _labels(line, _skip(line, end) + 1, at, pairs)
    elif not name:
        raise _error(line, at, start, "expected a metric name")
    if labels_.NAME not in pairs:
        raise _error(line, at, start, "a sample without a metric name")
    rest = _REST.match(line, end)
    if rest is None:
        raise _error(line, at, end, "expected a value, and perhaps a timestamp, after the series")
    value = _number(rest[1])
    if value is None:
        raise _error(line, at, rest.start(1), f"not a number: {_show(rest[1])}")
    stamp = int(rest[2]) if rest[2] is not None else None
    return Sample(labels_.make(pairs), value, rest[1], line[: rest.start(1) - 1], stamp)


def comment(line: bytes, at: int) -> None:
    """Check a comment line: HELP and TYPE need a metric name, TYPE a type. Raises `TransientError`."""
    words = line.split(None, 3)
    if len(words) < 2 or words[0] != b"#" or words[1] not in (b"HELP", b"TYPE"):
        return
    if len(words) < 3:
        raise _error(line, at, len(line), f"expected a metric name after {words[1].decode()}")
    if words[1] == b"TYPE" and (len(words) < 4 or words[3].strip().lower() not in _TYPES):
        raise _error(line, at, len(line) if len(words) < 4 else line.rindex(words[3]), "expected a metric type")


def bad_number(body: bytes, numbers: list[bytes]) -> problems.TransientError:
    """The error for the first value that is not a number, found again in the body."""
    for at, line in enumerate(body.split(b"\n"), 1):
        if line and not line.isspace() and not line.lstrip().startswith(b"#"):
            try:
                sample(line, at)
            except problems.TransientError as error:
                return error
    wrong = next((number for number in numbers if _number(number) is None), b"?")
    return problems.TransientError(f"not a number: {_show(wrong)}", reason="parse")


def _labels(line: bytes, at: int, number: int, pairs: dict[str, str]) -> int:
    """Read labels from after the brace; the position after the closing brace."""
    close = line.rfind(b"}")
    if close < 0:
        raise _error(line, number, at, "the braces are not closed")
    inner = line[at:close]
    quick = _PAIRS.findall(inner)
    if sum(len(name) + len(value) + 3 for name, value in quick) + max(len(quick) - 1, 0) == len(
        inner.removesuffix(b",")
    ):
        for name, value in quick:
            _put(line, number, at, pairs, name.decode(), _text(line, number, at, value))
        return close + 1
    return _labels_slowly(line, at, number, pairs)


def _labels_slowly(line: bytes, at: int, number: int, pairs: dict[str, str]) -> int:
    while True:
        at = _skip(line, at)
        if line[at : at + 1] == b"}":
            return at + 1
        start = at
        name, at, quoted = _label_name(line, at, number)
        at = _skip(line, at)
        if quoted and line[at : at + 1] in (b",", b"}"):
            _put(line, number, start, pairs, labels_.NAME, name)
        else:
            if line[at : at + 1] != b"=":
                raise _error(line, number, at, "expected `=`")
            at = _skip(line, at + 1)
            value = _QUOTED.match(line, at)
            if value is None:
                raise _error(line, number, at, "expected a quoted value")
            _put(line, number, start, pairs, name, _unescape(_text(line, number, at, value[1])))
            at = _skip(line, value.end())
        if line[at : at + 1] == b",":
            at += 1
        elif line[at : at + 1] != b"}":
            raise _error(line, number, at, "expected `,` or `}`")


def _label_name(line: bytes, at: int, number: int) -> tuple[str, int, bool]:
    quoted = _QUOTED.match(line, at)
    if quoted is not None:
        return _unescape(_text(line, number, at, quoted[1])), quoted.end(), True
    plain = _LABEL.match(line, at)
    if plain is None:
        raise _error(line, number, at, "expected a label name")
    return plain[0].decode(), plain.end(), False


def _put(line: bytes, number: int, at: int, pairs: dict[str, str], name: str, value: str) -> None:
    if name in pairs:
        raise _error(line, number, at, f"the label {name!r} stands twice")
    pairs[name] = value


def _text(line: bytes, number: int, at: int, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _error(line, number, at, "not UTF-8") from None


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), text) if "\\" in text else text


def _number(raw: bytes) -> float | None:
    if b"_" in raw:
        return None
    try:
        return float(raw)
    except ValueError:
        return None


def _skip(line: bytes, at: int) -> int:
    return _SPACE.match(line, at).end()  # type: ignore[union-attr]  # matches everywhere


def _error(line: bytes, number: int, at: int, message: str) -> problems.TransientError:
    return problems.TransientError(f"line {number}, column {at + 1}: {message}: {_show(line)}", reason="parse")


def _show(raw: bytes) -> str:
    return repr(raw[:SHOWN].decode("utf-8", "replace"))
