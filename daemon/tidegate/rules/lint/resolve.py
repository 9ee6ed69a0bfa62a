"""`lint-resolve-labels`: a `resolve_expr` whose series have other labels than those of `expr` ends no alert."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model import problems, rules
from tidegate.rules.lint import subject as subject_


def check(subject: subject_.Subject) -> Iterator[problems.Problem]:
    """At most one problem."""
    rule, resolve = subject.rule, subject.resolve
    if not isinstance(rule, rules.AlertingRule) or resolve is None:
        return
    mine, theirs = subject.outline.labels, resolve.labels
    own = {name for name, _ in rule.labels}
    if mine is None or theirs is None or mine - own == theirs - own:
        return
    summary = f"`expr` gives series by {_named(mine - own)}, `resolve_expr` by {_named(theirs - own)}: it ends no alert"
    problem = subject.document.problem("lint-resolve-labels", summary, (*subject.at, "resolve_expr"))
    yield subject_.placed(problem, subject, rule.resolve_expr.strip())


def _named(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "no label"
