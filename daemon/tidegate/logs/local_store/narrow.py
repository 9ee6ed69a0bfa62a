"""SQL conditions that every match of a query meets: they leave fewer documents for the matcher to decide about.

Only what must hold is used, so they can let too much through, never too little. The full-text index holds the words of the
searched fields (`row`), and cuts them further into runs of letters and digits; only plain ASCII runs are asked for, on
which both ways of cutting agree.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from tidegate.logs.ecs import fields
from tidegate.logs.kql import meaning, tree, view, words

COLUMNS = {"log.level": "level", "service.name": "service", "log.file.path": "path"}
"""Fields with a column: NULL when the document holds anything but one text."""
_SHORT = 24
_RUN = re.compile(r"[a-z0-9]+")
_PLAIN = re.compile(r"[a-z0-9_.:',;]+\Z")


@dataclasses.dataclass(frozen=True, slots=True)
class Narrowed:
    """Conditions on the `lines` table, joined by AND, and their values."""

    conditions: tuple[str, ...]
    values: tuple[str, ...]
    words: str
    """A full-text query that every match meets; empty when there is none."""
    everything: bool
    """The query matches every line."""


def row(document: Mapping[str, Any]) -> tuple[tuple[str | None, ...], str]:
    """What the store keeps of a document to narrow by: its columns, and the words of the searched fields.

    A column is None unless the field holds exactly one text.
    """
    seen = view.View(document)
    columns = tuple(_column(seen.values(field)) for field in COLUMNS)
    found: list[str] = []
    for field in fields.SEARCHED:
        for value in seen.values(field):
            text = view.text(value)
            found += words.words(text) if len(text) > _SHORT else _words(text)
    return columns, " ".join(found)


@functools.lru_cache(maxsize=1024)
def _words(text: str) -> tuple[str, ...]:
    """For levels and names of services, which come again and again."""
    return tuple(words.words(text))


def _column(found: list[Any]) -> str | None:
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def narrow(node: meaning.Node) -> Narrowed:
    """The conditions of a query."""
    texts, values, searches = [], [], []
    for part in _parts(node):
        choices = _choices(part)
        if choices:
            name, wanted = choices
            marks = ", ".join("?" * len(wanted))
            texts.append(f"({name} IS NULL OR {name} IN ({marks}))")
            values += wanted
        elif search := _search(part):
            searches.append(search)
    search = " AND ".join(f"({search})" for search in searches)
    return Narrowed(tuple(texts), tuple(values), search, node == meaning.Constant(value=True))


def _parts(node: meaning.Node) -> tuple[meaning.Node, ...]:
    if isinstance(node, meaning.And):
        return tuple(inner for part in node.parts for inner in _parts(part))
    return (node,)


def _choices(node: meaning.Node) -> tuple[str, list[str]] | None:
    """A column, and the values one of which it must hold."""
    parts = node.parts if isinstance(node, meaning.Or) else (node,)
    values = [part.value for part in parts if isinstance(part, meaning.Is)]
    named = {part.field for part in parts if isinstance(part, meaning.Is)}
    if len(values) < len(parts) or len(named) != 1 or len(values) > 100:
        return None
    name = COLUMNS.get(named.pop())
    return (name, values) if name else None


def _search(node: meaning.Node) -> str:
    """The full-text query that every match meets; empty when there is none."""
    match node:
        case meaning.Or(parts):
            found = [_search(part) for part in parts]
            return " OR ".join(f"({part})" for part in found) if all(found) else ""
        case meaning.And(parts):
            return " AND ".join(f"({part})" for part in map(_search, parts) if part)
    return _leaf(node) if getattr(node, "field", "") in fields.SEARCHED else ""


def _leaf(node: meaning.Node) -> str:
    match node:
        case meaning.AnyWord(_, wanted):
            found = [_phrase(word) for word in wanted]
            return " OR ".join(found) if all(found) else ""
        case meaning.Phrase(_, wanted):
            return _phrase(" ".join(wanted)) if all(map(_PLAIN.match, wanted)) else ""
        case meaning.Is(_, value):
            wanted = tuple(words.words(value))
            return _phrase(" ".join(wanted)) if wanted and all(map(_PLAIN.match, wanted)) else ""
        case meaning.WordLike(_, pattern):
            start = pattern.partition(tree.WILD)[0]
            # Only a run that ends at the `*` is a beginning; otherwise the run would have to end where the start does.
            return f'"{start}"*' if _RUN.fullmatch(start) else ""
    return ""


def _phrase(text: str) -> str:
    """Runs in a row; empty when there is none, or when the text is not plain."""
    runs = _RUN.findall(text) if all(map(_PLAIN.match, text.split())) else []
    return '"' + " ".join(runs) + '"' if runs else ""
