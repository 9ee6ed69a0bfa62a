"""Remote write from a real Prometheus, and messages that no well-behaved sender sends."""

from __future__ import annotations

import asyncio
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.shop import processes
from tests.gate import fakes
from tests.metrics.remote.pushes import field, message, packed, request_2, sample, varint
from tests.services import prometheus
from tests.support import samples
from tidegate import app as app_
from tidegate.kit import telemetry
from tidegate.metrics import adhoc
from tidegate.metrics import store as store_
from tidegate.metrics.remote import receive, wire
from tidegate.model import labels, problems, series

NOW = 1_800_000_000.0
AT = round(NOW * 1000)


class World:
    def __init__(self, folder: pathlib.Path, limit: int = 100) -> None:
        self.registry = telemetry.Registry()
        self.clock = fakes.Clock(NOW)
        self.store = store_.Store(folder, self.clock, self.registry, series_limit=limit)
        self.receiver = receive.Receiver(self.store, self.clock, self.registry)

    def push(self, *messages: bytes) -> tuple[int, dict[str, int]]:
        written = self.receiver.write(packed(*messages), receive.V1)
        return written.samples, dict(written.dropped)

    def read(self) -> dict[str, list[tuple[int, float | str]]]:
        return samples.read(self.store)


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    return World(tmp_path)


A = {"__name__": "a", "job": "j", "instance": "i"}
B = {"__name__": "b", "job": "j", "instance": "i"}
SHOWN_A, SHOWN_B = 'a{instance="i", job="j"}', 'b{instance="i", job="j"}'


def test_samples_of_one_time_may_come_in_several_messages(world: World) -> None:
    assert world.push(message(A, (1, AT), (2, AT + 1000))) == (2, {})
    assert world.push(message(B, (3, AT), (4, AT + 1000))) == (2, {})
    assert world.read() == {SHOWN_A: [(AT, 1), (AT + 1000, 2)], SHOWN_B: [(AT, 3), (AT + 1000, 4)]}


def test_what_a_series_cannot_take_is_named(world: World) -> None:
    world.push(message(A, (1, AT), (2, AT + 1000)))
    assert world.push(message(A, (2, AT + 1000))) == (1, {}), "the same sample again is no fault"
    assert world.push(message(A, (9, AT + 1000))) == (0, {"duplicate": 1})
    assert world.push(message(A, (9, AT - 5000))) == (0, {"out_of_order": 1})
    assert world.push(message(A, (9, AT))) == (0, {"out_of_order": 1})
    assert world.push(message(B, (9, AT - 5000)), message(B, (5, AT))) == (2, {}), "B has nothing newer"
    assert world.push(message(B, (9, AT - 6000))) == (0, {"out_of_order": 1})
    assert world.push(message(A, (9, AT + 3_600_000))) == (0, {"out_of_bounds": 1})
    assert world.push(message({"job": "x"}, (1, AT))) == (0, {"labels": 1})
    assert world.push(message(A, more=field(4, b"x"))) == (0, {"native_histogram": 1})
    assert world.read()[SHOWN_A] == [(AT, 1), (AT + 1000, 2)]
    counted = world.registry.get_sample_value(
        "tidegate_remote_write_received_dropped_total", {"reason": "out_of_order"}
    )
    assert counted == 3


def test_stale_markers_end_series(world: World) -> None:
    world.push(message(A, (1, AT)), message(B, (1, AT)))
    world.push(message(A, (series.stale(), AT + 1000)), message(B, (2, AT + 1000)))
    assert world.read()[SHOWN_A] == [(AT, 1), (AT + 1000, "stale")]


def test_a_full_store_says_so(tmp_path: pathlib.Path) -> None:
    world = World(tmp_path, limit=1)
    assert world.push(message(A, (1, AT)), message(B, (2, AT))) == (1, {"series_limit": 1})


def test_a_ring_grows_with_the_pace_of_its_sender(world: World) -> None:
    for step in range(1500):
        world.push(message(A, (step, AT + step * 1000 - 1_400_000)))
    assert len(world.read()[SHOWN_A]) > 1400


def test_version_2(world: World) -> None:
    symbols = ["", "__name__", "a", "job", "j", "instance", "i"]
    refs = field(1, b"".join(map(varint, (1, 2, 3, 4, 5, 6))))
    body = b"".join(field(4, text.encode()) for text in symbols) + field(5, refs + sample(7, AT))
    written = world.receiver.write(packed(body), receive.V2)
    assert (written.samples, written.dropped) == (1, ())
    assert world.read() == {SHOWN_A: [(AT, 7)]}
    bad = field(4, b"") + field(5, field(1, varint(1) + varint(9)) + sample(7, AT))
    assert world.receiver.write(packed(bad), receive.V2).dropped == (("protobuf", 1),)


def test_what_is_said_of_metrics_is_kept(world: World) -> None:
    told = field(3, b"\x08\x01" + field(2, b"a_total") + field(4, b"What a counts.") + field(5, b"s"))
    assert world.push(told) == (0, {})
    assert list(world.receiver.told("a_total")) == [series.Metadata("a_total", "counter", "What a counts.", "s")]
    assert list(world.receiver.told("b")) == []
    request = request_2({labels.make({**A, "__name__": "b_bucket"}): [(1, AT)]}, (3, "Sizes.", "bytes"))
    assert world.receiver.write(packed(request), receive.V2).samples == 1
    assert list(world.receiver.told())[1:] == [series.Metadata("b", "histogram", "Sizes.", "bytes")]


