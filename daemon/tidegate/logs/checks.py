"""What can be wrong with the log inputs' settings beyond their form, each with its place in the settings file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

from tidegate.kit import yamlfile
from tidegate.logs.formats import choice
from tidegate.logs.process import rules
from tidegate.model import problems, settings


def inputs(given: Sequence[settings.LogInput], document: yamlfile.Document) -> list[problems.Problem]:
    """Every problem with the patterns and zones of the inputs."""
    return [found for number, one in enumerate(given) for found in _input(one, document, ("logs", "inputs", number))]


def _input(
    given: settings.LogInput, document: yamlfile.Document, at: Sequence[str | int]
) -> Iterator[problems.Problem]:
    def tried(
        work: Callable[[], object], field: Sequence[str | int], code: str, hint: str
    ) -> Iterator[problems.Problem]:
        try:
            work()
        except problems.QueryError as error:
            place = f" (at character {error.position + 1})" if error.position > 0 else ""
            yield document.problem(code, f"{error}{place}", (*at, *field), hint=hint)

    zone = "names are those of the IANA database, e.g. Europe/Berlin"
    yield from tried(lambda: choice.zone(given.timezone), ("timezone",), "logs-timezone", zone)
    plain = given.model_copy(update={"timezone": ""})
    field = ("pattern",) if given.pattern else ("format",)
    regex = "patterns are RE2: no look-around, no back-references"
    yield from tried(lambda: choice.of(plain), field, "logs-pattern", regex)
    for name, pattern in given.redact_patterns.items():
        work = functools.partial(rules.own, name, pattern)
        yield from tried(work, ("redact_patterns", name), "logs-redact-pattern", regex)
    if given.format not in ("regex", "grok") and given.pattern:
        summary = f"`pattern` is not used with `format: {given.format}`"
        yield document.problem("logs-pattern-unused", summary, (*at, "pattern"), hint="say `format: regex` or `grok`")
