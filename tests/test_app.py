"""The process as a whole, in this very loop: starts, reloads, refuses what is wrong, and stops in time."""

from __future__ import annotations

import asyncio
import pathlib

import pytest

from examples.shop import processes
from tidegate import app as app_
from tidegate.kit import telemetry
from tidegate.model import problems

SETTINGS = """\
data_dir: data
web: {{listen: "127.0.0.1:{port}"}}
scrape:
  interval: 1s
  timeout: 900ms
  jobs: [{{job_name: self, static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{service: self}}}}]}}]
rules: {{files: [rules.yaml], evaluation_interval: 1s}}
"""
RULES = "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: vector(1), labels: {service: self}}]}]"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "t.yaml").write_text(SETTINGS.format(port=processes.free_port()))
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path


async def until(happened: object) -> None:
    async with asyncio.timeout(20):
        while not happened():  # type: ignore[operator]
            await asyncio.sleep(0.05)


async def test_a_life(folder: pathlib.Path) -> None:
    app = app_.App(folder / "t.yaml", {}, embedded=True)
    stop = asyncio.Event()
    said: list[str] = []
    running = asyncio.create_task(app.run(stop, said.append))
    await until(lambda: app.rules.groups() and not app._missing())
    assert "scrapes   self" in said[0]
    await until(lambda: app.gate.ask("default", "self").verdict == "deny")
    assert [alert.state for alert in app.book.all()] == ["firing"]

    (folder / "rules.yaml").write_text(RULES.replace("vector(1)", "rate(x)"))
    with pytest.raises(problems.ConfigError):
        await app.reload()
    metrics = telemetry.exposition(app.registry).decode()
    assert "tidegate_config_last_reload_successful 0.0" in metrics
    assert app.gate.ask("default", "self").verdict == "deny", "the old rules stay"

    (folder / "rules.yaml").write_text(RULES.replace("vector(1)", "vector(1) > 2"))
    await app.reload()
    await until(lambda: app.gate.ask("default", "self").verdict == "allow")
    assert "tidegate_config_last_reload_successful 1.0" in telemetry.exposition(app.registry).decode()

    loop = asyncio.get_running_loop()
    started = loop.time()
    stop.set()
    await asyncio.wait_for(running, 5)
    assert loop.time() - started < 5


async def test_what_is_wrong_is_said_before_anything_starts(folder: pathlib.Path) -> None:
    (folder / "rules.yaml").write_text("groups: [{nam: g}]")
    with pytest.raises(problems.ConfigError) as caught:
        app_.App(folder / "t.yaml", {}, embedded=True)
    assert [problem.code for problem in caught.value.problems] == ["rule-unknown-field"]


async def test_an_address_that_is_taken_is_fatal(folder: pathlib.Path) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    (folder / "t.yaml").write_text(SETTINGS.format(port=port))
    with pytest.raises(problems.FatalError, match="cannot listen"):
        app_.App(folder / "t.yaml", {}, embedded=True)
    taken.close()
