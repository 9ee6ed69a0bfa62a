"""All detectors of a configuration: shows lines to those that may want them, and keeps what they know by their names."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tidegate.logs.count import prefilter
from tidegate.logs.detect import base, change, news, sequence, silence
from tidegate.logs.kql import matcher, view
from tidegate.model import ports, rules

KINDS: Final[Mapping[rules.DetectorKind, Callable[[rules.LogDetector, matcher.Now], base.Detector]]] = {
    "new_value": news.News,
    "new_template": news.Templates,
    "change": change.Change,
    "silence": silence.Silence,
    "sequence": sequence.Sequence,
}


class Book:
    """The detectors, ready to look at lines."""

    def __init__(
        self,
        wanted: Sequence[rules.LogDetector],
        before: Sequence[base.Detector] = (),
        now: matcher.Now = time.time,
        states: Mapping[str, Any] | None = None,
    ) -> None:
        """Detectors that `before` has already go on, others begin with their states. Raises `QueryError`."""
        kept = {_identity(one.rule): one for one in before}
        self.wrong: list[str] = []
        """What is wrong with states; their detectors learn anew."""
        made = [kept.get(_identity(rule)) or self._made(rule, now, states or {}) for rule in wanted]
        self.detectors: tuple[base.Detector, ...] = tuple(made)
        self._asked = [(one, number) for one in made for number in range(len(one.queries))]
        self._prefilter = prefilter.Prefilter([one.queries[number].node for one, number in self._asked])

    def see_lines(self, lines: ports.LogLines, now: float) -> None:
        """Look at some lines, parsing only those that somebody may want."""
        candidates = self._prefilter.candidates
        for number, body in enumerate(lines.bodies):
            if some := candidates(body):
                self._see(view.View(lines.document(number)), some, now)

    def see(self, document: Mapping[str, Any], now: float) -> None:
        """Look at one line."""
        self._see(view.View(document), range(len(self._asked)), now)

    def states(self, read_to: float) -> dict[str, Any]:
        """What every detector knows, by name."""
        return {_name(one.rule): one.dump(read_to) for one in self.detectors}

    def _made(self, rule: rules.LogDetector, now: matcher.Now, states: Mapping[str, Any]) -> base.Detector:
        made = KINDS[rule.kind](rule, now)
        state = states.get(_name(rule))
        if state is None:
            return made
        try:
            made.load(state, now())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.wrong.append(f"{rule.name}: {error!r}")
            return KINDS[rule.kind](rule, now)
        return made

    def _see(self, seen: view.View, some: Sequence[int], now: float) -> None:
        matched: dict[int, list[int]] = {}
        for each in some:
            one, number = self._asked[each]
            if one.queries[number].matches(seen):
                matched.setdefault(id(one), []).append(each)
        for asked in matched.values():
            one = self._asked[asked[0]][0]
            one.see(seen, frozenset(self._asked[each][1] for each in asked), now)


def _identity(rule: rules.LogDetector) -> rules.LogDetector:
    return dataclasses.replace(rule, place=rules.Place())


def _name(rule: rules.LogDetector) -> str:
    """Names its state: a rule that looks for something else has another one."""
    what = dataclasses.replace(rule, place=rules.Place(), limit=0, forget=0.0)
    return f"{rule.name} {hashlib.blake2b(repr(what).encode(), digest_size=6).hexdigest()}"
