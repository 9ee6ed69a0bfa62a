"""Label sets of well-formed sample lines at a glance: a line is split at its quotes, and each shape is understood once.

`a{b="1",c="2"}` and `a{b="3",c="4"}` have the same texts outside their quotes, so they have the same names in the same order.
Takes what nearly every exporter writes (classic names, no escapes, no empty values, no spaces, no comma at the end) and
declines the rest, which the grammars then read with care: what it takes, they read the same. One instance serves one
exposition: what it remembers goes with it.
"""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from tidegate.model import labels as labels_
from tidegate.model import series
from tidegate.scrape import canonical, lines

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)=")
_COMMENT = re.compile(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\r\t ].*)")
_TYPES = frozenset({"counter", "gauge", "histogram", "summary"})
_FOREIGN = "_ \t\r\v\f\x1c\x1d\x1e\x1f"
"""What Python lets stand in or around a number, and Go does not."""
_SPECIAL = frozenset({"NaN", "+Inf", "-Inf", "Inf"})


_Pick: TypeAlias = Callable[[list[str]], tuple[str, ...]]
_Order: TypeAlias = tuple[tuple[str, ...], _Pick, list[str]]
"""Label names sorted, what brings values into that order, and the names as written."""


@dataclasses.dataclass(slots=True)
class _Plan:
    """How the values of series of one shape become a label set."""

    names: tuple[str, ...]
    """Sorted; `__name__` is left out."""
    pick: _Pick
    """The values in the order of `names`."""
    named: tuple[str, str]
    """The pair of `__name__`, which sorts first."""
    number: int
    """Where among the values the number stands that has one form; -1 for nowhere."""


class Sets:
    """Gives label sets by the text of their series."""

    def __init__(self, *, normal: bool) -> None:
        """`normal` writes numbers in labels in their one form; see `canonical`."""
        self._normal = normal
        self._bare: dict[str, labels_.Labels] = {}
        self._singles: dict[str, tuple[tuple[str, str], str, bool]] = {}
        """By what stands before the first quote: the pair of `__name__`, the label, whether its value has one form."""
        self._pairs: dict[str, tuple[str, tuple[str, str], str, str, bool, int]] = {}
        """The same for two labels: what stands between the values, `__name__`, both labels, whether in order, which has."""
        self._plans: dict[tuple[str, ...], _Plan | None] = {}
        self._orders: dict[tuple[str, ...], _Order | None] = {}
        self._numbers: dict[str, str] = {}
        self.context = ""
        """What a label set depends on beside its text: the label whose number has one form."""

    def enter(self, kind: str) -> None:
        """A TYPE line: as in Prometheus it holds until the next one, for samples of any name."""
        label = canonical.LABELS.get(kind, "") if self._normal else ""
        if label != self.context:
            self._plans.clear()
            self._singles.clear()
            self._pairs.clear()
        self.context = label

    def corrected(self, labels: labels_.Labels) -> labels_.Labels:
        """A label set that was read elsewhere, with its number in its one form."""
        if not self.context:
            return labels
        return tuple((name, canonical.number(value) if name == self.context else value) for name, value in labels)

    def of(self, text: str) -> labels_.Labels | None:
        """The label set of `name` or `name{label="value",...}`; None for what has to be read with care."""
        parts = text.split('"')
        count = len(parts)
        if count == 5:
            lead, one, key, two, end = parts
            pair = self._pairs.get(lead)
            if pair is not None and one and two and key == pair[0] and end == "}" and "\\" not in text:
                _, named, first, second, ordered, number = pair
                if number == 0:
                    one = self._numbers.get(one) or self._number(one)
                elif number == 1:
                    two = self._numbers.get(two) or self._number(two)
                return (named, (first, one), (second, two)) if ordered else (named, (second, two), (first, one))
        elif count == 3:
            lead, one, end = parts
            single = self._singles.get(lead)
            if single is not None and one and end == "}" and "\\" not in one:
                named, first, special = single
                return (named, (first, (self._numbers.get(one) or self._number(one)) if special else one))
        elif count == 1:
            return self._bare.get(text) or self._name(text)
        # With an even number of parts a quote is not closed.
        return self._many(text, parts) if count & 1 else None

    def _many(self, text: str, parts: list[str]) -> labels_.Labels | None:
        """A series with several labels."""
        if parts[-1] != "}":
            return None
        shape, values = tuple(parts[::2]), parts[1::2]
        try:
            plan = self._plans[shape]
        except KeyError:
            plan = self._plans[shape] = self._plan(shape)
        if plan is None or "" in values or "\\" in text:
            return None
        if plan.number >= 0:
            values[plan.number] = self._number(values[plan.number])
        # Not with strict=, which costs as much as the rest of it.
        return (plan.named, *zip(plan.names, plan.pick(values)))  # noqa: B905

    def _name(self, text: str) -> labels_.Labels | None:
        if _NAME.fullmatch(text) is None:
            return None
        self._bare[text] = named = ((labels_.NAME, text),)
        return named

    def _plan(self, shape: tuple[str, ...]) -> _Plan | None:
        """`('a{b=', ',c=', '}')` understood; None for what has to be read with care."""
        name, brace, first = shape[0].partition("{")
        keys = (first, *shape[1:])
        try:
            order = self._orders[keys]
        except KeyError:
            order = self._orders[keys] = _order(keys)
        named = self._bare.get(name) or self._name(name)
        if named is None or order is None or not brace:
            return None
        names, pick, written = order
        number = written.index(self.context) if self.context in written else -1
        if len(names) == 1:
            self._singles[shape[0]] = (named[0], names[0], number >= 0)
        elif len(names) == 2:
            self._pairs[shape[0]] = (shape[1], named[0], written[0], written[1], written[0] < written[1], number)
        return _Plan(names, pick, named[0], number)

    def _number(self, text: str) -> str:
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = canonical.number(text)
        return found


def _order(keys: tuple[str, ...]) -> _Order | None:
    """`('c=', ',b=', '}')` understood; None unless every name is classic, stands once, and sorts behind `__name__`."""
    if keys[-1] != "}" or not all(key[:1] == "," for key in keys[1:-1]):
        return None
    written = [_LABEL.fullmatch(key) for key in (keys[0], *(key[1:] for key in keys[1:-1]))]
    names = [found[1] for found in written if found]
    if len(set(names)) < len(written) or min(names) <= labels_.NAME:
        return None
    order = sorted(range(len(names)), key=names.__getitem__)
    pick = operator.itemgetter(*order) if len(order) > 1 else tuple
    return tuple(sorted(names)), pick, names


def comment(line: str) -> lines.Comment | None:
    """A HELP or TYPE line that both formats read the same; None for what has to be read with care."""
    found = _COMMENT.fullmatch(line)
    if found is None:
        return None
    kind, name, text = found.groups()
    if kind == "HELP":
        return None if "\\" in text else ("HELP", name, text)
    return ("TYPE", name, text) if text in _TYPES else None


def numbers(texts: Sequence[str], joined: str) -> series.Values | None:
    """Values as floats; None when one has to be read with care, because Python reads more than Go does.

    `joined` is all texts without anything between them.
    """
    if not joined.isascii() or any(letter in joined for letter in _FOREIGN):
        return None
    try:
        values = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        return None
    if not np.isfinite(values).all():
        odd = np.flatnonzero(~np.isfinite(values)).tolist()
        if any(texts[at] not in _SPECIAL for at in odd):
            return None
    return values
