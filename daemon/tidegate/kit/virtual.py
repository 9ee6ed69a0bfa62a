"""An event loop whose time is only a number: where everybody waits, it jumps to whatever is due first.

Code that takes `clock.LoopClock` runs through days in seconds, as it would run live. Nothing in it may wait for a thread:
time would jump past it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Instead of waiting it lets time pass."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; without a timeout there is nothing to jump to, so that this waits as usual."""
        found = super().select(None if timeout is None else 0)
        if not found and timeout is not None and timeout > 0:
            self.passed += timeout
        return found


class Loop(asyncio.SelectorEventLoop):
    """Begins at 0 seconds."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds that passed."""
        return self._jumping.passed


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on such a loop, as `asyncio.run` does on an ordinary one."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(work)
