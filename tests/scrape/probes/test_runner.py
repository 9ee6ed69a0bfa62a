"""What becomes of a probe: an exposition with a note, a target that is up, and patience that ends."""

from __future__ import annotations

import asyncio
import pathlib
import re
import socket
from collections.abc import AsyncIterator

import hypothesis
import pytest
import yaml
from hypothesis import strategies

from tests.scrape.probes import peers, probing
from tidegate import schedule
from tidegate.discovery import manager as discovery
from tidegate.kit import clock, config, shown, tasks, telemetry
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine
from tidegate.model import probing as model
from tidegate.model import series
from tidegate.scrape import manager
from tidegate.scrape.probes import gauges

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
async def site() -> AsyncIterator[str]:
    async with peers.http() as place:
        yield place


async def test_a_failed_probe_is_a_good_scrape_with_a_note(site: str) -> None:
    got = await probing.probe(model.BUILT_IN["http_2xx"], f"{site}/status/503")
    assert got.note == "the probe failed: status 503 Service Unavailable"
    assert probing.values(got.body.decode())["probe_success"] == 0


@hypothesis.given(
    start=strategies.sampled_from(["", "http://", "https://", "http://127.0.0.1:1", "http://127.0.0.1/"]),
    rest=strategies.text(max_size=12),
    prober=strategies.sampled_from(["http", "tcp", "icmp"]),
)
def test_no_target_is_too_odd(start: str, rest: str, prober: str) -> None:
    """Whatever stands there: a probe that fails, and says why."""

    async def nobody(host: str) -> list[str]:
        raise OSError(f"there is no {host!r}")

    module = model.Module.model_validate({"prober": prober, "http": {"proxy_url": "http://127.0.0.1:1"}})
    found = asyncio.run(probing.probe(module, start + rest, timeout=1.0, lookup=nobody))
    assert found.note
    assert probing.values(found.body.decode())["probe_success"] == 0


