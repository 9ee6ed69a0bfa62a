"""Our fields of alerting rules on the real store and engine: who is told what, over restarts and without data."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from tests.rules import test_losses, test_manager
from tidegate.model import labels, rules

SHARE = rules.AlertingRule("Often", "x > 5", share=rules.Share(2, 3))
BAND = rules.AlertingRule("Band", "x > 5", resolve_expr="x < 2")
MISSING = rules.AlertingRule("Missing", "x > 5", no_data="alert", labels=labels.make(team="shop"))
LOW = rules.AlertingRule("Level", "x > 1", labels.make(severity="low"), severity="low", above=("high",))
HIGH = rules.AlertingRule("Level", "x > 5", labels.make(severity="high"), severity="high")


@pytest.fixture
def world(tmp_path: pathlib.Path) -> test_manager.World:
    return test_manager.World(tmp_path, test_manager.Book())


async def run(world: test_manager.World, values: list[float | None], start: int = 10) -> list[str]:
    """The state of the one alert of the shop after each evaluation, 10 s apart; `None` is a failed evaluation."""
    states = []
    for number, value in enumerate(values):
        at = start + 10 * number
        if value is not None:
            world.put(at, x=value)
            await world.evaluate(at)
        states.append(" ".join(world.states().values()))
    return states


async def test_n_of_m_is_pending_fires_and_ends(world: test_manager.World) -> None:
    world.load(test_manager.group(SHARE))
    states = await run(world, [9, 1, 9, 1, 1, 9, 1, 1, 1])
    assert states == ["pending", "pending", "firing", "resolved", "resolved", "pending", "pending", "pending", ""]


async def test_n_of_m_then_keep_firing_for(world: test_manager.World) -> None:
    world.load(test_manager.group(dataclasses.replace(SHARE, keep_firing_for=20.0)))
    assert await run(world, [9, 9, 1, 1, 1, 1]) == ["pending", "firing", "firing", "firing", "firing", "resolved"]


async def test_n_of_m_does_not_count_missed_evaluations(world: test_manager.World) -> None:
    world.load(test_manager.group(SHARE))
    assert await run(world, [9, None, None, None, 1, 9]) == ["pending"] * 5 + ["firing"]


async def test_n_of_m_pages_nobody_again_after_a_restart(tmp_path: pathlib.Path) -> None:
    book = test_manager.Book()
    world = test_manager.World(tmp_path, book)
    world.load(test_manager.group(SHARE))
    await run(world, [9, 9])
    book.told.clear()
    world.store.close()
    world = test_manager.World(tmp_path, book)
    world.load(test_manager.group(SHARE))
    assert await run(world, [1, 9, 9], 1000) == ["firing"] * 3
    assert {(one.state, one.fired_at) for one in book.all()} == {("firing", 20)}
    assert await run(world, [1, 1], 1030) == ["firing", "resolved"]
    assert book.told[-1] == ("Often", "resolved")
    assert book.told.count(("Often", "resolved")) == 1


async def test_an_edit_of_n_of_m_ends_nothing(world: test_manager.World) -> None:
    world.load(test_manager.group(SHARE))
    await run(world, [9, 9])
    world.load(test_manager.group(dataclasses.replace(SHARE, share=rules.Share(3, 4))))
    assert await run(world, [1, 9, 9], 30) == ["firing"] * 3
    assert {(one.state, one.fired_at) for one in world.book.all()} == {("firing", 20)}
    assert ("Often", "resolved") not in world.book.told


async def test_n_of_m_waits_for_a_target_that_fails(tmp_path: pathlib.Path) -> None:
    world = test_losses.World(tmp_path)
    world.load(test_manager.group(SHARE))
    for at, value in ((10, 9.0), (20, 9.0), (30, None), (40, None), (50, None), (60, None), (70, 1.0)):
        await world.scrape(at, value)
        assert world.states() == {"Often": "firing" if at > 10 else "pending"}
    await world.scrape(80, 1)
    assert world.states() == {"Often": "resolved"}


async def test_an_alert_fires_until_it_is_over(world: test_manager.World) -> None:
    world.load(test_manager.group(BAND))
    assert await run(world, [3, 9, 3, 3, 1, 3]) == ["", "firing", "firing", "firing", "resolved", "resolved"]


async def test_a_pending_alert_ends_with_the_expression(world: test_manager.World) -> None:
    world.load(test_manager.group(dataclasses.replace(BAND, hold=20.0)))
    assert await run(world, [9, 9, 3]) == ["pending", "pending", ""]


@pytest.mark.parametrize(("no_data", "state"), [("", "firing"), ("keep", "firing"), ("ok", "resolved")])
@pytest.mark.parametrize("expr", ["x > 5", "x > 5 and x < 100"])
async def test_what_ends_without_data_is_for_the_rule_to_say(
    world: test_manager.World, no_data: rules.NoData, state: str, expr: str
) -> None:
    world.load(test_manager.group(dataclasses.replace(BAND, no_data=no_data, expr=expr)))
    await run(world, [9, 3])
    await world.evaluate(1000)
    assert world.states() == {"Band": state}


async def test_a_template_of_the_value_does_not_keep_an_alert_from_ending(world: test_manager.World) -> None:
    label = (("level", "{{ $value }}"),)
    world.load(test_manager.group(dataclasses.replace(BAND, labels=label)), external={"region": "north"})
    assert await run(world, [9, 3, 1]) == ["firing", "firing", "resolved"]


async def test_the_band_outlives_a_restart(tmp_path: pathlib.Path) -> None:
    book = test_manager.Book()
    seen = []
    for start, value in ((10, 9), (1000, 3), (2000, 3), (3000, 1)):
        world = test_manager.World(tmp_path, book)
        world.load(test_manager.group(BAND), external={"region": "north"})
        seen.append(await run(world, [value] * 10, start))
        world.store.close()
    assert seen == [["firing"] * 10] * 3 + [["firing"] * 6 + ["resolved"] * 4]  # a minute of grace
    assert {(one.fired_at, one.resolved_at) for one in book.all()} == {(10, 3060)}


async def test_no_data_is_an_alert_of_its_own_and_keeps_the_others(world: test_manager.World) -> None:
    world.load(test_manager.group(MISSING))
    await run(world, [9])
    await world.evaluate(1000)
    mine = labels.make(alertname="Missing", no_data="true", team="shop")
    other = labels.make(alertname="Missing", service="shop", team="shop")
    assert {key: one.state for key, one in world.book.kept.items()} == {mine: "firing", other: "firing"}
    assert (world.book.kept[other].no_data_since, world.book.kept[mine].no_data_since) == (1000, 0)
    await run(world, [1], 1010)
    assert {one.state for one in world.book.kept.values()} == {"resolved"}


async def test_no_data_waits_for_its_time(world: test_manager.World) -> None:
    world.load(test_manager.group(dataclasses.replace(MISSING, hold=20.0)))
    seen = []
    for at in (1000, 1010, 1020):
        await world.evaluate(at)
        seen.append(world.states())
    assert seen == [{"Missing": "pending"}, {"Missing": "pending"}, {"Missing": "firing"}]


async def test_a_comparison_that_filters_everything_is_data(world: test_manager.World) -> None:
    world.load(test_manager.group(MISSING))
    assert await run(world, [1]) == [""]


async def test_kept_alerts_say_since_when(world: test_manager.World) -> None:
    world.load(test_manager.group(dataclasses.replace(MISSING, no_data="keep", keep_firing_for=10.0)))
    await run(world, [9])
    for at in (1000, 1010):
        await world.evaluate(at)
    (alert,) = world.book.kept.values()
    assert (alert.state, alert.no_data_since, alert.keep_since) == ("firing", 1000, 0)


async def test_a_higher_severity_stands_in_for_a_lower_one(world: test_manager.World) -> None:
    world.load(test_manager.group(dataclasses.replace(HIGH, hold=10.0), LOW))
    await run(world, [3, 9, 9, 3])
    assert world.book.told == [
        ("Level", "firing"),  # low
        ("Level", "pending"),  # high: low goes on
        ("Level", "firing"),
        ("Level", "resolved"),  # low
        ("Level", "resolved"),  # high
        ("Level", "firing"),  # low again
    ]
    states = {labels.get(key, "severity"): one.state for key, one in world.book.kept.items()}
    assert states == {"low": "firing", "high": "resolved"}


async def test_a_lower_severity_does_not_wait_again_after_a_higher_one(world: test_manager.World) -> None:
    low = dataclasses.replace(LOW, hold=30.0)
    world.load(test_manager.group(HIGH, low))
    await run(world, [3, 9, 9, 9, 3])
    states = {labels.get(key, "severity"): (one.state, one.active_at) for key, one in world.book.kept.items()}
    assert states == {"low": ("firing", 10), "high": ("resolved", 20)}


async def test_severities_page_nobody_again_after_a_restart(tmp_path: pathlib.Path) -> None:
    book = test_manager.Book()
    for start in (10, 1000):
        world = test_manager.World(tmp_path, book)
        world.load(test_manager.group(HIGH, LOW))
        await run(world, [9, 9], start)
        world.store.close()
    assert [(one.state, one.fired_at) for one in book.all()] == [("firing", 10)]
    assert {state for _, state in book.told} == {"firing"}


async def test_all_that_a_rule_asks_is_kept_in_the_store(world: test_manager.World) -> None:
    world.load(test_manager.group(dataclasses.replace(BAND, resolve_expr="max_over_time(y[2h]) < 1")))
    assert world.manager.needs()["y"] >= 7200


async def test_a_resolve_expr_that_fails_fails_the_rule(world: test_manager.World) -> None:
    world.load(test_manager.group(dataclasses.replace(BAND, resolve_expr="x < on (service) {service='shop'}")))
    await run(world, [9])
    world.put(20, x=1, y=1)
    await world.evaluate(20)
    assert world.manager.groups()[0].rules[0].health == "err"
    assert world.states() == {"Band": "firing"}
