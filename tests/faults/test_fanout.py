"""Elasticsearch and other outputs at once: each has every line, and what one has stored is not sent to it again."""

from __future__ import annotations

import asyncio
import pathlib

import orjson
import pytest

from tests.faults import fake, fronts, outrig, peers
from tidegate.kit import telemetry
from tidegate.logs.elasticsearch import bulk
from tidegate.logs.local_store import local
from tidegate.model import settings


class Index:
    """The messages in a fake Elasticsearch."""

    def __init__(self, server: fake.Elasticsearch) -> None:
        self._server = server

    @property
    def texts(self) -> list[str]:
        return [each["message"] for each in self._server.documents()]


class Lines:
    """The messages in a file."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    @property
    def texts(self) -> list[str]:
        rows = self._path.read_bytes().rpartition(b"\n")[0].splitlines() if self._path.exists() else []
        return [orjson.loads(row)["message"] for row in rows]


def index(server: fake.Elasticsearch) -> bulk.ElasticsearchOutput:
    config = settings.Elasticsearch.model_validate({"urls": ["http://fake:9200"]})
    return bulk.ElasticsearchOutput(config, outrig.Hurried(), telemetry.Registry(), node_class=fronts.node(server))


async def test_one_is_away_and_the_other_gets_each_line_once(tmp_path: pathlib.Path) -> None:
    server, peer, away = fake.Elasticsearch(), peers.Logstash(), [True]
    peer.whole.append(lambda _: fake.Answer(503, b"") if away[0] else None)
    async with fronts.http(peer) as url:
        given = {"logstash": {"url": url}, "file": {"path": "out.json"}, "elasticsearch": {"bulk_bytes": 20_000}}
        async with outrig.running(tmp_path, given, [index(server)]) as it:
            it.write(range(20_000))
            await it.until(lambda: len(server.documents()) > 100)
            await it.until(lambda: "HTTP 503" in dict(it.agent._outputs.errors())["logstash"])
            await asyncio.sleep(0.3)
            held = len(server.documents())
            assert held < 20_000  # the files are the spool, for all of them
            assert it.agent.streams()[0].lag_bytes > 0
            status = {each.name: each.error for each in it.agent.streams() if each.kind == "output"}
            assert set(status) == {"elasticsearch", "logstash", "file"}
            assert status["elasticsearch"] == status["file"] == ""
            await it.until(lambda: it.metric("output_error", output="logstash") == 1)
            assert it.metric("output_error", output="elasticsearch") == 0
            assert it.metric("shipped_total") == 0  # nothing is done with before all have it
            away[0] = False
            await it.stored(peer)
            await it.until(lambda: it.metric("output_error", output="logstash") == 0)
            for target in (Index(server), peer, Lines(tmp_path / "out.json")):
                assert it.verdict(target) == outrig.Verdict(0, 0, 0)
            assert max(server.sent.values()) == 1
            assert it.metric("shipped_total") == 20_000
            assert it.metric("file_repeated_total") == 0


async def test_killed_while_one_is_away(tmp_path: pathlib.Path) -> None:
    server, peer, away = fake.Elasticsearch(), peers.Logstash(), [True]
    peer.whole.append(lambda _: fake.Answer(503, b"") if away[0] else None)
    async with fronts.http(peer) as url:
        given = {"logstash": {"url": url}, "file": {"path": "out.json"}, "elasticsearch": {"bulk_bytes": 20_000}}
        async with outrig.running(tmp_path, given, [index(server)]) as it:
            it.write(range(1000))
            for _ in range(4):
                await it.until(lambda: len(Lines(tmp_path / "out.json").texts) > 100)
                await it.kill()
                it._extra = (index(server),)
                it.start()
            away[0] = False
            await it.stored(peer)
            for target in (Index(server), peer, Lines(tmp_path / "out.json")):
                assert it.verdict(target) == outrig.Verdict(0, 0, 0)
            assert it.metric("file_repeated_total") > 0


async def test_what_one_refuses_the_others_have(tmp_path: pathlib.Path) -> None:
    server, peer = fake.Elasticsearch(), peers.Logstash()
    server.item.append(
        fake.refuse_items(400, "document_parsing_exception", lambda each: each["message"].endswith("-7"))
    )
    peer.poison = "-9"
    async with fronts.http(peer) as url, outrig.running(tmp_path, {"logstash": {"url": url}}, [index(server)]) as it:
        it.write(range(20))
        await it.until(lambda: it.metric("dead_letters_total") == 2)
        rows = map(orjson.loads, (it.data / "logs/dead-letters.jsonl").read_bytes().splitlines())
        found = {(row["output"], row["document"]["message"].rpartition("-")[2]) for row in rows}
        assert found == {("elasticsearch", "7"), ("logstash", "9")}
        assert "seq=app.log-9" in Index(server).texts
        assert "seq=app.log-7" in peer.texts
        assert it.metric("shipped_total") == 18


async def test_beside_the_embedded_store(tmp_path: pathlib.Path) -> None:
    peer, time = peers.Otlp(), outrig.Hurried()
    store = local.LocalStore(tmp_path / "store", 86400.0, 2**30, time, telemetry.Registry())
    async with fronts.http(peer) as url, outrig.running(tmp_path, {"otlp": {"url": f"{url}/v1/logs"}}, [store]) as it:
        it.write(range(100))
        await it.stored(peer)
        page = await store.search("", start=0.0, end=time.now() + 60, limit=200)
        assert page.total == 100


@pytest.mark.parametrize("grace", [0.0, 2.0])
async def test_stopped_while_one_is_away(tmp_path: pathlib.Path, grace: float) -> None:
    peer, away = peers.Logstash(), [True]
    peer.whole.append(lambda _: fake.Answer(0, b"", cut=True) if away[0] else None)
    async with fronts.http(peer) as url:
        given = {"logstash": {"url": url}, "file": {"path": "out.json"}}
        async with outrig.running(tmp_path, given) as it:
            it.write(range(300))
            await it.until(lambda: len(Lines(tmp_path / "out.json").texts) > 0)
            await it.stop(grace)
            away[0] = False
            it.start()
            await it.stored(peer)
            for target in (peer, Lines(tmp_path / "out.json")):
                assert it.verdict(target) == outrig.Verdict(0, 0, 0)


async def test_metrics_go_on_while_reading_waits(tmp_path: pathlib.Path) -> None:
    peer = peers.Logstash()
    peer.whole.append(lambda _: fake.Answer(503, b""))
    async with fronts.http(peer) as url:
        given = {"logstash": {"url": url}, "elasticsearch": {"bulk_bytes": 20_000}, "poll_interval": 50}
        async with outrig.running(tmp_path, given) as it:
            it.write(range(20_000))
            await it.until(lambda: it.metric("output_error", output="logstash") == 1)
            before = it.metric("lag_seconds", dataset="generic")
            await it.until(lambda: it.metric("lag_seconds", dataset="generic") > before)
