"""Which backing index each data stream was last seen to write to, and with that which documents a rollover may have doubled.

A try whose outcome is unknown may have stored its documents. When the next try creates them, they are new to the backing
index; if that is the one known from before the first try, they are new altogether, and else they may be there twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

RENEW = 60.0
"""Seconds after which the names are asked for again."""
_FIRST = "-000001"


class Backing:
    """Names of backing indexes, as answers tell them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._asked = 0.0

    def wanted(self, streams: Iterable[str], now: float) -> bool:
        """Whether the next request to these streams should ask for names."""
        if not 0 <= now - self._asked <= RENEW:
            self._asked = now
            return True
        return any(stream not in self._names for stream in streams)

    def known(self, streams: Iterable[str]) -> Mapping[str, str]:
        """What is known of these streams now."""
        return {stream: self._names.get(stream, "") for stream in streams}

    def learn(self, created: Iterable[tuple[str, str]]) -> None:
        """Take over (stream, backing index) of documents that were created."""
        self._names.update((stream, name) for stream, name in created if name)


def doubtful(created: Iterable[tuple[str, str]], before: Mapping[str, str]) -> int:
    """How many of these documents may be stored twice: created elsewhere than `before` their first try was known of.

    In the first backing index of a stream nothing can be for the second time.
    """
    return sum(name != before.get(stream, "") and not name.endswith(_FIRST) for stream, name in created)
