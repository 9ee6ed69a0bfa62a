"""The embedded store: each line once, found again by KQL, forgotten by age and size, there after a restart."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator

import orjson
import pytest

from tidegate.kit import clock, telemetry
from tidegate.logs.local_store import local
from tidegate.logs.ship import output
from tidegate.model import problems

NOW = 1_700_000_000.0


class Frozen(clock.SystemClock):
    """A clock that stands still."""

    time = NOW

    def now(self) -> float:
        return self.time


class World:
    """A store in a folder."""

    def __init__(self, folder: pathlib.Path, **more: object) -> None:
        self.registry, self.clock = telemetry.Registry(), Frozen()
        given = {"retention": 3600.0, "max_bytes": 10**9, **more}
        self.store = local.LocalStore(folder, clock=self.clock, registry=self.registry, **given)  # type: ignore[arg-type]

    async def put(self, *numbers: int, **fields: str) -> None:
        bodies = [
            orjson.dumps(
                {
                    "@timestamp": f"2023-11-14T22:{13 + number // 60:02}:{number % 60:02}Z",
                    "message": f"line {number} refused by peer",
                    "log": {"level": "error" if number % 2 else "info"},
                    "service": {"name": "shop"},
                    **fields,
                }
            )
            for number in numbers
        ]
        batch = output.Batch(["logs-a-b"] * len(numbers), [f"id-{number}" for number in numbers], bodies)
        assert list(await self.store.send(batch)) == []

    async def find(self, query: str, limit: int = 100) -> list[str]:
        page = await self.store.search(query, start=0, end=NOW * 2, limit=limit)
        return [line.message for line in page.lines]

    def dropped(self, reason: str) -> float:
        return self.registry.get_sample_value("tidegate_local_logs_dropped_total", {"reason": reason}) or 0


@pytest.fixture
async def world(tmp_path: pathlib.Path) -> AsyncIterator[World]:
    one = World(tmp_path)
    yield one
    await one.store.close()


def messages(*numbers: int) -> list[str]:
    return [f"line {number} refused by peer" for number in numbers]


async def test_newest_first_with_the_total(world: World) -> None:
    await world.put(*range(10))
    page = await world.store.search("level:error", start=0, end=NOW * 2, limit=2)
    assert [line.message for line in page.lines] == messages(9, 7)
    assert (page.total, page.at_least) == (5, False)
    assert page.lines[0].service == "shop"
    assert page.lines[0].document["log"]["level"] == "error"


async def test_what_is_sent_again_is_stored_once(world: World) -> None:
    await world.put(1, 2, 2, 3)
    await world.put(2, 3, 4)
    assert await world.find("") == messages(4, 3, 2, 1)
    assert world.registry.get_sample_value("tidegate_local_logs_stored_total") == 4


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("message:refused and level:error", (3, 1)),
        ('message:"line 2"', (2,)),
        ("message:2 or message:3", (3, 2)),
        ("not level:error", (4, 2, 0)),
        ("service:sho* and message:LINE and message:4", (4,)),
        ("level:Error", ()),
        ("message:refuse", ()),
        ("trace.id:*", ()),
    ],
)
async def test_kql(world: World, query: str, expected: tuple[int, ...]) -> None:
    await world.put(*range(5))
    assert await world.find(query) == messages(*expected)


async def test_a_bad_query_is_said(world: World) -> None:
    with pytest.raises(problems.QueryError):
        await world.store.search("level:", start=0, end=1, limit=1)


async def test_only_the_time_asked_for(world: World) -> None:
    await world.put(*range(10))
    page = await world.store.search("", start=NOW - 20 + 2, end=NOW - 20 + 4, limit=10)
    assert [line.message for line in page.lines] == messages(4, 3, 2)


async def test_old_lines_are_forgotten_and_counted(world: World) -> None:
    await world.put(*range(10))
    world.clock.time = NOW + 3600 - 20 + 5
    await world.store.collect()
    assert await world.find("") == messages(9, 8, 7, 6, 5)
    assert await world.find("message:refused") == messages(9, 8, 7, 6, 5)
    assert world.dropped("age") == 5


async def test_beyond_its_size_the_oldest_go(tmp_path: pathlib.Path) -> None:
    world = World(tmp_path, max_bytes=300_000, retention=10.0**9)
    for start in range(0, 3000, 500):
        await world.put(*range(start, start + 500), padding="x" * 400)
    await world.store.collect()
    left = await world.find("", limit=1000)
    gone = world.dropped("size")
    await world.store.close()
    assert gone > 0
    assert left[0] == messages(2999)[0] if left else gone == 3000


async def test_it_is_all_there_after_a_restart(tmp_path: pathlib.Path) -> None:
    world = World(tmp_path)
    await world.put(1, 2)
    await world.store.close()
    again = World(tmp_path)
    assert await again.find("message:refused") == messages(2, 1)
    await again.store.close()
