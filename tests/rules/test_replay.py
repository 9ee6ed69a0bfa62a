"""Rules over history: from a file, and from a real Prometheus that holds the same samples."""

from __future__ import annotations

import hashlib
import os
import pathlib
import random

import numpy as np
import orjson
import pytest
from click import testing

from tests.services import cache, prometheus
from tidegate import cli
from tidegate.cli import replay
from tidegate.kit import clock, telemetry
from tidegate.metrics import store as store_
from tidegate.model import labels

START = 1_700_000_040
RULES = """
groups:
  - name: g
    interval: 1m
    rules:
      - {record: 'job:x:max', expr: max by (job) (x)}
      - {alert: High, expr: 'job:x:max > 5', for: HOLD}
"""


def value(minute: int) -> int:
    return 9 if 60 <= minute < 80 or 100 <= minute < 102 else 1


def history(folder: pathlib.Path) -> pathlib.Path:
    lines = [f'x{{job="a",instance="i"}} {value(minute)} {START + 60 * minute}' for minute in range(180)]
    path = folder / "samples.txt"
    path.write_text("\n".join(["# TYPE x gauge", *lines, "# EOF"]) + "\n")
    return path


def rules(folder: pathlib.Path, hold: str) -> str:
    path = folder / f"{hold}.yaml"
    path.write_text(RULES.replace("HOLD", hold))
    return str(path)


def replayed(*arguments: str, since: int = 3000) -> testing.Result:
    span = ["--from", str(START + since), "--to", str(START + 180 * 60)]
    return testing.CliRunner().invoke(cli.cli, ["replay", *arguments, *span])


EXPECTED = [
    {
        "labels": {"alertname": "High", "job": "a"},
        "start": float(START + 65 * 60),
        "end": float(START + 80 * 60),
        "over": True,
        "peak": 9.0,
    }
]


@pytest.mark.parametrize("chunk", ["5m", "1h", "1d"])
def test_a_file(tmp_path: pathlib.Path, chunk: str) -> None:
    done = replayed(rules(tmp_path, "5m"), "--data", str(history(tmp_path)), "-o", "json", "--chunk", chunk)
    body = orjson.loads(done.output)
    assert (done.exit_code, body["firings"], body["failures"]) == (0, EXPECTED, {})


def test_n_of_m_and_a_band(tmp_path: pathlib.Path) -> None:
    often = rules(tmp_path, "5 of 7")
    done = replayed(often, "--data", str(history(tmp_path)), "-o", "json")
    (first,) = orjson.loads(done.output)["firings"]
    assert (first["start"], first["end"]) == (START + 64 * 60, START + 82 * 60)
    band = tmp_path / "band.yaml"
    band.write_text(RULES.replace("for: HOLD", "resolve_expr: 'other < 1 and on () x'"))
    done = replayed(str(band), "--data", str(history(tmp_path)), "-o", "json")
    (only,) = orjson.loads(done.output)["firings"]
    assert (only["start"], only["over"]) == (START + 60 * 60, False)


@pytest.mark.parametrize("chunk", ["5m", "1d"])
def test_a_file_in_any_order(tmp_path: pathlib.Path, chunk: str) -> None:
    """Lines in any order, and a series written in two ways; of two samples at one time the later series' counts."""
    path = history(tmp_path)
    lines = path.read_text().splitlines()[1:-1]
    random.Random(1).shuffle(lines)
    again = [line.replace('job="a",instance="i"', 'instance="i",job="a"') for line in lines]
    wrong = [f"{line.rsplit(maxsplit=2)[0]} 7 {line.rsplit(maxsplit=1)[1]}" for line in lines]
    path.write_text("\n".join([*wrong, *again]) + "\n")
    done = replayed(rules(tmp_path, "5m"), "--data", str(path), "-o", "json", "--chunk", chunk)
    body = orjson.loads(done.output)
    assert (body["firings"], body["failures"]) == (EXPECTED, {})


def test_a_group_of_another_server_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "far.yaml"
    path.write_text(RULES.replace("interval: 1m", "datasource: far").replace("HOLD", "1m"))
    done = replayed(str(path), "--data", str(history(tmp_path)))
    assert done.exit_code == 1
    assert "datasource" in done.output


def test_two_versions(tmp_path: pathlib.Path) -> None:
    data = str(history(tmp_path))
    done = replayed(rules(tmp_path, "1m"), "--against", rules(tmp_path, "5m"), "--data", data)
    assert done.output.splitlines()[0] == '~ {alertname="High", job="a"} fired 1 -> 2 times, 900 -> 1200 s'


def test_a_prometheus(tmp_path: pathlib.Path) -> None:
    try:
        prometheus.backfill(history(tmp_path), tmp_path / "data")
        with prometheus.running(data=tmp_path / "data") as server:
            done = replayed(rules(tmp_path, "5m"), "--data", server.url, "-o", "json")
    except cache.UnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    assert orjson.loads(done.output)["firings"] == EXPECTED


def test_a_bad_line_has_its_place(tmp_path: pathlib.Path) -> None:
    (tmp_path / "bad.txt").write_text("x 1\n")
    done = replayed(rules(tmp_path, "5m"), "--data", str(tmp_path / "bad.txt"))
    assert done.exit_code == 1
    assert "bad.txt:1: expected" in done.output


