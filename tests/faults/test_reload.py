"""Configuration that changes under load, through a whole agent's own reload: prints lost, doubled, counted."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import orjson
import pytest

from tests.faults import fake, fronts, oracle
from tests.logs.inputs import peers
from tidegate import agent, reloads
from tidegate.model import problems, settings

TURNS = 100
TOKENS = ("Bearer one", "Bearer two")


class Whole(oracle.Oracle):
    """An agent with its settings file, in this process, before a strict Elasticsearch."""

    def __init__(self, folder: pathlib.Path, url: str, server: fake.Elasticsearch) -> None:
        super().__init__(folder)
        self.server = server
        self.port = peers.free_port()
        self._url = url
        self._web = peers.free_port()
        self.path = folder / "tidegate.yaml"
        self.settings(0)
        self.agent = agent.Agent(self.path, {})

    def settings(self, turn: int, **more: Any) -> None:
        """Write the settings of a turn: every part of `logs` that a reload takes is another one each time."""
        files = {
            "paths": ["*.log"],
            "dataset": "a" if turn % 2 else "b",
            "labels": {"turn": str(turn)},
            "multiline": {"flush_after": "50ms"},
            "redact_patterns": {"word": f"hush{turn}"},
        }
        received = {
            "listen": f"127.0.0.1:{self.port}",
            "labels": {"turn": str(turn)},
            "token": TOKENS[turn // 10 % 2][7:],
        }
        receive = {"http": {"in": received}, **({"otlp": {"more": {"listen": "127.0.0.1:0"}}} if turn % 3 else {})}
        elasticsearch = {"urls": [self._url], "bulk_delay": "20ms", "api_key": f"key{turn}"}
        logs = {"inputs": [files], "receive": receive, "elasticsearch": elasticsearch, "poll_interval": "20ms", **more}
        given = {"data_dir": "data", "web": {"listen": f"127.0.0.1:{self._web}"}, "logs": logs}
        self.path.write_bytes(orjson.dumps(given))  # JSON is YAML

    def documents(self) -> Iterable[Mapping[str, Any]]:
        return self.server.documents()

    def doubled_sent(self) -> int:
        return sum(count - 1 for count in self.server.sent.values())

    def metric(self, name: str, **labels: str) -> float:
        """One of the agent's own metrics."""
        return self.agent.registry.get_sample_value(f"tidegate_logs_{name}", labels) or 0.0

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        for _ in range(3000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"not so: {self.verdict()}")

    async def stored(self) -> None:
        """Wait until every line that was written is stored."""
        await self.until(lambda: self.written <= self.names().keys())


@contextlib.asynccontextmanager
async def running(folder: pathlib.Path) -> AsyncIterator[Whole]:
    """An agent that runs, and is stopped at the end."""
    server, stop = fake.Elasticsearch(), asyncio.Event()
    async with fronts.http(server) as url:
        it = Whole(folder, url, server)
        task = asyncio.create_task(it.agent.run(stop, lambda _: None))
        try:
            yield it
        finally:
            stop.set()
            await task


async def sending(it: Whole, stop: asyncio.Event) -> None:
    """Send lines over HTTP until told to stop, each until it is acknowledged, under the one token or the other."""
    number = 0
    while not stop.is_set():
        body, names = peers.numbered(range(5), f"s{number}")
        it.written |= names
        while not await _acknowledged(it, body):
            await asyncio.sleep(0.005)
        number += 1


async def _acknowledged(it: Whole, body: bytes) -> bool:
    for token in TOKENS:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if (await peers.request(("127.0.0.1", it.port), body, headers={"authorization": token}))[0] == 200:
                return True
    return False


async def test_a_whole_configuration_changes_a_hundred_times_under_load(tmp_path: pathlib.Path) -> None:
    async with running(tmp_path) as it:
        stop = asyncio.Event()
        sender = asyncio.create_task(sending(it, stop))
        for turn in range(1, TURNS + 1):
            it.write("app.log", range(turn * 20, turn * 20 + 20), form="json")
            if turn % 25 == 0:  # a rotation in the middle of it
                (tmp_path / "app.log").rename(tmp_path / f"app.log.{turn}")
            it.settings(turn)
            await it.agent.reload()
            if turn == 1:
                await it.until(lambda: bool(it.server.documents()))
        assert it.agent.plan.settings.logs.inputs[0].labels == {"turn": str(TURNS)}
        stop.set()
        await sender
        await it.stored()
        sent = {name for name in it.written if name.startswith("s")}
        assert it.metric("input_received_total", input="http-in") == len(sent)  # nobody had to send again
        assert it.server.requests[-1].headers["authorization"] == f"ApiKey key{TURNS}"
        assert {each["labels"]["turn"] for each in it.documents()} >= {"1", str(TURNS)}
        it.judge("configuration changed 100 times under load", 0, "")
        assert it.server.wrongs == []


async def test_a_configuration_that_is_refused_changes_nothing(tmp_path: pathlib.Path) -> None:
    async with running(tmp_path) as it:
        it.write("app.log", range(10), form="json")
        await it.stored()
        before = it.agent.plan
        for wrong in (
            {"inputs": [{"paths": ["*"], "dataset": "Not-Good"}]},
            {"inputs": [{"paths": ["*"], "redact_patterns": {"bad": "("}}]},
            {"receive": {"http": {"in": {"listen": "0.0.0.0:1"}}}},
            {"receive": {"http": {"in": {"dataset": "Not-Good"}}}},
        ):
            it.settings(1, **wrong)
            with pytest.raises(problems.ConfigError) as caught:
                await it.agent.reload()
            assert all(each.line for each in caught.value.problems)
            assert it.agent.plan is before
            assert good(it) == 0
        it.write("app.log", range(10, 20), form="json")
        await it.stored()
        assert {each["labels"]["turn"] for each in it.documents()} == {"0"}
        it.settings(0)
        await it.agent.reload()
        assert good(it) == 1
        assert it.agent.registry.get_sample_value("tidegate_config_reloads_total", {"outcome": "refused"}) == 4
        it.judge("configuration refused", 0, "")


def good(it: Whole) -> float | None:
    return it.agent.registry.get_sample_value("tidegate_config_last_reload_successful")


def test_what_needs_a_restart_is_named() -> None:
    def given(**logs: Any) -> settings.Settings:
        return settings.Settings.model_validate({"logs": logs})

    before = given(elasticsearch={"urls": ["http://a"]}, inputs=[{"paths": ["a"]}])
    after = given(
        elasticsearch={"urls": ["http://b"], "bulk_bytes": 5000},
        inputs=[{"paths": ["b"]}],
        receive={"http": {"in": {}}},
        logstash={"url": "http://c"},
        poll_interval="1s",
    )
    assert reloads.process(before, before) == []
    assert reloads.process(before, after) == ["logs.logstash", "logs.poll_interval", "logs.elasticsearch.bulk_bytes"]
    assert reloads.process(before, settings.Settings(data_dir="x")) == [
        "data_dir",
    ]
