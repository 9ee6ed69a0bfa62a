"""`lint-short-window`: a rate over fewer than four scrapes loses its result when one scrape fails."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model import problems
from tidegate.rules.lint import missing
from tidegate.rules.lint import subject as subject_

SCRAPES = 4
OBSERVED = 600
"""Seconds of data from which the time between two samples is read."""
FUNCTIONS = frozenset({"rate", "increase", "irate", "delta", "idelta", "deriv"})


def check(subject: subject_.Subject, ask: subject_.Ask) -> Iterator[problems.Problem]:
    """One problem for each window."""
    for selector in subject.outline.selectors:
        if selector.function not in FUNCTIONS or not 0 < selector.window < SCRAPES * OBSERVED:
            continue
        found = ask(f"max(count_over_time({missing.written(selector.matchers)}[{OBSERVED}s]))")
        samples = found[0][1] if found else 0.0
        if samples >= 2 and selector.window * samples < SCRAPES * OBSERVED * 0.95:
            summary = (
                f"{selector.function} looks at {selector.window:g} s, and its samples are about "
                f"{OBSERVED / samples:.0f} s apart"
            )
            hint = f"take at least {SCRAPES * OBSERVED / samples:.0f} s"
            problem = subject.document.problem("lint-short-window", summary, (*subject.at, "expr"), hint=hint)
            yield subject_.placed(problem, subject, selector.text)
