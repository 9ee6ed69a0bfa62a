"""What happens to files while they are read: each case prints lost, doubled-sent, doubled-stored, counted."""

from __future__ import annotations

import asyncio
import os
import pathlib
import shutil
from typing import Any

import pytest

from tests.faults import fake, oracle, rig
from tidegate.kit import clock
from tidegate.logs.read import roster
from tidegate.model import settings


@pytest.fixture(autouse=True)
def _short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "LINGER_DELETED", 0.2)
    monkeypatch.setattr(roster, "LINGER_RENAMED", 0.3)


async def test_rename_five_times_under_writing(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path) as it:
        for turn in range(5):
            for part in range(4):
                it.write("app.log", range(turn * 400 + part * 100, turn * 400 + part * 100 + 100))
                await asyncio.sleep(0.01)
            (tmp_path / "app.log").rename(tmp_path / f"app.log.{turn}")
        it.write("app.log", range(2000, 2100))
        await it.stored()
        it.report("rename rotation 5 times")
        await it.until(lambda: it.metric("files") == 1)  # the rotated ones are let go


async def test_rename_with_the_copy_in_the_pattern(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path, inputs=[{"paths": ["app.log*"], "multiline": {"flush_after": 0.1}}]) as it:
        for turn in range(3):
            it.write("app.log", range(turn * 100, turn * 100 + 100))
            await it.stored()
            for older in range(turn, 0, -1):
                (tmp_path / f"app.log.{older}").rename(tmp_path / f"app.log.{older + 1}")
            (tmp_path / "app.log").rename(tmp_path / "app.log.1")
        it.write("app.log", range(900, 950))
        await it.stored()
        it.report("rename with the copy in the pattern")
        assert {document["log"]["file"]["path"] for document in it.server.documents()} == {str(tmp_path / "app.log")}


async def test_twice_renamed_while_the_first_is_unread_under_backpressure(tmp_path: pathlib.Path) -> None:
    small = {"bulk_bytes": 20_000, "concurrency": 1}
    async with rig.running(tmp_path, elasticsearch=small) as it:
        slow = [True]

        def delayed(answer: fake.Answer) -> fake.Answer:
            answer.delay = 0.1 if slow[0] else 0.0
            return answer

        it.server.after.append(delayed)
        it.write("app.log", range(2000), form="json")
        await it.until(lambda: len(it.server.documents()) > 0)
        for turn in (1, 2):
            (tmp_path / "app.log").rename(tmp_path / f"app.log.{turn}")
            it.write("app.log", range(turn * 2000, turn * 2000 + 2000), form="json")
            await asyncio.sleep(0.1)
        slow[0] = False
        await it.stored()
        it.report("renamed twice while the first is unread")


async def test_renamed_twice_between_two_looks(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path, poll_interval=0.2) as it:
        it.write("app.log", range(100))
        await it.stored()
        for turn in range(3):  # files that live and leave the pattern within one poll
            (tmp_path / "app.log").rename(tmp_path / f"app.log.{turn}")
            it.write("app.log", range(turn * 100 + 100, turn * 100 + 200))
        await it.stored()
        it.report("renamed thrice between two looks")


async def test_compressed_and_deleted_while_unread(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path, elasticsearch={"bulk_bytes": 10_000, "concurrency": 1}) as it:
        it.server.whole.append(fake.times(3, fake.error(503, "unavailable", "told to")))
        it.write("app.log", range(3000))
        await it.until(lambda: bool(it.server.requests))
        (tmp_path / "app.log.1.gz").write_bytes(b"not a log")
        (tmp_path / "app.log").unlink()
        await it.stored()
        it.report("compressed and deleted while unread", by="lost_bytes_total")
        await it.until(lambda: it.metric("open_files") == 0)


async def test_rename_under_backpressure(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path, elasticsearch={"bulk_bytes": 20_000, "concurrency": 1}) as it:
        slow = [0.05]

        def delayed(answer: fake.Answer) -> fake.Answer:
            answer.delay = slow[0]
            return answer

        it.server.after.append(delayed)
        for turn in range(3):
            it.write("app.log", range(turn * 2000, turn * 2000 + 2000), form="json")
            # What came and went between two looks that both found nothing cannot be found again.
            await it.until(lambda turn=turn: it.metric("files") > turn)  # type: ignore[misc]
            await asyncio.sleep(0.1)
            (tmp_path / "app.log").rename(tmp_path / f"app.log.{turn}")
        slow[0] = 0.0
        await it.stored()
        it.report("rename under backpressure")


