"""Numbers as Go prints them, which Prometheus' API is made of.

Sources: `prometheus/util/jsonutil.MarshalFloat` (sample values), `strconv.FormatFloat(v, 'e', -1, 64)` (alert values),
`prometheus/common/model.Duration` (intervals).
"""

from __future__ import annotations

import math

import numpy as np

_UNITS = ((31536000000, "y"), (604800000, "w"), (86400000, "d"), (3600000, "h"), (60000, "m"), (1000, "s"), (1, "ms"))


def sample(value: float) -> str:
    """Shortest digits that read back the same; an exponent only below 1e-6 and from 1e21 on."""
    text = repr(float(value))
    if text.endswith(".0"):
        return text[:-2]
    if "n" in text:  # inf, -inf, nan
        return _special(value)
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        return str(np.format_float_positional(value, trim="-"))
    if abs(value) < 1e-6:
        return str(np.format_float_scientific(value, trim="-", exp_digits=2))
    return text


def scientific(value: float) -> str:
    """Always with an exponent: `1e+00`."""
    return str(np.format_float_scientific(value, trim="-", exp_digits=2)) if math.isfinite(value) else _special(value)


def seconds(at_ms: int) -> int | float:
    """A timestamp in seconds, to the millisecond."""
    whole, rest = divmod(at_ms, 1000)
    return at_ms / 1000 if rest else whole


def duration(value: float) -> str:
    """`1m30s`; weeks and years only when nothing is left over."""
    left = round(value * 1000)
    if not left:
        return "0s"
    parts = []
    for size, unit in _UNITS:
        if unit in ("y", "w") and left % size:
            continue
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"
