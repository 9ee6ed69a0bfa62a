"""`new_value` and `new_template`: when each value was seen first, and each version that it may have come with.

Every known value is exposed, so that a value which is new to one agent and old to another is not new to the rule. The one
that was seen longest ago makes room for one more than `limit`: it would be called new again, which is counted.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any, Final

from tidegate.logs.detect import base, templates
from tidegate.logs.ecs import fields
from tidegate.logs.kql import matcher, view
from tidegate.model import rules

FIRST: Final = "first_seen_timestamp_seconds"
SINCE: Final = "since_timestamp_seconds"
DEPLOYED: Final = "deployed_timestamp_seconds"
VERSION: Final = "service.version"
VERSIONS: Final = 5
"""The latest versions that are remembered of each stream."""


class News:
    """A `base.Detector`."""

    def __init__(self, rule: rules.LogDetector, now: matcher.Now) -> None:
        """Raises `QueryError`."""
        self.rule = rule
        self.queries: tuple[base.Query, ...] = (base.Query(rule.query, now),)
        self.dropped = 0
        self._keys = base.Keys(rule.by)
        self._field = fields.resolve(rule.field)
        self._since = now()
        self._first: collections.OrderedDict[tuple[base.Key, str], float] = collections.OrderedDict()
        self._versions: collections.OrderedDict[base.Key, dict[str, float]] = collections.OrderedDict()

    def see(self, seen: view.View, matched: frozenset[int], now: float) -> None:  # noqa: ARG002 - there is one query
        """See `base.Detector`."""
        key = self._keys.of(seen)
        if self.rule.deploys:
            for version in base.values(seen, VERSION):
                self._deployed(key, version, now)
        for value in self._values(seen, key):
            if (key, value) in self._first:
                self._first.move_to_end((key, value))
            else:
                self._learn(key, value, now)

    def settle(self, read_to: float) -> None:
        """See `base.Detector`."""

    def series(self, read_to: float) -> base.Series:  # noqa: ARG002 - nothing here changes by time alone
        """See `base.Detector`."""
        yield self._keys.labels(tuple("" for _ in self.rule.by), self.rule.series(SINCE)), self._since
        name = self.rule.series(FIRST)
        for (key, value), at in self._first.items():
            yield self._keys.labels(key, name, self.rule.label, value), at
        for key, versions in self._versions.items():
            for version, at in versions.items():
                yield self._keys.labels(key, self.rule.series(DEPLOYED), "version", version), at

    def dump(self, read_to: float) -> Any:  # noqa: ARG002 - see `series`
        """See `base.Detector`."""
        return {
            "since": self._since,
            "first": [[key, value, at] for (key, value), at in self._first.items()],
            "versions": [[key, versions] for key, versions in self._versions.items()],
        }

    def load(self, state: Any, now: float) -> None:  # noqa: ARG002 - see `series`
        """See `base.Detector`."""
        self._since = float(state["since"])
        for key, value, at in state["first"]:
            self._first[base.key_of(key), str(value)] = float(at)
        for key, versions in state["versions"]:
            self._versions[base.key_of(key)] = {str(name): float(at) for name, at in versions.items()}

    def _values(self, seen: view.View, key: base.Key) -> Iterator[str]:  # noqa: ARG002 - templates are found by key
        return base.values(seen, self._field)

    def _learn(self, key: base.Key, value: str, now: float) -> None:
        if len(self._first) >= self.rule.limit:
            self._first.popitem(last=False)
            self.dropped += 1
        self._first[key, value] = now

    def _deployed(self, key: base.Key, version: str, now: float) -> None:
        known = self._versions.get(key)
        if known is None:
            if len(self._versions) >= self.rule.limit:
                self._versions.popitem(last=False)
                self.dropped += 1
            known = self._versions[key] = {}
        if version not in known:
            known[version] = now
            if len(known) > VERSIONS:
                del known[min(known, key=known.__getitem__)]
        self._versions.move_to_end(key)


class Templates(News):
    """The same, of templates."""

    def __init__(self, rule: rules.LogDetector, now: matcher.Now) -> None:
        """Raises `QueryError`."""
        super().__init__(rule, now)
        self._miner = templates.Miner(rule.limit, rule.similarity)

    def dump(self, read_to: float) -> Any:
        """See `base.Detector`."""
        mined = [[one.key, one.name, one.words] for one in self._miner]
        return {**super().dump(read_to), "templates": mined}

    def load(self, state: Any, now: float) -> None:
        """See `base.Detector`."""
        super().load(state, now)
        for key, name, words in state["templates"]:
            self._miner.add(base.key_of(key), str(name), list(base.key_of(words)))

    def _values(self, seen: view.View, key: base.Key) -> Iterator[str]:
        for one in seen.values(self._field):
            if isinstance(one, str):
                found, gone = self._miner.find(key, one)
                if gone is not None and self._first.pop((gone.key, base.short(gone.name)), None) is not None:
                    self.dropped += 1
                yield base.short(found.name)