async def test_rotated_and_deleted_in_an_outage(tmp_path: pathlib.Path) -> None:
    """While nothing can be read, files are still looked at and held, so that deleting them takes nothing away."""
    async with rig.running(tmp_path, elasticsearch={"bulk_bytes": 5_000, "concurrency": 1}) as it:
        down = [True]
        it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to") if down[0] else None)
        it.write("app.log", range(3000))
        await it.until(lambda: bool(it.server.requests))
        for turn in range(1, 4):
            (tmp_path / "app.log").rename(tmp_path / "app.log.1")
            it.write("app.log", range(turn * 3000, turn * 3000 + 3000))
            held = turn + 1
            await it.until(lambda held=held: it.metric("open_files") == held)  # type: ignore[misc]
            (tmp_path / "app.log.1").unlink()
        down[0] = False
        await it.stored()
        it.report("rotated and deleted in an outage", by="lost_bytes_total")
        assert it.metric("lost_bytes_total") == 0


async def test_one_line_and_its_container_exits(tmp_path: pathlib.Path) -> None:
    """The file of a container that lived for a moment is read, though nothing comes after its only line."""
    pods, links = tmp_path / "pods", tmp_path / "containers"
    pods.mkdir()
    links.mkdir()
    inputs = [{"paths": ["containers/*.log"], "format": "cri", "multiline": {"flush_after": 0.1}}]
    async with rig.running(tmp_path, inputs=inputs) as it:
        for number in range(20):
            target = pods / f"{number}.log"
            target.write_text(f"2026-01-02T03:04:05Z stdout F seq=once-{number}\n")
            link = links / f"job-{number}_shop_job-{'a' * 64}.log"
            link.symlink_to(target)
            it.written.add(f"once-{number}")
            await it.until(lambda read=number + 1: it.counted("lines_total") == read)  # type: ignore[misc]
            link.unlink()
            target.unlink()
        await it.stored()
        it.report("one line, and its container exits")


async def test_copytruncate_caught_up_copy_out_of_the_pattern(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path) as it:
        it.write("app.log", range(100))
        await it.stored()
        shutil.copy(tmp_path / "app.log", tmp_path / "app.log.1")
        os.truncate(tmp_path / "app.log", 0)
        it.write("app.log", range(100, 150))
        await it.stored()
        it.report("copytruncate when caught up", by="rewritten_files_total")
        assert it.metric("lost_bytes_total") == 0


async def test_copytruncate_with_the_copy_in_the_pattern(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path, inputs=[{"paths": ["app.log*"], "multiline": {"flush_after": 0.1}}]) as it:
        for turn in range(3):
            it.write("app.log", range(turn * 100, turn * 100 + 100))
            await it.stored()
            shutil.copy(tmp_path / "app.log", tmp_path / f"app.log.{turn}")
            os.truncate(tmp_path / "app.log", 0)
            await asyncio.sleep(0.1)
        it.write("app.log", range(300, 320))
        await it.stored()
        await asyncio.sleep(0.2)
        it.report("copytruncate with the copy in the pattern")


async def test_copytruncate_with_an_unread_tail_that_the_copy_has(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path, elasticsearch={"bulk_bytes": 5_000, "concurrency": 1}) as it:
        slow = [0.2]

        def delayed(answer: fake.Answer) -> fake.Answer:
            answer.delay = slow[0]
            return answer

        it.server.after.append(delayed)
        it.write("app.log", range(20_000))
        await it.until(lambda: len(it.server.documents()) > 0)
        shutil.copy(tmp_path / "app.log", tmp_path / "app.log.1")
        os.truncate(tmp_path / "app.log", 0)
        it.write("app.log", range(20_000, 20_100))
        slow[0] = 0.0
        await it.stored()
        it.report("copytruncate with an unread tail that the copy has", by="lost_bytes_total")
        assert it.metric("lost_bytes_total") == 0


