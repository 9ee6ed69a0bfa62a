"""Sampling and rate limits on a virtual clock: what is left out is told of in the file's own stream, exactly, and only once."""

from __future__ import annotations

import collections
import pathlib
from typing import Any

import hypothesis
import orjson
import pytest
from hypothesis import strategies as st

from tidegate.logs.formats import base
from tidegate.logs.process import limits
from tidegate.logs.read import checkpoint, files, source
from tidegate.model import processing, settings

NOW = 1_767_355_200.0


class File:
    """A file, and what of it was given away."""

    def __init__(self, path: pathlib.Path, given: dict[str, object], entry: checkpoint.Entry | None = None) -> None:
        self.path = path
        self.path.touch()
        input_ = settings.LogInput.model_validate({"paths": ["x"], "limits": given})
        stat = path.stat()
        self.source = source.Source(str(path), (stat.st_dev, stat.st_ino), input_, host="h", longest=9000, entry=entry)
        self.found: dict[str, Any] = {}
        self.position = 0
        self.mark = ""
        self.left_out: collections.Counter[str] = collections.Counter()

    def write(self, *lines: object) -> None:
        """Lines as JSON, or as text."""
        with self.path.open("ab") as file:
            for line in lines:
                file.write((line.encode() if isinstance(line, str) else orjson.dumps(line)) + b"\n")

    def step(self, now: float, *, final: bool = False) -> list[dict[str, Any]]:
        """The documents of one step."""
        chunk = self.source.step(now, final=final)
        new = dict(zip(chunk.ids, map(orjson.loads, chunk.bodies), strict=True))
        assert not new.keys() & self.found.keys()
        self.found.update(new)
        self.left_out.update(chunk.left_out)
        self.position, self.mark = chunk.position, chunk.mark
        return list(new.values())

    def entry(self) -> checkpoint.Entry:
        """As the checkpoint would know it, everything given away being stored."""
        made = self.source
        size = self.path.stat().st_size
        first = (len(made.first), files.digest(made.first))
        return checkpoint.Entry(
            made.key, str(self.path), str(self.path), made.file_id, 0, *first, self.position, self.mark, size, ()
        )


