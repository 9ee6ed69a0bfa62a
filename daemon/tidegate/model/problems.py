"""What can be wrong with what people give us, and how it is said.

A `Problem` is one finding with its place, shown the same way on a terminal, in the log, on the page and over HTTP.
The exceptions here are the only ones that cross a package border.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

Severity = Literal["error", "warning"]


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `line` and `column` count from 1; 0 means that the place is not known."""

    code: str
    """Kebab-case name, e.g. `rule-unknown-field`; the anchor of its paragraph in `docs/problems.md`."""
    summary: str
    """One sentence without a final full stop."""
    file: str = ""
    line: int = 0
    column: int = 0
    length: int = 1
    """How many characters the caret underlines."""
    excerpt: str = ""
    """The source line, as written."""
    hint: str = ""
    severity: Severity = "error"

    def render(self) -> str:
        """The finding with its place, the excerpt and the hint, in several lines."""
        lines = [f"{self.severity}[{self.code}]: {self.summary}"]
        if self.file:
            lines.append(f"  --> {self.file}" + (f":{self.line}:{self.column}" if self.line else ""))
        if self.line and self.excerpt:
            gutter = str(self.line)
            pad = " " * len(gutter)
            caret = " " * max(self.column - 1, 0) + "^" * max(self.length, 1)
            lines += [f"{gutter} | {self.excerpt}", f"{pad} | {caret}" + (f" {self.hint}" if self.hint else "")]
        elif self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class TidegateError(Exception):
    """Root of what crosses package borders."""


class ConfigError(TidegateError):
    """Something that a person wrote cannot be used. Carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.render() for problem in self.problems))


class QueryError(TidegateError):
    """A PromQL or KQL text that cannot be parsed or evaluated; `kind` is Prometheus' `errorType`.

    `position` is the 0-based character offset into the text, -1 when unknown.
    """

    def __init__(self, message: str, *, kind: str = "bad_data", position: int = -1) -> None:
        self.kind = kind
        self.position = position
        super().__init__(message)


class TransientError(TidegateError):
    """May work later: a timeout, a 429, a 503. `after` is what the peer asked us to wait, in seconds."""

    def __init__(self, message: str, *, after: float | None = None, reason: str = "other") -> None:
        self.after = after
        self.reason = reason
        super().__init__(message)


class PermanentError(TidegateError):
    """Trying again cannot help: a 400, a revoked webhook. `reason` is a metric label, e.g. `auth`, `rejected`."""

    def __init__(self, message: str, *, reason: str = "other") -> None:
        self.reason = reason
        super().__init__(message)


class FatalError(TidegateError):
    """The process cannot go on: the data directory is gone, the address is taken."""