async def test_truncation_with_an_unread_tail_is_counted(tmp_path: pathlib.Path) -> None:
    """Without a copy, what was not read is gone: exactly the bytes of the lines that the oracle misses."""
    async with rig.running(tmp_path, elasticsearch={"bulk_bytes": 5_000, "concurrency": 1}) as it:
        down = [True]
        it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to") if down[0] else None)
        it.write("app.log", range(120_000), prefix="first")
        await it.until(lambda: len(it.server.requests) > 3)
        await it.until(lambda: it.agent.streams()[0].lines > 0)
        os.truncate(tmp_path / "app.log", 0)
        it.write("app.log", range(100), prefix="second")
        down[0] = False
        await it.until(lambda: "second-99" in it.names())
        gone = it.written - it.names().keys()
        assert gone
        it.report("truncated with an unread tail and no copy", by="lost_bytes_total", lost=len(gone))
        assert it.metric("lost_bytes_total") == sum(len(f"INFO x seq={name}\n") for name in gone)


async def test_stale_writer_leaves_a_hole(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path) as it:
        path = tmp_path / "app.log"
        with path.open("w") as writer:  # without O_APPEND
            writer.write("".join(f"INFO seq=a-{number}\n" for number in range(10_000)))
            writer.flush()
            it.written |= {f"a-{number}" for number in range(10_000)}
            await it.stored()
            os.truncate(path, 0)
            await it.until(lambda: it.metric("rewritten_files_total") == 1)
            writer.write("".join(f"INFO seq=b-{number}\n" for number in range(100)))
            writer.flush()
        it.written |= {f"b-{number}" for number in range(100)}
        await it.stored()
        it.report("stale writer leaves a hole of zeros")
        assert len(it.server.documents()) == 10_100
        assert not any("\0" in document["message"] for document in it.server.documents())


async def test_truncated_and_grown_past_the_old_end_between_looks(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path, poll_interval=0.3) as it:
        it.write("app.log", range(10))
        await it.stored()
        os.truncate(tmp_path / "app.log", 0)
        it.write("app.log", range(100, 400))
        await it.stored()
        it.report("truncated and grown past the old end between looks", by="rewritten_files_total")
        assert it.metric("rewritten_files_total") == 1
        assert it.metric("lost_bytes_total") == 0


async def test_truncated_while_nobody_looked(tmp_path: pathlib.Path) -> None:
    it = rig.Rig(tmp_path)
    it.write("app.log", range(10))
    it.start()
    await it.stored()
    await it.stop()
    os.truncate(tmp_path / "app.log", 0)
    it.write("app.log", range(100, 400))
    it.start()
    await it.stored()
    it.report("truncated while down")
    await it.stop()


@pytest.mark.parametrize("down", [False, True])
async def test_inode_reuse_with_the_same_first_line(tmp_path: pathlib.Path, *, down: bool) -> None:
    """A new file in the old file's inode that begins alike is read, and its lines get other ids."""
    it = rig.Rig(tmp_path)
    path = tmp_path / "app.log"
    path.write_text("INFO same start\nINFO seq=x-1\n")
    it.written = {"x-1"}
    it.start()
    await it.stored()
    if down:
        await it.stop()
    # Writing through the same inode is what reuse looks like from outside.
    path.write_text("INFO same start\nINFO seq=x-2\nINFO seq=x-3\n")
    it.written |= {"x-2", "x-3"}
    if down:
        it.start()
    await it.stored()
    it.report("inode reuse while down" if down else "inode reuse while up", by="lost_bytes_total")
    assert (
        it.counted("lost_bytes_total") == 0
    )  # the new content is longer than the old one, of which nothing was unread
    assert it.counted("rewritten_files_total") == 1
    await it.stop()