def test_series_with_times_of_their_own_are_spread_over_tables(world: World) -> None:
    for step in range(40):
        for phase in range(8):
            at = AT - 900_000 + step * 15_000 + phase * 1_234
            assert world.push(message({**A, "__name__": f"m{phase}"}, (step, at))) == (1, {})
    tables = world.store.tables()
    assert [one.ring.rows for one in tables] == [40] * 8
    assert {one.interval for one in tables} == {15.0}


def test_lanes_are_found_again(tmp_path: pathlib.Path) -> None:
    before = World(tmp_path)
    before.push(message(A, (1, AT)))
    before.push(message(B, (1, AT + 777)))
    before.store.close()
    again = World(tmp_path)
    assert again.push(message(B, (2, AT + 15_777))) == (1, {})
    assert again.push(message(A, (2, AT + 15_000))) == (1, {})
    assert again.read() == {SHOWN_A: [(AT, 1), (AT + 15_000, 2)], SHOWN_B: [(AT + 777, 1), (AT + 15_777, 2)]}
    assert len(again.store.tables()) == 2


def test_senders_that_went_away_are_forgotten(tmp_path: pathlib.Path) -> None:
    world = World(tmp_path, limit=2)
    world.push(message(A, (1, AT)))
    world.clock.at += 2 * 3600
    later = AT + 2 * 3_600_000
    world.push(message({**B, "instance": "other"}, (1, later)))
    world.clock.at += 3601
    world.store.sweep()
    assert [one.key for one in world.store.tables()] == ["push;j;other"]
    assert world.push(message(A, (2, later + 3_600_000))) == (1, {}), "it may come back"
    assert world.read()[SHOWN_A] == [(later + 3_600_000, 2)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "snappy"),
        (b"\xff\xff\xff\xff\x0f", "size"),
        (b"\x05nonsense", "snappy"),
        (packed(b"\x0a\x50\x01"), "protobuf"),
        (packed(b"\x0b"), "protobuf"),
        (packed(field(1, sample(1, 1))), "protobuf"),
    ],
)
def test_what_is_no_message_is_refused(world: World, body: bytes, reason: str) -> None:
    with pytest.raises(problems.PermanentError) as caught:
        world.receiver.write(body, receive.V1)
    assert caught.value.reason == reason


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error(raw: bytes) -> None:
    for read in (lambda: list(wire.version_1(raw)), lambda: wire.version_2(raw)):
        try:
            found = read()
        except problems.PermanentError:
            continue
        for one in found if isinstance(found, list) else ():
            try:
                wire.Named1().labels(one.key)
            except problems.PermanentError:
                continue


SETTINGS = """\
data_dir: data
web: {{listen: "127.0.0.1:{port}", open_writes: true}}
"""
SENDER = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: self
    static_configs: [{{targets: ["127.0.0.1:{own}"]}}]
remote_write:
  - url: http://127.0.0.1:{port}/api/v1/write
    protobuf_message: {message}
    queue_config: {{batch_send_deadline: 200ms, max_shards: 4, min_shards: 4}}
"""


@pytest.mark.parametrize("message_", [receive.V1, receive.V2])
async def test_a_real_prometheus_pushes_to_us(
    tmp_path: pathlib.Path, prometheus_binary: pathlib.Path, message_: str
) -> None:
    assert prometheus_binary
    port = processes.free_port()
    (tmp_path / "t.yaml").write_text(SETTINGS.format(port=port))
    app = app_.App(tmp_path / "t.yaml", {}, embedded=True)
    stop = asyncio.Event()
    running = asyncio.create_task(app.run(stop, lambda _: None))
    while not app.web.started:
        await asyncio.sleep(0.02)
    config = SENDER.format(port=port, own=processes.free_port(), message=message_)
    server = await asyncio.to_thread(prometheus.Server, config)
    try:
        own = server.url.removeprefix("http://")
        await asyncio.to_thread(server.reload, SENDER.format(port=port, own=own.rpartition(":")[2], message=message_))
        queries = adhoc.Adhoc(app.engine, app.store)
        async with asyncio.timeout(30):
            while not queries.label_sets([f'up{{instance="{own}"}}'], -9e15, 9e15) or app.store.series_count < 300:
                await asyncio.sleep(0.2)
            await asyncio.sleep(2)
        mine = samples.read(app.store)
        name = f'up{{instance="{own}", job="self"}}'
        theirs = (await asyncio.to_thread(server.get, "/api/v1/query", query=f'up{{instance="{own}"}}[1m]'))["result"][
            0
        ]
        sent = {round(at * 1000): float(value) for at, value in theirs["values"]}
        got = {at: value for at, value in mine[name] if value != "stale"}
        assert len(got) > 5
        assert got.items() <= sent.items(), "every sample as it was sent"
        assert len(set(sent) - set(got)) <= 4, "but for those under way"
        dropped = "tidegate_remote_write_received_dropped_total"
        assert not app.registry.get_sample_value(dropped, {"reason": "duplicate"})
    finally:
        server.stop()
        stop.set()
        await running
