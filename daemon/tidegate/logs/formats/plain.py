"""Text. The line is kept as it is; a time and a level at its start are read where they are easy to tell."""

from __future__ import annotations

import re

from tidegate.logs.formats import base, levels, times

_TIME = re.compile(
    r"\[?(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:\s?(?:Z|UTC|[+-]\d\d:?\d\d))?)\]?[\s:|-]"
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
