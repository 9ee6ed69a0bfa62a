"""What the network does, over real sockets: each case prints lost, doubled-sent, doubled-stored, counted."""

from __future__ import annotations

import asyncio
import pathlib

from tests.faults import fake, fronts, process, rig
from tidegate.kit import clock, telemetry
from tidegate.logs.elasticsearch import bulk
from tidegate.model import settings


class Wire(rig.Rig):
    """A shipper that talks HTTP."""

    def __init__(self, folder: pathlib.Path, urls: list[str], **elasticsearch: object) -> None:
        super().__init__(folder, elasticsearch={"urls": urls, **elasticsearch})

    def make_output(self) -> bulk.ElasticsearchOutput:
        """Over real sockets."""
        return bulk.ElasticsearchOutput(self.config.elasticsearch, self.time, self.registry)


async def test_half_open_and_another_node(tmp_path: pathlib.Path) -> None:
    """One node takes connections and never answers; what was sent to it goes to the other."""
    async with fronts.http(fake.Elasticsearch(), answers=False) as dead:
        it = Wire(tmp_path, [dead], timeout=0.2, bulk_bytes=10_000)
        async with fronts.http(it.server) as good:
            both = {"urls": (dead, good)}
            it.config = it.config.model_copy(update={"elasticsearch": it.config.elasticsearch.model_copy(update=both)})
            it.write("app.log", range(2000))
            it.start()
            await it.stored()
            it.report("half-open connections and another node", by="elasticsearch_retried_total")
            await it.stop()


async def test_connections_refused(tmp_path: pathlib.Path) -> None:
    port = process.free_port()
    it = Wire(tmp_path, [f"http://127.0.0.1:{port}"])
    it.write("app.log", range(500))
    it.start()
    await it.until(lambda: it.counted("elasticsearch_requests_total") >= 2)
    async with fronts.http(it.server, port=port):
        await it.stored()
        it.report("connections refused", by="elasticsearch_retried_total")
        assert it.counted("elasticsearch_rolled_over_total") == 0
        await it.stop()


async def test_requests_taken_byte_by_byte(tmp_path: pathlib.Path) -> None:
    """A slow taker is waited for while it moves; the request is given up in the end, and sent again to one that is quicker."""
    server = fake.Elasticsearch()
    slow = [True]
    async with fronts.http(server, dribble=lambda: slow[0]) as url:
        it = Wire(tmp_path, [url], timeout=0.5, compress=False)
        it.server = server
        it.write("app.log", range(200))
        it.start()
        await it.until(lambda: it.metric("elasticsearch_requests_total", outcome="timeout") >= 1)
        slow[0] = False
        await it.stored()
        it.report("requests taken byte by byte", by="elasticsearch_retried_total")
        await it.stop()


async def test_what_is_refused_at_the_door_was_never_sent(tmp_path: pathlib.Path) -> None:
    """A connection that was not made cannot have stored anything: no double is suspected."""
    config = settings.Elasticsearch(urls=(f"http://127.0.0.1:{process.free_port()}",), timeout=1.0)
    registry = telemetry.Registry()
    out = bulk.ElasticsearchOutput(config, clock.SystemClock(), registry)
    tries = bulk._Tries(rig.batch(1), [0], None)
    answer = await asyncio.wait_for(out._request(tries), 10)
    await out.close()
    assert (answer.status, answer.unknown) == (0, False)
