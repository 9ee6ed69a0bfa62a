"""Several outputs as one: who gets what, what is tried again, and when a batch is done with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tidegate.kit import clock, telemetry
from tidegate.logs.ship import fanout, instruments, output

pytestmark = pytest.mark.looptime


class Recorder:
    """An output that does as it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error = ""
        self.got: list[output.Batch] = []
        self.open = asyncio.Event()
        self.open.set()
        self.crashes = 0
        self.refuses: list[int] = []

    async def send(self, batch: output.Batch) -> Sequence[output.Rejected]:
        self.got.append(batch)
        if self.crashes:
            self.crashes -= 1
            raise RuntimeError("a bug")
        await self.open.wait()
        return [output.Rejected(index, 400, "no") for index in self.refuses]

    async def close(self) -> None:
        self.error = "closed"


@pytest.fixture
def registry() -> telemetry.Registry:
    return telemetry.Registry()


def build(registry: telemetry.Registry, *members: Recorder) -> fanout.Fanout:
    return fanout.Fanout(members, clock.LoopClock(), instruments.Instruments(registry))


def batch(count: int = 3) -> output.Batch:
    return output.Batch(["logs-a-b"] * count, [str(each) for each in range(count)], [b"{}"] * count)


async def test_done_when_all_have_stored(registry: telemetry.Registry) -> None:
    fast, slow = Recorder("fast"), Recorder("slow")
    slow.open.clear()
    sending = asyncio.create_task(build(registry, fast, slow).send(batch()))
    await asyncio.sleep(1)
    assert not sending.done()
    slow.open.set()
    assert await sending == []
    assert len(fast.got) == len(slow.got) == 1


async def test_one_that_crashes_is_tried_again_alone(registry: telemetry.Registry) -> None:
    good, bad = Recorder("good"), Recorder("bad")
    bad.crashes = 3
    made = build(registry, good, bad)
    sending = asyncio.create_task(made.send(batch()))
    await asyncio.sleep(0.01)
    assert dict(made.errors()) == {"good": "", "bad": "RuntimeError: a bug"}
    assert made.error == "bad: RuntimeError: a bug"
    await sending
    assert (len(good.got), len(bad.got)) == (1, 4)
    assert made.error == ""
    assert registry.get_sample_value("tidegate_logs_send_errors_total") == 3


async def test_what_one_refuses_says_who_and_the_other_has_it(registry: telemetry.Registry) -> None:
    strict, lax = Recorder("strict"), Recorder("lax")
    strict.refuses = [1]
    rejected = await build(registry, strict, lax).send(batch())
    assert [(each.index, each.output) for each in rejected] == [(1, "strict")]
    stored = [
        registry.get_sample_value("tidegate_logs_output_stored_total", {"output": each}) for each in ("strict", "lax")
    ]
    assert stored == [2, 3]
    refused = registry.get_sample_value("tidegate_logs_output_refused_total", {"output": "strict", "status": "400"})
    assert refused == 1


async def test_cancelled_as_one(registry: telemetry.Registry) -> None:
    stuck, other = Recorder("stuck"), Recorder("other")
    stuck.open.clear()
    sending = asyncio.create_task(build(registry, stuck, other).send(batch()))
    await asyncio.sleep(0.01)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_all_are_closed(registry: telemetry.Registry) -> None:
    members = Recorder("a"), Recorder("b")
    await build(registry, *members).close()
    assert [each.error for each in members] == ["closed", "closed"]
