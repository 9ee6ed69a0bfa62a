"""Which queries may match a line, told from its bytes before it is parsed.

A query needs some texts to stand in a line's JSON: the value of a keyword in quotes, a word of a message in any case. All
needs of all queries are searched for in one pass of an RE2 set; which queries the texts found leave over is remembered. What
is left over is too much at times, never too little: lines with `\\u` escapes, and lines for which RE2 runs out of memory,
leave every query over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import re2

from tidegate.logs.ecs import fields
from tidegate.logs.kql import meaning, tree

Clause: TypeAlias = frozenset[str]
"""RE2 patterns, at least one of which is in every line that matches."""
MEMORY: Final = 16 * 1024 * 1024
MOST_PATTERNS: Final = 4000
MOST_CHOICES: Final = 64
REMEMBERED: Final = 16_384
"""Sets of texts found together that are remembered."""
_SAFE = re.compile(r"[A-Za-z0-9_.:,;@=()+#%&*!?<>\[\]{}|~^$ -]+")
"""Characters that JSON never escapes but as `\\uXXXX`."""
_NUMERIC = re.compile(r"[0-9.eE+-]+")
_ESCAPED = r"\\u"


class Prefilter:
    """Knows what a list of queries needs."""

    def __init__(self, nodes: Sequence[meaning.Node]) -> None:
        needed = [needs(node) for node in nodes]
        self._all = tuple(range(len(nodes)))
        patterns = sorted({pattern for clauses in needed for clause in clauses for pattern in clause})
        numbers = {pattern: number for number, pattern in enumerate(patterns, 2)}
        self._needed = [[frozenset(map(numbers.__getitem__, clause)) for clause in clauses] for clauses in needed]
        self._find = _search(patterns) if any(needed) and len(patterns) <= MOST_PATTERNS else None
        self._known: dict[tuple[int, ...], tuple[int, ...]] = {}

    def candidates(self, body: bytes) -> tuple[int, ...]:
        """The queries that may match a line, by their place in the list."""
        if self._find is None:
            return self._all
        found = tuple(self._find(body))
        left = self._known.get(found)
        return self._leave(found) if left is None else left

    def _leave(self, found: tuple[int, ...]) -> tuple[int, ...]:
        there = frozenset(found)
        if 0 not in there or 1 in there:
            left = self._all
        else:
            left = tuple(
                number
                for number, clauses in enumerate(self._needed)
                if not any(clause.isdisjoint(there) for clause in clauses)
            )
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[found] = left
        return left


def _search(patterns: Sequence[str]) -> Any:
    """A function from bytes to the numbers of the patterns in them; 0 is always there unless RE2 gave up, 1 is an escape."""
    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    options.never_capture = True
    found = re2.Set.SearchSet(options)
    for pattern in ("", _ESCAPED, *patterns):
        found.Add(pattern)
    try:
        found.Compile()
    except re2.error:
        return None
    return found.Match


def needs(node: meaning.Node) -> list[Clause]:  # noqa: PLR0911 - one return a kind
    """Clauses that every line meets which a query matches; none when nothing is known."""
    match node:
        case meaning.And(parts):
            return list(dict.fromkeys(clause for part in parts for clause in needs(part)))
        case meaning.Or(parts):
            return _either([needs(part) for part in parts])
        case meaning.Nested(_, inner):
            return needs(inner)
        case meaning.AnyWord(_, words):
            found = [_word(word) for word in words]
            return _clause(found) if all(found) else []
        case meaning.Phrase(_, words):
            return [clause for word in words for clause in _clause([_word(word)])]
        case meaning.WordLike(_, pattern):
            return [clause for part in pattern.split(tree.WILD) for clause in _clause([_word(part)])]
        case meaning.Is(field, value):
            return _clause([_value(field, value)])
        case meaning.Like(field, pattern):
            return _like(pattern) if fields.kind(field) != "unknown" else []
        case meaning.There(field) | meaning.Number(field) | meaning.Date(field) | meaning.Flag(field):
            return _clause([_named(field)])
    return []


def _clause(patterns: Iterable[str]) -> list[Clause]:
    found = frozenset(filter(None, patterns))
    return [found] if found else []


def _either(parts: Sequence[list[Clause]]) -> list[Clause]:
    """Of several conditions one holds: one clause of each, the one that takes the fewest texts."""
    if not all(parts):
        return []
    found = frozenset(pattern for clauses in parts for pattern in min(clauses, key=_weight))
    return [found] if len(found) <= MOST_CHOICES else []


def _weight(clause: Clause) -> tuple[int, int]:
    """Few and long texts are the rarest."""
    return len(clause), -min(map(len, clause))


def _word(word: str) -> str:
    """A word or part of one in any case; numbers may be written in other ways."""
    literal = max(_SAFE.findall(word), key=len, default="")
    if not literal or _NUMERIC.fullmatch(word):
        return ""
    # Two characters beyond ASCII are `i` and `k` in lower case; RE2 knows the second.
    return "(?i)" + "[i\u0130]".join(map(re.escape, literal.split("i")))


def _value(field: str, value: str) -> str:
    """A whole value: a text in quotes, or a number or a boolean without."""
    whole = _SAFE.fullmatch(value)
    if _NUMERIC.fullmatch(value):
        return rf"\b{value}\b" if value.isdecimal() and fields.kind(field) != "unknown" else ""
    if whole and value not in ("true", "false"):
        return f'"{re.escape(value)}"'
    return re.escape(max(_SAFE.findall(value), key=len, default=""))


def _like(pattern: str) -> list[Clause]:
    """Its longest part, and how it begins."""
    first, *rest = pattern.split(tree.WILD)
    parts = [re.escape(max(_SAFE.findall(part), key=len, default="")) for part in rest if not _NUMERIC.fullmatch(part)]
    if first and not _NUMERIC.match(first):
        whole = _SAFE.fullmatch(first) and not any(one.startswith(first) for one in ("true", "false"))
        parts.append(f'"{re.escape(first)}' if whole else re.escape(max(_SAFE.findall(first), key=len, default="")))
    return [clause for part in parts for clause in _clause([part])]


def _named(field: str) -> str:
    """The last part of a name, which is the end of a key unless objects can be below it."""
    last = fields.source(field).rpartition(".")[2]
    if not _SAFE.fullmatch(last) or len(last) < 3:
        return ""
    object_like = fields.kind(field) in ("group", "unknown") or field == fields.LABELS
    return re.escape(last) if object_like else f'{re.escape(last)}"'
