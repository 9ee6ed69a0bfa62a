"""What the alert stage needs of whoever delivers messages. The outbox of `tidegate.notify` fits it; `app.py` connects them.

A message is handed over inside the transaction that records what the group was told, so both happen or neither does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from tidegate.kit import database
from tidegate.model import alerts


class Integration(Protocol):
    """One way by which a receiver is told, e.g. its first Slack channel."""

    @property
    def name(self) -> str:
        """Kind and index, e.g. `slack[0]`; stable over restarts."""

    @property
    def send_resolved(self) -> bool:
        """Whether it is told when alerts are over."""


class Sink(Protocol):
    """Takes messages and delivers them some time later."""

    def integrations(self, receiver: str) -> Sequence[Integration]:
        """How a receiver is told; empty when there is no such receiver."""

    def put(
        self, connection: database.Connection, notification: alerts.Notification, integrations: Collection[str]
    ) -> None:
        """Store a message for some of its receiver's integrations. Runs in the database's thread."""

    def wake(self) -> None:
        """The transaction of `put` is committed: look for new messages."""
