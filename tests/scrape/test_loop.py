"""Scraping real HTTP servers: what is stored when all is well, and when it is not."""

from __future__ import annotations

import asyncio
import gzip
import pathlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.support import samples
from tidegate.kit import clock, telemetry
from tidegate.metrics import store as store_
from tidegate.model import labels, targets
from tidegate.scrape import fetch, loop


class Peer:
    """A server that answers as a test says."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: dict[str, str] = {}
        self.status = 200
        self.seen: dict[str, str] = {}
        self.hang = False
        self.cut = False
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen = {name.title(): text for name, text in request.headers.items()}
        if self.hang:
            await asyncio.Event().wait()
        if self.cut:
            response = web.StreamResponse(headers={"content-length": "1000", "content-type": "text/plain"})
            await response.prepare(request)
            await response.write(b"a 1\n")
            assert request.transport is not None
            request.transport.close()
            return response
        return web.Response(body=self.body, status=self.status, headers={"content-type": "text/plain", **self.headers})


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    one = Peer()
    app = web.Application()
    app.router.add_get("/metrics", one.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.port = runner.addresses[0][1]
    yield one
    await runner.cleanup()


class World:
    """A store, a loop, and the registry."""

    def __init__(self, folder: pathlib.Path, peer: Peer, **more: object) -> None:
        self.registry = telemetry.Registry()
        self.store = store_.Store(folder, clock.SystemClock(), self.registry, series_limit=20)
        given = {"timeout": 5.0, **more}
        self.target = targets.Target(
            "shop",
            f"http://127.0.0.1:{peer.port}/metrics",
            labels.make(job="shop", instance="i"),
            **given,  # type: ignore[arg-type]
        )
        self.session = fetch.session()
        self.loop = loop.Loop(
            self.target,
            fetch.Fetcher(self.session, self.target, clock.SystemClock()).get,
            self.store,
            clock.SystemClock(),
            loop.Instruments(self.registry),
            None,
        )

    async def scrape(self, at: float) -> dict[str, list[tuple[int, float | str]]]:
        await self.loop.scrape(at)
        return samples.read(self.store)

    def failed(self, reason: str) -> float:
        return self.registry.get_sample_value("tidegate_scrape_failures_total", {"reason": reason}) or 0


@pytest.fixture
async def world(tmp_path: pathlib.Path, peer: Peer) -> AsyncIterator[World]:
    one = World(tmp_path, peer)
    yield one
    await one.session.close()


A = 'a{instance="i", job="shop"}'
UP = 'up{instance="i", job="shop"}'


async def test_samples_and_reports_share_the_ticks_time(world: World, peer: Peer) -> None:
    peer.body = b'a 1\nb{c="d",job="own"} 2\n'
    found = await world.scrape(10.0)
    assert found[A] == [(10000, 1)]
    assert found['b{c="d", exported_job="own", instance="i", job="shop"}'] == [(10000, 2)]
    assert found[UP] == [(10000, 1)]
    assert found['scrape_samples_scraped{instance="i", job="shop"}'] == [(10000, 2)]
    assert found['scrape_series_added{instance="i", job="shop"}'] == [(10000, 2)]
    assert world.loop.status.health == "up"
    assert "version=0.0.4" in peer.seen["Accept"]


async def test_a_series_that_vanishes_gets_a_stale_marker(world: World, peer: Peer) -> None:
    peer.body = b"a 1\nb 2\n"
    await world.scrape(10)
    peer.body = b"b 3\n"
    found = await world.scrape(20)
    assert found[A] == [(10000, 1), (20000, "stale")]


async def test_a_failed_scrape_makes_all_stale_and_up_zero(world: World, peer: Peer) -> None:
    peer.body = b"a 1\n"
    await world.scrape(10)
    peer.status = 500
    found = await world.scrape(20)
    assert found[A] == [(10000, 1), (20000, "stale")]
    assert found[UP] == [(10000, 1), (20000, 0)]
    assert world.loop.status.health == "down"
    assert "500" in world.loop.status.error
    peer.status = 200
    assert (await world.scrape(30))[A][-1] == (30000, 1)
    assert world.failed("status") == 1


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"body": b"a one\n"}, "parse"),
        ({"headers": {"content-type": "text/html"}, "body": b"a 1\n"}, "content_type"),
        ({"cut": True}, "connection"),
        ({"headers": {"content-encoding": "br"}}, "encoding"),
        ({"headers": {"content-encoding": "gzip"}, "body": gzip.compress(b"a 1\n" * 10)[:-9]}, "connection"),
        ({"headers": {"content-encoding": "gzip"}, "body": b"not gzip"}, "connection"),
        ({"body": b"a 1\n" * 30000}, "body_size_limit"),
        ({"headers": {"content-encoding": "gzip"}, "body": gzip.compress(b"\n" * 50_000_000)}, "body_size_limit"),
        ({"body": b"".join(b'a{i="%d"} 1\n' % n for n in range(6))}, "sample_limit"),
    ],
)
async def test_trouble_is_data(tmp_path: pathlib.Path, peer: Peer, trouble: dict[str, object], reason: str) -> None:
    world = World(tmp_path, peer, limits=targets.Limits(body=100_000, samples=5))
    for name, value in trouble.items():
        setattr(peer, name, value)
    found = await world.scrape(10)
    await world.session.close()
    assert found[UP] == [(10000, 0)]
    assert not any(name.startswith("a{") for name in found)
    assert world.failed(reason) == 1


async def test_a_target_that_does_not_answer_in_time_is_down(tmp_path: pathlib.Path, peer: Peer) -> None:
    world = World(tmp_path, peer, timeout=0.05)
    peer.hang = True
    found = await world.scrape(10)
    await world.session.close()
    assert found[UP] == [(10000, 0)]
    assert world.failed("timeout") == 1


async def test_nobody_listens(tmp_path: pathlib.Path) -> None:
    nobody = Peer()
    nobody.port = 1
    world = World(tmp_path, nobody)
    assert (await world.scrape(10))[UP] == [(10000, 0)]
    await world.session.close()
    assert world.failed("connection") == 1


async def test_gzip_is_unpacked(world: World, peer: Peer) -> None:
    peer.headers, peer.body = {"content-encoding": "gzip"}, gzip.compress(b"a 5\n" + b"# a comment\n" * 100_000)
    assert (await world.scrape(10))[A] == [(10000, 5)]


async def test_timestamps_of_the_exposition_are_used_once_each(world: World, peer: Peer) -> None:
    peer.body = b"a 1 5000\nb 7 6000\n"
    await world.scrape(10)
    await world.scrape(20)
    peer.body = b"a 2 15000\nb 7 6000\n"
    found = await world.scrape(30)
    assert found[A] == [(5000, 1), (15000, 2)]
    assert found['b{instance="i", job="shop"}'] == [(6000, 7)]


async def test_timestamps_can_be_ignored(tmp_path: pathlib.Path, peer: Peer) -> None:
    world = World(tmp_path, peer, honor_timestamps=False)
    peer.body = b"a 1 5000\n"
    found = await world.scrape(10)
    await world.session.close()
    assert found[A] == [(10000, 1)]


async def test_honor_labels_lets_the_exposition_win(tmp_path: pathlib.Path, peer: Peer) -> None:
    world = World(tmp_path, peer, honor_labels=True)
    peer.body = b'a{job="own"} 1\n'
    found = await world.scrape(10)
    await world.session.close()
    assert found['a{instance="i", job="own"}'] == [(10000, 1)]


async def test_a_full_store_fails_the_scrape_and_says_so(world: World, peer: Peer) -> None:
    peer.body = b"".join(b'a{i="%d"} 1\n' % number for number in range(30))
    found = await world.scrape(10)
    assert found[UP] == [(10000, 0)]
    assert "series_limit" in world.loop.status.error
    assert world.failed("series_limit") == 1


async def test_a_target_cannot_speak_in_our_name(world: World, peer: Peer) -> None:
    peer.body = b"up 7\n"
    assert (await world.scrape(10))[UP] == [(10000, 1)]


async def test_a_target_that_goes_away_leaves_stale_series(world: World, peer: Peer) -> None:
    peer.body = b"a 1\n"
    await world.scrape(10)
    world.loop.end(12.0)
    found = samples.read(world.store)
    assert found[A] == [(10000, 1), (12000, "stale")]
    assert found[UP] == [(10000, 1), (12000, "stale")]


OPENMETRICS = {"content-type": "application/openmetrics-text; version=1.0.0; charset=utf-8"}


async def test_openmetrics_is_asked_for_and_read(world: World, peer: Peer) -> None:
    peer.headers = OPENMETRICS
    peer.body = (
        b'# HELP a Some things.\n# TYPE a counter\n# UNIT b_seconds seconds\na_total 1 # {trace="t1"} 0.5\n'
        b'b_seconds 2 8.5 # {trace="t2"} 1\n# EOF\n'
    )
    found = await world.scrape(10)
    assert peer.seen["Accept"].startswith("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,")
    assert found['a_total{instance="i", job="shop"}'] == [(10000, 1)]
    assert found['b_seconds{instance="i", job="shop"}'] == [(8500, 2)]
    assert [(one.name, one.type, one.help, one.unit) for one in world.loop.families] == [
        ("a", "counter", "Some things.", ""),
        ("b_seconds", "unknown", "", "seconds"),
    ]
    kept = world.loop.exemplars.select(lambda _: True, 0, 20000)
    assert {
        labels.text(of): [(dict(one.labels), one.value, one.at_ms) for one in some] for of, some in kept.items()
    } == {
        'a_total{instance="i", job="shop"}': [({"trace": "t1"}, 0.5, 10000)],
        'b_seconds{instance="i", job="shop"}': [({"trace": "t2"}, 1, 8500)],
    }
    peer.body = b"a_total 1\n"
    await world.scrape(20)
    assert world.failed("parse") == 1
    assert "# EOF" in world.loop.status.error


@pytest.mark.parametrize("content_type", ["text/html", OPENMETRICS["content-type"]])
async def test_an_empty_answer_is_a_good_one(world: World, peer: Peer, content_type: str) -> None:
    peer.body = b"a 1\n"
    await world.scrape(10)
    peer.headers, peer.body = {"content-type": content_type}, b""
    found = await world.scrape(20)
    assert found[UP] == [(10000, 1), (20000, 1)]
    assert found[A] == [(10000, 1), (20000, "stale")]


async def test_timestamps_far_ahead_are_dropped_and_counted(world: World, peer: Peer) -> None:
    peer.headers = OPENMETRICS
    peer.body = b"a 1 99999\nb 1 1e300\nc 1 700\n# EOF\n"
    found = await world.scrape(100)
    assert [name for name in found if name[0] in "abc"] == ['c{instance="i", job="shop"}']
    assert world.registry.get_sample_value("tidegate_scrape_samples_dropped_total", {"reason": "out_of_bounds"}) == 2
