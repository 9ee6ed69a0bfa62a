"""Lines to a real Elasticsearch, each exactly once, whatever happens to the files and to the shipper."""

from __future__ import annotations

import asyncio
import datetime
import json
import pathlib
import subprocess
import sys
import time
import uuid

import pytest

from tests.services import elasticsearch
from tidegate.logs.elasticsearch import templates
from tidegate.model import settings

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(150)]
FORMATS = ("cri", "json", "logfmt", "plain")
PER_FORMAT = 25_000
START = datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def line(form: str, number: int) -> bytes:
    """One numbered line in a format."""
    at = (START + datetime.timedelta(milliseconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    name = f"{form}-{number}"
    texts = {
        "cri": f'{at} stdout F {{"level":"info","msg":"seq={name}","n":{number},"app":{{"name":"x"}}}}',
        "json": json.dumps({"ts": at, "level": "warn", "msg": f"seq={name}", "app": "y", "user": {"id": number}}),
        "logfmt": f'ts={at} level=info msg="seq={name}" path=/cart code=200',
        "plain": f"{at} INFO worker: seq={name}",
    }
    return texts[form].encode() + b"\n"


class Agent:
    """The shipper in a process of its own."""

    def __init__(self, folder: pathlib.Path, url: str, dataset: str) -> None:
        self._settings = folder / "agent.json"
        logs = {
            "inputs": [{"paths": [f"{form}/*.log"], "dataset": f"{dataset}.{form}"} for form in FORMATS],
            "elasticsearch": {"urls": [url], "bulk_bytes": 400_000, "bulk_delay": "200ms"},
            "poll_interval": "100ms",
        }
        given = {"data_dir": str(folder / "data"), "folder": str(folder), "logs": logs}
        self._settings.write_text(json.dumps(given))
        self._log = folder / "agent.out"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.run_agent", str(self._settings)],
                cwd=pathlib.Path(__file__).parents[2],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0, self._log.read_text()[-2000:]


def count(url: str, dataset: str) -> int:
    """Documents that can be searched."""
    target = f"{url}/logs-{dataset}.*-default"
    elasticsearch.call("POST", f"{target}/_refresh?ignore_unavailable=true")
    return int(str(elasticsearch.call("GET", f"{target}/_count?ignore_unavailable=true")["count"]))


def wait_for(url: str, dataset: str, least: int, patience: float) -> int:
    deadline = time.monotonic() + patience
    found = 0
    while time.monotonic() < deadline:
        found = count(url, dataset)
        if found >= least:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{found} of {least} documents after {patience} s")


def messages(url: str, dataset: str, form: str) -> list[str]:
    """The messages of one data stream, paged by time: numbers are milliseconds apart, so no page splits a duplicate."""
    found: list[str] = []
    step = 5_000
    for first in range(0, PER_FORMAT, step):
        low = START + datetime.timedelta(milliseconds=first)
        high = low + datetime.timedelta(milliseconds=step)
        body = {
            "size": 10_000,
            "_source": ["message"],
            "query": {"range": {"@timestamp": {"gte": low.isoformat(), "lt": high.isoformat()}}},
        }
        answer = elasticsearch.call("POST", f"{url}/logs-{dataset}.{form}-default/_search", body)
        hits = answer["hits"]["hits"]  # type: ignore[index]
        assert len(hits) < 10_000
        found.extend(hit["_source"]["message"] for hit in hits)
    return found


def test_each_line_exactly_once(elasticsearch_url: str, tmp_path: pathlib.Path) -> None:
    """100,000 lines in four formats; files rotate three times; the shipper is killed twice."""
    url, dataset = elasticsearch_url, f"e2e{uuid.uuid4().hex[:8]}"
    report = asyncio.run(templates.install(settings.Elasticsearch(urls=(url,)), dry_run=False))
    assert any(text.startswith("index template tidegate-logs: installed") for text in report)
    for form in FORMATS:
        (tmp_path / form).mkdir()
    agent = Agent(tmp_path, url, dataset)
    try:
        write_and_disturb(agent, tmp_path, url, dataset)
        found = wait_for(url, dataset, PER_FORMAT * len(FORMATS), 30)
        agent.terminate()
    finally:
        agent.kill()
    assert found == PER_FORMAT * len(FORMATS)
    assert count(url, dataset) == found
    for form in FORMATS:
        got = messages(url, dataset, form)
        assert len(got) == PER_FORMAT
        assert {text.partition("seq=")[2] for text in got} == {f"{form}-{number}" for number in range(PER_FORMAT)}
    assert not (tmp_path / "data/logs/dead-letters.jsonl").exists()


def write_and_disturb(agent: Agent, folder: pathlib.Path, url: str, dataset: str) -> None:
    """Write all lines as fast as it goes; rotate after pieces 4, 9 and 14, kill after 6 and 12."""
    pieces = 20
    size = PER_FORMAT // pieces
    for piece in range(pieces):
        for form in FORMATS:
            with (folder / form / "app.log").open("ab") as file:
                file.writelines(line(form, number) for number in range(piece * size, (piece + 1) * size))
        if piece == 0:  # it has to know a file to follow its rotations
            wait_for(url, dataset, size, 20)
        if piece in (4, 9, 14):  # the rotated file leaves the pattern
            for form in FORMATS:
                (folder / form / "app.log").rename(folder / form / f"app.log.{piece}")
        if piece in (6, 12):
            wait_for(url, dataset, piece * size * len(FORMATS), 30)
            agent.kill()
        if piece in (7, 13):  # one piece was written, and nobody looked
            agent.start()
