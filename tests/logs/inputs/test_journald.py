"""The journal: followed through a strict stand-in for faults, and through the real journalctl over a real journal."""

from __future__ import annotations

import asyncio
import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults import fake
from tests.logs.inputs import peers
from tidegate.logs.formats import journal
from tidegate.logs.inputs import journald

STAND_IN = pathlib.Path(__file__).with_name("journalctl.py")
REMOTE = "/lib/systemd/systemd-journal-remote"


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {
        "__CURSOR": f"s=1;i={number:x}",
        "__REALTIME_TIMESTAMP": str(1_767_323_045_000_000 + number),
        "MESSAGE": f"seq=j-{number}",
        "PRIORITY": "4",
        "_SYSTEMD_UNIT": "nginx.service",
        **more,
    }


class Journal:
    """A journal of the stand-in."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / "entries"
        self.path.touch()
        program = folder / "journalctl"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} {self.path} "$@"\n')
        program.chmod(0o755)
        self.config: dict[str, Any] = {"journald": {"in": {"command": str(program), "start_at": "beginning"}}}

    def write(self, *entries: dict[str, Any] | str) -> None:
        with self.path.open("a") as file:
            file.write("".join(each + "\n" if isinstance(each, str) else json.dumps(each) + "\n" for each in entries))


async def test_entries_become_documents(tmp_path: pathlib.Path) -> None:
    it_ = Journal(tmp_path)
    text = "caf\u00e9 \x1b[31m".encode()
    it_.write(
        entry(
            1, _HOSTNAME="web-1", _PID="42", _COMM="nginx", SYSLOG_FACILITY="3", SYSLOG_IDENTIFIER="ng", CODE_LINE="7"
        ),
        entry(2, MESSAGE=[*text, 255], _PID=["1", "2"], BIG=None),
    )
    async with peers.running(tmp_path, it_.config) as it:
        await it.until(lambda: len(it.documents()) == 2)
        first, second = sorted(it.documents(), key=lambda each: each["log"]["offset"])
        assert first["@timestamp"] == "2026-01-02T03:04:05.000001Z"
        assert (first["message"], first["log"]["level"], first["service"]) == ("seq=j-1", "warning", {"name": "nginx"})
        assert first["host"] == {"name": "web-1"}
        assert first["process"] == {"name": "nginx", "pid": 42}
        assert first["log"]["syslog"]["facility"] == {"code": 3, "name": "daemon"}
        assert first["log"]["syslog"]["appname"] == "ng"
        assert first["labels"] == {"code_line": "7"}
        assert second["message"] == "caf\u00e9 \x1b[31m\ufffd"
        assert second["host"] == {"name": "h"}


async def test_killed_and_started_again_and_again(tmp_path: pathlib.Path) -> None:
    it_ = Journal(tmp_path)
    it = peers.Rig(tmp_path, it_.config)
    count = 0
    for turn in range(8):
        fresh = [entry(number) for number in range(count, count + 300)]
        count += 300
        it_.write(*fresh[:150])
        it.written |= {each["MESSAGE"].partition("=")[2] for each in fresh}
        it.start()
        it_.write(*fresh[150:])
        await it.until(lambda: it.metric("input_received_total", input="journald-in") > 0)
        await asyncio.sleep(0.01 * turn)
        await it.kill()
    it.start()
    await it.stored()
    it.report("journal, killed 8 times")
    await it.until(lambda: len(it.spool_files("journald-in")) == 0)
    await it.kill()
    it_.write(entry(count))  # now only the file of the cursor knows the place
    it.written.add(f"j-{count}")
    it.start()
    await it.stored()
    it.report("journal, all of it stored before")
    await it.stop()


async def test_a_program_that_dies_is_started_again_behind_its_last_entry(tmp_path: pathlib.Path) -> None:
    it_ = Journal(tmp_path)
    it_.write(*(entry(number) for number in range(100)), "die", *(entry(number) for number in range(100, 200)))
    async with peers.running(tmp_path, it_.config) as it:
        it.written = {f"j-{number}" for number in range(200)}
        await it.stored()
        it.report("journalctl died", it.metric("input_restarts_total", input="journald-in"))
        assert it.metric("input_restarts_total", input="journald-in") == 1


async def test_a_full_spool_leaves_entries_in_the_journal(tmp_path: pathlib.Path) -> None:
    it_ = Journal(tmp_path)
    it_.config["journald"]["in"]["spool"] = {"max_bytes": "64KB"}
    it_.write(*(entry(number) for number in range(2000)))
    async with peers.running(tmp_path, it_.config) as it:
        down = [True]
        it.server.whole.append(lambda *_: fake.error(503, "unavailable", "told to") if down[0] else None)
        await it.until(lambda: it.metric("spool_bytes", input="journald-in") > 30_000)
        assert it.metric("spool_bytes", input="journald-in") <= 64 * 1024
        down[0] = False
        it.written = {f"j-{number}" for number in range(2000)}
        await it.stored(30.0)
        it.report("journal, spool full")


async def test_units_and_the_end(tmp_path: pathlib.Path) -> None:
    it_ = Journal(tmp_path)
    it_.config["journald"]["in"] |= {"units": ["nginx.service"], "start_at": "end"}
    it_.write(entry(1), entry(2))
    async with peers.running(tmp_path, it_.config) as it:
        await it.until((tmp_path / "data/logs/spool/journald-in").exists)
        number = 100

        def more() -> bool:
            nonlocal number
            number += 2
            it_.write(entry(number), entry(number + 1, _SYSTEMD_UNIT="other.service"))
            return bool(it.documents())

        await it.until(more)
        assert {each["service"]["name"] for each in it.documents()} == {"nginx"}
        assert not {"j-1", "j-2"} & it.names().keys()


@pytest.mark.parametrize("size", [2_000, 200_000])
def test_an_entry_that_is_too_long_is_cut_where_it_is_longest(size: int) -> None:
    given_ = entry(1, MESSAGE="m" * size, CODE_FILE="x.c")
    record, cut = journald.fitted(given_, "2026-01-02T03:04:05Z", 1500)
    assert cut
    assert len(record) <= 1500
    fields = json.loads(record)["fields"]
    assert fields["__CURSOR"] == given_["__CURSOR"]
    assert fields["CODE_FILE"] == "x.c"
    assert set(fields["MESSAGE"]) == {"m"}


VALUES = (
    st.none()
    | st.text(max_size=8)
    | st.lists(st.integers(0, 300), max_size=4)
    | st.lists(st.text(max_size=3), max_size=2)
)


@given(
    st.dictionaries(
        st.sampled_from(["MESSAGE", "PRIORITY", "_PID", "SYSLOG_FACILITY", "__REALTIME_TIMESTAMP", "X"]), VALUES
    )
)
def test_any_entry_is_a_line(fields: dict[str, Any]) -> None:
    line = journal.parse(fields)
    assert isinstance(line.message, str)
    assert line.level in ("", "critical", "error", "warning", "notice", "info", "debug")


async def test_the_real_journalctl(tmp_path: pathlib.Path) -> None:
    remote = shutil.which("systemd-journal-remote") or (REMOTE if pathlib.Path(REMOTE).exists() else None)
    if remote is None or shutil.which("journalctl") is None:
        pytest.skip("systemd-journal-remote and journalctl are not installed")
    journals = tmp_path / "journals"
    journals.mkdir()

    def write(name: str, numbers: range) -> None:
        export = b"".join(
            b"__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n_HOSTNAME=web-1\nPRIORITY=3\n_PID=7\n"
            % (1_767_323_045_000_000 + number, number + 1, b"a" * 32)
            + b"MESSAGE\n"
            + len(b"seq=j-%d\nsecond" % number).to_bytes(8, "little")
            + b"seq=j-%d\nsecond\n\n" % number
            for number in numbers
        )
        made = subprocess.run(
            [remote, f"--output={journals / name}", "-"], input=export, capture_output=True, check=False
        )
        assert made.returncode == 0, made.stderr

    write("a.journal", range(500))
    config = {"journald": {"in": {"directory": str(journals), "start_at": "beginning"}}}
    it = peers.Rig(tmp_path, config)
    it.written = {f"j-{number}" for number in range(500)}
    it.start()
    await it.stored()
    await it.kill()
    it.start()  # goes on behind the last one
    await asyncio.to_thread(write, "b.journal", range(500, 600))
    it.written |= {f"j-{number}" for number in range(500, 600)}
    await it.stored()
    it.report("real journalctl")
    one = next(each for each in it.documents() if each["message"] == "seq=j-1\nsecond")
    assert (one["log"]["level"], one["host"]["name"], one["process"]["pid"]) == ("error", "web-1", 7)
    await it.stop()