async def test_patience_ends(site: str) -> None:
    """Nobody answers, and the name is never found."""

    async def never(host: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    found = await probing.probe(model.BUILT_IN["icmp"], "slow.example", timeout=0.1, lookup=never)
    assert found.note == "the probe failed: not done within 0.1 s"
    async with peers.tcp(peers.silent) as place:
        module = model.Module.model_validate({"prober": "http", "timeout": "100ms"})
        assert "not done within 0.1 s" in (await probing.probe(module, place)).note


async def test_a_body_beyond_all_limits_is_cut_off(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.scrape.probes.body.KEPT", 1000)
    module = model.Module.model_validate({"prober": "http", "http": {"fail_if_body_matches_regexp": ["y"]}})
    assert "longer than 1000 bytes" in (await probing.probe(module, f"{site}/large")).note


async def test_icmp_without_rights_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = socket.socket

    def refuse(*args: object) -> socket.socket:
        if args[2:] == (socket.IPPROTO_ICMP,):
            raise PermissionError(1, "Operation not permitted")
        return made(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("tidegate.scrape.probes.icmp.socket.socket", refuse)
    got = await probing.probe(model.BUILT_IN["icmp"], "127.0.0.1")
    assert got.note == (
        "the probe failed: may not ping: Operation not permitted; allow net.ipv4.ping_group_range or add CAP_NET_RAW"
    )


async def test_lines_and_bytes_in_one_packet() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"one\r\ntwo\nXYZ")
        await writer.drain()
        await reader.read()

    steps = [{"expect": "^one$"}, {"expect": "^two$"}, {"expect_bytes": "XY"}, {"expect_bytes": "Z"}]
    module = model.Module.model_validate({"prober": "tcp", "tcp": {"query_response": steps}})
    async with peers.tcp(talk) as place:
        assert (await probing.probe(module, place)).note == ""


async def test_a_line_that_never_ends() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    module = model.Module.model_validate({"prober": "tcp", "tcp": {"query_response": [{"expect": "y"}]}})
    async with peers.tcp(talk) as place:
        assert "a line is longer than 65536 bytes" in (await probing.probe(module, place)).note


async def test_secrets_stay_with_their_host(site: str) -> None:
    """A redirect to another host gets no credentials."""
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    module = model.Module.model_validate(
        {
            "prober": "http",
            "http": {"bearer_token": "topsecret", "headers": {"Cookie": "a=topsecret", "X-Other": "kept"}},
        }
    )
    async with peers.tcp(talk) as place:
        there = f"http://{place.replace('127.0.0.1', 'localhost')}/"
        assert (await probing.probe(module, f"{site}/scheme?to={there}")).note == ""
        assert (await probing.probe(module, place)).note == ""
    assert [b"topsecret" in one for one in seen] == [False, True]
    assert all(b"X-Other: kept" in one for one in seen)


async def test_a_job_that_probes(site: str, tmp_path: pathlib.Path) -> None:
    """From the settings to the store: series, `up`, the note, and the end of it all."""
    given = {
        "scrape": {
            "interval": "100ms",
            "timeout": "100ms",
            "jobs": [
                {
                    "job_name": "probe-shop",
                    "probe": "strict",
                    "static_configs": [{"targets": [f"{site}/", f"{site}/status/404"], "labels": {"service": "shop"}}],
                    "metric_relabel_configs": [
                        {"source_labels": ["__name__"], "regex": "probe_(success|http_status_code)", "action": "keep"}
                    ],
                }
            ],
        },
        "probes": {"modules": {"strict": {"prober": "http", "http": {"preferred_ip_protocol": "ip4"}}}},
    }
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(given))
    loaded = config.load(tmp_path / "t.yaml", {})
    time, registry = clock.SystemClock(), telemetry.Registry()
    found = await discovery.Discovery(loaded.settings.scrape, tmp_path, time, loaded.settings.probes).find()
    store = store_.Store(tmp_path / "samples", time, registry)
    ticks = schedule.Scheduler(time, registry)
    scraper = manager.ScrapeManager(store, ticks, time, registry, tasks.Supervisor(time, registry))
    ticks.start()
    scraper.set_targets(found)
    running = asyncio.create_task(scraper.run())
    async with asyncio.timeout(20):
        while not all(one.last_scrape for one in scraper.targets()) or not scraper.targets():
            await asyncio.sleep(0.01)
    vector = engine.Engine(store).prepare('{job="probe-shop",__name__!~"scrape_.*"}').instant(time.now())
    assert isinstance(vector, series.Vector)
    seen = {
        (dict(one)["__name__"], dict(one)["instance"]): value
        for one, value in zip(vector.labels, vector.values, strict=True)
    }
    assert seen == {
        ("up", f"{site}/"): 1,
        ("up", f"{site}/status/404"): 1,
        ("probe_success", f"{site}/"): 1,
        ("probe_success", f"{site}/status/404"): 0,
        ("probe_http_status_code", f"{site}/"): 200,
        ("probe_http_status_code", f"{site}/status/404"): 404,
    }
    status = {one.target.url: (one.health, one.error) for one in scraper.targets()}
    assert status == {
        f"probe:strict?target={site}/": ("up", ""),
        f"probe:strict?target={site}/status/404": ("up", "the probe failed: status 404 Not Found"),
    }
    await tasks.cancel(running)
    ticks.stop()
    store.close()


def test_the_rule_pack_and_the_page_know_all_names() -> None:
    page = (ROOT / "docs/probes.md").read_text()
    assert sorted(name for name in gauges.HELP if f"`{name}" not in page) == []
    used = set(re.findall(r"\bprobe_[a-z_]+", (ROOT / "rules/probes.yaml").read_text())) - {"probe_"}
    assert used
    assert used <= gauges.HELP.keys()


def test_the_example_of_the_page_is_good(tmp_path: pathlib.Path) -> None:
    example = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/probes.md").read_text(), re.DOTALL)[0]
    (tmp_path / "t.yaml").write_text(example)
    loaded = config.load(tmp_path / "t.yaml", {})
    assert discovery.check(loaded.settings.scrape, loaded.document, loaded.settings.probes) == []


def test_secrets_of_modules_are_not_shown(tmp_path: pathlib.Path) -> None:
    (tmp_path / "t.yaml").write_text(
        """
probes:
  modules:
    a: {prober: http, http: {body: hidden, headers: {Cookie: hidden}, basic_auth: {username: u, password: hidden}}}
    b: {prober: tcp, tcp: {query_response: [{send: hidden}, {expect_bytes: hidden}]}}
"""
    )
    text = shown.text(config.load(tmp_path / "t.yaml", {}).settings)
    assert "hidden" not in text
    assert text.count("<secret>") == 5
