"""`for: 3 of 5`: in how many of the last evaluations the expression held, for each alert.

Evaluations that were not made, failed, or had nothing to judge are not among the last ones. Kept in memory only: after
a restart, or when its rule was edited, an alert that fires counts as held in all of them; a pending one begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from tidegate.model import alerts, rules
from tidegate.model import labels as labels_


class History:
    """The last evaluations of one rule."""

    def __init__(self, share: rules.Share) -> None:
        self._mask = (1 << share.of) - 1
        self._bits: dict[labels_.Labels, int] = {}
        """For each alert one bit an evaluation, the newest the lowest; alerts that never held lately are left out."""

    def adopt(self, kept: Iterable[alerts.Alert]) -> None:
        """Go on with alerts whose history is not known."""
        firing = {alert.labels: self._mask for alert in kept if alert.state == "firing"}
        self._bits = {**firing, **self._bits}

    def after(
        self, held: AbstractSet[labels_.Labels], unknown: Callable[[labels_.Labels], bool]
    ) -> dict[labels_.Labels, int]:
        """The history with one more evaluation, in which some held, and which is none for those that are unknown."""
        found = {
            key: bits if key not in held and unknown(key) else (bits << 1) & self._mask
            for key, bits in self._bits.items()
        }
        for key in held:
            found[key] = found.get(key, 0) | 1
        return {key: bits for key, bits in found.items() if bits}

    def take(self, bits: dict[labels_.Labels, int]) -> None:
        """Make what `after` gave the history."""
        self._bits = bits


def counts(bits: Mapping[labels_.Labels, int]) -> dict[labels_.Labels, int]:
    """In how many evaluations each alert held."""
    return {key: one.bit_count() for key, one in bits.items()}