@pytest.mark.parametrize("down", [False, True])
async def test_inode_reuse_under_another_name(tmp_path: pathlib.Path, *, down: bool) -> None:
    """A new file in the inode of a deleted one is not taken for a rename of it: its lines are told under its own name."""
    it = rig.Rig(tmp_path, poll_interval=0.3)
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    it.write("old.log", range(20))
    it.start()
    await it.stored()
    if down:
        await it.stop()
    # The same inode under another name with other content, as after an unlink and a creation between two looks.
    old.rename(new)
    new.write_text("")
    it.write("new.log", range(30))
    if down:
        it.start()
    await it.stored()
    case = "inode reuse while down, under another name" if down else "inode reuse while up, under another name"
    it.report(case, by="lost_bytes_total")
    assert it.counted("lost_bytes_total") == 0
    told = {(document["log"]["file"]["path"], document["message"].split("=")[1][:3]) for document in it.documents()}
    assert told == {(str(old), "old"), (str(new), "new")}
    await it.until(lambda: [each.lag_bytes for each in it.agent.streams() if each.name == str(new)] == [0])
    assert it.metric("files") == 1
    await it.stop()


async def test_a_renamed_file_keeps_the_name_that_its_lines_carry(tmp_path: pathlib.Path) -> None:
    """The other side of the same: a rename within the pattern is one, and nothing is read twice."""
    async with rig.running(tmp_path) as it:
        it.write("old.log", range(20))
        await it.stored()
        (tmp_path / "old.log").rename(tmp_path / "new.log")
        it.write("new.log", range(20, 40))
        await it.stored()
        assert it.verdict() == oracle.Verdict(0, 0, 0, 0)
        assert {document["log"]["file"]["path"] for document in it.documents()} == {str(tmp_path / "old.log")}


async def test_hundred_files_that_begin_alike(tmp_path: pathlib.Path) -> None:
    it = rig.Rig(tmp_path)
    head = "INFO the same banner in every file\n" * 120
    assert len(head) > 4096
    for number in range(100):
        (tmp_path / f"app{number}.log").write_text(head)
        it.write(f"app{number}.log", range(3))
    it.start()
    await it.stored()
    it.report("100 files with an equal first 4 KiB")
    assert len(it.server.documents()) == 100 * 123
    await it.stop()


async def test_unfinished_line_is_completed_after_a_restart(tmp_path: pathlib.Path) -> None:
    it = rig.Rig(tmp_path)
    it.write("app.log", range(5))
    with (tmp_path / "app.log").open("a") as file:
        file.write("INFO seq=late")
    it.start()
    await it.until(lambda: len(it.server.documents()) == 5)
    await it.stop()
    with (tmp_path / "app.log").open("a") as file:
        file.write("-1\n")
    it.written.add("late-1")
    it.start()
    await it.stored()
    it.report("unfinished line completed after a restart")
    assert len(it.server.documents()) == 6
    await it.stop()


async def test_parts_of_a_cri_line_over_rotation_and_restart(tmp_path: pathlib.Path) -> None:
    it = rig.Rig(tmp_path)
    path = tmp_path / "app.log"
    path.write_text("2026-01-02T03:04:05.1Z stdout P INFO seq=\n2026-01-02T03:04:05.2Z stderr F INFO seq=e-1\n")
    it.written = {"joined-1", "e-1"}
    it.start()
    await it.until(lambda: len(it.server.documents()) == 1)
    await it.stop()
    path.rename(tmp_path / "app.log.1")
    with (tmp_path / "app.log.1").open("a") as file:
        file.write("2026-01-02T03:04:05.3Z stdout P joined\n2026-01-02T03:04:05.4Z stdout F -1\n")
    it.start()
    await it.stored()
    it.report("CRI parts over rotation and restart")
    assert sorted(document["message"] for document in it.server.documents()) == ["INFO seq=e-1", "INFO seq=joined-1"]
    await it.stop()


@pytest.mark.parametrize("pattern", ["*.log", "app.log*"])
async def test_rename_while_nobody_looked(tmp_path: pathlib.Path, pattern: str) -> None:
    it = rig.Rig(tmp_path, inputs=[{"paths": [pattern], "multiline": {"flush_after": 0.1}}])
    it.write("app.log", range(100))
    it.start()
    await it.stored()
    await it.stop()
    it.write("app.log", range(100, 200))
    (tmp_path / "app.log").rename(tmp_path / "app.log.1")
    it.write("app.log", range(200, 300))
    (tmp_path / "app.log").rename(tmp_path / "app.log.2")
    it.write("app.log", range(300, 400))
    it.start()
    await it.stored()
    more = "renamed twice while down, the copies in the pattern"
    it.report(more if pattern.endswith("*") else "renamed twice while down")
    await it.stop()


