"""What can be read off a query without running it, for those who check rules. Places are 0-based offsets in its text."""

from __future__ import annotations

import dataclasses

from tidegate.model import alerts


@dataclasses.dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector."""

    text: str
    at: tuple[int, int]
    matchers: tuple[alerts.Matcher, ...]
    """All of them, that of the name too."""
    window: float = 0.0
    """Seconds of the range it is read over; 0 for none."""
    function: str = ""
    """The function that reads the range."""
    optional: bool = False
    """Whether nothing is a fine answer: it stands in `absent()`, on the right of `or` or `unless`, or left of an `or`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Join:
    """Two vectors that must find each other, neither of which depends on a comparison."""

    op: str
    left: str
    right: str
    at: tuple[int, int]
    on: bool
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Outline:
    """A query."""

    selectors: tuple[Selector, ...]
    joins: tuple[Join, ...]
    conditional: bool
    """Whether it can have no result while its series are there: it compares, or asks for absence."""
    labels: frozenset[str] | None
    """The only labels that its result can have; None when any are possible."""
