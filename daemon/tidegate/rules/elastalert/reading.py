"""One rule of ElastAlert2: its fields, each with the place where it was written, also when it was imported.

Each field is taken once by who understands it; what nobody took is left for the report.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator
from typing import Any, Final

from tidegate.kit import yamlfile
from tidegate.model import problems, section

UNITS: Final = {
    "weeks": 604800.0,
    "days": 86400.0,
    "hours": 3600.0,
    "minutes": 60.0,
    "seconds": 1.0,
    "milliseconds": 0.001,
}
MAYBE_NONE: Final = ("realert", "aggregation")
"""Times that may be 0."""
SECRET: Final = ("alert",)
"""Fields in whose parts secrets may stand, too."""
DEEPEST: Final = 20
"""Files that may import each other in turn."""


_NAME: Final = re.compile(r"[\w\"'.-]+")


class NotConvertedError(Exception):
    """Something has no counterpart. Carries why, and where it stands."""

    def __init__(self, why: str, path: yamlfile.Path, hint: str = "") -> None:
        super().__init__(why)
        self.why, self.path, self.hint = why, path, hint


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of a rule."""

    value: Any
    document: yamlfile.Document
    path: tuple[str | int, ...]

    def problem(self, code: str, what: str, hint: str = "") -> problems.Problem:
        """Something about it. Of a field as a whole only the name is shown: its value may be a secret."""
        whole = not self.path[1:]
        found = self.document.problem(code, what, self.path, hint=hint, key=whole)
        if not self.path or (not whole and self.path[0] not in SECRET):
            return found
        piece = found.excerpt[found.column - 1 :][: found.length]
        shown = found.column - 1 + (found.length if whole or _NAME.fullmatch(piece) else 0)
        return dataclasses.replace(found, excerpt=found.excerpt[:shown])


class Rule:
    """The fields of a rule."""

    def __init__(self, document: yamlfile.Document, fields: dict[str, Field]) -> None:
        self.document = document
        self._fields = fields
        self._taken: set[str] = set()

    def take(self, name: str, default: Any = None) -> Any:
        """The value of a field, which is understood from now on."""
        self._taken.add(name)
        return self._fields[name].value if name in self._fields else default

    def need(self, name: str) -> Any:
        """The same for a field that must be there. Raises `NotConvertedError`."""
        if name not in self._fields:
            raise NotConvertedError(f"the field `{name}` is missing", ())
        return self.take(name)

    def names(self, name: str) -> list[str]:
        """A field that holds a text or a list of texts."""
        given = self.take(name)
        found = given if isinstance(given, list) else [] if given is None else [given]
        return [str(section.text(one)) for one in found if not isinstance(one, dict | list)]

    def number(self, name: str, default: float | None = None) -> float:
        """A number. Raises `NotConvertedError`."""
        given = self.need(name) if default is None else self.take(name, default)
        try:
            return float(given)
        except (TypeError, ValueError):
            raise NotConvertedError(f"`{name}` is no number", (name,)) from None

    def truth(self, name: str) -> bool:
        """A switch, however YAML 1.1 writes it."""
        return str(self.take(name)).lower() in ("true", "yes", "on", "1")

    def seconds(self, name: str, default: float | None = None) -> float:
        """A time such as `hours: 4`. Raises `NotConvertedError`."""
        given = self.need(name) if default is None else self.take(name)
        if given is None:
            return default or 0.0
        try:
            found = sum(UNITS[unit] * float(count) for unit, count in given.items())
        except (AttributeError, KeyError, TypeError, ValueError):
            raise NotConvertedError(f"`{name}` is no time such as `hours: 4`", (name,)) from None
        if found < 0 or (found == 0 and name not in MAYBE_NONE):
            raise NotConvertedError(f"`{name}` is no time that passes", (name,))
        return found

    def place(self, path: yamlfile.Path) -> Field:
        """A part of the rule, by its path from the rule on; the rule itself when it is not there."""
        field = self._fields.get(str(path[0])) if path else None
        if field is None:
            return Field(None, self.document, ())
        return dataclasses.replace(field, path=(*field.path, *path[1:]))

    def left(self) -> Iterator[tuple[str, Field]]:
        """The fields that nobody took, as they stand in the file."""
        return ((name, field) for name, field in self._fields.items() if name not in self._taken)


def read(path: pathlib.Path, shown: str) -> Rule:
    """Read a rule and what it imports. Raises `ConfigError` when it is not readable."""
    document = yamlfile.read(path, shown)
    return Rule(document, _fields(document, path, 0))


def _fields(document: yamlfile.Document, path: pathlib.Path, depth: int) -> dict[str, Field]:
    """What is imported counts where the rule says nothing; filters add up."""
    if not isinstance(document.value, dict):
        raise problems.ConfigError([document.problem("import-no-rule", "this is no rule of ElastAlert2", ())])
    own = {str(name): Field(value, document, (str(name),)) for name, value in document.value.items()}
    imported = own.pop("import", None)
    if imported is None:
        return own
    if depth >= DEEPEST:
        raise problems.ConfigError([imported.problem("import-no-rule", "rules import each other without end")])
    found: dict[str, Field] = {}
    given = imported.value if isinstance(imported.value, list) else [imported.value]
    for name in given:
        below = path.parent / str(name)
        for key, field in _fields(yamlfile.read(below, str(below)), below, depth + 1).items():
            found[key] = _added(found[key], field) if key == "filter" and key in found else field
    for key, field in own.items():
        found[key] = _added(field, found[key]) if key == "filter" and key in found else field
    return found


def _added(first: Field, second: Field) -> Field:
    """Two lists as one; places are those of the first."""
    return dataclasses.replace(first, value=[*_list(first.value), *_list(second.value)])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
