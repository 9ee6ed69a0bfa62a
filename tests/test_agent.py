"""The agent process: where it ships to, and what it says without a destination."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
import sys

import pytest

from tests.faults import fronts, outrig, peers
from tidegate import agent
from tidegate.kit import telemetry
from tidegate.model import problems


def config(folder: pathlib.Path, outputs: str) -> pathlib.Path:
    path = folder / "tidegate.yaml"
    path.write_text(
        "data_dir: data\nweb: {listen: '127.0.0.1:0'}\n"
        f"logs:\n  inputs: [{{paths: ['*.log']}}]\n  poll_interval: 50ms\n{outputs}"
    )
    return path


async def test_ships_to_outputs_without_elasticsearch(tmp_path: pathlib.Path) -> None:
    peer = peers.Otlp()
    (tmp_path / "app.log").write_text("".join(f'{{"msg":"seq={n}"}}\n' for n in range(20)))
    async with fronts.http(peer) as url:
        path = config(tmp_path, f"  otlp: {{url: '{url}/v1/logs'}}\n  file: {{path: out/lines.json}}\n")
        said: list[str] = []
        stop = asyncio.Event()
        running = asyncio.create_task(agent.run(path, {}, stop, said.append))
        for _ in range(1000):
            if len(peer.texts) == 20:
                break
            await asyncio.sleep(0.01)
        stop.set()
        await running
    assert sorted(outrig.names(peer).values()) == [1] * 20
    assert (tmp_path / "out/lines.json").read_bytes().count(b"\n") == 20
    assert said[0].endswith("agent: *.log to otlp, file")


def test_an_agent_without_a_destination_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(problems.ConfigError) as caught:
        agent.Agent(config(tmp_path, ""), {})
    assert [each.code for each in caught.value.problems] == ["logs-no-output"]


async def seen(path: pathlib.Path, value: str) -> dict[str, str]:
    """Run an agent until a log rule has seen a value; the series of all values, and when each was seen first."""
    one = agent.Agent(path, {})
    stop = asyncio.Event()
    running = asyncio.create_task(one.run(stop, lambda _: None))
    found: dict[str, str] = {}
    for _ in range(1000):
        lines = telemetry.exposition(one.registry).decode().splitlines()
        found = dict(line.rsplit(" ", 1) for line in lines if line.startswith("log_rule:User:first_seen"))
        if any(f'value="{value}"' in series for series in found):
            break
        await asyncio.sleep(0.01)
    stop.set()
    await running
    return found


async def test_what_a_log_rule_knows_outlives_the_agent(tmp_path: pathlib.Path) -> None:
    path = config(tmp_path, "  file: {path: out/lines.json}\nrules: {files: [rules.yaml]}\n")
    (tmp_path / "rules.yaml").write_text("log_rules: [{alert: User, new_value: {field: user.name}}]")
    log = tmp_path / "app.log"
    log.write_text('{"user.name":"ann"}\n')
    first = await seen(path, "ann")
    assert len(first) == 1
    with log.open("a") as file:
        file.write('{"user.name":"ann"}\n{"user.name":"bob"}\n')
    second = await seen(path, "bob")
    assert len(second) == 2
    assert first.items() < second.items()


async def test_values_come_from_redacted_lines(tmp_path: pathlib.Path) -> None:
    path = config(tmp_path, "  file: {path: out/lines.json}\nrules: {files: [rules.yaml]}\n")
    path.write_text(path.read_text().replace("paths: ['*.log']", "paths: ['*.log'], redact: [email]"))
    (tmp_path / "rules.yaml").write_text("log_rules: [{alert: User, new_template: {label: value}}]")
    (tmp_path / "app.log").write_text('{"message":"cannot mail to ann@example.com"}\n')
    (series,) = await seen(path, "cannot mail to [redacted:email]")
    assert "ann@" not in series


def test_an_agent_loads_nothing_that_only_a_server_needs() -> None:
    """A node has many programs to feed: numpy alone is a fifth of what an agent would weigh."""
    program = "import sys, tidegate.cli.agent; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    server = (
        "tidegate.app",
        "tidegate.plan",
        "tidegate.metrics",
        "tidegate.alerts",
        "tidegate.gate",
        "tidegate.notify",
    )
    assert [name for name in ("numpy", "sqlalchemy", "jinja2", "gotpl", *server) if name in loaded] == []
