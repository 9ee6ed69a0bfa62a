"""Sends one receiver what the store has for it: shards, tries, waiting, and the counting of what is given up.

Each shard takes samples out of the store, sends them, and only then goes on, so samples of a series arrive in order. While
a receiver does not answer, its samples stay in the rings. How messages are made and travel is not known here.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from tidegate.kit import clock as clock_
from tidegate.kit import tasks, telemetry
from tidegate.metrics.remote import encode, follow, instruments, layout, post
from tidegate.model import ports, problems

MEASURE = 5.0
"""Seconds between looks at how much waits."""
BEHIND = 10.0
"""Seconds: with older samples waiting, more requests are under way at once."""
CALM = 12
"""Looks without much waiting after which there are fewer."""
SHORTEST = 0.02
MILLISECONDS = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """Sizes and waits; see `model.remotewrite.Queue`. Seconds."""

    capacity: int = 10_000
    max_shards: int = 50
    min_shards: int = 1
    max_samples_per_send: int = 2000
    batch_send_deadline: float = 5.0
    min_backoff: float = 0.03
    max_backoff: float = 5.0
    sample_age_limit: float = 0.0


class Sender:
    """Sends to one receiver."""

    def __init__(
        self,
        follower: follow.Follower,
        peer: post.Peer,
        naming: layout.Naming,
        pace: Pace,
        version: str,
        clock: ports.Clock,
        count: instruments.Counts,
    ) -> None:
        self._follower, self._peer, self._pace = follower, peer, pace
        self._version, self._clock, self._count = version, clock, count
        self._log = telemetry.logger("remote write")
        self._writer = encode.Writer2(naming.pool)
        self._shards = pace.min_shards
        self._calm = 0
        self._failing = 0
        """Shards whose last try failed."""
        self._closing = asyncio.Event()
        self._drained = asyncio.Event()

    async def run(self) -> None:
        """Send until cancelled; after `close`, until nothing is left."""
        try:
            while not self._closing.is_set():
                shards = self._shards
                async with asyncio.TaskGroup() as group:
                    working = [group.create_task(self._shard(number, shards)) for number in range(shards)]
                    measuring = group.create_task(self._measure())
                    await asyncio.wait(working)
                    measuring.cancel()
            self._drained.set()
            await asyncio.Event().wait()
        finally:
            await self._peer.close()

    async def close(self, seconds: float) -> None:
        """Send what is there, for at most so long."""
        self._closing.set()
        await clock_.wait(self._clock, self._drained, seconds)

    async def say(self, messages: Sequence[bytes]) -> None:
        """Send messages without samples, each once; metadata comes again anyway."""
        for body in messages:
            try:
                outcome = await self._peer.post(await asyncio.to_thread(encode.packed, body), 0)
                if outcome.why:
                    raise problems.PermanentError(outcome.why)
            except (problems.TransientError, problems.PermanentError) as error:
                self._count.metadata_failed.inc()
                self._log.warning("metadata was not taken", name=self._count.name, reason=str(error))
                return

    async def _shard(self, number: int, of: int) -> None:
        pace = self._pace
        while self._shards == of:
            closing = self._closing.is_set()
            limit = pace.sample_age_limit
            oldest = round((self._clock.now() - limit) * MILLISECONDS) if limit else 0
            found = await asyncio.to_thread(
                self._follower.gather, number, of, pace.capacity, pace.max_samples_per_send, oldest
            )
            for message in found:
                await self._deliver(message)
            if closing and not found:
                return
            if sum(message.samples for message in found) < pace.capacity:
                await clock_.wait(self._clock, self._closing, max(pace.batch_send_deadline, SHORTEST))

    async def _deliver(self, message: follow.Message) -> None:
        if message.samples:
            body = await asyncio.to_thread(self._encoded, message)
            try:
                await self._persist(message, body)
            except problems.PermanentError as error:
                self._refused(message, post.Outcome(message.samples, str(error)))
        self._follower.acknowledge(message)

    def _encoded(self, message: follow.Message) -> bytes:
        if self._version == post.V2:
            return encode.packed(self._writer.message(message.pieces))
        return encode.packed(encode.message_1(message.pieces))

    async def _persist(self, message: follow.Message, body: bytes) -> None:
        """Try until it is answered for good."""
        attempt = 0
        while True:
            try:
                outcome = await self._peer.post(body, message.samples)
                break
            except problems.TransientError as error:
                attempt += 1
                self._failing += attempt == 1
                self._count.retried.inc(message.samples)
                if attempt == 1:
                    self._log.warning("will be tried again", name=self._count.name, reason=str(error))
                await self._clock.sleep(self._wait(error, attempt))
            if self._aged(message):
                self._failing -= 1
                self._count.drop("too_old", message.samples)
                return
        if attempt:
            self._failing -= 1
            self._log.info("goes on", name=self._count.name, tries=attempt + 1)
        self._count.bytes.inc(len(body))
        self._count.samples.inc(message.samples - outcome.refused)
        if outcome.refused:
            self._refused(message, outcome)

    def _wait(self, error: problems.TransientError, attempt: int) -> float:
        if error.after is not None:
            return error.after
        return tasks.backoff(attempt, first=self._pace.min_backoff, longest=self._pace.max_backoff)

    def _refused(self, message: follow.Message, outcome: post.Outcome) -> None:
        self._count.failed.inc(outcome.refused)
        self._log.error(
            "samples were refused",
            name=self._count.name,
            samples=message.samples,
            refused=outcome.refused,
            reason=outcome.why,
        )

    def _aged(self, message: follow.Message) -> bool:
        limit = self._pace.sample_age_limit
        return limit > 0 and message.newest_ms < (self._clock.now() - limit) * MILLISECONDS

    async def _measure(self) -> None:
        """Look at what waits, and choose how many requests may be under way."""
        while True:
            waiting, lag = await asyncio.to_thread(self._follower.pending, round(self._clock.now() * MILLISECONDS))
            self._count.pending.set(waiting)
            self._count.lag.set(lag)
            self._choose(lag)
            self._count.shards.set(self._shards)
            await self._clock.sleep(MEASURE)

    def _choose(self, lag: float) -> None:
        """More shards when samples wait though the receiver answers; fewer when they have not for a while."""
        pace = self._pace
        behind = lag > BEHIND + 2 * pace.batch_send_deadline
        if behind and not self._failing:
            self._calm, self._shards = 0, min(self._shards * 2, pace.max_shards)
        self._calm = 0 if behind else self._calm + 1
        if self._calm >= CALM:
            self._calm, self._shards = 0, max(self._shards // 2, pace.min_shards)
