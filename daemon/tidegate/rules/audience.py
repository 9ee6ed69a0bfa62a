"""Whoever listens while rules run on a time of their own: nobody, or all the stages after the rules.

Rules know only this; who it is decides the command. An audience lives through one run: `begin`, then turns of `until` and
`evaluated`, then `close`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tidegate.model import alerts, labels, ports, targets

LOOKBACK = 600.0
"""Seconds for which an audience looks back at the series that it reads itself."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """One message, and what the receiver's people or programs would have read."""

    at: float
    receiver: str
    integration: str
    firing: tuple[labels.Labels, ...]
    resolved: tuple[labels.Labels, ...]
    title: str
    text: str


class Audience(Protocol):
    """Takes alerts as the live stages would."""

    @property
    def book(self) -> ports.AlertBook:
        """Where alerts go."""

    @property
    def external_url(self) -> str:
        """For templates and links."""

    @property
    def external_labels(self) -> Mapping[str, str]:
        """Labels of every alert that leaves."""

    @property
    def resolved_retention(self) -> float:
        """Seconds for which resolved alerts are kept."""

    @property
    def statuses(self) -> Callable[[], Sequence[targets.TargetStatus]] | None:
        """How the targets are doing; `None` when alerts are to resolve though their target does not answer."""

    @property
    def selectors(self) -> Sequence[str]:
        """Series that it reads itself."""

    async def begin(self, engine: ports.QueryEngine, at: float) -> None:
        """Time begins (unix seconds)."""

    async def until(self, at: float) -> None:
        """Let time pass."""

    async def evaluated(self, at: float, groups: Sequence[ports.GroupStatus]) -> None:
        """Every group that was due at a time is done."""

    async def close(self) -> None:
        """Time ends."""


class Nobody:
    """Takes alerts and forgets them: the rules themselves are asked. An `Audience` and a `ports.AlertBook`."""

    external_url = ""
    resolved_retention = 0.0
    statuses: Callable[[], Sequence[targets.TargetStatus]] | None = None
    selectors: Sequence[str] = ()

    @property
    def book(self) -> ports.AlertBook:
        """Itself."""
        return self

    @property
    def external_labels(self) -> Mapping[str, str]:
        """None."""
        return {}

    async def put(self, changed: Sequence[alerts.Alert]) -> None:
        """Nothing to keep."""

    def all(self) -> Sequence[alerts.Alert]:
        """Nothing."""
        return ()

    def silenced_by(self, alert: alerts.Alert) -> Sequence[str]:  # noqa: ARG002
        """Nothing."""
        return ()

    async def begin(self, engine: ports.QueryEngine, at: float) -> None:
        """Nothing to prepare."""

    async def until(self, at: float) -> None:
        """Nobody waits."""

    async def evaluated(self, at: float, groups: Sequence[ports.GroupStatus]) -> None:
        """Nobody looks."""

    async def close(self) -> None:
        """Nothing to end."""


class Still:
    """A clock on which evaluations take no time: nobody else is waiting."""

    def now(self) -> float:
        """Always the same."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Nothing to wait for."""
