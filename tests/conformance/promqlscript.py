"""Reads Prometheus' PromQL test scripts: `load`, `clear`, `eval`, and what an eval expects.

Only the language is here; `promqltest` runs it. Source of the language: promql/promqltest/README.md of Prometheus.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from tidegate.model import labels as labels_

Value: TypeAlias = float | Literal["stale", "native"] | None
"""A number, nothing (`_`), the stale marker, or a native histogram, which is not loaded."""

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_NUMBER = r"[+-]?(?:inf|nan|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
_ITEM = re.compile(rf"({_NUMBER})(?:([+-])({_NUMBER.replace('[+-]?', '', 1)}))?(?:x(\d+))?", re.IGNORECASE)
_HISTOGRAM = re.compile(r"\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?(?:x(\d+))?")
_EVAL = re.compile(
    r"eval(?:_(fail|warn|info|ordered))?\s+(?:(instant)\s+(?:at\s+(\S+))?|range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+?))"
    r"\s+(.+)"
)
_EXPECT = re.compile(r"expect\s+(fail|warn|info|no_warn|no_info|ordered)(?:\s+(msg|regex):\s*(.*))?$")
_WINDOW = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")
_STRING = re.compile(r"expect\s+string\s+(.*)")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:.]*")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')


class ScriptError(ValueError):
    """A script that this reader does not understand."""


def milliseconds(text: str) -> int:
    """`5m`, `1m30s`, `-10s`, `90` (seconds), `0`."""
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    if re.fullmatch(r"\d+(\.\d+)?", body):
        return sign * round(float(body) * 1000)
    parts = _DURATION.findall(body)
    if "".join(number + unit for number, unit in parts) != body:
        raise ScriptError(f"no duration: {text}")
    return sign * sum(int(number) * _UNITS[unit] for number, unit in parts)


def values(text: str) -> list[Value]:
    """The points of a series: `1 2+3x4 _x2 stale {{count:1}}`."""
    found: list[Value] = []
    for token in _tokens(text):
        histogram = _HISTOGRAM.fullmatch(token)
        if histogram:
            found += ["native"] * (int(histogram.group(1) or 0) + 1)
            continue
        blank = re.fullmatch(r"_(?:x(\d+))?", token)
        if blank:
            found += [None] * int(blank.group(1) or 1)
            continue
        if token == "stale":
            found.append("stale")
            continue
        item = _ITEM.fullmatch(token)
        if not item:
            raise ScriptError(f"no value: {token}")
        start, step = float(item.group(1)), float(item.group(3)) if item.group(3) else 0.0
        step = -step if item.group(2) == "-" else step
        found += [start + step * index if index else start for index in range(int(item.group(4) or 0) + 1)]
    return found


def _tokens(text: str) -> Iterator[str]:
    yield from re.findall(r"\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?(?:x\d+)?|\S+", text)


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match.group(1), match.group(1)), text[1:-1])


def series(line: str) -> tuple[labels_.Labels, str]:
    """Label set and the rest of the line."""
    found: dict[str, str] = {}
    name = _NAME.match(line)
    if name:
        found[labels_.NAME] = name.group()
        line = line[name.end() :]
    if not line.startswith("{"):
        return labels_.make(found), line
    rest = line[1:].lstrip()
    while not rest.startswith("}"):
        key = _QUOTED.match(rest) or _NAME.match(rest)
        if not key:
            raise ScriptError(f"no label: {rest}")
        label = _unquoted(key.group()) if key.group()[0] in "\"'`" else key.group()
        rest = rest[key.end() :].lstrip()
        if rest.startswith("="):
            value = _QUOTED.match(rest[1:].lstrip())
            if not value:
                raise ScriptError(f"no label value: {rest}")
            found[label] = _unquoted(value.group())
            rest = rest[1:].lstrip()[value.end() :].lstrip()
        else:
            found[labels_.NAME] = label
        rest = rest.removeprefix(",").lstrip()
    return labels_.make(found), rest[1:]


@dataclasses.dataclass
class Load:
    """`load step` with its series."""

    step: int
    with_native: bool
    series: list[tuple[labels_.Labels, list[Value]]] = dataclasses.field(default_factory=list)
    start_times: set[labels_.Labels] = dataclasses.field(default_factory=set)
    """Series whose samples have start timestamps."""


@dataclasses.dataclass
class Clear:
    """`clear`."""


@dataclasses.dataclass
class Eval:
    """`eval` with what it expects. Times in milliseconds; `step` 0 is an instant query."""

    line: int
    expr: str
    start: int
    end: int
    step: int
    fail: bool = False
    fail_message: str = ""
    fail_pattern: str = ""
    ordered: bool = False
    notes: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    """Expected annotations: `warn`, `no_info`, ...; `msg`, `regex` or nothing; the text."""
    string: str | None = None
    scalar: float | None = None
    window: tuple[int, int, int] | None = None
    series: list[tuple[labels_.Labels, list[Value]]] = dataclasses.field(default_factory=list)

    @property
    def native(self) -> bool:
        """Whether a native histogram is expected."""
        return any("native" in points for _, points in self.series)


Command: TypeAlias = Load | Clear | Eval


def read(text: str) -> list[Command]:
    """All commands of a script."""
    commands: list[Command] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if raw[0] in " \t" and commands and not re.match(r"(eval|load|clear)\b", line):
            _detail(commands[-1], line)
        elif line == "clear":
            commands.append(Clear())
        elif line.startswith("load"):
            word, step = line.split()
            commands.append(Load(milliseconds(step), word == "load_with_nhcb"))
        else:
            commands.append(_eval(line, number))
    return commands


def _eval(line: str, number: int) -> Eval:
    match = _EVAL.fullmatch(line)
    if not match:
        raise ScriptError(f"line {number}: {line}")
    legacy, instant, at, start, end, step, expr = match.groups()
    if instant:
        begin = milliseconds(at or "0")
        made = Eval(number, expr, begin, begin, 0)
    else:
        made = Eval(number, expr, milliseconds(start), milliseconds(end), milliseconds(step))
    made.fail, made.ordered = legacy == "fail", legacy == "ordered"
    if legacy in {"warn", "info"}:
        made.notes.append((legacy, "", ""))
    return made


def _detail(command: Command, line: str) -> None:
    if isinstance(command, Load):
        labels, rest = series(line)
        if rest.startswith("@st"):
            command.start_times.add(labels)
        else:
            command.series.append((labels, values(rest)))
    elif isinstance(command, Eval):
        _expectation(command, line)
    else:
        raise ScriptError(line)


def _expectation(command: Eval, line: str) -> None:
    window, string, expect = _WINDOW.match(line), _STRING.match(line), _EXPECT.match(line)
    if window:
        command.window = tuple(milliseconds(each) for each in window.groups())  # type: ignore[assignment]
    elif string:
        command.string = _unquoted(string.group(1).strip())
    elif expect:
        kind, how, text = expect.groups()
        if kind == "fail":
            command.fail = True
            command.fail_message = text if how == "msg" else command.fail_message
            command.fail_pattern = text if how == "regex" else command.fail_pattern
        elif kind == "ordered":
            command.ordered = True
        else:
            command.notes.append((kind, how or "", text or ""))
    elif line.startswith("expected_fail_message"):
        command.fail_message = line.split(None, 1)[1]
    elif line.startswith("expected_fail_regexp"):
        command.fail_pattern = line.split(None, 1)[1]
    elif re.fullmatch(_NUMBER, line, re.IGNORECASE):
        command.scalar = float(line)
    else:
        labels, rest = series(line)
        command.series.append((labels, values(rest)))