def told(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents that tell of lines left out."""
    return [one for one in documents if one["event"].get("action") == "lines-left-out"]


def test_one_of_so_many_of_a_level(tmp_path: pathlib.Path) -> None:
    made = File(tmp_path / "a", {"sample": {"debug": 10, "other": 4}})
    levels = ["debug", "info", "error", "", "audit"]
    made.write(*({"msg": f"{number}", "level": levels[number % 5]} for number in range(2000)))
    documents = made.step(NOW, final=True)
    [report] = told(documents)
    kept = collections.Counter(one["log"].get("level", "") for one in documents if one is not report)
    assert kept["info"] == kept["error"] == 400
    assert 15 < kept["debug"] < 80
    assert 50 < kept[""] < 160
    assert 50 < kept["audit"] < 160
    assert made.left_out == {"sample": 2000 - kept.total()}
    assert report["labels"] == {
        "left_out": str(made.left_out["sample"]),
        "left_out_sample": str(made.left_out["sample"]),
    }
    assert report["message"].endswith(f"lines were left out between {report['event']['start']} and "
                                      f"{report['event']['end']} ({made.left_out['sample']} by sample)")  # fmt: skip


def test_a_trace_is_kept_as_a_whole(tmp_path: pathlib.Path) -> None:
    made = File(tmp_path / "a", {"sample": {"info": 5}})
    made.write(*({"msg": f"{n}", "level": "info", "trace_id": f"t{n % 40}"} for n in range(400)))
    documents = made.step(NOW, final=True)
    traces = collections.Counter(one["trace"]["id"] for one in documents if "trace" in one)
    assert 0 < len(traces) < 40
    assert set(traces.values()) == {10}


def test_so_many_a_second_and_a_burst(tmp_path: pathlib.Path) -> None:
    made = File(tmp_path / "a", {"lines_per_second": 10, "burst": 50, "report_interval": "5s"})
    made.write(*({"msg": f"{n}"} for n in range(100)))
    assert len(made.step(NOW)) == 50
    held = made.source.holding
    assert held
    assert made.position < made.path.stat().st_size, "the checkpoint waits for the report"
    made.write(*({"msg": f"{n}"} for n in range(100, 130)))
    assert len(made.step(NOW + 2)) == 20
    [report] = made.step(NOW + 5)
    assert report["labels"] == {"left_out": "60", "left_out_rate": "60"}
    assert (report["event"]["start"], report["event"]["end"]) == (
        "2026-01-02T12:00:00.000Z",
        "2026-01-02T12:00:02.000Z",
    )
    assert report["log"]["level"] == "notice"
    assert made.position == made.path.stat().st_size
    assert not made.source.holding
    made.write({"msg": "later"})
    assert [one["message"] for one in made.step(NOW + 6)] == ["later"]
    assert made.left_out == {"rate": 60}


def test_a_clock_that_is_set_back_neither_stops_nor_opens_the_limit(tmp_path: pathlib.Path) -> None:
    made = File(tmp_path / "a", {"lines_per_second": 1, "burst": 1})
    counts = []
    for now in (NOW, NOW - 9000, NOW - 8999, NOW - 8998):
        made.write({"msg": "a"}, {"msg": "b"})
        counts.append(len([one for one in made.step(now) if "action" not in one["event"]]))
    assert counts == [1, 0, 1, 1]


def test_a_kill_before_the_report_loses_no_count(tmp_path: pathlib.Path) -> None:
    first = File(tmp_path / "a", {"sample": {"info": 3}, "report_interval": "10s"})
    first.write(*({"msg": f"{n}", "level": "info"} for n in range(300)))
    assert not told(first.step(NOW))
    second = File(tmp_path / "a", {"sample": {"info": 3}, "report_interval": "10s"}, first.entry())
    [report] = told(second.step(NOW + 20, final=True))
    stored = {**first.found, **second.found}
    assert int(report["labels"]["left_out"]) + len(stored) - 1 == 300


def test_settings_that_go_while_lines_are_to_be_told_of(tmp_path: pathlib.Path) -> None:
    made = File(tmp_path / "a", {"lines_per_second": 1, "burst": 1})
    made.write({"msg": "a"}, {"msg": "b"}, {"msg": "c"})
    assert len(made.step(NOW)) == 1
    made.source.use(settings.LogInput(paths=("x",)))
    made.write({"msg": "d"}, {"msg": "e"})
    documents = made.step(NOW + 10)
    assert [one["message"] for one in documents if one not in told(documents)] == ["d", "e"]
    assert told(documents)[0]["labels"]["left_out"] == "2"


def test_a_trace_that_is_left_out_counts_once(tmp_path: pathlib.Path) -> None:
    made = File(tmp_path / "a", {"lines_per_second": 1, "burst": 1})
    made.write("INFO a", "ERROR b", "\tat x.Y.z(A.java:1)", "\tat x.Y.w(A.java:2)", "INFO c")
    [kept, report] = made.step(NOW, final=True)
    assert kept["message"] == "INFO a"
    assert report["labels"]["left_out"] == "2"


@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(0, 5)), min_size=1, max_size=15),
    st.sampled_from([0, 1, 3.5, 20]),
    st.integers(1, 30),
    st.sampled_from([1, 2, 7]),
)
def test_kept_and_told_is_everything_and_never_above_the_rate(
    turns: list[tuple[int, float]], rate: float, burst: int, share: int
) -> None:
    made = limits.Limits(processing.LineLimits(sample={"info": share}, lines_per_second=rate, burst=burst))
    now, number, told_of = NOW, 0, 0
    kept: list[float] = []
    for count, later in turns:
        for _ in range(count):
            number += 1
            if made.keep(base.Line("x", level="info"), f"id{number}", number, now):
                kept.append(now)
        if made.due(now):
            told_of += int((made.report().labels or {})["left_out"])
        now += later
    if made.omitted:
        told_of += made.omitted.total
    assert len(kept) + told_of == number
    if rate:
        for start, at in enumerate(kept):
            allowed = burst + (kept[-1] - at) * rate + 1
            assert len(kept) - start <= allowed


@pytest.mark.parametrize("given", [{}, {"sample": {"info": 1}}, {"burst": 5}])
def test_no_limit_costs_nothing(given: dict[str, object]) -> None:
    assert limits.of(processing.LineLimits.model_validate(given)) is None
