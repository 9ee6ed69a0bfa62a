"""The whole line on real servers: log lines into Elasticsearch exactly once, and a broken shop to messages and a shut gate.

Server and agent are the real commands in processes of their own; Elasticsearch and the mail server are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
import subprocess
import sys
import time
import urllib.error
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from examples.shop import inbox as inbox_
from examples.shop import processes
from tests.e2e import test_ship_elasticsearch as ship
from tidegate.logs.elasticsearch import templates
from tidegate.model import settings

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(240)]
PIECES = 20
SIZE = ship.PER_FORMAT // PIECES
RULES = {
    "log_metrics": [
        {
            "name": "shop_log_errors_total",
            "query": "service.name:shop and log.level:error",
            "labels": {"service": "shop", "environment": "production"},
        }
    ],
    "groups": [
        {
            "name": "shop",
            "interval": "1s",
            "rules": [
                {"record": "shop:log_errors:rate", "expr": "sum by (service) (rate(shop_log_errors_total[8s]))"},
                {
                    "alert": "ShopErrors",
                    "expr": 'sum by (service, environment) (rate(http_requests_total{code=~"5.."}[8s]))'
                    " / sum by (service, environment) (rate(http_requests_total[8s])) > 0.05",
                    "for": "2s",
                    "labels": {"severity": "critical"},
                    "annotations": {
                        "summary": "{{ $labels.service }}: {{ $value | humanizePercentage }} of requests fail"
                    },
                },
            ],
        }
    ],
}


class World:
    """All processes of the story."""

    def __init__(self, folder: pathlib.Path, elasticsearch: str, inbox: inbox_.Inbox) -> None:
        self.folder = folder
        self.page, self.agent_port, self.shop = (processes.free_port() for _ in range(3))
        self.dataset = f"line{uuid.uuid4().hex[:8]}"
        (folder / "rules.yaml").write_text(yaml.safe_dump(RULES))
        self.server_settings = self._write("server.yaml", self._server(elasticsearch, inbox))
        self.agent_settings = self._write("agent.yaml", self._agent(elasticsearch))
        self.log = (folder / "log").open("ab")
        self.inbox = inbox

    def _write(self, name: str, value: dict[str, Any]) -> pathlib.Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(value, sort_keys=False))
        return path

    def _server(self, elasticsearch: str, inbox: inbox_.Inbox) -> dict[str, Any]:
        shop = {"targets": [f"127.0.0.1:{self.shop}"], "labels": {"service": "shop", "environment": "production"}}
        return {
            "data_dir": "server",
            "web": {"listen": f"127.0.0.1:{self.page}"},
            "scrape": {
                "interval": "1s",
                "timeout": "900ms",
                "jobs": [
                    {"job_name": "shop", "static_configs": [shop]},
                    {"job_name": "agent", "static_configs": [{"targets": [f"127.0.0.1:{self.agent_port}"]}]},
                ],
            },
            "rules": {"files": ["rules.yaml"]},
            "logs": {"elasticsearch": {"urls": [elasticsearch]}},
            "alerts": {
                "global": {
                    "slack_api_url": inbox.slack_url,
                    "smtp_smarthost": inbox.mail_address,
                    "smtp_from": "tidegate@shop.example",
                    "smtp_require_tls": False,
                },
                "route": {"receiver": "team", "group_by": ["service"], "group_wait": "1s", "group_interval": "2s"},
                "receivers": [
                    {
                        "name": "team",
                        "slack_configs": [{"channel": "#shop"}],
                        "email_configs": [{"to": "on-call@shop.example"}],
                    }
                ],
            },
            "gate": {"default_environment": "production", "environments": {"production": {"max_age": "10s"}}},
        }

    def _agent(self, elasticsearch: str) -> dict[str, Any]:
        inputs = [{"paths": [f"{form}/*.log"], "dataset": f"{self.dataset}.{form}"} for form in ship.FORMATS]
        inputs.append({"paths": ["shop/*.log"], "dataset": f"shop{self.dataset}", "service": "shop"})
        sink = {"urls": [elasticsearch], "bulk_bytes": 400_000, "bulk_delay": "200ms"}
        return {
            "data_dir": "agent",
            "web": {"listen": f"127.0.0.1:{self.agent_port}"},
            "rules": {"files": ["rules.yaml"]},
            "logs": {"inputs": inputs, "elasticsearch": sink, "poll_interval": "100ms"},
        }

    def start(self, command: str, config: pathlib.Path) -> subprocess.Popen[bytes]:
        """Run one of our commands."""
        arguments = [sys.executable, "-m", "tidegate", command, "--config", str(config)]
        return subprocess.Popen(arguments, cwd=processes.ROOT, stdout=self.log, stderr=self.log)

    def start_agent(self) -> None:
        self.agent = self.start("agent", self.agent_settings)

    def kill_agent(self) -> None:
        self.agent.kill()
        self.agent.wait()

    def until(self, what: str, happened: Callable[[], Any], patience: float = 30) -> Any:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if found := happened():
                return found
            time.sleep(0.1)
        raise AssertionError(f"did not happen: {what}\n{(self.folder / 'log').read_text()[-3000:]}")

    def ask(self, path: str) -> tuple[int, Any]:
        return processes.get(f"http://127.0.0.1:{self.page}{path}")

    def gate(self) -> str:
        _, body = self.ask("/v1/gate/production/shop?version=1.1.0")
        return str(body["verdict"]) if isinstance(body, dict) else ""

    def tell_shop(self, path: str) -> None:
        assert processes.get(f"http://127.0.0.1:{self.shop}{path}")[0] == 200


@pytest.fixture
def world(tmp_path: pathlib.Path, elasticsearch_url: str) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        inbox = stack.enter_context(inbox_.open_inbox())
        one = World(tmp_path, elasticsearch_url, inbox)
        stack.callback(one.log.close)
        asyncio.run(templates.install(settings.Elasticsearch(urls=(elasticsearch_url,)), dry_run=False))
        stack.enter_context(processes.running(processes.shop(one.shop, tmp_path / "shop")))
        server = one.start("server", one.server_settings)
        stack.callback(processes.stop, [server])
        one.start_agent()
        stack.callback(lambda: processes.stop([one.agent]))
        yield one


def write_lines(world: World, url: str) -> None:
    """100,000 lines in four formats; the files rotate three times; the agent is killed twice."""
    for form in ship.FORMATS:
        (world.folder / form).mkdir()
    for piece in range(PIECES):
        for form in ship.FORMATS:
            with (world.folder / form / "app.log").open("ab") as file:
                file.writelines(ship.line(form, number) for number in range(piece * SIZE, (piece + 1) * SIZE))
        if piece == 0:
            wait_for_lines(world, url, SIZE)
        if piece in (4, 9, 14):
            for form in ship.FORMATS:
                (world.folder / form / "app.log").rename(world.folder / form / f"app.log.{piece}")
        if piece in (6, 12):
            wait_for_lines(world, url, piece * SIZE * len(ship.FORMATS))
            world.kill_agent()
        if piece in (7, 13):
            world.start_agent()


def count(world: World, url: str) -> int:
    """Documents of the four formats; 0 while a new data stream has no shard yet."""
    try:
        return ship.count(url, world.dataset)
    except urllib.error.HTTPError as error:
        with error:
            return 0


def wait_for_lines(world: World, url: str, least: int) -> None:
    world.until(f"{least} lines in Elasticsearch", lambda: count(world, url) >= least, 60)


def test_from_a_line_and_a_sample_to_a_message_and_a_shut_gate(world: World, elasticsearch_url: str) -> None:
    inbox = world.inbox
    world.until("the server is ready", lambda: world.ask("/-/ready")[0] == 200)
    world.until("the gate says allow", lambda: world.gate() == "allow")

    write_lines(world, elasticsearch_url)
    world.until("every line in Elasticsearch", lambda: count(world, elasticsearch_url) >= ship.PER_FORMAT * 4, 60)
    assert count(world, elasticsearch_url) == ship.PER_FORMAT * 4
    for form in ship.FORMATS:
        got = ship.messages(elasticsearch_url, world.dataset, form)
        assert len(got) == ship.PER_FORMAT
        assert {text.partition("seq=")[2] for text in got} == {f"{form}-{number}" for number in range(ship.PER_FORMAT)}
    assert inbox.slack == []

    world.tell_shop("/break?what=errors")
    world.until("the gate says deny", lambda: world.gate() == "deny")
    world.until("Slack and the mail are told", lambda: inbox.slack and inbox.mails)
    code, rate = world.ask("/api/v1/query?query=shop:log_errors:rate")
    assert code == 200
    assert float(rate["data"]["result"][0]["value"][1]) > 0
    message = json.dumps(inbox.slack[0])
    assert "ShopErrors" in message
    assert "payment refused" in message, "the lines behind the alert come with it"
    assert (len(inbox.slack), len(inbox.mails)) == (1, 1)

    world.tell_shop("/repair")
    world.until("both are told that it is over", lambda: len(inbox.slack) > 1 and len(inbox.mails) > 1, 40)
    world.until("the gate says allow again", lambda: world.gate() == "allow")
    assert (len(inbox.slack), len(inbox.mails)) == (2, 2)
    assert "resolved" in json.dumps(inbox.slack[1]).lower()
    assert not (world.folder / "agent/logs/dead-letters.jsonl").exists()
