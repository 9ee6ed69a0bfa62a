"""What one target says of its metric families: type, help text and unit, by name.

Bounded: a target that names more families than `LIMIT` keeps its first ones. Texts are shared between targets.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tidegate.model import series
from tidegate.scrape import lines

LIMIT = 10_000
"""Families of one target."""
_FIELDS = {"TYPE": 0, "HELP": 1, "UNIT": 2}


class Families:
    """The families of one exposition, in their order."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, comment: lines.Comment) -> None:
        """Take in what a comment says; the last one of a kind counts."""
        kind, name, text = comment
        found = self._found.get(name)
        if found is None:
            if len(self._found) >= LIMIT:
                return
            found = self._found[sys.intern(name)] = ["unknown", "", ""]
        found[_FIELDS[kind]] = sys.intern(text)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[series.Metadata]:
        for name, (kind, text, unit) in self._found.items():
            yield series.Metadata(name, kind, text, unit)

    def get(self, name: str) -> series.Metadata | None:
        """One family."""
        found = self._found.get(name)
        return series.Metadata(name, *found) if found is not None else None
