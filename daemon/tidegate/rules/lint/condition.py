"""`lint-no-condition`: an alert whose expression has a result for as long as its series are there fires for ever."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model import problems, rules
from tidegate.rules.lint import subject as subject_


def check(subject: subject_.Subject) -> Iterator[problems.Problem]:
    """At most one problem."""
    rule = subject.rule
    if isinstance(rule, rules.AlertingRule) and not subject.outline.conditional and subject.outline.selectors:
        summary = f"the alert {rule.alert} compares nothing: it fires as long as its series are there"
        hint = "compare with a threshold, such as `> 0`"
        problem = subject.document.problem("lint-no-condition", summary, (*subject.at, "expr"), hint=hint)
        yield subject_.placed(problem, subject, rule.expr.strip())
