"""One try to deliver one message: what came of it, and what that means for the next try.

Receivers only raise; here it is decided whether to try again, to give up, or to put a message aside as poison. Nothing is
stored and nobody waits here.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Literal

from tidegate.kit import telemetry
from tidegate.model import problems
from tidegate.notify import codec, integration, store

DEADLINE = 60.0
"""Seconds for one try, whatever the receiver allows itself."""
CRASHES = 5
"""Tries that may end in a bug of ours, or in the death of the process, before the message is put aside as poison."""


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try. `waiting` means: try again."""

    state: Literal["delivered", "waiting", "failed"]
    reason: str = ""
    """A metric label; empty when delivered."""
    error: str = ""
    after: float | None = None
    """Seconds that the peer asked us to wait."""


async def attempt(item: integration.Integration | None, row: store.Row, *, too_old: bool) -> Outcome:
    """Try once. Never raises, except when cancelled."""
    if item is None:
        return Outcome("failed", "unconfigured", "the receiver is not configured any more")
    if row.claims - row.attempts > CRASHES:
        return Outcome("failed", "poison", "the process died each time it was sent")
    try:
        return Outcome("delivered", error=await _send(item, row))
    except problems.PermanentError as error:
        return Outcome("failed", error.reason, str(error))
    except problems.TransientError as error:
        again = Outcome("waiting", error.reason, str(error), error.after)
        return Outcome("failed", "gave_up", f"given up: {error}") if too_old else again
    except Exception as error:  # noqa: BLE001 - a receiver's bug is put aside after a few tries, never fatal
        telemetry.logger("outbox").exception("receiver crashed", receiver=row.receiver, integration=row.integration)
        poison = too_old or row.attempts + 1 >= CRASHES
        state: Literal["failed", "waiting"] = "failed" if poison else "waiting"
        return Outcome(state, "poison" if poison else "crash", f"the receiver crashed: {type(error).__name__}")


def key(row: store.Row) -> str:
    """Names the delivery to the peer, the same on each try."""
    return f"{row.notification_id}-{row.receiver}-{row.integration}"


async def _send(item: integration.Integration, row: store.Row) -> str:
    notification = codec.load(row.body)
    seconds = min(item.timeout, DEADLINE)
    try:
        async with asyncio.timeout(seconds):
            return await item.sender.send(notification, key(row))
    except TimeoutError:
        raise problems.TransientError(f"not done after {seconds:g} s", reason="timeout") from None
