"""What a rule remembers of its evaluations beside its alerts: how often each one held of late (`for: 3 of 5`), and since when.

It knows the higher severities of the same rule, too: while one of them fires for a series, the lower ones do not, but what they
remember goes on. So nobody waits anew when the higher one is over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from tidegate.model import alerts, rules
from tidegate.model import labels as labels_
from tidegate.rules import lifecycle, severities, share

Book = Mapping[labels_.Labels, alerts.Alert]


class Higher(Protocol):
    """A rule of a higher severity."""

    rule: rules.AlertingRule
    alerts: dict[labels_.Labels, alerts.Alert]


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """One evaluation: what held, and what would be remembered."""

    found: list[lifecycle.Hit]
    bits: dict[labels_.Labels, int]


class Standing:
    """The memory of one rule."""

    def __init__(self, rule: rules.AlertingRule) -> None:
        self._share = rule.share
        self._history = share.History(rule.share) if rule.share else None
        self.above: Sequence[Higher] = ()
        """The rules that stand in for this one while they fire."""
        self._last: dict[labels_.Labels, lifecycle.Hit] = {}
        """With a history: how each alert held last."""
        self._since: dict[labels_.Labels, float] = {}
        """With higher severities: since when each alert holds, whether one of them stands in for it or not."""

    def adopt(self, kept: Iterable[alerts.Alert]) -> None:
        """Go on with alerts from before."""
        if self._history:
            self._history.adopt(kept)

    def seen(self, found: list[lifecycle.Hit], at: float, unknown: Callable[[labels_.Labels], bool]) -> Round:
        """One more evaluation, which is none for alerts that are unknown. Nothing is remembered before `take`."""
        if self.above:
            found = [dataclasses.replace(hit, since=self._since.get(hit.labels, at)) for hit in found]
        if self._history is None:
            return Round(found, {})
        return Round(found, self._history.after({hit.labels for hit in found}, unknown))

    def take(self, now: Round) -> None:
        """Remember it."""
        self._since = {hit.labels: hit.since for hit in now.found if hit.since is not None}
        if self._history:
            self._history.take(now.bits)
            before = {key: hit for key, hit in self._last.items() if key in now.bits}
            self._last = before | {hit.labels: hit for hit in now.found}

    def hits(self, now: Round, book: Book) -> list[lifecycle.Hit]:
        """What held and has no higher severity that stands in for it."""
        if not self.above:
            return now.found
        return [hit for hit in (*now.found, *self._let_go(now, book)) if not self.outranked(hit.labels)]

    def _let_go(self, now: Round, book: Book) -> list[lifecycle.Hit]:
        """Hits of before that count again, because the higher severity that stood in for them is over."""
        held = {hit.labels for hit in now.found}
        often = [key for key, count in share.counts(now.bits).items() if count >= self.needed and key not in held]
        gone = (key for key in often if key in self._last)
        return [self._last[key] for key in gone if key not in book or book[key].state == "resolved"]

    def counts(self, now: Round) -> dict[labels_.Labels, int] | None:
        """In how many of the last evaluations each alert held; `None` where that does not matter."""
        if self._history is None:
            return None
        return {key: count for key, count in share.counts(now.bits).items() if not self.outranked(key)}

    @property
    def needed(self) -> int:
        """In how many it must."""
        return self._share.needed if self._share else 0

    def outranked(self, key: labels_.Labels) -> bool:
        """Whether the alert of the same series fires in a higher severity."""
        for one in self.above:
            other = one.alerts.get(labels_.merge(key, {severities.LABEL: one.rule.severity}))
            if other is not None and other.state == "firing":
                return True
        return False
