"""`lint-duplicate`: two rules that do the same: the same name, expression and labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate.model import problems, rules
from tidegate.rules.lint import subject as subject_


def check(subjects: Sequence[subject_.Subject]) -> Iterator[problems.Problem]:
    """One problem for each rule that stood there before."""
    seen: dict[tuple[object, ...], rules.Rule] = {}
    for subject in subjects:
        rule = subject.rule
        hold = (rule.hold, rule.share) if isinstance(rule, rules.AlertingRule) else None
        name = rule.alert if isinstance(rule, rules.AlertingRule) else rule.record
        first = seen.setdefault((type(rule), name, " ".join(rule.expr.split()), rule.labels, hold), rule)
        if first is not rule:
            summary = f"the rule {name} stands the same in {first.place.file}:{first.place.line}"
            yield subject_.placed(subject.document.problem("lint-duplicate", summary, subject.at), subject, "")
