"""What can be wrong with the log inputs' settings beyond their form, each with its place in the settings file."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence

from tidegate.kit import yamlfile
from tidegate.logs.formats import choice
from tidegate.logs.process import rules
from tidegate.model import problems, receiving, settings

_NAME = re.compile(r"[^A-Z\\/*?\"<>| ,#:\-]{1,100}")
_HINT = 'lower case, 1 to 100 characters, none of - \\ / * ? " < > | , # : or space'
_REGEX = "patterns are RE2: no look-around, no back-references"
_Place = Sequence[str | int]


def found(given: settings.Logs, document: yamlfile.Document) -> list[problems.Problem]:
    """Every problem with the names, patterns and zones of the inputs, those that lines are sent to among them."""
    wrong: list[problems.Problem] = []
    for number, one in enumerate(given.inputs):
        at = ("logs", "inputs", number)
        wrong += [*_common(one, document, at), *_parsing(one, document, at)]
    for kind, name, received in given.receive.named():
        wrong += _common(received, document, ("logs", "receive", kind, name))
    return wrong


def streams(inputs: Sequence[settings.LogInput]) -> None:
    """Refuse names that Elasticsearch refuses in a data stream's name. Raises `ConfigError` with every one."""
    wrong = [problems.Problem("logs-stream-name", text, hint=_HINT) for one in inputs for _, text in _misnamed(one)]
    if wrong:
        raise problems.ConfigError(wrong)


def _misnamed(given: settings.LogInput | receiving.Received) -> Iterator[tuple[str, str]]:
    """Which name is wrong, and what to say."""
    for name, value in (("dataset", given.dataset), ("namespace", given.namespace)):
        if not _NAME.fullmatch(value):
            yield name, f"`{name}` of a log input cannot be {value!r}"


def _common(
    given: settings.LogInput | receiving.Received, document: yamlfile.Document, at: _Place
) -> Iterator[problems.Problem]:
    """What every input has."""
    for field, text in _misnamed(given):
        yield document.problem("logs-stream-name", text, (*at, field), hint=_HINT)
    for name, pattern in given.redact_patterns.items():
        work = functools.partial(rules.own, name, pattern)
        yield from _tried(work, document, (*at, "redact_patterns", name), "logs-redact-pattern", _REGEX)


def _parsing(given: settings.LogInput, document: yamlfile.Document, at: _Place) -> Iterator[problems.Problem]:
    """How lines of files are read."""
    zone = "names are those of the IANA database, e.g. Europe/Berlin"
    yield from _tried(lambda: choice.zone(given.timezone), document, (*at, "timezone"), "logs-timezone", zone)
    plain = given.model_copy(update={"timezone": ""})
    field = (*at, "pattern" if given.pattern else "format")
    yield from _tried(lambda: choice.of(plain), document, field, "logs-pattern", _REGEX)
    if given.format not in ("regex", "grok") and given.pattern:
        summary = f"`pattern` is not used with `format: {given.format}`"
        yield document.problem("logs-pattern-unused", summary, (*at, "pattern"), hint="say `format: regex` or `grok`")


def _tried(
    work: Callable[[], object], document: yamlfile.Document, at: _Place, code: str, hint: str
) -> Iterator[problems.Problem]:
    try:
        work()
    except problems.QueryError as error:
        place = f" (at character {error.position + 1})" if error.position > 0 else ""
        yield document.problem(code, f"{error}{place}", at, hint=hint)