async def test_first_line_that_is_the_start_of_another(tmp_path: pathlib.Path) -> None:
    """`...-1` and `...-10` are different first lines: a file that was never seen is not taken for one that was read."""
    it = rig.Rig(tmp_path)
    it.write("app.log", range(1, 9))
    it.start()
    await it.stored()
    await it.stop()
    (tmp_path / "app.log").rename(tmp_path / "app.log.2")
    it.write("app.log", range(10, 90))
    (tmp_path / "app.log").rename(tmp_path / "app.log.1")
    it.write("app.log", range(90, 100))
    it.start()
    await it.stored()
    it.report("first line that is the start of another")
    await it.stop()


async def test_symlink_swap_as_kubelet_does_it(tmp_path: pathlib.Path) -> None:
    pods = tmp_path / "pods/shop_web-1_uid/web"
    links = tmp_path / "containers"
    pods.mkdir(parents=True)
    links.mkdir()
    inputs = [{"paths": ["containers/*.log"], "format": "cri", "multiline": {"flush_after": 0.1}}]
    async with rig.running(tmp_path, inputs=inputs) as it:
        for restart in range(3):
            target = pods / f"{restart}.log"
            target.write_text(f"2026-01-02T03:04:05.{restart}Z stdout F seq=r-{restart}\n")
            link = links / f"web-1_shop_web-{str(restart) * 64}.log"
            link.symlink_to(target)
            it.written.add(f"r-{restart}")
            await it.stored()
            if restart:
                (links / f"web-1_shop_web-{str(restart - 1) * 64}.log").unlink()
        target.rename(f"{target}.20260102-030405")
        target.write_text("2026-01-02T03:04:06Z stdout F seq=r-last\n")
        it.written.add("r-last")
        await it.until(lambda: "r-last" in it.names())
        await it.stored()
        it.report("symlink swap as kubelet does it")
        last = [document for document in it.server.documents() if document["message"] == "seq=r-last"]
        assert last[0]["kubernetes"]["pod"]["name"] == "web-1"


async def test_long_lines_are_cut_marked_and_counted(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path, max_line_bytes=1000) as it:
        with (tmp_path / "app.log").open("w") as file:
            file.write("INFO seq=long-1 " + "x" * 5_000_000 + "\n")
            file.write("INFO seq=after-1\n")
            file.write("INFO seq=long-2 " + "y" * 2000 + "\n")
        it.written = {"long-1", "after-1", "long-2"}
        await it.stored()
        assert it.verdict() == oracle.Verdict(0, 0, 0, 0)
        assert it.metric("cut_lines_total") == 2
        flags = {document["message"][:15]: document["log"].get("flags") for document in it.server.documents()}
        assert flags == {"INFO seq=long-1": ["truncated"], "INFO seq=after-": None, "INFO seq=long-2": ["truncated"]}
        assert max(len(document["message"]) for document in it.server.documents()) == 1000


async def test_many_files_and_few_descriptors(tmp_path: pathlib.Path) -> None:
    it = rig.Rig(tmp_path, max_open_files=10)
    for number in range(300):
        it.write(f"app{number}.log", range(5))
    it.start()
    await it.stored()
    for number in range(300):
        it.write(f"app{number}.log", range(5, 8))
    await it.stored()
    it.report("300 files and 10 descriptors")
    assert it.metric("open_files") <= 11
    await it.stop()


