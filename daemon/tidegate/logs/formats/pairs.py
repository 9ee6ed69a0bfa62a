"""Key-value lines with separators of the writer's own: `user=ann; took=5ms; path="/a b"`.

A line is taken only when all of it is pairs; else it is text. A quoted value may hold separators.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.logs.formats import base, json

_MOST = 1000


def parser(between: str, assigns: str) -> Callable[[bytes], base.Line | None]:
    """A parser for these separators: of pairs, and of a name and its value."""

    def parse(raw: bytes) -> base.Line | None:
        found = split(base.text(raw), between, assigns) if b"\0" not in raw else None
        return json.line(dict(found), raw) if found else None

    return parse


def split(text: str, between: str, assigns: str) -> dict[str, str] | None:
    """All pairs, or None when something else is in the line. A name that comes twice gets a `_`."""
    pairs: dict[str, str] = {}
    at, end = 0, len(text)
    while at < end and len(pairs) < _MOST:
        if text.startswith(between, at):
            at += len(between)
            continue
        stop = text.find(assigns, at)
        name = text[at:stop].strip() if stop >= 0 else ""
        if not 0 < len(name) <= json.LONGEST_NAME or between in name or '"' in name:
            return None
        value, after = _value(text, stop + len(assigns), between)
        if after < 0:
            return None
        at = after
        while name in pairs:
            name += "_"
        pairs[name] = value
    return pairs if at >= end else None


def _value(text: str, at: int, between: str) -> tuple[str, int]:
    """(the value, where it ends); the end is -1 when a quote is not closed, or something follows it at once."""
    if not text.startswith('"', at):
        stop = text.find(between, at)
        stop = len(text) if stop < 0 else stop
        return text[at:stop].strip(), stop
    stop = at + 1
    parts: list[str] = []
    while stop < len(text) and text[stop] != '"':
        stop += text[stop] == "\\"
        parts.append(text[stop : stop + 1])
        stop += 1
    whole = stop < len(text) and (stop + 1 == len(text) or text.startswith(between, stop + 1))
    return "".join(parts), stop + 1 if whole else -1
