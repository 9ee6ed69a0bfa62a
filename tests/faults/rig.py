"""A shipper in this process with a fake Elasticsearch behind it, in real or virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from tests.faults import fake, fronts, oracle
from tidegate.kit import clock, telemetry
from tidegate.logs import agent
from tidegate.logs.elasticsearch import bulk
from tidegate.logs.ship import output
from tidegate.model import ports, settings


class Rig(oracle.Oracle):
    """One shipper over a folder; may be stopped, killed and started again."""

    keeps = True

    def __init__(self, folder: pathlib.Path, time: ports.Clock | None = None, **logs: Any) -> None:
        super().__init__(folder)
        self.data = folder / "data"
        self.server = fake.Elasticsearch()
        self.registry = telemetry.Registry()
        self.registries: list[telemetry.Registry] = []
        self.time = time or clock.SystemClock()
        elasticsearch = {
            "urls": ["http://fake:9200"],
            "bulk_delay": 0.02,
            "timeout": 5.0,
            **logs.pop("elasticsearch", {}),
        }
        given = {
            "inputs": [{"paths": ["*.log"], "multiline": {"flush_after": 0.1}}],
            "poll_interval": 0.02,
            "elasticsearch": elasticsearch,
            **logs,
        }
        self.config = settings.Logs.model_validate(given)
        self.observed: list[Mapping[str, Any]] = []
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start a shipper, as a new process would."""
        self.registry = telemetry.Registry()
        self.registries.append(self.registry)
        self.output = self.make_output()
        self.agent = agent.LogAgent(
            self.config, self.data, self.folder, [self.output], [self._observe], self.time, self.registry, host="h"
        )
        self._running = asyncio.create_task(self.agent.run())

    def make_output(self) -> bulk.ElasticsearchOutput:
        """Without a network, so that time may be virtual."""
        return bulk.ElasticsearchOutput(
            self.config.elasticsearch, self.time, self.registry, node_class=fronts.node(self.server)
        )

    async def stop(self, grace: float = 2.0) -> None:
        """Stop it in good order."""
        await self._end()
        await self.agent.close(grace)
        await self.output.close()

    async def kill(self) -> None:
        """Stop it without a word: no checkpoint, nothing sent."""
        await self._end()
        for task in list(self.agent._delivery._tasks):
            task.cancel()
        await asyncio.gather(*self.agent._delivery._tasks, return_exceptions=True)
        self.agent._lookout.roster.dismiss(0.0)
        await self.output.close()

    async def until(self, condition: Callable[[], bool], patience: float = 15.0) -> None:
        """Wait for something to become true, in the clock's time."""
        for _ in range(int(patience / 0.01)):
            if condition():
                return
            if self._running is not None and self._running.done():
                self._running.result()
            await asyncio.sleep(0.01)
        raise AssertionError(f"not so after {patience} s: {self.verdict()}, {self.agent.streams()}")

    async def stored(self, patience: float = 15.0) -> None:
        """Wait until every line that was written is stored."""
        await self.until(lambda: self.written <= self.names().keys(), patience)

    def documents(self) -> Iterable[Mapping[str, Any]]:
        """Of the fake."""
        return self.server.documents()

    def doubled_sent(self) -> int:
        """Of the fake."""
        return sum(count - 1 for count in self.server.sent.values())

    def metric(self, name: str, **labels: str) -> float:
        """One of the shipper's own metrics; 0 when it was never set."""
        return self.registry.get_sample_value(f"tidegate_logs_{name}", labels) or 0.0

    def counted(self, name: str) -> int:
        """What all shippers so far counted under a name, whatever the labels: each start begins its counters anew."""
        samples = (
            sample
            for registry in self.registries
            for family in registry.collect()
            for sample in family.samples
            if sample.name == f"tidegate_logs_{name}"
        )
        return int(sum(sample.value for sample in samples))

    def report(self, case: str, by: str | float = "", *, lost: int = 0, doubled: int = 0) -> None:
        """Give the row of the case, with the counter that tells of it (its name, or its value).

        Nothing else may be lost, doubled or out of form.
        """
        name = by if isinstance(by, str) else ""
        counted = int(by) if not isinstance(by, str) else self.counted(by) if by else 0
        self.judge(case, counted, name, lost=lost, doubled=doubled)
        assert self.server.wrongs == []

    def _observe(self, lines: ports.LogLines) -> None:
        self.observed.extend(lines.document(number) for number in range(len(lines.bodies)))

    async def _end(self) -> None:
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        self._running = None


def batch(count: int, *, size: int = 10, stream: str = "logs-a-default") -> output.Batch:
    """Numbered documents, without an agent."""
    bodies = [
        b'{"@timestamp":"2026-01-02T03:04:05Z","message":"seq=d-%d %b"}' % (number, b"x" * size)
        for number in range(count)
    ]
    return output.Batch([stream] * count, [f"id{number:06}" for number in range(count)], bodies)


@contextlib.asynccontextmanager
async def running(folder: pathlib.Path, time: ports.Clock | None = None, **logs: Any) -> AsyncIterator[Rig]:
    """A rig that is started, and stopped at the end."""
    rig = Rig(folder, time, **logs)
    rig.start()
    try:
        yield rig
    finally:
        if rig._running is not None:
            await rig.stop(0.0)
