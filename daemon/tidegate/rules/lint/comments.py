"""`# tidegate: ignore[code, ...]`: silences a check where it stands: on the finding's line or alone above it or its rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidegate.kit import yamlfile
from tidegate.model import problems
from tidegate.rules.lint import subject as subject_

_COMMENT = re.compile(r"#\s*tidegate:\s*ignore\[([^\]]*)\]")


def codes(document: yamlfile.Document, line: int) -> frozenset[str]:
    """Codes that a line's comment ignores."""
    found = _COMMENT.search(document.line(line))
    return frozenset(one.strip() for one in found[1].split(",")) if found else frozenset()


def ignored(problem: problems.Problem, subject: subject_.Subject) -> bool:
    """Whether a comment says that this finding is meant."""
    first, _ = subject.document.position(subject.at)
    places = {problem.line, first}
    above = {line - 1 for line in places if subject.document.line(line - 1).lstrip().startswith("#")}
    return any(problem.code in codes(subject.document, line) for line in places | above)


def unknown(document: yamlfile.Document, known: frozenset[str]) -> Iterator[problems.Problem]:
    """A warning for each comment that ignores a check there is not."""
    for number, line in enumerate(document.text.splitlines(), 1):
        for code in sorted(codes(document, number) - known):
            yield problems.Problem(
                "lint-unknown-check",
                f"there is no check {code!r} to ignore",
                document.file,
                number,
                line.find(code) + 1,
                max(len(code), 1),
                line,
                f"checks are {', '.join(sorted(known))}",
                "warning",
            )
