"""Joins stack traces to the line above them: Java, Python, Go, Node, .NET and Ruby, within one file and stream.

Only text is joined; a JSON or logfmt line always is an event of its own. A line goes on an event when it looks like part
of a trace, or when it is indented and a trace is under way, so ordinary lines are never glued together.
"""

from __future__ import annotations

import dataclasses
import re

from tidegate.logs.formats import base

_PYTHON = re.compile(r"\s*(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\):")
_BETWEEN = re.compile(r"(?:During handling of the above exception|The above exception was the direct cause)")
_FRAME = re.compile(
    r"\s+at \S"  # Java, Node, .NET
    r"|\s+\.\.\. \d+ (?:more|common frames)"
    r"|Caused by: |\s+Suppressed: "
    r"|\s*---> |\s+--- End of "
    r"|\s*(?:\d+: )?(?:from )?[^\s:][^\s:]{0,300}:\d{1,7}:in [`']"  # Ruby
)
_CLASS = re.compile(r"(?:[A-Za-z_$][\w$]*\.)+[A-Z][\w$]*(?:Exception|Error|Throwable|Failure)(?=[\s:]|\Z)")
_GO_START = re.compile(r"(?:panic: |fatal error: |goroutine \d+ \[)")
_GO = re.compile(
    r"\s|goroutine \d+ \[|\[signal |[\w./*()\-\[\]{}·]+\(.*\)\Z|created by |exit status \d|panic: |\[recovered\]|runtime"
)
_PYTHON_END = re.compile(r"([A-Za-z_][\w.]*)(?:: ?(.*))?\Z", re.DOTALL)
_JAVA_END = re.compile(
    r'(?:Exception in thread "[^"]*" |Unhandled exception\. )?((?:[A-Za-z_$][\w$]*\.)*[A-Z][\w$]*(?:Exception|Error'
    r"|Throwable|Failure))(?: \[\w+\])?(?:: ?(.*))?\Z",
    re.DOTALL,
)
_RUBY_HEAD = re.compile(
    r"[^\s:][^\s:]{0,300}:\d{1,7}:in [`'][^`']{0,300}': (.*) \(([A-Z]\w*(?:::[A-Z]\w*)*)\)\Z", re.DOTALL
)
_LONGEST_MESSAGE = 2000
_LOOKED_AT = 1000

TEXT, FRAMES, PYTHON, PYTHON_ENDED, GO = "text", "frames", "python", "python-ended", "go"


@dataclasses.dataclass(slots=True)
class Event:
    """A line, and what was joined to it."""

    line: base.Line
    start: int
    """Offset of its first byte in the file."""
    end: int
    """Offset behind its last line."""
    size: int
    state: str = TEXT
    more: list[str] = dataclasses.field(default_factory=list)
    blanks: int = 0
    """Empty lines that belong to it only if more follows."""
    truncated: bool = False
    cut: int = 0
    """Lines left out because the event was too long."""

    @property
    def lines(self) -> int:
        """How many lines it is made of."""
        return 1 + len(self.more) + self.cut


def opens(line: base.Line, start: int, end: int) -> Event:
    """An event that begins with this line."""
    text = line.message
    event = Event(line, start, end, len(text))
    if _PYTHON.match(text):
        event.state = PYTHON
    elif _GO_START.match(text):
        event.state = GO
    return event


def continues(event: Event, text: str) -> bool:
    """Whether a text line belongs to the event; moves the event's state. Only the start of a long line is looked at."""
    text = text[:_LOOKED_AT]
    if event.state == GO and _GO.match(text):
        return True
    if event.state == PYTHON:
        if text[:1].isspace():
            return True
        if _RUBY_HEAD.match(text) or _PYTHON_END.match(text):
            event.state = PYTHON_ENDED
            return True
    if _PYTHON.match(text):
        event.state = PYTHON
        return True
    if event.state == PYTHON_ENDED and _BETWEEN.match(text):
        return True
    return _continues_frames(event, text)


def _continues_frames(event: Event, text: str) -> bool:
    if _RUBY_HEAD.match(text):
        return False
    if _FRAME.match(text) or (_CLASS.match(text) and not event.blanks):
        event.state = FRAMES
        return True
    if event.state == FRAMES and (text[:1].isspace() or text == "}"):
        return True
    if _GO_START.match(text) and event.state == TEXT and not event.blanks and text.startswith("goroutine"):
        event.state = GO
        return True
    return False


def add(event: Event, text: str, end: int, max_lines: int, max_bytes: int) -> None:
    """Join a line; beyond the limits it is only counted."""
    event.end = end
    too_long = event.lines + event.blanks >= max_lines or event.size + len(text) > max_bytes
    if too_long:
        event.cut += 1
        return
    event.more.extend([""] * event.blanks)
    event.more.append(text)
    event.size += len(text) + 1 + event.blanks
    event.blanks = 0


def blank(event: Event) -> None:
    """Note an empty line inside a trace: Go and Python have them in the middle."""
    if event.state in (GO, PYTHON, PYTHON_ENDED):
        event.blanks += 1


def finish(event: Event) -> base.Line:
    """The event as one line: its first line as the message, the trace under `error.*`."""
    line = event.line
    if not event.more and event.state == TEXT:
        return line
    fields = line.fields or {}
    first = event.line.message
    start = first[:_LOOKED_AT]
    head_is_trace = bool(
        _PYTHON.match(first) or _GO_START.match(first) or _JAVA_END.match(start) or _RUBY_HEAD.match(start)
    )
    trace = [first, *event.more] if head_is_trace else event.more
    if event.cut:
        trace = [*trace, f"... ({event.cut} more lines were cut)"]
    kind, message = _cause(trace)
    if not line.level:
        line.level = "error"
    if event.more:
        fields["error.stack_trace"] = "\n".join(trace)
    if kind:
        fields["error.type"] = kind
    if message:
        fields["error.message"] = message[:_LONGEST_MESSAGE]
    if head_is_trace and _PYTHON.match(first) and kind:
        line.message = f"{kind}: {message}" if message else kind
    line.fields = fields or None
    return line


def _cause(trace: list[str]) -> tuple[str, str]:
    """(type, message) of the error that a trace is about: Python's last, the others' first."""
    for text in (trace[0], trace[-1]):
        if ruby := _RUBY_HEAD.match(text[:_LOOKED_AT]):
            return ruby[2], ruby[1]
    if any(_PYTHON.match(text) for text in trace):
        for text in reversed(trace):
            if (
                text
                and not text[0].isspace()
                and not _PYTHON.match(text)
                and (match := _PYTHON_END.match(text[:_LOOKED_AT]))
            ):
                return match[1], (match[2] or "").strip()
        return "", ""
    for text in trace:
        if text.startswith(("panic: ", "fatal error: ")):
            return "panic", text.partition(": ")[2]
        if match := _JAVA_END.match(text[:_LOOKED_AT]):
            return match[1], (match[2] or "").strip()
    return "", ""
