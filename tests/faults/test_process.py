"""Real agent processes, killed and starved: each case prints lost, doubled-sent, doubled-stored, counted."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import random
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest

from tests import conftest
from tests.faults import fake, process

MIB = 1024 * 1024


async def writing(it: process.Process, name: str, numbers: range, *, part: int = 20, pause: float = 0.01) -> None:
    """Write steadily."""
    for start in range(numbers.start, numbers.stop, part):
        it.write(name, range(start, min(start + part, numbers.stop)))
        await asyncio.sleep(pause)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_sigkill_twenty_times_under_writing(tmp_path: pathlib.Path) -> None:
    rnd = random.Random(11)
    async with process.agent(tmp_path, elasticsearch={"bulk_bytes": 5_000}) as it:
        writer = asyncio.create_task(writing(it, "app.log", range(200_000), pause=0.02))
        it.start()
        await it.until((tmp_path / "data/logs/checkpoint.json").exists)  # what nobody ever saw cannot be found again
        for turn in range(20):
            await asyncio.sleep(rnd.random())
            it.kill()
            (tmp_path / "app.log").rename(tmp_path / f"app.log.{turn}")
            await it.until((tmp_path / "app.log").exists)
            it.start()
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        await it.stored()
        assert it.doubled_sent() > 0  # it was killed with lines under way
        await it.report("SIGKILL 20 times under writing", "elasticsearch_duplicates_total")


async def test_sigkill_during_503(tmp_path: pathlib.Path) -> None:
    down = [True]
    async with process.agent(tmp_path) as it:
        it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to") if down[0] else None)
        it.write("app.log", range(500))
        for _ in range(3):
            it.start()
            before = len(it.server.requests)
            await it.until(lambda seen=before: len(it.server.requests) > seen)  # type: ignore[misc]
            it.kill()
        down[0] = False
        it.start()
        await it.stored()
        await it.report("SIGKILL during 503")


async def test_sigterm_in_an_outage(tmp_path: pathlib.Path) -> None:
    down = [True]
    async with process.agent(tmp_path) as it:
        it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to") if down[0] else None)
        it.write("app.log", range(500))
        it.start()
        await it.until(lambda: len(it.server.requests) > 1)
        assert await it.terminate(patience=9.0) == 0  # 4 s for the lines, and some for a busy machine
        down[0] = False
        it.write("app.log", range(500, 600))
        it.start()
        await it.stored()
        await it.report("SIGTERM in an outage, 5 s of grace")


@pytest.mark.parametrize("case", ["state directory full", "state directory read-only"])
async def test_state_directory_refuses(tmp_path: pathlib.Path, case: str) -> None:
    """On a small file system of its own as root; else by a limit of the process, or by permissions."""
    state = tmp_path / "data"
    state.mkdir()
    full = case.endswith("full")
    root = process.is_root()
    if root:
        options = "size=64k" if full else "ro"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(state)], check=False)
        root = mounted.returncode == 0
    try:
        async with process.agent(tmp_path) as it:
            if full and root:
                _fill(state / "ballast")
            elif full:
                it.limits.append("-f 0")
            elif not root:
                state.chmod(0o555)
            await _refused(it, case)
    finally:
        if root:
            subprocess.run(["umount", "-l", str(state)], check=True)
        state.chmod(0o755)


def _fill(path: pathlib.Path) -> None:
    """Write until the file system is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


async def _refused(it: process.Process, case: str) -> None:
    it.write("app.log", range(300))
    it.start()
    await it.stored()
    found: dict[str, float] = {}
    for _ in range(500):
        found = await it.metrics()
        if found.get("checkpoint_errors_total"):
            break
        await asyncio.sleep(0.02)
    assert found["checkpoint_errors_total"] >= 1
    it.kill()  # nothing was remembered: all is sent again, under the same ids
    it.write("app.log", range(300, 350))
    it.start()
    await it.stored()
    for _ in range(500):
        found = await it.metrics()
        if found.get("checkpoint_errors_total"):
            break
        await asyncio.sleep(0.02)
    await it.report(case, "checkpoint_errors_total")
    assert found["elasticsearch_duplicates_total"] == 300


@pytest.fixture
async def bound(tmp_path: pathlib.Path) -> AsyncIterator[process.Process]:
    """An agent to which permissions apply, also as root, that reads `logs/*.log`; it has read ten lines."""
    if process.is_root() and not shutil.which("setpriv"):
        conftest.unavailable("setpriv is not installed, and root may read everything")
    (tmp_path / "logs").mkdir()
    inputs = [{"paths": ["logs/*.log"], "multiline": {"flush_after": "100ms"}}]
    async with process.agent(tmp_path, inputs=inputs) as it:
        it.bound = True
        it.write("logs/app.log", range(10), prefix="app")
        it.start()
        await it.stored()
        yield it


async def test_permission_lost_and_restored(bound: process.Process) -> None:
    """The kernel refuses: an old file to a new process, and a new file from the start."""
    it, app, new = bound, bound.folder / "logs/app.log", bound.folder / "logs/new.log"
    await it.terminate()
    it.write("logs/app.log", range(10, 200), prefix="app")
    app.chmod(0)
    it.start()
    await counted(it, "file_errors_total", 1)
    it.write("logs/new", range(100), prefix="new")
    (it.folder / "logs/new").chmod(0)
    (it.folder / "logs/new").rename(new)
    await counted(it, "file_errors_total", 2)
    assert len(it.server.documents()) == 10
    for each in (app, new):
        each.chmod(0o644)
    await it.stored()
    await it.report("permission lost and restored", "file_errors_total")


