"""A shipper with some of the outputs beside Elasticsearch behind it, and the oracle: each numbered line is there."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import pathlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from tidegate.kit import clock, telemetry
from tidegate.logs import agent
from tidegate.logs.outputs import build
from tidegate.logs.ship import output
from tidegate.model import settings

_SEQ = re.compile(r"seq=(\S+)")
HURRY = 40.0


class Target(Protocol):
    """Where lines end up."""

    @property
    def texts(self) -> Sequence[str]:
        """The messages that are stored, doubles included."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of the lines of one case."""

    lost: int
    doubled: int
    strangers: int


class Hurried(clock.SystemClock):
    """Waits between tries are short; what the network does takes its own time."""

    async def sleep(self, seconds: float) -> None:
        """Sleep a part of that."""
        await asyncio.sleep(seconds / HURRY)


class Rig:
    """One shipper over a folder; may be stopped, killed and started again."""

    def __init__(self, folder: pathlib.Path, logs: dict[str, Any], extra: Sequence[output.Output] = ()) -> None:
        self.folder, self.data = folder, folder / "data"
        elasticsearch = {"bulk_delay": 0.02, **logs.pop("elasticsearch", {})}
        inputs = [{"paths": ["*.log"], "multiline": {"flush_after": 0.1}}]
        given = {"inputs": inputs, "poll_interval": 0.02, "elasticsearch": elasticsearch, **logs}
        self.config = settings.Logs.model_validate(given)
        self.written: set[str] = set()
        self._extra = tuple(extra)
        self._running: asyncio.Task[None] | None = None

    def write(self, numbers: range, name: str = "app.log") -> None:
        """Append numbered lines to a file of the folder. They say their own time, as those of containers do."""
        names = [f"{name}-{number}" for number in numbers]
        self.written.update(names)
        now = datetime.datetime.now(datetime.UTC).isoformat()
        with (self.folder / name).open("a") as file:
            file.write("".join(f'{{"time":"{now}","msg":"seq={each}","level":"info"}}\n' for each in names))

    def start(self) -> None:
        """Start a shipper, as a new process would."""
        time = Hurried()
        self.registry = telemetry.Registry()
        self.outputs = [*build.outputs(self.config, self.folder, time, self.registry), *self._extra]
        self.agent = agent.LogAgent(
            self.config, self.data, self.folder, self.outputs, [], time, self.registry, host="h"
        )
        self._running = asyncio.create_task(self.agent.run())

    async def stop(self, grace: float = 2.0) -> None:
        """Stop it in good order."""
        await self._end()
        await self.agent.close(grace)
        for each in self.outputs:
            await each.close()

    async def kill(self) -> None:
        """Stop it without a word: no checkpoint, nothing sent."""
        await self._end()
        for task in list(self.agent._delivery._tasks):
            task.cancel()
        await asyncio.gather(*self.agent._delivery._tasks, return_exceptions=True)
        self.agent._lookout.roster.dismiss(0.0)
        for each in self.outputs:
            await each.close()

    async def until(self, condition: Callable[[], bool], patience: float = 20.0) -> None:
        """Wait for something to become true."""
        for _ in range(int(patience / 0.01)):
            if condition():
                return
            if self._running is not None and self._running.done():
                self._running.result()
            await asyncio.sleep(0.01)
        raise AssertionError(f"not so after {patience} s: {self.agent.streams()}")

    async def stored(self, target: Target) -> None:
        """Wait until every line that was written is there, and every output has said so."""
        await self.until(lambda: self.written <= names(target).keys())
        await self.until(lambda: self.agent.streams()[-1].lag_bytes == 0)

    def verdict(self, target: Target) -> Verdict:
        """Lost, doubled and foreign lines."""
        found = names(target)
        return Verdict(
            lost=len(self.written - found.keys()),
            doubled=sum(count - 1 for count in found.values()),
            strangers=len(found.keys() - self.written),
        )

    def metric(self, name: str, **labels: str) -> float:
        """One of the shipper's own metrics; 0 when it was never set."""
        return self.registry.get_sample_value(f"tidegate_logs_{name}", labels) or 0.0

    async def _end(self) -> None:
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        self._running = None


@contextlib.asynccontextmanager
async def running(
    folder: pathlib.Path, logs: dict[str, Any], extra: Sequence[output.Output] = ()
) -> AsyncIterator[Rig]:
    """A rig that is started, and stopped at the end."""
    rig = Rig(folder, logs, extra)
    rig.start()
    try:
        yield rig
    finally:
        if rig._running is not None:
            await rig.stop(0.0)


def names(target: Target) -> collections.Counter[str]:
    """How often each numbered line is stored."""
    return collections.Counter(match for text in target.texts for match in _SEQ.findall(text))
