"""What a check looks at: one rule with its outline and the place where it was written; and the data it may ask."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tidegate.kit import yamlfile
from tidegate.model import labels as labels_
from tidegate.model import outline as outline_
from tidegate.model import problems, rules

Ask: TypeAlias = Callable[[str], Sequence[tuple[labels_.Labels, float]]]
"""Evaluates PromQL now on live data. Raises `QueryError` or `TransientError`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """One rule."""

    rule: rules.Rule
    group: rules.Group
    outline: outline_.Outline
    document: yamlfile.Document
    at: yamlfile.Path
    made_here: frozenset[str]
    """Names of series that the rules and log metrics of the checked files make."""
    resolve: outline_.Outline | None = None
    """The outline of `resolve_expr`, where there is one."""

    @property
    def outlines(self) -> list[tuple[str, outline_.Outline]]:
        """Each expression's outline, with its field."""
        more = [] if self.resolve is None else [("resolve_expr", self.resolve)]
        return [("expr", self.outline), *more]


def placed(problem: problems.Problem, subject: Subject, text: str) -> problems.Problem:
    """The problem, as a warning, with its caret under a piece of the rule where that stands as it is."""
    end = len(subject.document.text.splitlines())
    first_line = text.splitlines()[0] if text else ""
    for number in range(problem.line, min(problem.line + 100, end + 1)):
        line = subject.document.line(number)
        column = line.find(first_line) if first_line else -1
        if column >= 0:
            return dataclasses.replace(
                problem, line=number, column=column + 1, length=len(first_line), excerpt=line, severity="warning"
            )
    return dataclasses.replace(problem, severity="warning")
