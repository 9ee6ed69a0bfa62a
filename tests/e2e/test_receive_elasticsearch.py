"""Lines that are sent to us, to a real Elasticsearch: each once, over a kill, and with the types that searches need."""

from __future__ import annotations

import asyncio
import json
import pathlib
import sys
import time
import uuid
from collections.abc import Mapping

import pytest

from tests.logs.inputs import peers
from tests.services import elasticsearch
from tidegate.logs.elasticsearch import templates
from tidegate.model import settings

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(150)]
ROOT = pathlib.Path(__file__).parents[2]
BATCHES, SIZE = 40, 250


async def start(folder: pathlib.Path) -> asyncio.subprocess.Process:
    with (folder / "agent.out").open("ab") as out:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.run_agent", str(folder / "agent.json")),
            cwd=ROOT,
            stdout=out,
            stderr=out,
        )


async def post(port: int, body: bytes) -> None:
    """Send until it is taken."""
    while True:
        try:
            status, _, _ = await peers.request(("127.0.0.1", port), body)
            if status == 200:
                return
        except ConnectionRefusedError:  # not there yet; anything else would leave the sender unsure
            pass
        await asyncio.sleep(0.05)


async def test_received_lines_are_stored_once_and_typed(elasticsearch_url: str, tmp_path: pathlib.Path) -> None:
    url, dataset = elasticsearch_url, f"recv{uuid.uuid4().hex[:8]}"
    await templates.install(settings.Elasticsearch(urls=(url,)), dry_run=False)
    http, tcp = peers.free_port(), peers.free_port()
    logs = {
        "receive": {
            "http": {"in": {"listen": f"127.0.0.1:{http}", "dataset": f"{dataset}.http"}},
            "syslog": {"in": {"listen": f"127.0.0.1:{tcp}", "dataset": f"{dataset}.syslog"}},
        },
        "elasticsearch": {"urls": [url], "bulk_bytes": 100_000, "bulk_delay": "100ms"},
        "poll_interval": "50ms",
    }
    given = {"data_dir": str(tmp_path / "data"), "folder": str(tmp_path), "logs": logs}
    (tmp_path / "agent.json").write_text(json.dumps(given))
    process = await start(tmp_path)
    try:
        for batch in range(BATCHES):
            if batch in (15, 30):
                process.kill()
                await process.wait()
                process = await start(tmp_path)
            body, _ = peers.numbered(range(batch * SIZE, (batch + 1) * SIZE))
            await post(http, body)
        _, writer = await asyncio.open_connection("127.0.0.1", tcp)
        writer.write(b'<165>1 2026-01-02T03:04:05Z web-1 cart 42 ID7 [a.b@1 c.d="x"][a@1 b="y"] seq=s-1\n')
        writer.close()
        await asyncio.to_thread(arrived, url, f"logs-{dataset}.http-default", BATCHES * SIZE)
        await asyncio.to_thread(arrived, url, f"logs-{dataset}.syslog-default", 1)
    finally:
        process.terminate()
        await process.wait()
    found = hits(url, f"logs-{dataset}.http-default", {"match_all": {}})
    assert found == BATCHES * SIZE
    stream = f"logs-{dataset}.syslog-default"
    for query in (
        {"term": {"log.syslog.hostname": "web-1"}},
        {"term": {"log.syslog.structured_data.a.b@1.c.d": "x"}},
        {"range": {"log.syslog.priority": {"gt": 99}}},
        {"term": {"process.pid": 42}},
        {"term": {"log.level": "notice"}},
    ):
        assert hits(url, stream, query) == 1, query
    assert not (tmp_path / "data/logs/dead-letters.jsonl").exists()


def hits(url: str, stream: str, query: Mapping[str, object]) -> int:
    elasticsearch.call("POST", f"{url}/{stream}/_refresh?ignore_unavailable=true")
    answer = elasticsearch.call("POST", f"{url}/{stream}/_count?ignore_unavailable=true", {"query": query})
    return int(str(answer["count"]))


def arrived(url: str, stream: str, least: int) -> None:
    deadline = time.monotonic() + 60
    while hits(url, stream, {"match_all": {}}) < least:
        assert time.monotonic() < deadline
        time.sleep(0.2)
