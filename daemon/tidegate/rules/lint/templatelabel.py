"""`lint-template-label`: a template that names a label which the expression's result cannot have renders as nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidegate.model import problems, rules
from tidegate.rules.lint import subject as subject_

_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_LABEL = re.compile(r"(?:\$labels|(?<![\w.$])\.Labels)\.([a-zA-Z_]\w*)")


def check(subject: subject_.Subject) -> Iterator[problems.Problem]:
    """One problem for each label of each text."""
    rule, possible = subject.rule, subject.outline.labels
    if not isinstance(rule, rules.AlertingRule) or possible is None:
        return
    for field, texts in (("labels", rule.labels), ("annotations", rule.annotations)):
        for name, text in texts:
            found = {one for action in _ACTION.findall(text) for one in _LABEL.findall(action)}
            for label in sorted(found - possible):
                kept = ", ".join(sorted(possible)) or "none"
                summary = f"the template of {name!r} uses the label {label!r}, which the expression takes away"
                problem = subject.document.problem(
                    "lint-template-label", summary, (*subject.at, field, name), hint=f"labels that stay: {kept}"
                )
                yield subject_.placed(problem, subject, f"abels.{label}")
