"""What every detector has in common: which lines it wants, its series, and a state that outlives the process.

A detector knows nothing of alerts: it exposes what it saw and when, and a rule over these series judges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from tidegate.logs import kql
from tidegate.logs.ecs import fields
from tidegate.logs.kql import interpret, matcher, view
from tidegate.model import labels as labels_
from tidegate.model import rules

LONGEST = 200
"""Characters of a label's value."""
REMEMBERED: Final = 20_000
"""Label sets that are remembered; with more, all are made anew."""
Key: TypeAlias = tuple[str, ...]
Series: TypeAlias = Iterator[tuple[labels_.Labels, float]]


class Detector(Protocol):
    """One detector. Times are unix seconds of the clock; `read_to` is the time up to which every line was seen."""

    rule: rules.LogDetector
    queries: tuple[Query, ...]
    """What is asked of each line."""
    dropped: int
    """How much was forgotten for want of room."""

    def see(self, seen: view.View, matched: frozenset[int], now: float) -> None:
        """A line matches these of the queries."""

    def settle(self, read_to: float) -> None:
        """Time has passed."""

    def series(self, read_to: float) -> Series:
        """Each series, with its name, and its value."""

    def dump(self, read_to: float) -> Any:
        """The state, as JSON."""

    def load(self, state: Any, now: float) -> None:
        """Go on from a state. Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` for what is none."""


class Query:
    """One KQL text, compiled."""

    def __init__(self, text: str, now: matcher.Now) -> None:
        """Raises `QueryError`."""
        self.node = interpret.of(kql.parse(text))
        self.matches = matcher.test(self.node, now)


class Keys:
    """Finds the `by` values of a line, and names them."""

    def __init__(self, by: Sequence[tuple[str, str]]) -> None:
        self._labels = tuple(label for label, _ in by)
        self._fields = tuple(fields.resolve(field) for _, field in by)
        self._known: dict[tuple[Key, str, str, str], labels_.Labels] = {}

    def of(self, seen: view.View) -> Key:
        """The values; empty where a line lacks the field."""
        return tuple(next(values(seen, field), "") for field in self._fields)

    def labels(self, key: Key, name: str, label: str = "", value: str = "") -> labels_.Labels:
        """The labels of a series, with one more where one is given. They are asked for again and again."""
        found = self._known.get((key, name, label, value))
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            more = {label: value} if label else {}
            made = labels_.make(dict(zip(self._labels, key, strict=True)), **more, **{labels_.NAME: name})
            found = self._known[key, name, label, value] = made
        return found


def values(seen: view.View, field: str) -> Iterator[str]:
    """The values of a field (by its full name) as labels hold them."""
    return (short(view.text(one)) for one in seen.values(field) if not isinstance(one, Mapping))


def short(value: str) -> str:
    """A value of bounded length; two long ones stay two."""
    if len(value) <= LONGEST:
        return value
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{value[: LONGEST - 10]}… {digest}"


def key_of(given: Any) -> Key:
    """A key from JSON. Raises `TypeError`."""
    if not isinstance(given, list) or not all(isinstance(part, str) for part in given):
        raise TypeError(f"{given!r} is no key")
    return tuple(given)