async def test_permission_of_the_folder_lost_and_restored(bound: process.Process) -> None:
    """Nothing is found any more, but what is open is read on; what came meanwhile is read when the folder is back."""
    it, folder = bound, bound.folder / "logs"
    folder.chmod(0)
    try:
        if process.is_root():  # who alone can write there now
            it.write("logs/app.log", range(10, 200), prefix="app")
            await it.stored()
            it.write("logs/new.log", range(100), prefix="new")
    finally:
        folder.chmod(0o755)
    it.write("logs/app.log", range(200, 300), prefix="app")
    await it.stored()
    await it.report("folder's permission lost and restored", "lost_bytes_total")


async def counted(it: process.Process, name: str, least: int) -> None:
    """Wait until the agent has counted so many."""
    for _ in range(500):
        if (await it.metrics()).get(name, 0) >= least:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} is {(await it.metrics()).get(name)}: {it.output.read_text()[-2000:]}")


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_many_files_with_churn_and_few_descriptors(tmp_path: pathlib.Path, *, heavy: bool) -> None:
    """Files are found by looking, not by inotify, so there are no watches to run out of."""
    count = 10_000
    async with process.agent(tmp_path, poll_interval="200ms") as it:
        it.limits.append("-n 1024")
        for number in range(count):
            it.write(f"app{number}.log", range(2))
        it.start()
        await it.until(lambda: len(it.server.sent) >= 2 * count)
        for number in range(0, count, 10):  # a tenth goes and new ones come
            (tmp_path / f"app{number}.log").rename(tmp_path / f"app{number}.log.1")
            it.write(f"app{number}.log", range(2, 4))
            it.write(f"new{number}.log", range(2))
        for number in range(1, count, 50):
            it.write(f"app{number}.log", range(2, 3))
        await it.stored()
        held = (await it.metrics())["open_files"]
        assert held < 1024
        assert len(list(pathlib.Path(f"/proc/{it.pid}/fd").iterdir())) < 1024
        assert it.peak_memory() < (300 if heavy else 400) * MIB
        await it.report("10,000 files with churn, 1024 descriptors, no inotify")


async def test_own_log_in_the_pattern(tmp_path: pathlib.Path) -> None:
    """What the shipper says about an outage must not become lines that it says something about."""
    down = [True]
    async with process.agent(tmp_path) as it:
        it.output = tmp_path / "own.log"
        it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to") if down[0] else None)
        it.write("app.log", range(300))
        it.start()
        await it.until(lambda: len(it.server.requests) > 2)
        down[0] = False
        await it.stored()
        await it.until(lambda: any(each["log"]["file"]["path"].endswith("own.log") for each in it.documents()))
        await it.until(lambda: "takes documents again" in it.output.read_text())
        size = it.output.stat().st_size
        before = len(it.server.requests)
        it.write("app.log", range(300, 400))
        await it.stored()
        assert it.output.stat().st_size == size  # shipping says nothing
        assert len(it.server.requests) < before + 50
        await it.report("own log in the pattern")


async def test_memory_in_an_outage(tmp_path: pathlib.Path, *, heavy: bool) -> None:
    """However much is written meanwhile: files are the spool."""
    down = [False]
    async with process.agent(tmp_path, elasticsearch={"bulk_bytes": MIB, "concurrency": 2}) as it:
        it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to") if down[0] else None)
        it.write("app.log", range(2000), form="wide")
        it.start()
        await it.stored()
        down[0] = True
        before = it.memory()
        for turn in range(1, 100 if heavy else 16):
            it.write("app.log", range(turn * 2000, turn * 2000 + 2000), form="wide")
            await asyncio.sleep(0.1)
        found = await it.metrics()
        assert found["in_flight_bytes"] < (2 + 1 + 1) * MIB + 4 * MIB  # slots, one open batch, one block more
        assert found["lag_bytes"] > 20 * MIB
        assert it.peak_memory() - before < 64 * MIB
        down[0] = False
        await it.stored()
        await it.report("memory in an outage", "elasticsearch_retried_total")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", ["line of 100 MB", "1 GB without a newline"])
async def test_giant_lines_in_flat_memory(tmp_path: pathlib.Path, case: str) -> None:
    size = 100 * MIB if case == "line of 100 MB" else 1024 * MIB
    async with process.agent(tmp_path) as it:
        it.write("small.log", range(5))
        it.start()
        await it.stored()
        before = it.peak_memory()
        part = b"x" * MIB
        with (tmp_path / "app.log").open("wb") as file:
            file.write(b"INFO seq=giant-1 ")
            for _ in range(size // MIB):
                file.write(part)
        it.written.add("giant-1")
        await it.stored()
        with (tmp_path / "app.log").open("ab") as file:
            file.write(b"\nINFO seq=after-1\n")
        it.written.add("after-1")
        await it.stored()
        assert it.peak_memory() - before < 64 * MIB
        (tmp_path / "app.log").unlink()
        await it.report(case, "cut_lines_total")
        assert max(len(each["message"]) for each in it.documents()) == MIB
