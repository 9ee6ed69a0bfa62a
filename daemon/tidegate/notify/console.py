"""The console receiver: prints each message as a readable block. For a first try, and for `tidegate run`."""

from __future__ import annotations

from typing import TextIO

from tidegate.model import alerts
from tidegate.notify import integration, message, plain

ALERTS = 20


class Config(integration.Config):
    """An entry of `console_configs`."""


class Console:
    """Writes to a stream."""

    def __init__(self, config: Config, stream: TextIO) -> None:
        self._config = config
        self._stream = stream

    async def send(self, notification: alerts.Notification, key: str) -> str:
        """Print the message between two rules."""
        del key
        content = message.compose(notification, limit=ALERTS, send_resolved=self._config.send_resolved)
        block = plain.text(content)
        rule = "-" * 78
        self._stream.write(f"{rule}\n{block}{rule}\n")
        self._stream.flush()
        return ""

    def reading(self, notification: alerts.Notification) -> integration.Reading:
        """See `integration.Readable`."""
        content = message.compose(notification, limit=ALERTS, send_resolved=self._config.send_resolved)
        return integration.Reading(content.title, plain.body(content))

    async def close(self) -> None:
        """The stream is not ours."""
