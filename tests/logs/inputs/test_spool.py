"""The spool: what is promised of its files, its bounds, and what a kill may leave."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pathlib

import pytest

from tests.faults import fake
from tests.logs.inputs import peers
from tidegate.kit import clock, telemetry
from tidegate.logs.formats import spool as format_
from tidegate.logs.inputs import instruments, segments, spool
from tidegate.logs.read import checkpoint, files
from tidegate.model import receiving

SMALL = {"max_bytes": 64 * 1024}


class Alone:
    """A spool without a reader."""

    def __init__(self, folder: pathlib.Path, **config: object) -> None:
        self.registry = telemetry.Registry()
        given = receiving.Spool.model_validate({**SMALL, **config})
        self.spool = spool.Spool("x", folder / "x", given, clock.SystemClock(), instruments.Instruments(self.registry))

    def metric(self, name: str) -> float:
        return self.registry.get_sample_value(f"tidegate_logs_{name}", {"input": "x"}) or 0.0

    def lines(self) -> list[bytes]:
        found = []
        for path in sorted(self.spool.folder.glob("*.spool")):
            found += [line for line in path.read_bytes().split(b"\n") if line and not line.startswith(format_.HEADER)]
        return found

    def entries(self, *, all_of_it: bool = True) -> list[checkpoint.Entry]:
        """A checkpoint that says that everything is stored."""
        found = []
        for path in sorted(self.spool.folder.glob("*.spool")):
            first = path.read_bytes().partition(b"\n")[0]
            size = path.stat().st_size - (0 if all_of_it else 1)
            found.append(
                checkpoint.Entry((0, 0), str(path), str(path), "f", 0, len(first), files.digest(first), size, "", size)
            )
        return found


async def test_records_are_on_disk_when_put_returns_and_share_syncs(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Alone(tmp_path)
    await it.spool.open()
    real, syncs = os.fsync, []

    def fsync(fd: int) -> None:
        syncs.append(fd)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    await asyncio.gather(*(it.spool.put(b'{"n":%d}\n' % number, 1) for number in range(500)))
    assert sorted(it.lines()) == sorted(b'{"n":%d}' % number for number in range(500))
    assert len(syncs) < 20
    assert it.metric("input_received_total") == 500
    assert it.metric("spool_bytes") == it.spool.size == sum(path.stat().st_size for path in it.spool.folder.iterdir())


async def test_a_file_goes_only_when_all_of_it_is_stored(tmp_path: pathlib.Path) -> None:
    it = Alone(tmp_path)
    await it.spool.open()
    await it.spool.put(b"x" * 5000 + b"\n", 1)  # more than a sixteenth: the file is closed
    await it.spool.put(b"y\n", 1)
    await it.spool.stored(it.entries(all_of_it=False))
    assert len(it.lines()) == 2
    await it.spool.stored(it.entries())
    assert it.lines() == [b"y"]  # the one that is being written stays


async def test_a_checkpoint_about_other_content_in_the_same_place_removes_nothing(tmp_path: pathlib.Path) -> None:
    it = Alone(tmp_path)
    await it.spool.open()
    await it.spool.put(b"x" * 5000 + b"\n", 1)
    stale = [
        checkpoint.Entry(each.key, each.path, each.real, "f", 0, each.first_length, "0" * 16, 10**9, "", 10**9)
        for each in it.entries()
    ]
    await it.spool.stored(stale)
    assert len(it.lines()) == 1


async def test_an_unfinished_record_is_cut_off_at_the_next_start(tmp_path: pathlib.Path) -> None:
    it = Alone(tmp_path)
    await it.spool.open()
    await it.spool.put(b"whole\n", 1)
    (path,) = it.spool.folder.glob("*.spool")
    with path.open("ab") as file:
        file.write(b"torn" * 1000)
    (it.spool.folder / "0000000002.spool").write_bytes(b'{"spool":{"ver')  # a header that was never whole
    again = Alone(tmp_path)
    await again.spool.open()
    assert again.lines() == [b"whole"]
    assert again.spool.last == b"whole"
    await again.spool.put(b"next\n", 1)
    assert again.lines() == [b"whole", b"next"]
    assert len({path.read_bytes().partition(b"\n")[0] for path in again.spool.folder.glob("*.spool")}) == 2


async def test_a_full_spool_refuses_and_takes_again(tmp_path: pathlib.Path) -> None:
    it = Alone(tmp_path)
    await it.spool.open()
    record = b"z" * 999 + b"\n"
    count = 0
    with contextlib.suppress(spool.FullError):
        while count < 1000:
            await it.spool.put(record, 1)
            count += 1
    assert len(it.lines()) == count < 66
    assert it.spool.size <= 64 * 1024
    assert not it.spool.offer(record, 1)
    waiting = asyncio.create_task(it.spool.put(record, 1, wait=True))
    await asyncio.sleep(0)
    assert not waiting.done()
    await it.spool.stored(it.entries())
    await waiting
    with pytest.raises(spool.TooLargeError):
        await it.spool.put(b"z" * 40_000 + b"\n", 1)


async def test_the_oldest_goes_counted_to_the_line(tmp_path: pathlib.Path) -> None:
    it = Alone(tmp_path, when_full="drop-oldest")
    await it.spool.open()
    records = [b"%06d" % number + b"z" * 500 + b"\n" for number in range(1000)]
    for record in records:
        await it.spool.put(record, 1)
    kept = it.lines()
    assert it.spool.size <= 64 * 1024
    assert kept == [record[:-1] for record in records[-len(kept) :]]
    assert it.metric("spool_dropped_lines_total") == 1000 - len(kept)
    assert it.metric("spool_dropped_bytes_total") == sum(map(len, records)) - sum(len(each) + 1 for each in kept)


async def test_a_full_disk_loses_nothing_that_was_acknowledged(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Alone(tmp_path)
    await it.spool.open()
    await it.spool.put(b"before\n", 1)
    real, left = os.write, [10]

    def write(fd: int, data: bytes | memoryview) -> int:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = min(left[0], len(data))
        left[0] -= part
        return real(fd, bytes(data)[:part])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="space"):
        await it.spool.put(b"first\nsecond\n", 2)
    assert it.lines() == [b"before", b"first"]  # whole, unacknowledged: the sender sends it again
    assert it.metric("spool_errors_total") == 1
    left[0] = 10**6
    await it.spool.put(b"after\n", 1)
    assert it.lines() == [b"before", b"first", b"after"]
    assert it.spool.size == sum(path.stat().st_size for path in it.spool.folder.glob("*.spool"))
    await it.spool.stored(it.entries())
    assert it.lines() == [b"after"]


def test_the_last_record_of_a_large_file(tmp_path: pathlib.Path) -> None:
    appender = segments.Appender(tmp_path)
    appender.recover()
    segment = appender.write(b"first\n" + b"x" * 3_000_000 + b"\n")
    assert segments.last_record(segment) == b"x" * 3_000_000
    appender.end()


# --- with a shipper ---------------------------------------------------------------------------------------------------


async def test_an_outage_fills_the_spool_and_all_of_it_arrives_later(tmp_path: pathlib.Path) -> None:
    config = peers.http(spool={"max_bytes": "256KB"})
    async with peers.running(tmp_path, config, elasticsearch={"bulk_bytes": 20_000}) as it:
        down = [True]
        it.server.whole.append(lambda *_: fake.error(503, "unavailable", "told to") if down[0] else None)
        address = await it.address("http-in")
        sent = refused = 0
        while not refused or sent < 20:
            body, names = peers.numbered(range(100), f"r{sent}")
            status, headers, _ = await peers.request(address, body)
            if status == 200:
                it.written |= names
                sent += 1
            else:
                refused += 1
                assert (status, headers["retry-after"]) == (503, "5")
        assert it.metric("input_refused_total", input="http-in", reason="full") == refused
        assert it.metric("input_received_total", input="http-in") == sent * 100
        assert 128 * 1024 < it.metric("spool_bytes", input="http-in") <= 256 * 1024
        down[0] = False
        await it.stored()
        it.report("outage, spool full (block), drained")
        await it.until(lambda: it.metric("spool_bytes", input="http-in") < 64 * 1024)
        status, _, _ = await peers.request(address, b"seq=again\n")
        assert status == 200


async def test_drop_oldest_in_an_outage_loses_exactly_what_is_counted(tmp_path: pathlib.Path) -> None:
    config = peers.http(spool={"max_bytes": "256KB", "when_full": "drop-oldest"})
    async with peers.running(tmp_path, config, elasticsearch={"bulk_bytes": 20_000, "concurrency": 1}) as it:
        down = [True]
        it.server.whole.append(lambda *_: fake.error(503, "unavailable", "told to") if down[0] else None)
        address = await it.address("http-in")
        for turn in range(60):
            body, names = peers.numbered(range(100), f"r{turn}")
            status, _, _ = await peers.request(address, body)
            assert status == 200
            it.written |= names
        dropped = int(it.metric("spool_dropped_lines_total", input="http-in"))
        assert dropped > 1000
        assert it.metric("spool_dropped_bytes_total", input="http-in") > dropped * 50
        down[0] = False
        await it.until(lambda: len(it.names()) == 6000 - dropped)
        await it.until(lambda: it.metric("lag_bytes", dataset="generic") == 0)
        it.judge("outage, spool full (drop-oldest)", dropped, "spool_dropped_lines_total", lost=dropped)
        assert it.server.wrongs == []
        assert it.metric("lost_bytes_total") == 0


async def test_restart_with_a_backlog(tmp_path: pathlib.Path) -> None:
    it = peers.Rig(tmp_path, peers.http())
    it.server.whole.append(fake.times(10**6, fake.error(503, "unavailable", "told to")))
    it.start()
    body, it.written = peers.numbered(range(3000))
    await peers.request(await it.address("http-in"), body)
    await it.kill()
    it.server.whole.clear()
    it.start()
    await it.stored()
    it.report("killed with a backlog")
    await it.until(lambda: it.spool_files("http-in") == [])  # stored, and nothing is being written
    await it.stop()


async def test_a_first_loss_is_an_increase_and_the_limit_is_told(tmp_path: pathlib.Path) -> None:
    """Rules see a loss only when the series was there before it, at 0."""
    it = Alone(tmp_path)
    for name in ("dropped_lines_total", "dropped_bytes_total", "errors_total"):
        assert it.registry.get_sample_value(f"tidegate_logs_spool_{name}", {"input": "x"}) == 0.0
    for reason in ("full", "disk", "busy", "connections", "error"):
        labels = {"input": "x", "reason": reason}
        assert it.registry.get_sample_value("tidegate_logs_input_refused_total", labels) == 0.0
    assert it.metric("spool_limit_bytes") == SMALL["max_bytes"]
    it.spool.use(receiving.Spool(max_bytes=128 * 1024))
    assert it.metric("spool_limit_bytes") == 128 * 1024
