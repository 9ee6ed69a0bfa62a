"""Text. The line is kept as it is; a time and a level at its start are read where they are easy to tell."""

from __future__ import annotations

import re

from tidegate.logs.formats import base, levels, times

_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = re.compile(
    rf"(?:[A-Z], )?\[?("
    rf"\d{{4}}[-/]\d\d[-/]\d\d[T ]{_CLOCK}(?:\s?[AaPp][Mm])?(?:\s?(?:Z|UTC|GMT|CES?T|[+-]\d\d:?\d\d))?"
    rf"|(?:[A-Z][a-z][a-z],? )?{_MONTH} +\d{{1,2}}(?:,? \d{{4}})? {_CLOCK}(?: [AP]M)?(?: (?:UTC|GMT|CES?T))?(?: \d{{4}})?"
    rf"|(?:[A-Z][a-z][a-z], )?\d{{1,2}}[/ -]{_MONTH}[/ -]\d{{4}}[: ]{_CLOCK}(?: (?:UTC|GMT|CES?T|[+-]\d\d:?\d\d))?"
    rf")\]?[\s:|-]",
    re.ASCII,
)
_LEVEL = re.compile(
    r"(?<![\w.-])(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERR(?:OR)?|CRIT(?:ICAL)?|FATAL|PANIC|SEVERE|ALERT|EMERG(?:ENCY)?"
    r"|trace|debug|info|notice|warn(?:ing)?|error|crit(?:ical)?|fatal|panic)(?![\w.-])"
)
_KLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ ")
_HEAD = 80
"""A level is looked for in so many characters after the time."""
_CAUSES = re.compile(r"(?:Traceback \(most recent call last\)|panic: |fatal error: |Exception in thread |Unhandled )")


def parse(raw: bytes) -> base.Line:
    """The line; always, whatever the bytes."""
    text = base.text(raw)
    line = base.Line(text)
    start = 0
    if (match := _TIME.match(text)) and (found := times.iso(match[1])):
        line.time, line.zoned = found
        start = match.end()
    if level := _LEVEL.search(text, start, start + _HEAD):
        line.level = levels.known(level[1])
    elif klog := _KLOG.match(text):
        line.level = levels.known(klog[1])
    elif _CAUSES.match(text, start):
        line.level = "error"
    return line
