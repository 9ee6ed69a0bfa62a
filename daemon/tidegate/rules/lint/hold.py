"""`lint-short-for`: a `for` of less than two evaluations holds back nothing that one more sample would not."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model import problems, rules
from tidegate.rules.lint import subject as subject_

EVALUATIONS = 2


def check(subject: subject_.Subject) -> Iterator[problems.Problem]:
    """At most one problem."""
    rule, interval = subject.rule, subject.group.interval
    if isinstance(rule, rules.AlertingRule) and 0 < rule.hold < EVALUATIONS * interval:
        summary = f"`for` is {rule.hold:g} s, and the group is evaluated every {interval:g} s"
        hint = f"give at least {EVALUATIONS * interval:g} s, or leave it out"
        yield subject_.placed(
            subject.document.problem("lint-short-for", summary, (*subject.at, "for"), hint=hint), subject, ""
        )
