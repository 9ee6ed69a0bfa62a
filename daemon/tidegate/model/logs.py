"""A log line as people see it, whatever store it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class LogLine:
    """One line, read back from a store."""

    at: float
    """Unix seconds (`@timestamp`)."""
    message: str
    level: str = ""
    """`log.level`, lower case."""
    service: str = ""
    source: str = ""
    """`log.file.path` or the stream it came from."""
    document: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """The whole ECS document."""
    similar: int = 0
    """Older lines of the same form that it stands for."""


@dataclasses.dataclass(frozen=True, slots=True)
class LogPage:
    """Some lines, newest first, and how many there are in all (`total` is a lower bound when `at_least`)."""

    lines: tuple[LogLine, ...]
    total: int
    at_least: bool = False
    url: str = ""
    """Where a browser shows all of them; empty when there is no such place."""
