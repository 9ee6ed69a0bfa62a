"""Label sets of well-formed sample lines at a glance: split at fixed texts, each name and each set of pairs looked at once.

Takes what nearly every exporter writes (classic names, no escapes, no empty values, no spaces, no comma at the end) and
declines the rest, which the grammars then read with care: what it takes, they read the same. One instance serves one
exposition: what it remembers goes with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from tidegate.model import labels as labels_
from tidegate.model import series
from tidegate.scrape import canonical, lines

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_COMMENT = re.compile(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\r\t ].*)")
_TYPES = frozenset({"counter", "gauge", "histogram", "summary"})
_DIGITS = b"0123456789.eE+-InNfa"
_SPECIAL = frozenset({"NaN", "+Inf", "-Inf", "Inf"})
_SetsOf: TypeAlias = dict[str, labels_.Labels]


class Sets:
    """Gives label sets by the text of their series."""

    def __init__(self, *, normal: bool) -> None:
        """`normal` writes numbers in labels in their one form; see `canonical`."""
        self._normal = normal
        self._named: _SetsOf = {}
        self._pairs: dict[str, tuple[str, str]] = {}
        self._labels: set[str] = set()
        self._plain: _SetsOf = {}
        self._special: dict[str, _SetsOf] = {label: {} for label in canonical.LABELS.values()}
        self._sets = self._plain
        self._family = ""
        self._number = ""

    def enter(self, family: str, kind: str) -> None:
        """The samples of a family follow, as its TYPE line says."""
        label = canonical.LABELS.get(kind) if self._normal else None
        self._family, self._number = (family, label) if label else ("", "")
        self._sets = self._special[label] if label else self._plain

    def corrected(self, labels: labels_.Labels) -> labels_.Labels:
        """A label set that was read elsewhere, with its number in its one form."""
        label = self._number
        if not label or not labels_.get(labels, labels_.NAME).startswith(self._family):
            return labels
        return tuple((name, canonical.number(value) if name == label else value) for name, value in labels)

    def of(self, text: str) -> labels_.Labels | None:
        """The label set of `name` or `name{label="value",...}`; None for what has to be read with care."""
        name, brace, inner = text.partition("{")
        named = self._named.get(name)
        if named is None:
            if _NAME.fullmatch(name) is None:
                return None
            named = self._named[name] = ((labels_.NAME, name),)
        if not brace:
            return named
        sets = self._sets
        if self._number and not name.startswith(self._family):
            sets = self._plain
        pairs = sets.get(inner)
        if pairs is None:
            pairs = self._split(inner, sets)
            if pairs is None:
                return None
            sets[inner] = pairs
        return named + pairs

    def _split(self, inner: str, sets: _SetsOf) -> labels_.Labels | None:
        """The pairs of what stands between the braces, sorted; None unless all sort behind the name."""
        if inner[-2:] != '"}' or "\\" in inner:
            return None
        known = self._pairs
        found = []
        for piece in inner[:-2].split('",'):
            pair = known.get(piece) or self._pair(piece)
            if pair is None:
                return None
            found.append(pair)
        if sets is not self._plain:
            number = self._number
            found = [(name, canonical.number(value)) if name == number else (name, value) for name, value in found]
        if len(found) > 1:
            found.sort()
            if len(dict(found)) < len(found):
                return None
        return tuple(found) if found[0] > (labels_.NAME, "\U0010ffff") else None

    def _pair(self, piece: str) -> tuple[str, str] | None:
        """`label="value` without its last quote."""
        name, _, value = piece.partition('="')
        if not value or '"' in value:
            return None
        if name not in self._labels:
            if _LABEL.fullmatch(name) is None:
                return None
            self._labels.add(name)
        self._pairs[piece] = pair = (name, value)
        return pair


def comment(line: str) -> lines.Comment | None:
    """A HELP or TYPE line that both formats read the same; None for what has to be read with care."""
    found = _COMMENT.fullmatch(line)
    if found is None:
        return None
    kind, name, text = found.groups()
    if kind == "HELP":
        return None if "\\" in text else ("HELP", name, text)
    return ("TYPE", name, text) if text in _TYPES else None


def numbers(texts: Sequence[str]) -> series.Values | None:
    """Values as floats; None when one has to be read with care, because Python reads more than Go does."""
    try:
        if "".join(texts).encode("ascii").translate(None, _DIGITS):
            return None
        values = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        return None
    if not np.isfinite(values).all():
        odd = np.flatnonzero(~np.isfinite(values)).tolist()
        if any(texts[at] not in _SPECIAL for at in odd):
            return None
    return values
