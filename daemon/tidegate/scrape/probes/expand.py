"""Go's regular expressions where a probe needs more of them than a match: templates that a match fills in.

https://pkg.go.dev/regexp#Regexp.Expand
"""

from __future__ import annotations

import re
from typing import Any

import re2

_VARIABLE = re.compile(rb"\$(?:(\$)|\{(\w+)\}|(\w+))", re.ASCII)


def compiled(pattern: str) -> Any:
    """A pattern for bytes, not anchored."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern.encode(), options)


def expand(template: bytes, match: Any) -> bytes:
    """The template with the groups of a match; a group that is not there is empty."""

    def value(variable: re.Match[bytes]) -> bytes:
        if variable[1]:
            return b"$"
        name = variable[2] or variable[3]
        try:
            return match.group(int(name) if name.isdigit() else name.decode()) or b""
        except (IndexError, KeyError, re2.error):
            return b""

    return _VARIABLE.sub(value, template)
