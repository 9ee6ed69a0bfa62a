"""Log rules in the stream: what is exposed and stored, what outlives the process, what a backlog and full lists mean."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from tests.support import samples, ticks
from tidegate.kit import clock as clock_
from tidegate.kit import telemetry
from tidegate.logs.detect import detectors, state
from tidegate.metrics import store as store_
from tidegate.model import rules

BY = (("service", "service.name"),)
NEWS = rules.LogDetector("log_rule:N", "new_value", "level:error", BY, field="user.name", label="value", limit=3)
TEMPLATES = rules.LogDetector("log_rule:T", "new_template", "level:error", BY, field="message", label="template")
DEPLOYS = rules.LogDetector("log_rule:D", "new_value", "", BY, field="user.name", label="value", deploys=True)
SILENCE = rules.LogDetector("log_rule:S", "silence", "", BY, forget=100.0)
CHANGE = rules.LogDetector(
    "log_rule:C", "change", "", BY, field="labels.country", label="value", within=50.0, forget=20.0
)
STEPS = rules.LogDetector(
    "log_rule:Q", "sequence", "", BY, steps=("message:begin", "message:end"), within=60.0, forget=100.0
)
EVERY = (NEWS, TEMPLATES, DEPLOYS, SILENCE, CHANGE, STEPS)


class Clock:
    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


class Agent:
    """Detectors of one process."""

    def __init__(
        self, wanted: Sequence[rules.LogDetector], folder: pathlib.Path | None = None, at: float = 1000.0
    ) -> None:
        self.clock, self.registry, self.lag = Clock(at), telemetry.Registry(), 0.0
        self.detectors = detectors.LogDetectors(
            None, ticks.ManualSchedule(), self.clock, self.registry, folder=folder, lag=lambda: self.lag
        )
        self.detectors.set_detectors(wanted)

    def see(self, at: float, user: str = "", **fields: Any) -> None:
        self.clock.at = at
        line = {"log.level": "error", "service.name": "shop", **({"user.name": user} if user else {}), **fields}
        self.detectors.observe_document(line)

    def settle(self, at: float) -> set[str]:
        self.clock.at = at
        self.detectors.append(at)
        text = telemetry.exposition(self.registry).decode()
        return {line for line in text.splitlines() if line.startswith("log_rule:")}

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def test_values_are_exposed_with_the_time_of_their_first_line() -> None:
    agent = Agent([NEWS])
    agent.see(1001, "ann")
    agent.see(1002, "bob")
    agent.see(1003, "ann")
    agent.see(1004, **{"log.level": "info", "user.name": "eve"})
    assert agent.settle(1010) == {
        "log_rule:N:since_timestamp_seconds 1000.0",
        'log_rule:N:first_seen_timestamp_seconds{service="shop",value="ann"} 1001.0',
        'log_rule:N:first_seen_timestamp_seconds{service="shop",value="bob"} 1002.0',
    }


def test_the_value_seen_longest_ago_makes_room_and_is_counted() -> None:
    agent = Agent([NEWS])
    for at, user in enumerate(["a", "b", "c", "a", "d"]):
        agent.see(1001 + at, user)
    found = agent.settle(1010)
    assert {line.split('value="')[1][0] for line in found if "first_seen" in line} == {"a", "c", "d"}
    assert agent.count("tidegate_log_rule_forgotten_total", rule="N") == 1


def test_the_latest_versions_are_followed() -> None:
    agent = Agent([DEPLOYS])
    for number in range(7):
        agent.see(1001 + number, "ann", **{"service.version": str(number)})
    found = {line for line in agent.settle(1010) if "deployed" in line}
    assert found == {
        f'log_rule:D:deployed_timestamp_seconds{{service="shop",version="{number}"}} {1001.0 + number}'
        for number in range(2, 7)
    }


def test_templates_go_with_their_names() -> None:
    agent = Agent([TEMPLATES])
    agent.see(1001, message="cannot reach 10.0.0.1")
    agent.see(1002, message="cannot reach 10.0.0.2")
    agent.see(1003, message="out of memory")
    assert {line for line in agent.settle(1010) if "first_seen" in line} == {
        'log_rule:T:first_seen_timestamp_seconds{service="shop",template="cannot reach <*>"} 1001.0',
        'log_rule:T:first_seen_timestamp_seconds{service="shop",template="out of memory"} 1003.0',
    }


def test_a_backlog_is_no_silence() -> None:
    agent = Agent([SILENCE])
    agent.see(1000)
    assert agent.settle(1020) == {'log_rule:S:idle_seconds{service="shop"} 20.0'}
    agent.lag = detectors.BEHIND + 1
    assert agent.settle(1090) == {'log_rule:S:idle_seconds{service="shop"} 20.0'}
    assert agent.count("tidegate_log_rule_behind") == 1
    agent.lag = 0.0
    assert agent.settle(1095) == {'log_rule:S:idle_seconds{service="shop"} 95.0'}
    assert agent.settle(1101) == set(), "forgotten"


def test_a_change_is_remembered_for_a_while() -> None:
    agent = Agent([CHANGE])
    agent.see(1000, labels={"country": "de"})
    agent.see(1010, labels={"country": "fr"})
    agent.see(1011, labels={"country": "fr"})
    assert agent.settle(1020) == {'log_rule:C:changed_timestamp_seconds{service="shop",value="fr"} 1010.0'}
    assert agent.settle(1031) == set()
    agent.see(1070, labels={"country": "de"})
    assert agent.settle(1071) == set(), "the line before is too old"


async def test_what_is_known_outlives_the_process(tmp_path: pathlib.Path) -> None:
    before = Agent(EVERY, tmp_path)
    before.see(1001, "ann", message="begin", labels={"country": "de"}, **{"service.version": "1"})
    before.see(1002, "ann", labels={"country": "fr"}, message="end of 17 things")
    shown = before.settle(1010)
    await before.detectors.save()
    after = Agent(EVERY, tmp_path, at=1010.0)
    assert after.settle(1010.0) == shown
    after.see(1011, "ann", message="end of 18 things")
    assert {line for line in after.settle(1012) if "first_seen" in line} == {
        line for line in shown if "first_seen" in line
    }, "what is known is not new"
    assert after.count("tidegate_log_rule_state_errors_total") == 0


async def test_the_time_in_which_nothing_ran_is_no_silence(tmp_path: pathlib.Path) -> None:
    before = Agent([SILENCE], tmp_path)
    before.see(1000)
    before.settle(1010)
    await before.detectors.save()
    after = Agent([SILENCE], tmp_path, at=9000.0)
    assert after.settle(9005) == {'log_rule:S:idle_seconds{service="shop"} 15.0'}


@pytest.mark.parametrize("cut", [2, 40, 200])
async def test_a_torn_file_is_set_aside_and_said(tmp_path: pathlib.Path, cut: int) -> None:
    before = Agent(EVERY, tmp_path)
    before.see(1001, "ann")
    before.settle(1010)
    await before.detectors.save()
    path = tmp_path / state.NAME
    path.write_bytes(path.read_bytes()[:-cut])
    after = Agent(EVERY, tmp_path, at=2000.0)
    assert after.count("tidegate_log_rule_state_errors_total") == 1
    assert path.with_name(state.NAME + ".bad").exists()
    assert "log_rule:N:since_timestamp_seconds 2000.0" in after.settle(2001)


async def test_a_state_that_is_none_is_learned_anew_and_the_others_go_on(tmp_path: pathlib.Path) -> None:
    before = Agent([NEWS, SILENCE], tmp_path)
    before.see(1001, "ann")
    before.settle(1010)
    states = before.detectors._book.states(1010)
    (name,) = (name for name in states if name.startswith("log_rule:N"))
    state.save(tmp_path, {**states, name: {"since": "soon"}})
    after = Agent([NEWS, SILENCE], tmp_path, at=2000.0)
    assert after.count("tidegate_log_rule_state_errors_total") == 1
    assert after.settle(2000) == {
        "log_rule:N:since_timestamp_seconds 2000.0",
        'log_rule:S:idle_seconds{service="shop"} 9.0',
    }


async def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("")
    agent = Agent([NEWS], folder)
    for _ in range(3):
        await agent.detectors.save()
    assert agent.count("tidegate_log_rule_state_errors_total") == 2, "reading and writing, once each"


def test_what_did_not_change_goes_on_over_a_reload() -> None:
    agent = Agent([NEWS])
    agent.see(1001, "ann")
    agent.detectors.set_detectors([SILENCE, NEWS])
    agent.see(1002, "ann")
    assert 'log_rule:N:first_seen_timestamp_seconds{service="shop",value="ann"} 1001.0' in agent.settle(1003)
    agent.detectors.set_detectors([])
    assert agent.settle(1004) == set()


class Lines:
    """A `ports.LogLines`."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.bodies = [orjson.dumps(one) for one in documents]
        self.parsed: list[int] = []

    def document(self, number: int, /) -> dict[str, Any]:
        self.parsed.append(number)
        found: dict[str, Any] = orjson.loads(self.bodies[number])
        return found


def test_lines_that_nobody_wants_are_not_parsed() -> None:
    agent = Agent([NEWS])
    lines = Lines({"log.level": "info", "user.name": "ann"}, {"log.level": "error", "user.name": "bob"})
    agent.detectors.observe(lines)
    assert lines.parsed == [1]


async def test_a_store_gets_a_row_at_every_tick(tmp_path: pathlib.Path) -> None:
    store = store_.Store(tmp_path, clock_.SystemClock(), telemetry.Registry())
    schedule, clock = ticks.ManualSchedule(), Clock()
    one = detectors.LogDetectors(store, schedule, clock, telemetry.Registry(), folder=tmp_path / "state")
    one.set_detectors([SILENCE])
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0)
    one.observe_document({"service.name": "shop"})
    clock.at = 1005.0
    schedule.tick(detectors.KEY, 1005.0)
    while not (tmp_path / "state" / state.NAME).exists():
        await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert samples.read(store) == {'log_rule:S:idle_seconds{service="shop"}': [(1005000, 5.0)]}
    store.close()