def digest(folder: pathlib.Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_data_directory_that_a_server_is_writing(tmp_path: pathlib.Path) -> None:
    data = tmp_path / "data"
    store = store_.Store(data / "samples", clock.SystemClock(), telemetry.Registry(), retention=4 * 3600.0)
    table = store.table("a", 60.0)
    columns = np.array([table.column(labels.make({"__name__": "x", "job": "a", "instance": "i"}))], np.int32)
    for minute in range(180):
        table.append((START + 60 * minute) * 1000, columns, np.array([float(value(minute))]))
    before = digest(data)
    done = replayed(rules(tmp_path, "5m"), "--data", str(data), "-o", "json")
    assert orjson.loads(done.output)["firings"] == EXPECTED
    assert digest(data) == before
    table.append((START + 60 * 180) * 1000, columns, np.array([1.0]))  # and goes on
    assert table.labels(0)


def test_a_series_that_ended_ends_its_alert_at_once_where_the_store_knows(tmp_path: pathlib.Path) -> None:
    store = store_.Store(tmp_path / "data", clock.SystemClock(), telemetry.Registry(), retention=4 * 3600.0)
    table = store.table("a", 60.0)
    columns = np.array([table.column(labels.make({"__name__": "x", "job": "a"}))], np.int32)
    for minute in range(100):
        table.append((START + 60 * minute) * 1000, columns, np.array([9.0]))
    table.end((START + 60 * 100) * 1000)
    done = replayed(rules(tmp_path, "5m"), "--data", str(tmp_path / "data"), "-o", "json")
    assert [one["end"] for one in orjson.loads(done.output)["firings"]] == [START + 60 * 100]


def test_a_folder_without_samples_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").mkdir()
    done = replayed(rules(tmp_path, "5m"), "--data", str(tmp_path / "empty"))
    assert (done.exit_code, "holds no samples" in done.output) == (2, True)


@pytest.mark.parametrize("seed", [1, 2])
def test_alerts_fire_when_prometheus_finds_their_condition_held(tmp_path: pathlib.Path, seed: int) -> None:
    """The reference is the server's own PromQL: the condition at every step of the last five minutes."""
    chance = random.Random(seed)
    found: list[int] = []
    while len(found) < 300:
        found += [chance.choice([1, 9])] * chance.randint(1, 12)
    lines = [f'x{{job="a"}} {each} {START + 60 * minute}' for minute, each in enumerate(found)]
    (tmp_path / "samples.txt").write_text("\n".join(["# TYPE x gauge", *lines, "# EOF"]) + "\n")
    try:
        prometheus.backfill(tmp_path / "samples.txt", tmp_path / "data")
        with prometheus.running(data=tmp_path / "data") as server:
            span = {"start": START, "end": START + 60 * 299, "step": 60}
            answer = server.get("/api/v1/query_range", query="count_over_time((x > 5)[301s:1m]) == 6", **span)
            ends = ["--from", str(START), "--to", str(START + 60 * 299)]
            arguments = ["replay", rules(tmp_path, "5m"), *ends, "--data", server.url, "-o", "json"]
            done = testing.CliRunner().invoke(cli.cli, arguments)
    except cache.UnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    held = {int(at) for series in answer["result"] for at, _ in series["values"]}
    firings = orjson.loads(done.output)["firings"]
    steps = range(START, START + 60 * 299, 60)
    assert len(firings) > 3
    assert {at for at in steps if any(one["start"] <= at < one["end"] for one in firings)} == held - {START + 60 * 299}


MANY = """
groups:
  - name: steady
    interval: 20s
    rules:
      - {record: 'job:x:max', expr: max by (job) (x)}
      - {record: 'x:rate', expr: 'rate(x[2m])'}
      - {alert: High, expr: 'max_over_time(x[1m]) > 6', for: 1m, keep_firing_for: 40s}
      - {alert: Gone, expr: 'absent(x{instance="i2"})', for: 40s}
      - {alert: Twice, expr: 'x > on (job) y'}
      - {alert: Late, expr: 'time() - max(timestamp(x)) > 40'}
      - {alert: Always, expr: 'vector(1)'}
      - {alert: Number, expr: '1 > bool 2'}
  - name: after
    interval: 30s
    rules:
      - {alert: Recorded, expr: 'job:x:max > 5 and on (job) x:rate >= 0'}
      - {alert: Mixed, expr: 'x > ignoring (instance) group_left () job:x:max / 2', for: 2m}
      - {alert: Often, expr: 'x > 4', for: 2 of 5, no_data: alert}
"""


def scattered(folder: pathlib.Path, seed: int) -> str:
    """Series with gaps."""
    chosen = random.Random(seed)
    lines = []
    for name in ("x", "y"):
        for instance in range(3):
            gone = chosen.randrange(90, 180)
            lines += [
                f'{name}{{job="a",instance="i{instance}"}} {chosen.randrange(10)} {START + 60 * minute + instance}'
                for minute in range(90, 180)
                if not gone <= minute < gone + 12 and chosen.random() < 0.9
            ]
    (folder / f"{seed}.txt").write_text("\n".join(lines) + "\n")
    return str(folder / f"{seed}.txt")


@pytest.mark.parametrize("seed", range(2))
def test_many_steps_at_once_are_what_each_step_gives(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    (tmp_path / "r.yaml").write_text(MANY)
    asked = (str(tmp_path / "r.yaml"), "--data", scattered(tmp_path, seed), "-o", "json", "--chunk", "20m")
    fast = orjson.loads(replayed(*asked, since=9000).output)
    monkeypatch.setattr(replay, "steady", lambda ruleset: frozenset())
    assert fast == orjson.loads(replayed(*asked, since=9000).output)
    fired = {one["labels"]["alertname"] for one in fast["firings"]}
    assert fired >= {"High", "Late", "Always", "Recorded", "Mixed", "Often"}
    assert list(fast["failures"]) == ["steady: Twice"]
