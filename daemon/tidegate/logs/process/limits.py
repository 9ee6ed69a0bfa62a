"""Lines left out on purpose: one of so many of a level, and at most so many a second of one file.

What is left out is counted, and the file tells of it in a document of its own. Sampling depends on the line's trace or place
only, so a second reading leaves out the same lines; the rate is measured by the time of reading.
"""

from __future__ import annotations

import dataclasses
import zlib

from tidegate.logs.formats import base, levels, times
from tidegate.model import processing

SAMPLE, RATE = "sample", "rate"
OTHER = "other"
_BURST_SECONDS = 10.0
_KNOWN = frozenset(levels.NAMES)


@dataclasses.dataclass(slots=True)
class Omitted:
    """Lines left out and not told of yet."""

    start: int
    """Offset of the first one."""
    since: float
    """When it was read."""
    until: float
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    """By `sample` and `rate`."""

    @property
    def total(self) -> int:
        """How many."""
        return sum(self.counts.values())


class Limits:
    """The limits of one file."""

    def __init__(self, given: processing.LineLimits) -> None:
        self.omitted: Omitted | None = None
        """What is to be told of."""
        self._sample = dict(given.sample)
        self._rate = given.lines_per_second
        self._burst = float(given.burst or max(self._rate * _BURST_SECONDS, 1.0))
        self._interval = given.report_interval
        self._tokens = self._burst
        self._filled: float | None = None

    def keep(self, line: base.Line, name: str, start: int, now: float) -> bool:
        """Whether a line is kept. `name` is its document's id, `start` its offset."""
        if self._sample and not self._chosen(line, name):
            self._leave_out(SAMPLE, start, now)
            return False
        if self._rate and not self._affordable(now):
            self._leave_out(RATE, start, now)
            return False
        return True

    def due(self, now: float) -> bool:
        """Whether it is time to tell of what was left out."""
        omitted = self.omitted
        return omitted is not None and not 0 <= now - omitted.since < self._interval

    def report(self) -> base.Line:
        """The line that tells of what was left out. Only when there is something."""
        omitted, self.omitted = self.omitted, None
        assert omitted is not None  # noqa: S101 - the caller looked
        since, until = times.stamp(omitted.since), times.stamp(omitted.until)
        count = omitted.total
        reasons = ", ".join(f"{number} by {reason}" for reason, number in sorted(omitted.counts.items()))
        lines = "1 line was" if count == 1 else f"{count} lines were"
        line = base.Line(f"{lines} left out between {since} and {until} ({reasons})", until, zoned=True, level="notice")
        line.known = {
            "event.action": "lines-left-out",
            "event.start": since,
            "event.end": until,
        }
        line.labels = {"left_out": str(count)} | {
            f"left_out_{name}": str(many) for name, many in omitted.counts.items()
        }
        return line

    def _chosen(self, line: base.Line, name: str) -> bool:
        share = self._sample.get(line.level if line.level in _KNOWN else OTHER, 1)  # type: ignore[call-overload]
        if share <= 1:
            return True
        trace = line.fields.get("trace.id") if line.fields else None
        return bool(zlib.crc32((trace or name).encode()) % share == 0)

    def _affordable(self, now: float) -> bool:
        if self._filled is None or now < self._filled:  # the first line, or a clock that was set back
            self._filled = now
        self._tokens = min(self._tokens + (now - self._filled) * self._rate, self._burst)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _leave_out(self, reason: str, start: int, now: float) -> None:
        if self.omitted is None:
            self.omitted = Omitted(start, now, now)
        self.omitted.start = min(self.omitted.start, start)
        self.omitted.until = now
        self.omitted.counts[reason] = self.omitted.counts.get(reason, 0) + 1


def of(given: processing.LineLimits) -> Limits | None:
    """The limits that settings ask for; None when nothing is left out."""
    return Limits(given) if given.enabled else None
