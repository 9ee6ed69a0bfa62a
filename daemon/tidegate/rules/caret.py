"""Where in a file a position of an expression is, whether it stands on the line of its field or in a block below it."""

from __future__ import annotations

import dataclasses

from tidegate.kit import yamlfile
from tidegate.model import problems


def moved(problem: problems.Problem, text: str, position: int, document: yamlfile.Document) -> problems.Problem:
    """The problem with its caret at a position of a text that stands on the shown line, or in the block scalar below it."""
    if position < 0:
        return problem
    start = problem.excerpt.find(text, problem.column - 1)
    if start >= 0:
        return dataclasses.replace(problem, column=start + min(position, len(text) - 1) + 1, length=1)
    if problem.excerpt[problem.column - 1 : problem.column] != "|":
        return problem
    before = text[: min(position, max(len(text.rstrip()) - 1, 0))]
    first = problem.line + 1
    while not document.line(first).strip() and first < problem.line + 100:
        first += 1  # the blank lines that a block may begin with are in the text too
    lines = text.split("\n")
    blank = next((number for number, one in enumerate(lines) if one.strip()), 0)
    number = first - blank + before.count("\n")
    shown, inside = document.line(number), lines[before.count("\n")]
    indent = shown.find(inside)
    if indent < 0:
        return problem
    column = indent + len(before) - (before.rfind("\n") + 1) + 1
    return dataclasses.replace(problem, line=number, column=column, length=1, excerpt=shown)
