"""Rules over history: from a file, and from a real Prometheus that holds the same samples."""

from __future__ import annotations

import os
import pathlib

import orjson
import pytest
from click import testing

from tests.services import cache, prometheus
from tidegate import cli

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


def replayed(*arguments: str) -> testing.Result:
    span = ["--from", str(START + 3000), "--to", str(START + 180 * 60)]
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
