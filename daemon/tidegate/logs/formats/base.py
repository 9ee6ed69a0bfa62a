"""What parsers hand on: a line's parts, before they become an ECS document."""

from __future__ import annotations

import dataclasses
from typing import Any, Final, NamedTuple

LONGEST_LABEL: Final = 28_000
"""Bytes of a label's value: with its name it is one term of an index, which has at most 32,766."""


class Wrapped(NamedTuple):
    """A container runtime's line: who wrote what when, and whether the line goes on in the next one."""

    time: str
    """ISO 8601 in UTC; empty when unreadable."""
    stream: str
    """`stdout` or `stderr`."""
    partial: bool
    content: bytes


@dataclasses.dataclass(slots=True)
class Line:
    """One line, read."""

    message: str
    time: str = ""
    """ISO 8601 in UTC; empty when the line gives none."""
    zoned: bool = False
    """Whether the line gave the time's zone."""
    level: str = ""
    structured: bool = False
    """JSON or logfmt: never part of a stack trace."""
    fields: dict[str, str] | None = None
    """ECS fields by dotted name, of those in `encode.FIELDS`."""
    labels: dict[str, str] | None = None
    """Everything else that the line says, for `labels.*`."""
    known: dict[str, Any] | None = None
    """Further ECS fields by dotted name, their values of the types that `ecs.types` asks."""
    untimed: bool = False
    """Whether the line has a time that nobody can read."""
    extra: dict[str, Any] | None = None
    """ECS objects of what was received over a network, nested; only `ecs.received` takes them."""


def text(raw: bytes) -> str:
    """Bytes as text; what is not UTF-8 becomes U+FFFD."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def shorten(line: Line) -> bool:
    """Cut labels that some index would refuse the document for; whether there was one."""
    cut = False
    for name, text in (line.labels or {}).items():
        if len(text) > LONGEST_LABEL // 4 and len(whole := text.encode()) > LONGEST_LABEL:
            line.labels = {**(line.labels or {}), name: whole[:LONGEST_LABEL].decode("utf-8", "ignore")}
            cut = True
    return cut
