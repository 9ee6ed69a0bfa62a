"""Says what differs between what a rule unit test expected and what came, for people.

Expected and found things are paired, the most alike first, and only the pieces in which a pair differs are marked. Things
are texts here; what they mean is the business of `rules.unittest`.
"""

from __future__ import annotations

import collections
import difflib
import re
from collections.abc import Sequence

ALIKE = 0.5
"""Least likeness (0 to 1) of two texts that are shown as a pair."""
MOST = 200
"""More differences than this are listed without pairing them: pairing takes time that grows with the square."""
_PIECE = re.compile(r'\w+="(?:[^"\\]|\\.)*"|\s+|[^\s,{}]+|.')


def difference(wanted: Sequence[str], got: Sequence[str]) -> str:
    """Lines with `-` for what is missing and `+` for what came instead; empty when both hold the same."""
    missing = list((collections.Counter(wanted) - collections.Counter(got)).elements())
    extra = list((collections.Counter(got) - collections.Counter(wanted)).elements())
    lines: list[str] = []
    for one, other in _pairs(missing, extra):
        lines += [f"  - {one}", f"  + {other}", *_marks(one, other)]
        missing.remove(one)
        extra.remove(other)
    return "\n".join([*lines, *(f"  - {text}" for text in missing), *(f"  + {text}" for text in extra)])


def _pairs(missing: Sequence[str], extra: Sequence[str]) -> list[tuple[str, str]]:
    """Each text with the one most like it, the most alike first."""
    if len(missing) * len(extra) > MOST * MOST:
        return []
    likeness = sorted(
        ((_likeness(one, other), i, j) for i, one in enumerate(missing) for j, other in enumerate(extra)),
        key=lambda found: (-found[0], found[1], found[2]),
    )
    left, right, pairs = set(range(len(missing))), set(range(len(extra))), []
    for score, i, j in likeness:
        if score >= ALIKE and i in left and j in right:
            left.remove(i)
            right.remove(j)
            pairs.append((missing[i], extra[j]))
    return pairs


def _likeness(one: str, other: str) -> float:
    mine, theirs = collections.Counter(_PIECE.findall(one)), collections.Counter(_PIECE.findall(other))
    return 2 * (mine & theirs).total() / max(mine.total() + theirs.total(), 1)


def _marks(one: str, other: str) -> list[str]:
    """One line for each piece in which a pair differs."""
    mine, theirs = _PIECE.findall(one), _PIECE.findall(other)
    found = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        if kind != "equal":
            found.append(f"      expected {_shown(mine[a:b])}, got {_shown(theirs[c:d])}")
    return found


def _shown(pieces: Sequence[str]) -> str:
    return "".join(pieces).strip(" ,") or "nothing"
