"""SQL conditions that every match of a query meets: they leave fewer documents for the matcher to decide about.

Only what must hold is used: parts joined by `and`. The full-text index has words of its own (runs of letters and digits),
so a word of the query asks for all of its runs, which can only let too much through, never too little.
"""

from __future__ import annotations

import re

from tidegate.logs import fields
from tidegate.logs.kql import tree, words

_RUN = re.compile(r"[^\W_]+")
_COLUMNS = {"log.level": "level", "service.name": "service"}


def conditions(node: tree.Node) -> tuple[list[str], list[str]]:
    """Conditions on the `lines` table, and their values."""
    texts, values = [], []
    searches = []
    for part in node.parts if isinstance(node, tree.And) else (node,):
        if isinstance(part, tree.Match) and part.field in _COLUMNS and not part.wildcard:
            texts.append(f"{_COLUMNS[part.field]} = ?")
            values.append(part.value)
        elif search := _search(part):
            searches.append(search)
    if searches:
        texts.append("place IN (SELECT rowid FROM words WHERE words MATCH ?)")
        values.append(" AND ".join(f"({search})" for search in searches))
    return texts, values


def _search(node: tree.Node) -> str:
    """The full-text query that every match meets; empty when there is none."""
    if isinstance(node, tree.Or):
        parts = [_search(part) for part in node.parts]
        return " OR ".join(f"({part})" for part in parts) if all(parts) else ""
    if isinstance(node, tree.And):
        return " AND ".join(f"({part})" for part in map(_search, node.parts) if part)
    if not isinstance(node, tree.Match) or node.wildcard or node.field not in fields.TEXT - {"error.stack_trace.text"}:
        return ""
    wanted = [_runs(word) for word in words.words(node.value)]
    if not wanted or not all(wanted):
        return ""
    return (" AND " if node.phrase else " OR ").join(f"({one})" for one in wanted)


def _runs(word: str) -> str:
    return " AND ".join(f'"{run}"' for run in _RUN.findall(word))
