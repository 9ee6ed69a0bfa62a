"""The values of `le` and `quantile` as Prometheus 3 stores them: `1` becomes `1.0`, whatever the exposition wrote.

Only `le` of histograms and `quantile` of summaries, and only values that are numbers (`normalizeFloatsInLabelValues` and
`FormatOpenMetricsFloat` of Prometheus 3). Without it the same bucket has two names, one for each format.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from tidegate.scrape import lines

LABELS = {"histogram": "le", "summary": "quantile"}
"""The label that holds a number, by the type of its family."""
_PLAIN = (1e-4, 1e6)
"""From the first, below the second, Go's shortest form has no exponent."""


@functools.lru_cache(maxsize=1 << 14)
def number(text: str) -> str:
    """A label's value in its one form; unchanged when it is no number."""
    value = lines.number(text)
    if value is None:
        return text
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if not value or _PLAIN[0] <= abs(value) < _PLAIN[1]:
        return repr(value + 0.0)
    return str(np.format_float_scientific(value, trim="-", exp_digits=2))
