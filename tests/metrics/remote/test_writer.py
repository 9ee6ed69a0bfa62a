"""Remote write to a strict receiver: what arrives, in which order, and what becomes of it when the receiver fails."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.services import sink as sink_
from tidegate.kit import clock, tasks, telemetry
from tidegate.metrics import store as store_
from tidegate.metrics.remote import post, send, writer
from tidegate.model import client, labels, relabelling, series

START = 1_800_000_000.0
QUICK = send.Pace(batch_send_deadline=0.02, min_backoff=0.01, max_backoff=0.05)
VERSIONS = [post.V1, post.V2]


class Clock(clock.SystemClock):
    """The machine's pace from a fixed start, which tests move on."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> float:
        return self.at


class World:
    """A store and a writer for one receiver."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.said: list[series.Metadata] = []
        self.open()

    def open(self) -> None:
        """As a process that starts."""
        self.registry = telemetry.Registry()
        self.store = store_.Store(self.folder / "samples", self.clock, self.registry)
        supervisor = tasks.Supervisor(self.clock, self.registry)
        self.writer = writer.Writer(
            self.folder / "sent", self.store, lambda: self.said, self.clock, self.registry, supervisor
        )

    def row(self, key: str, step: float, *, partial: bool = False, **values: float) -> None:
        """A scrape of one target, so many seconds after the start."""
        table = self.store.own_table(key, 15.0)
        columns = [table.column(labels.make(__name__=name, job="j", instance=key)) for name in values]
        at_ms = round((START + step) * 1000)
        table.append(at_ms, np.array(columns, np.int32), np.array(list(values.values())), partial=partial)

    def counted(self, name: str, **more: str) -> float:
        found = self.registry.get_sample_value(f"tidegate_remote_write_{name}", {"name": "there", **more})
        return found or 0.0

    def start(self, *receivers: writer.Receiver) -> asyncio.Task[None]:
        self.writer.set_receivers(receivers)
        return asyncio.create_task(self.writer.run())


def receiver(url: str, message: str = post.V1, pace: send.Pace = QUICK, **more: Any) -> writer.Receiver:
    retry = more.pop("retry_on_429", True)
    headers = more.pop("headers", ())
    target = post.Target("there", url, client.PLAIN, message, 5.0, headers, retry)
    return writer.Receiver(target, pace, **more)


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.005)


async def stop(task: asyncio.Task[None]) -> None:
    await tasks.cancel(task)


def at(step: float) -> int:
    return round((START + step) * 1000)


def shown(sink: sink_.Sink, name: str, instance: str = "t") -> list[tuple[int, float | str]]:
    found = sink.samples.get(f'{name}{{instance="{instance}", job="j"}}', [])
    return [(when, "stale" if bits == series.STALE_BITS else sink_.number(bits)) for when, bits in found]


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("message", VERSIONS)
async def test_everything_arrives_once_and_in_order(world: World, message: str) -> None:
    world.row("t", 0, old=1)
    async with sink_.running(sink_.Sink()) as sink:
        running = world.start(receiver(sink.url, message))
        await until(lambda: world.counted("shards"))
        for step in range(1, 8):
            world.row("t", step, a=step, b=-step, c=float("nan") if step % 2 else 0.0)
            world.row("u", step, a=step / 3)
        world.row("t", 8, a=8)
        await until(lambda: world.counted("samples_total") >= 7 * 4 + 1 + 2 + 1)
        await stop(running)
    assert sink.wrong == []
    assert shown(sink, "a") == [(at(step), float(step)) for step in range(1, 9)]
    assert shown(sink, "b") == [*((at(step), float(-step)) for step in range(1, 8)), (at(8), "stale")]
    assert shown(sink, "a", "u") == [(at(step), step / 3) for step in range(1, 8)]
    assert [str(value) for _, value in shown(sink, "c")] == ["nan", "0.0"] * 3 + ["nan", "stale"]
    assert shown(sink, "old") == [(at(1), "stale")], "what was there before is not sent"


@pytest.mark.parametrize("message", VERSIONS)
async def test_requests_have_the_size_that_is_wished(world: World, message: str) -> None:
    async with sink_.running(sink_.Sink()) as sink:
        running = world.start(receiver(sink.url, message, dataclasses.replace(QUICK, max_samples_per_send=7)))
        await until(lambda: world.counted("shards"))
        wide = {f"m{number}": float(number) for number in range(30)}
        world.row("t", 1, partial=False, **wide)
        await until(lambda: world.counted("samples_total") == 30)
        await stop(running)
    assert [sum(map(len, one.samples.values())) for one in sink.requests] == [7, 7, 7, 7, 2]
    assert sorted(sink.samples) == sorted(f'{name}{{instance="t", job="j"}}' for name in wide)


async def test_labels_are_added_and_changed_on_the_way(world: World) -> None:
    steps = (
        relabelling.Step(action="drop", source_labels=("__name__",), regex="secret"),
        relabelling.Step(action="labeldrop", regex="instance"),
        relabelling.Step(target_label="site", source_labels=("cluster",), replacement="at-$1"),
    )
    async with sink_.running(sink_.Sink()) as sink:
        running = world.start(
            receiver(sink.url, external=(("cluster", "x"), ("job", "other")), relabel=steps, headers=(("X-Org", "o"),))
        )
        await until(lambda: world.counted("shards"))
        world.row("t", 1, secret=1, open=2)
        await until(lambda: world.counted("samples_total"))
        await stop(running)
    assert list(sink.samples) == ['open{cluster="x", job="j", site="at-x"}']
    assert world.counted("samples_dropped_total", reason="relabel") == 1
    assert sink.requests[0].headers["x-org"] == "o"


@pytest.mark.parametrize("message", VERSIONS)
@pytest.mark.parametrize(
    "fault",
    [
        sink_.Answer(500, stored=False),
        sink_.Answer(503, (("Retry-After", "0"),), stored=False),
        sink_.Answer(429, (("Retry-After", "0"),), stored=False),
        sink_.Answer(0),
    ],
    ids=["500", "503", "429", "cut"],
)
async def test_what_may_work_later_is_tried_again(world: World, message: str, fault: sink_.Answer) -> None:
    async with sink_.running(sink_.Sink(lambda number: fault if number < 3 else sink_.Answer())) as sink:
        running = world.start(receiver(sink.url, message))
        await until(lambda: world.counted("shards"))
        for step in range(1, 5):
            world.row("t", step, a=step)
        await until(lambda: world.counted("samples_total") == 4)
        await stop(running)
    assert shown(sink, "a") == [(at(step), float(step)) for step in range(1, 5)]
    assert world.counted("samples_retried_total") >= 3
    assert world.counted("samples_failed_total") == 0


@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 415, 429])
async def test_what_is_refused_is_counted_and_not_sent_again(world: World, status: int) -> None:
    refused = sink_.Answer(status, text="out of order sample", stored=False)
    async with sink_.running(sink_.Sink(lambda number: refused if number == 0 else sink_.Answer())) as sink:
        running = world.start(receiver(sink.url, retry_on_429=False))
        await until(lambda: world.counted("shards"))
        world.row("t", 1, a=1, b=1)
        await until(lambda: world.counted("samples_failed_total") == 2)
        world.row("t", 2, a=2, b=2)
        await until(lambda: world.counted("samples_total") == 2)
        await stop(running)
    assert len(sink.requests) == 2
    assert shown(sink, "a") == [(at(2), 2.0)]
    assert world.counted("samples_retried_total") == 0


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (sink_.Answer(200, (("X-Prometheus-Remote-Write-Samples-Written", "1"),)), 2),
        (sink_.Answer(400, (("X-Prometheus-Remote-Write-Samples-Written", "2"),)), 1),
        (sink_.Answer(400, text="nothing"), 3),
        (sink_.Answer(204, (("X-Other", "1"),)), 3),
        (sink_.Answer(204, (("X-Prometheus-Remote-Write-Samples-Written", "3"),)), 0),
    ],
)
async def test_version_2_believes_what_was_written(world: World, answer: sink_.Answer, failed: int) -> None:
    async with sink_.running(sink_.Sink(lambda _: answer)) as sink:
        running = world.start(receiver(sink.url, post.V2))
        await until(lambda: world.counted("shards"))
        world.row("t", 1, a=1, b=1, c=1)
        await until(lambda: world.counted("samples_failed_total") + world.counted("samples_total") == 3)
        await stop(running)
    assert (world.counted("samples_failed_total"), len(sink.requests)) == (failed, 1)


async def test_retry_after_is_waited_for(world: World) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(min(seconds, 0.02))

    world.clock.sleep = sleep  # type: ignore[method-assign]
    fault = sink_.Answer(429, (("Retry-After", "77"),), stored=False)
    async with sink_.running(sink_.Sink(lambda number: fault if number == 0 else sink_.Answer())) as sink:
        running = world.start(receiver(sink.url))
        await until(lambda: world.counted("shards"))
        world.row("t", 1, a=1)
        await until(lambda: world.counted("samples_total") == 1)
        await stop(running)
    assert 77.0 in slept


async def test_an_outage_loses_nothing_that_the_ring_holds(world: World) -> None:
    async with sink_.running(sink_.Sink()) as sink:
        port = int(sink.url.split(":")[2].split("/")[0])
        running = world.start(receiver(sink.url))
        await until(lambda: world.counted("shards"))
        world.row("t", 1, a=1)
        await until(lambda: world.counted("samples_total") == 1)
    for step in range(2, 200):
        world.row("t", step, a=step)
    await until(lambda: world.counted("samples_retried_total"))
    async with sink_.running(sink, port):
        await until(lambda: world.counted("samples_total") == 199)
        await stop(running)
    assert [when for when, _ in shown(sink, "a")] == [at(step) for step in range(1, 200)]
    assert world.counted("samples_dropped_total", reason="overwritten") == 0


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_the_ring_overwrote_is_counted(world: World, restarted: bool) -> None:
    fault = [sink_.Answer(500, stored=False)]
    async with sink_.running(sink_.Sink(lambda _: fault[0])) as sink:
        running = world.start(receiver(sink.url))
        await until(lambda: world.counted("shards"))
        world.row("t", 15, a=1)
        await until(lambda: world.counted("samples_retried_total"))
        if restarted:
            fault[0] = sink_.Answer()
            await until(lambda: world.counted("samples_total"))
            await stop(running)
        for step in range(2, 1002):
            world.row("t", 15 * step, a=step)
        if restarted:
            world.store.close()
            world.open()
            running = world.start(receiver(sink.url))
        fault[0] = sink_.Answer()
        await until(lambda: shown(sink, "a")[-1:] == [(at(15 * 1001), 1001.0)])
        await stop(running)
    missing = 1001 - len(shown(sink, "a"))
    assert missing > 500
    assert world.counted("samples_dropped_total", reason="overwritten") == missing


async def test_a_restart_goes_on_where_it_stopped(world: World) -> None:
    async with sink_.running(sink_.Sink()) as sink:
        running = world.start(receiver(sink.url))
        await until(lambda: world.counted("shards"))
        for step in range(1, 6):
            world.row("t", step, a=step)
            world.row("u", step, a=step)
        await until(lambda: world.counted("samples_total") == 10)
        await stop(running)  # without closing anything, as a kill
        for step in range(6, 9):
            world.row("t", step, a=step)
        world.row("new", 8, a=8)
        world.open()
        running = world.start(receiver(sink.url))
        await until(lambda: world.counted("samples_total") == 4)
        await stop(running)
    assert shown(sink, "a") == [(at(step), float(step)) for step in range(1, 9)]
    assert shown(sink, "a", "new") == [(at(8), 8.0)]
    assert len(shown(sink, "a", "u")) == 5


async def test_closing_sends_what_is_left(world: World) -> None:
    async with sink_.running(sink_.Sink()) as sink:
        running = world.start(receiver(sink.url, pace=dataclasses.replace(QUICK, batch_send_deadline=3600.0)))
        await until(lambda: world.counted("shards"))
        world.row("t", 1, a=1)
        await world.writer.close(10.0)
        assert shown(sink, "a") == [(at(1), 1.0)]
        await stop(running)


async def test_samples_that_are_too_old_are_dropped(world: World) -> None:
    pace = dataclasses.replace(QUICK, sample_age_limit=60.0)
    async with sink_.running(sink_.Sink(lambda _: sink_.Answer(500, stored=False))) as sink:
        running = world.start(receiver(sink.url, pace=pace))
        await until(lambda: world.counted("shards"))
        world.row("t", 1, a=1, b=1)
        await until(lambda: world.counted("samples_retried_total"))
        world.row("t", 2, a=2, b=2)
        world.clock.at = START + 100
        sink.answers = lambda _: sink_.Answer()
        await until(lambda: world.counted("samples_dropped_total", reason="too_old") == 4)
        world.row("t", 99, a=3, b=3)
        await until(lambda: world.counted("samples_total") == 2)
        await stop(running)
    assert shown(sink, "a")[-1] == (at(99), 3.0)


async def test_filled_rows_are_sent_too(world: World) -> None:
    async with sink_.running(sink_.Sink()) as sink:
        running = world.start(receiver(sink.url))
        await until(lambda: world.counted("shards"))
        world.row("t", 1, partial=True, a=1)
        await until(lambda: world.counted("samples_total") == 1)
        table = world.store.own_table("t", 15.0)
        late = table.column(labels.make(__name__="b", job="j", instance="t"))
        table.fill([(at(1), np.array([late], np.int32), np.array([7.0]))])
        await until(lambda: world.counted("samples_total") == 2)
        await stop(running)
    assert shown(sink, "b") == [(at(1), 7.0)]
    assert shown(sink, "a") == [(at(1), 1.0)]


async def test_columns_that_were_given_to_others_are_sent_under_their_names(world: World) -> None:
    async with sink_.running(sink_.Sink()) as sink:
        running = world.start(receiver(sink.url))
        await until(lambda: world.counted("shards"))
        world.row("t", 1, gone=1, stays=1)
        for step in range(2, 600):
            world.row("t", step, stays=step)
            if not step % 100:
                await until(lambda count=step: len(shown(sink, "stays")) == count)  # type: ignore[misc]
        await until(lambda: len(shown(sink, "stays")) == 599)
        world.store.sweep()
        world.store.sweep()
        world.row("t", 600, fresh=5, stays=600)
        await until(lambda: shown(sink, "fresh"))
        await stop(running)
    assert shown(sink, "fresh") == [(at(600), 5.0)]
    assert len(shown(sink, "gone")) == 2


async def test_a_reload_changes_receivers_and_leaves_others_alone(world: World) -> None:
    async with sink_.running(sink_.Sink()) as first, sink_.running(sink_.Sink()) as second:
        running = world.start(receiver(first.url))
        await until(lambda: world.counted("shards"))
        world.row("t", 1, a=1)
        await until(lambda: world.counted("samples_total") == 1)
        world.writer.set_receivers([receiver(second.url)])
        world.row("t", 2, a=2)
        await until(lambda: shown(second, "a"))
        assert shown(second, "a") == [(at(2), 2.0)], "the same name goes on where it stopped"
        world.writer.set_receivers([])
        await until(lambda: not list((world.folder / "sent").glob("*.positions")))
        assert world.registry.get_sample_value("tidegate_remote_write_shards", {"name": "there"}) is None
        await stop(running)


async def test_metadata_is_told(world: World) -> None:
    world.said = [series.Metadata(f"m{number}", "counter", "What it counts.", "s") for number in range(3)]
    async with sink_.running(sink_.Sink()) as sink:
        running = world.start(receiver(sink.url, metadata_interval=0.01, metadata_batch=2))
        await until(lambda: len(sink.requests) >= 4)
        await stop(running)
    first, second = (one.body for one in sink.requests[:2])
    assert b"m0" in first
    assert b"m1" in first
    assert b"What it counts." in first
    assert b"m2" in second


async def test_more_requests_are_under_way_when_samples_wait(world: World) -> None:
    pace = dataclasses.replace(QUICK, max_shards=4)

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))

    world.clock.sleep = sleep  # type: ignore[method-assign]
    async with sink_.running(sink_.Sink()) as sink:
        world.clock.at = START + 1000
        running = world.start(receiver(sink.url, pace=pace))
        await until(lambda: world.counted("shards"))
        world.clock.at = START + 10_000
        sent = 0
        while world.counted("shards") < 4:
            sent += _pushed(world, range(1001 + sent, 1011 + sent))
            await until(lambda sent=sent: world.counted("samples_total") == sent)  # type: ignore[misc]
        await stop(running)
    assert sink.wrong == []
    assert all(found == sorted(found) for found in sink.samples.values())


def _pushed(world: World, steps: Sequence[int]) -> int:
    for step in steps:
        for key in "tuvw":
            world.row(key, step, a=step)
    return 4 * len(steps)
