"""What all these outputs do alike: cut a batch into requests, try each until its documents are stored or refused, and tell.

A wire knows how one request is made and what its answer means; when to try again, and what to halve, is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tidegate.kit import http, tasks, telemetry
from tidegate.logs.ship import output
from tidegate.model import ports, problems

LONGEST_WAIT = 30.0
LONGEST_ASKED = 300.0
"""More than this a server cannot make us wait by `Retry-After`."""
SURE = frozenset({"rate_limited", "held", "auth", "tls", "config", "disk"})
"""Failures after which the peer has certainly stored nothing."""


class RefusedError(Exception):
    """A request that is refused as it is: one of its documents is to blame, or all of them together are too large."""

    def __init__(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(f"HTTP {status}: {reason}")


class Wire(Protocol):
    """One kind of peer."""

    def cut(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[Sequence[int]]:
        """Which documents go into one request, in order. Called in a thread."""

    async def post(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        """One request; what is refused for good of it. Raises `TransientError`, or `RefusedError`."""

    async def close(self) -> None:
        """Let go of connections."""


class Meters:
    """`tidegate_logs_output_*`, for all outputs of a process."""

    def __init__(self, registry: telemetry.Registry) -> None:
        def counter(name: str, text: str, *labels: str) -> telemetry.Counter:
            return telemetry.Counter(f"tidegate_logs_output_{name}", text, ("output", *labels), registry=registry)

        self.requests = counter("requests", "Requests to an output, by what became of them.", "outcome")
        self.retried = counter("retried", "Documents sent again, by the reason.", "reason")
        self.uncertain = counter(
            "uncertain",
            "Documents sent again although the try before may have stored them, so that they may be there twice.",
        )


class Sending:
    """Implements `output.Output` over a wire."""

    def __init__(self, name: str, wire: Wire, clock: ports.Clock, meters: Meters, *, dedupes: bool = False) -> None:
        """`dedupes`: the peer itself drops what it has already."""
        self.name = name
        self._dedupes = dedupes
        self._wire = wire
        self._clock = clock
        self._meters = meters
        self._errors: dict[int, str] = {}
        self._last_error = ""
        self._most = float("inf")
        """Bytes of documents in a request that the peer (or a proxy) was seen to refuse."""
        self._log = telemetry.logger("logs.outputs")

    @property
    def error(self) -> str:
        """See `output.Output`."""
        return next(iter(self._errors.values()), "")

    async def send(self, batch: output.Batch) -> Sequence[output.Rejected]:
        """See `output.Output`."""
        key = id(batch)
        try:
            return await self._some(batch, range(len(batch)), key)
        finally:
            self._tell(key, "")

    async def close(self) -> None:
        """See `output.Output`."""
        await self._wire.close()

    async def _some(self, batch: output.Batch, indexes: Sequence[int], key: int) -> list[output.Rejected]:
        rejected: list[output.Rejected] = []
        for part in await asyncio.to_thread(self._wire.cut, batch, indexes):
            rejected += await self._part(batch, part, key)
        return rejected

    async def _part(self, batch: output.Batch, part: Sequence[int], key: int) -> Sequence[output.Rejected]:
        """One request, until it is answered for good."""
        attempt = 0
        while True:
            if len(part) > 1 and _size(batch, part) > self._most:
                return await self._halves(batch, part, key)
            try:
                rejected = await self._wire.post(batch, part)
            except RefusedError as error:
                self._meters.requests.labels(self.name, str(error.status)).inc()
                return await self._blamed(batch, part, key, error)
            except problems.TransientError as error:
                attempt += 1
                self._again(part, error)
                self._tell(key, str(error))
                await self._clock.sleep(_wait(attempt, error.after))
            else:
                self._meters.requests.labels(self.name, "answered").inc()
                self._tell(key, "")
                return rejected

    async def _blamed(
        self, batch: output.Batch, part: Sequence[int], key: int, error: RefusedError
    ) -> Sequence[output.Rejected]:
        """Halve a request that is refused; a single document that is, is refused for good."""
        if len(part) == 1:
            return [output.Rejected(part[0], error.status, error.reason)]
        if error.status == 413:
            self._most = min(self._most, _size(batch, part) / 2)
        return await self._halves(batch, part, key)

    async def _halves(self, batch: output.Batch, part: Sequence[int], key: int) -> list[output.Rejected]:
        middle = len(part) // 2
        first = await self._part(batch, part[:middle], key)
        return [*first, *await self._part(batch, part[middle:], key)]

    def _again(self, part: Sequence[int], error: problems.TransientError) -> None:
        self._meters.requests.labels(self.name, error.reason).inc()
        self._meters.retried.labels(self.name, error.reason).inc(len(part))
        sure = self._dedupes or error.reason in SURE or isinstance(error, http.UnreachedError)
        if not sure:
            self._meters.uncertain.labels(self.name).inc(len(part))

    def _tell(self, key: int, error: str) -> None:
        if error:
            self._errors[key] = error
            if error != self._last_error:
                self._log.warning("an output does not take documents; trying again", output=self.name, reason=error)
                self._last_error = error
            return
        self._errors.pop(key, None)
        if self._last_error and not self._errors:
            self._log.info("an output takes documents again", output=self.name)
            self._last_error = ""


def pieces(
    sizes: Sequence[int], indexes: Sequence[int], *, most_bytes: float, most: int | None = None
) -> list[Sequence[int]]:
    """Indexes in order, cut so that no piece has more documents or bytes than it may; `sizes` are those of the indexes.

    A document that is too large by itself gets a piece of its own.
    """
    found: list[Sequence[int]] = []
    start, room = 0, most_bytes
    for place, size in enumerate(sizes):
        if place > start and (size > room or (most is not None and place - start >= most)):
            found.append(indexes[start:place])
            start, room = place, most_bytes
        room -= size
    if start < len(indexes):
        found.append(indexes[start:])
    return found


def _size(batch: output.Batch, part: Sequence[int]) -> int:
    return sum(len(batch.bodies[index]) for index in part)


def _wait(attempt: int, asked: float | None) -> float:
    """Seconds until the next try: what the peer asked for, or exponential with jitter."""
    if asked is not None:
        return max(min(asked, LONGEST_ASKED), 0.1)
    return tasks.backoff(attempt, longest=LONGEST_WAIT)
