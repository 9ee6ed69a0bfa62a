"""The file of JSON lines: each document once, whatever happens to us, the disk or the file."""

from __future__ import annotations

import asyncio
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.faults import outrig
from tidegate.kit import clock, telemetry
from tidegate.logs.outputs import file
from tidegate.logs.ship import output
from tidegate.model import logoutputs


class Lines:
    """The messages in a file and those put aside, oldest first."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    @property
    def texts(self) -> list[str]:
        return [each["message"] for each in self.documents()]

    def documents(self) -> Iterator[dict[str, str]]:
        for path in sorted(self.path.parent.glob(f"{self.path.name}*"), reverse=True):
            yield from map(orjson.loads, path.read_bytes().rpartition(b"\n")[0].splitlines())


def given(**more: object) -> dict[str, object]:
    return {"file": {"path": "out/lines.json", **more}, "elasticsearch": {"bulk_bytes": 10_000}}


def batch(*numbers: int) -> output.Batch:
    bodies = [b'{"message":"seq=%d","event":{"created":"2026-01-01T00:00:00Z"}}' % each for each in numbers]
    return output.Batch(["logs-a-b"] * len(numbers), [f"id{each}" for each in numbers], bodies)


class Writing:
    """A wire on a file, with its metrics."""

    def __init__(self, folder: pathlib.Path, **more: object) -> None:
        self.registry = telemetry.Registry()
        self.time = clock.SystemClock()
        config = logoutputs.JsonLines.model_validate({"path": "lines.json", **more})
        self.wire = file.Wire(config, folder, 1_000_000, self.time, self.registry)
        self.lines = Lines(folder / "lines.json")

    async def store(self, *numbers: int) -> None:
        await self.wire.post(batch(*numbers), range(len(numbers)))

    def metric(self, name: str) -> float:
        return self.registry.get_sample_value(f"tidegate_logs_file_{name}_total") or 0.0


async def test_lines_with_their_ids(tmp_path: pathlib.Path) -> None:
    lines = Lines(tmp_path / "out/lines.json")
    async with outrig.running(tmp_path, given()) as it:
        it.write(range(500))
        await it.stored(lines)
        assert it.verdict(lines) == outrig.Verdict(0, 0, 0)
    assert len({each["_id"] for each in lines.documents()}) == 500
    assert (tmp_path / "out/lines.json").stat().st_mode & 0o777 == 0o640 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def test_killed_many_times(tmp_path: pathlib.Path) -> None:
    lines = Lines(tmp_path / "out/lines.json")
    repeated = 0.0
    async with outrig.running(tmp_path, given()) as it:
        for turn in range(12):
            it.write(range(turn * 300, turn * 300 + 300))
            await it.until(lambda: lines.path.exists() and len(lines.texts) > 100)
            await it.kill()
            repeated += it.metric("file_repeated_total")
            it.start()
        await it.stored(lines)
        print(f"file, killed 12 times, {it.verdict(lines)}, {repeated:g}")
        assert it.verdict(lines) == outrig.Verdict(0, 0, 0)


async def test_a_torn_line_is_cut_off(tmp_path: pathlib.Path) -> None:
    first = Writing(tmp_path)
    await first.store(1, 2, 3)
    await first.wire.close()
    path = first.lines.path
    path.write_bytes(path.read_bytes()[:-20])
    again = Writing(tmp_path)
    await again.store(1, 2, 3, 4)
    await again.wire.close()
    assert again.lines.texts == ["seq=1", "seq=2", "seq=3", "seq=4"]
    assert again.metric("repeated") == 2


async def test_a_first_line_that_is_torn(tmp_path: pathlib.Path) -> None:
    made = Writing(tmp_path)
    made.lines.path.write_bytes(b'{"_id":"id1","mess')
    await made.store(1)
    await made.wire.close()
    assert made.lines.texts == ["seq=1"]


async def test_put_aside_by_size_and_the_oldest_goes(tmp_path: pathlib.Path) -> None:
    made = Writing(tmp_path, rotate_bytes=400, keep=2)
    for start in range(0, 40, 4):
        await made.store(*range(start, start + 4))
    await made.wire.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["lines.json", "lines.json.1", "lines.json.2"]
    assert made.lines.texts == [f"seq={each}" for each in range(28, 40)]
    assert made.metric("dropped_bytes") == sum(
        len(body) + 12 + len(str(n)) for n, body in enumerate(batch(*range(28)).bodies)
    )


async def test_nothing_is_kept_aside(tmp_path: pathlib.Path) -> None:
    made = Writing(tmp_path, rotate_bytes=1, keep=0)
    await made.store(1)
    await made.store(2)
    await made.wire.close()
    assert made.lines.texts == ["seq=2"]
    assert made.metric("dropped_bytes") > 0


async def test_put_aside_by_age_over_a_restart(tmp_path: pathlib.Path) -> None:
    for _ in range(2):
        made = Writing(tmp_path, rotate_after="1d")
        await made.store(1)  # was read long ago, says its `event.created`
        await made.wire.close()
        assert [path.name for path in tmp_path.iterdir()] == ["lines.json"]
    made = Writing(tmp_path, rotate_after="1d")
    await made.store(2)
    await made.wire.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lines.json", "lines.json.1"]
    again = Writing(tmp_path)
    await again.store(1, 2)
    await again.wire.close()
    assert again.lines.texts == ["seq=1", "seq=2"]  # also what was put aside is remembered


async def test_somebody_else_puts_the_file_aside(tmp_path: pathlib.Path) -> None:
    made = Writing(tmp_path)
    await made.store(1)
    made.lines.path.rename(tmp_path / "lines.json.moved")
    await made.store(1, 2)
    await made.wire.close()
    assert made.lines.texts == ["seq=1", "seq=2"]
    assert (tmp_path / "lines.json").read_bytes().count(b"\n") == 1


async def test_a_full_disk_is_shown_and_leaves_no_half_batch(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [True]

    class Full:
        """The system's calls, with a disk that takes some of what is written and then no more."""

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def write(self, descriptor: int, data: memoryview) -> int:
            if full[0] and len(data) < 200:
                raise OSError(28, "No space left on device")
            return os.write(descriptor, data[:100] if full[0] else data)

    monkeypatch.setattr(file, "os", Full())
    lines = Lines(tmp_path / "out/lines.json")
    async with outrig.running(tmp_path, given()) as it:
        it.write(range(100))
        await it.until(lambda: "No space left" in it.agent.streams()[-1].error)
        assert lines.path.stat().st_size == 0
        full[0] = False
        await it.stored(lines)
        assert it.verdict(lines) == outrig.Verdict(0, 0, 0)
        assert it.metric("output_uncertain_total", output="file") == 0


async def test_a_batch_that_is_given_up_is_written_whole_and_once(tmp_path: pathlib.Path) -> None:
    made = Writing(tmp_path)
    sending = asyncio.create_task(made.store(*range(1000)))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await made.store(*range(1000))
    await made.wire.close()
    assert made.lines.texts == [f"seq={each}" for each in range(1000)]
