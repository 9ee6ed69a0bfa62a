"""What a receiver's integration is: something that can send one notification, and how it is named and bounded.

Every receiver file has a pydantic `Config` in Alertmanager's field names and a class with `send`. `send` returns a note
(empty when all is well) or raises `TransientError` / `PermanentError`; its errors never carry a secret.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Annotated, Protocol, runtime_checkable

import pydantic

from tidegate.model import alerts, problems


class Sender(Protocol):
    """Sends."""

    async def send(self, notification: alerts.Notification, key: str) -> str:
        """Deliver; a note on what went less than well, usually empty. `key` names the delivery, the same on each try."""

    async def close(self) -> None:
        """Close connections."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """A message as its reader sees it: without colours, markup and what only machines read."""

    title: str
    text: str


@runtime_checkable
class Readable(Protocol):
    """A sender that can say how people will read a notification, without sending it."""

    def reading(self, notification: alerts.Notification) -> Reading:
        """What arrives."""


@dataclasses.dataclass(frozen=True, slots=True)
class Integration:
    """One entry of a receiver's `*_configs`."""

    kind: str
    index: int
    sender: Sender
    send_resolved: bool
    timeout: float = 30.0
    """Seconds for one delivery, all in all."""

    @property
    def name(self) -> str:
        """Kind and index, e.g. `slack[0]`."""
        return f"{self.kind}[{self.index}]"


class Config(pydantic.BaseModel):
    """Base of the `*_configs`: unknown fields are refused, and what was given is never repeated in an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    send_resolved: bool = True
    """Tell when alerts are over, too."""


def plain(value: str) -> str:
    """Refuses templates: titles and texts are taken as they are."""
    if "{{" in value:
        raise ValueError("templates (`{{ ... }}`) are not supported here; leave it out for the built-in layout")
    return value


Text = Annotated[str, pydantic.AfterValidator(plain)]


def http_url(value: str) -> str:
    """An absolute http or https URL. Raises `ValueError`, without repeating it: it may hold a token."""
    try:
        parsed = pydantic.HttpUrl(value)
    except pydantic.ValidationError:
        raise ValueError("not an http or https URL") from None
    if not parsed.host:
        raise ValueError("not an http or https URL")
    return value


@contextlib.contextmanager
def scrubbed(*secrets: str) -> Iterator[None]:
    """Errors that leave the block have these texts taken out of their messages."""
    try:
        yield
    except problems.TransientError as error:
        raise problems.TransientError(scrub(str(error), *secrets), after=error.after, reason=error.reason) from None
    except problems.PermanentError as error:
        raise problems.PermanentError(scrub(str(error), *secrets), reason=error.reason) from None


def scrub(text: str, *secrets: str) -> str:
    """The text with each secret, and for a URL its path and query too, replaced by `***`."""
    for secret in secrets:
        rest = secret.partition("://")[2].partition("/")[2]
        for part in (secret, rest, *rest.split("/")):
            if len(part) > 3:
                text = text.replace(part, "***")
    return text