@pytest.mark.looptime
async def test_hot_file_does_not_hold_quiet_ones_up(tmp_path: pathlib.Path) -> None:
    """One file grows faster than the output takes it, at 1 s a request; lines of the others are stored within 5 s."""
    time = clock.LoopClock()
    it = rig.Rig(tmp_path, time, poll_interval=0.25, elasticsearch={"bulk_bytes": 200_000, "bulk_delay": 0.2})
    stored: dict[str, float] = {}

    def slow(answer: fake.Answer) -> fake.Answer:
        answer.delay = 1.0
        return answer

    def seen(_: str, __: str, document: dict[str, Any]) -> None:
        if document["message"].startswith("seq=turn"):
            stored[document["message"][4:]] = time.now() + 1.0

    it.server.after.append(slow)
    it.server.item.append(seen)
    it.write("hot.log", range(45_000), form="wide", prefix="h0")
    for number in range(100):
        it.write(f"quiet{number}.log", range(1), form="json")
    it.start()
    written: dict[str, float] = {}
    for turn in range(1, 21):
        it.write("hot.log", range(500), form="wide", prefix=f"h{turn}")
        it.write(f"quiet{turn}.log", range(1), form="json", prefix=f"turn{turn}")
        written[f"turn{turn}-0"] = time.now()
        await time.sleep(0.7)
    assert sum(each.lag_bytes for each in it.agent.streams()) > 10_000_000  # the hot one is far from caught up
    while len(stored) < 20:
        await time.sleep(0.5)
    assert max(stored[name] - at for name, at in written.items()) < 5.0
    it.server.after.clear()
    while len(it.server.sent) < len(it.written):
        await time.sleep(0.5)
    it.report("one hot file among 100 quiet ones")
    await it.stop()


async def test_inputs_change_a_hundred_times_under_load(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path) as it:
        for turn in range(100):
            it.write("app.log", range(turn * 20, turn * 20 + 20), form="json")
            first = settings.LogInput.model_validate(
                {"paths": ["*.log"], "labels": {"turn": str(turn)}, "dataset": "a" if turn % 2 else "b"}
            )
            it.agent.set_inputs([first])
            await asyncio.sleep(0.005)
        await it.stored()
        assert it.verdict() == oracle.Verdict(0, 0, 0, 0)


async def test_input_taken_away_and_given_back(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path) as it:
        it.write("app.log", range(50), form="json")
        await it.stored()
        it.agent.set_inputs([])
        await it.until(lambda: it.metric("files") == 0)
        it.write("app.log", range(50, 100), form="json")
        await asyncio.sleep(0.1)
        assert len(it.server.documents()) == 50
        it.agent.set_inputs(it.config.inputs)
        await it.stored()
        it.report("input taken away and given back")


async def test_start_at_end(tmp_path: pathlib.Path) -> None:
    it = rig.Rig(tmp_path, inputs=[{"paths": ["*.log"], "start_at": "end", "multiline": {"flush_after": 0.1}}])
    (tmp_path / "old.log").write_text("INFO seq=old-1\n")
    it.start()
    await it.until(lambda: it.metric("files") == 1)
    await it.until(lambda: it.agent.streams()[0].lag_bytes == 0)
    it.write("old.log", range(2, 4))
    it.write("new.log", range(3))
    await it.stored()
    it.report("start at the end")
    await it.stop()


class Jumping:
    """The machine's clock, set forwards and back by somebody."""

    def __init__(self) -> None:
        self._real = clock.SystemClock()
        self.offset = 0.0

    def now(self) -> float:
        """Unix seconds, more or less."""
        return self._real.now() + self.offset

    async def sleep(self, seconds: float) -> None:
        """Waiting is not by the wall clock."""
        await self._real.sleep(seconds)


async def test_clock_jumps(tmp_path: pathlib.Path) -> None:
    time = Jumping()
    async with rig.running(tmp_path, time) as it:
        for turn, offset in enumerate([0.0, 86_400.0, -86_400.0, 3600.0, -1e9, 0.0]):
            time.offset = offset
            it.write("app.log", range(turn * 100, turn * 100 + 100))
            await it.stored()
            (tmp_path / "app.log").rename(tmp_path / f"app.log.{turn}")
        it.report("clock jumps forwards and back")


async def test_time_of_change_in_the_past(tmp_path: pathlib.Path) -> None:
    """Whether a file changed is seen by its size, too: a writer that sets its time back hides nothing."""
    it = rig.Rig(tmp_path)
    for turn in range(3):
        it.write("app.log", range(turn * 100, turn * 100 + 100))
        os.utime(tmp_path / "app.log", (1, 1))
        it.start()
        await it.stored()
        it.write("app.log", range(turn * 1000 + 1000, turn * 1000 + 1100))
        os.utime(tmp_path / "app.log", (1, 1))
        await it.stored()
        await it.stop()
    it.report("time of change in the past")
