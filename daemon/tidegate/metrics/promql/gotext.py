"""Numbers and times as Go's `fmt` and `time` write them, where Prometheus puts them into messages.

Nothing else is known here.
"""

from __future__ import annotations

import datetime

import numpy as np

_PLAIN = 6
"""From which power of ten on numbers are written with an exponent."""


def shortest(value: float) -> str:
    """A number as `%g` writes it: the fewest digits that say it."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    scientific = np.format_float_scientific(value, trim="-", exp_digits=2)
    small = -4 <= int(scientific.partition("e")[2]) < _PLAIN
    return np.format_float_positional(value, trim="-") if small or not value else scientific


def instant(at_ms: int) -> str:
    """A time in UTC, in whole seconds (RFC 3339)."""
    return datetime.datetime.fromtimestamp(at_ms // 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
