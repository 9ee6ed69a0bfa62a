"""What a query may cost: samples that it holds, and time. Whoever evaluates pays before it allocates.

The texts are Prometheus' own, so that whoever reads them for a reason to retry finds it.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.model import problems


class Budget:
    """Stops queries that cost too much: a limit of samples held and a deadline."""

    __slots__ = ("_deadline", "_limit", "_timeout", "_timer", "samples")

    def __init__(self, limit: int, timeout: float, timer: Callable[[], float]) -> None:
        self._limit = limit
        self._timeout = timeout
        self._timer = timer
        self._deadline = timer() + timeout
        self.samples = 0

    @property
    def left(self) -> int:
        """Samples that may still be loaded."""
        return self._limit - self.samples

    def spend(self, samples: int) -> None:
        """Count samples that a selector loaded. Raises `QueryError`."""
        self.samples += samples
        self.hold(self.samples)

    def hold(self, samples: int) -> None:
        """Refuse an intermediate result that is too large, before it is made."""
        if samples > self._limit:
            what = "query processing would load too many samples into memory in query execution"
            raise problems.QueryError(f"{what} (more than {self._limit})", kind="execution")
        self.check()

    def check(self) -> None:
        """Raise when the time is over."""
        if self._timer() > self._deadline:
            what = f"query timed out in expression evaluation (after {self._timeout:g} s)"
            raise problems.QueryError(what, kind="timeout")
