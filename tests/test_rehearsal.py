"""A rehearsal says what the live stages do: messages and gates, on the same rules, samples and settings."""

from __future__ import annotations

import asyncio
import pathlib
import random
import threading

import numpy as np
import orjson
import pytest
from click import testing

from tests.alerts import world
from tests.alerts.conftest import state, url
from tests.support import ticks
from tidegate import cli
from tidegate.kit import tasks
from tidegate.logs import kql
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine as engine_
from tidegate.model import labels
from tidegate.rules import load
from tidegate.rules import manager as manager_

__all__ = ["state", "url"]
START = 1_700_000_000
FIRST = START + 40
MINUTES = 90
SERIES = {"service": "shop", "environment": "production", "job": "shop", "instance": "i"}
RULES = """
groups:
  - name: g
    interval: 1m
    rules:
      - {record: x:more, expr: x * 2}
      - {alert: High, expr: 'x:more > 10', for: 2m, labels: {severity: critical}, annotations: {summary: 'x is {{ $value }}'}}
      - {alert: Odd, expr: 'x % 2 == 1', keep_firing_for: 3m, labels: {severity: info}}
"""
ALERTS = """
alerts:
  route:
    receiver: a
    group_by: [severity]
    group_wait: 20s
    group_interval: 5m
    repeat_interval: 20m
    routes: [{receiver: b, matchers: ['alertname="Odd"']}]
  receivers:
    - {name: a, webhook_configs: [{url: 'http://a.example'}]}
    - {name: b, webhook_configs: [{url: 'http://b.example'}]}
"""
GATE = "gate: {environments: {production: {soak: 5m, alerts: {matchers: ['severity=critical']}}}}\n"


def values(seed: int) -> list[int]:
    """A value a minute, each kept for a while."""
    chance = random.Random(seed)
    found: list[int] = []
    while len(found) < MINUTES:
        found += [chance.randint(0, 9)] * chance.randint(1, 9)
    return found[:MINUTES]


def files(folder: pathlib.Path, given: list[int]) -> list[str]:
    """The replay's arguments."""
    (folder / "rules.yaml").write_text(RULES)
    (folder / "tidegate.yaml").write_text(ALERTS + GATE)
    named = ",".join(f'{name}="{value}"' for name, value in SERIES.items())
    lines = [f"{name}{{{named}}} {value} {FIRST + 60 * number}" for name, found in (("x", given), ("up", [1] * MINUTES))
             for number, value in enumerate(found)]  # fmt: skip
    (folder / "samples.txt").write_text("\n".join(lines) + "\n")
    span = ["--from", str(START), "--to", str(FIRST + 60 * MINUTES)]
    config = ["--config", str(folder / "tidegate.yaml"), "--data", str(folder / "samples.txt")]
    return ["replay", str(folder / "rules.yaml"), *span, *config]


def replayed(arguments: list[str]) -> dict[str, list[dict[str, object]]]:
    done = testing.CliRunner().invoke(cli.cli, [*arguments, "-o", "json"])
    assert done.exit_code == 0, done.output
    body: dict[str, list[dict[str, object]]] = orjson.loads(done.stdout)
    return body


Told = list[tuple[int, str, tuple[str, ...], tuple[str, ...]]]


def told(body: dict[str, list[dict[str, object]]]) -> Told:
    def names(of: object) -> tuple[str, ...]:
        assert isinstance(of, list)
        return tuple(sorted(one["alertname"] for one in of))

    return [
        (round(float(str(one["at"])) - START), str(one["receiver"]), names(one["firing"]), names(one["resolved"]))
        for one in body["sent"]
    ]


async def live(folder: pathlib.Path, given: list[int], database: world.InlineDatabase) -> Told:
    """What the rule manager, the alert book and the dispatcher tell, as they run in a server."""
    async with world.running(database, ALERTS) as around:
        store = store_.Store(folder / "samples", around.clock, around.registry)
        engine = engine_.Engine(store)
        schedule, supervisor = ticks.ManualSchedule(), tasks.Supervisor(around.clock, around.registry)
        manager = manager_.RuleManager(engine, store, around.book, schedule, around.clock, around.registry, supervisor)
        ruleset = load.load([(folder / "rules.yaml", "rules.yaml")], load.Checks(engine, kql.check, 60.0))
        manager.set_rules(ruleset, external_url="", external_labels={}, resolved_retention=900.0)
        running = asyncio.create_task(manager.run())
        table = store.table("source", 60.0)
        column = np.array([table.column(labels.make({"__name__": "x", **SERIES}))], np.int32)
        for number in range(MINUTES + 1):
            at = FIRST + 60 * number
            await around.until(at - START)
            if number < MINUTES:
                table.append(at * 1000, column, np.array([given[number]], np.float64))
            for key in schedule.ticks:
                schedule.tick(key, at)
        await around.until(FIRST + 60 * MINUTES - START + 0.001)
        await tasks.cancel(running)
        store.close()
        return [(round(one.at), one.receiver, one.firing, one.resolved) for one in around.told()]


@pytest.mark.looptime
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_messages_are_those_of_the_live_stages(
    seed: int, tmp_path: pathlib.Path, state: world.InlineDatabase
) -> None:
    given = values(seed)
    arguments = files(tmp_path, given)
    expected = await live(tmp_path, given, state)
    # In a thread of its own: the command has an event loop, and this test runs in one.
    got: list[Told] = []
    thread = threading.Thread(target=lambda: got.append(told(replayed(arguments))))
    thread.start()
    thread.join()
    assert len(expected) > 5
    assert sorted(got[0]) == sorted(expected)


def test_gates_are_shut_while_alerts_fire_and_for_the_soak(tmp_path: pathlib.Path) -> None:
    given = [0] * 20 + [8] * 12 + [0] * (MINUTES - 32)
    body = replayed(files(tmp_path, given))
    shut = [(one["service"], one["verdict"], one["start"], one["end"]) for one in body["blocked"]]
    fired, over = float(FIRST + 22 * 60), float(FIRST + 32 * 60)
    assert shut == [("shop", "deny", fired, over), ("shop", "wait", over, over + 300)]


def test_without_up_the_gate_is_unknown(tmp_path: pathlib.Path) -> None:
    arguments = files(tmp_path, [8] * MINUTES)
    path = tmp_path / "samples.txt"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if line.startswith("x")))
    verdicts = [one["verdict"] for one in replayed(arguments)["blocked"]]
    assert verdicts == ["unknown", "deny"]  # an alert that fires decides, whoever reports or not


def test_a_person_reads_three_lists(tmp_path: pathlib.Path) -> None:
    done = testing.CliRunner().invoke(cli.cli, [*files(tmp_path, [0] * 20 + [8] * 70), "--texts"])
    lines = done.output.splitlines()
    assert done.exit_code == 0
    assert [line for line in lines if not line.startswith(" ")][:3] == ["fired:", "sent:", "blocked:"]
    assert any("a webhook[0]  [CRITICAL] High: shop, production" in line for line in lines)


def test_another_version_tells_what_is_sent_and_blocked_otherwise(tmp_path: pathlib.Path) -> None:
    arguments = files(tmp_path, [0] * 20 + [8] * 70)
    (tmp_path / "old.yaml").write_text(RULES.replace("for: 2m", "for: 10m"))
    done = testing.CliRunner().invoke(cli.cli, [*arguments, "--against", str(tmp_path / "old.yaml")])
    assert [line[:30] for line in done.output.splitlines()[:3]] == [
        '~ {alertname="High", environme',
        "~ a webhook[0] '[CRITICAL] Hig",
        "~ gate production/shop deny 1 ",
    ]
