"""A shipper with a fake Elasticsearch behind it, and the oracle: each numbered line is stored once, and no other."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import pathlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from tests.faults import fake, fronts
from tidegate.kit import clock, telemetry
from tidegate.logs import agent
from tidegate.logs.elasticsearch import bulk
from tidegate.model import ports, settings

_SEQ = re.compile(r"seq=(\S+)")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of the lines of one case."""

    lost: int
    doubled_sent: int
    doubled_stored: int
    strangers: int


class Rig:
    """One shipper over a folder; may be stopped, killed and started again."""

    def __init__(self, folder: pathlib.Path, time: ports.Clock | None = None, **logs: Any) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.server = fake.Elasticsearch()
        self.registry = telemetry.Registry()
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
        self.written: set[str] = set()
        self.observed: list[Mapping[str, Any]] = []
        self._running: asyncio.Task[None] | None = None

    def write(self, name: str, numbers: Sequence[int] | range, *, form: str = "plain", prefix: str = "") -> None:
        """Append numbered lines to a file of the folder."""
        texts = {"plain": "INFO x seq={}\n", "json": '{{"msg":"seq={}","level":"info"}}\n'}
        names = [f"{prefix or name}-{number}" for number in numbers]
        self.written.update(names)
        with (self.folder / name).open("a") as file:
            file.write("".join(texts[form].format(each) for each in names))

    def start(self) -> None:
        """Start a shipper, as a new process would."""
        self.registry = telemetry.Registry()
        self.output = bulk.ElasticsearchOutput(
            self.config.elasticsearch, self.time, self.registry, node_class=fronts.node(self.server)
        )
        self.agent = agent.LogAgent(
            self.config, self.data, self.folder, [self.output], [self._observe], self.time, self.registry, host="h"
        )
        self._running = asyncio.create_task(self.agent.run())

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
        self.agent._roster.dismiss(0.0)
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

    def names(self) -> collections.Counter[str]:
        """How often each numbered line is stored."""
        found: collections.Counter[str] = collections.Counter()
        for document in self.server.documents():
            texts = [document["message"], document.get("error", {}).get("stack_trace", "")]
            found.update(match for text in texts for match in _SEQ.findall(text))
        return found

    def verdict(self) -> Verdict:
        """Lost, doubled and foreign lines."""
        names = self.names()
        return Verdict(
            lost=len(self.written - names.keys()),
            doubled_sent=sum(count - 1 for count in self.server.sent.values()),
            doubled_stored=sum(count - 1 for count in names.values()),
            strangers=len(names.keys() - self.written),
        )

    def metric(self, name: str, **labels: str) -> float:
        """One of the shipper's own metrics; 0 when it was never set."""
        return self.registry.get_sample_value(f"tidegate_logs_{name}", labels) or 0.0

    def report(self, case: str, counted: float = 0.0, *, lost: int = 0, doubled: int = 0) -> None:
        """Print the row of the case, and insist: nothing lost or doubled beyond what was said, nothing out of form."""
        found = self.verdict()
        print(f"{case}, {found.lost}, {found.doubled_sent}, {found.doubled_stored}, {counted:g}")
        assert (found.lost, found.doubled_stored, found.strangers) == (lost, doubled, 0)
        assert self.server.wrongs == []

    def _observe(self, lines: ports.LogLines) -> None:
        self.observed.extend(lines.document(number) for number in range(len(lines.bodies)))

    async def _end(self) -> None:
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        self._running = None


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
