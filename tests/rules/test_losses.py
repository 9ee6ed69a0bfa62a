"""A target that does not answer does not resolve its alerts; everything else still ends them."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
import pytest

from tests.rules import test_manager
from tests.support import ticks
from tidegate.kit import clock, tasks, telemetry
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine as engine_
from tidegate.model import labels, rules, targets
from tidegate.rules import losses
from tidegate.rules import manager as manager_


def status(job: str, instance: str, health: targets.Health) -> targets.TargetStatus:
    return targets.TargetStatus(targets.Target(job, "http://x", labels.make(job=job, instance=instance)), health)


class World(test_manager.World):
    """One target, `shop` at `a`, whose health a test sets."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__(folder, test_manager.Book())
        self.statuses: Sequence[targets.TargetStatus] = [status("shop", "a", "up")]
        real, registry = clock.SystemClock(), telemetry.Registry()
        schedule, supervisor = ticks.ManualSchedule(), tasks.Supervisor(real, registry)
        self.registry = registry
        self.manager = manager_.RuleManager(
            self.engine(), self.store, self.book, schedule, real, registry, supervisor, statuses=lambda: self.statuses
        )

    def engine(self) -> engine_.Engine:
        store: store_.Store = self.store
        return engine_.Engine(store)

    async def scrape(self, at: float, value: float | None) -> None:
        """A scrape at a time, failed when there is no value, and an evaluation."""
        names = {"up": 0.0 if value is None else 1.0} | ({} if value is None else {"x": value})
        columns = {labels.make({"__name__": name, "job": "shop", "instance": "a"}): v for name, v in names.items()}
        places = np.array([self.table.column(one) for one in columns], np.int32)
        self.table.append(round(at * 1000), places, np.array([*columns.values()], np.float64))
        self.statuses = [status("shop", "a", "down" if value is None else "up")] if self.statuses else []
        await self.evaluate(at)


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    return World(tmp_path)


ONE = labels.make(alertname="High", job="shop", instance="a")
HIGH = rules.AlertingRule("High", "x > 5")


async def test_an_alert_outlives_its_target_until_that_answers(world: World) -> None:
    world.load(test_manager.group(HIGH))
    await world.scrape(10, 9)
    await world.scrape(20, None)
    await world.scrape(30, None)
    kept = world.book.kept[ONE]
    assert (kept.state, kept.no_data_since, kept.fired_at) == ("firing", 20, 10)
    assert world.registry.get_sample_value("tidegate_rule_alerts_no_data") == 1
    await world.scrape(40, 9)
    assert (world.book.kept[ONE].state, world.book.kept[ONE].no_data_since) == ("firing", 0)
    await world.scrape(50, None)
    await world.scrape(60, 1)
    assert (world.book.kept[ONE].state, world.book.kept[ONE].no_data_since) == ("resolved", 0)
    assert world.registry.get_sample_value("tidegate_rule_alerts_no_data") == 0


async def test_an_alert_of_a_whole_job_is_kept_too(world: World) -> None:
    world.load(test_manager.group(rules.AlertingRule("High", "sum by (job) (x) > 5")))
    await world.scrape(10, 9)
    await world.scrape(20, None)
    assert world.states() == {"High": "firing"}


async def test_a_target_that_is_gone_resolves_its_alerts(world: World) -> None:
    world.load(test_manager.group(HIGH))
    await world.scrape(10, 9)
    world.statuses = []
    await world.scrape(20, None)
    assert world.states() == {"High": "resolved"}


async def test_an_alert_over_up_resolves_when_the_target_answers(world: World) -> None:
    world.load(test_manager.group(rules.AlertingRule("Down", "up == 0")))
    await world.scrape(10, None)
    assert world.states() == {"Down": "firing"}
    await world.scrape(20, 1)
    assert world.states() == {"Down": "resolved"}


async def test_one_setting_gives_prometheus_behaviour(world: World) -> None:
    world.manager.set_rules(
        rules.RuleSet((test_manager.group(HIGH),)),
        external_url="",
        external_labels={},
        resolved_retention=900.0,
        keep_on_target_loss=False,
    )
    await world.scrape(10, 9)
    await world.scrape(20, None)
    assert world.states() == {"High": "resolved"}


def test_which_alerts_speak_of_failing_targets() -> None:
    lost = losses.Losses(lambda: [status("a", "1", "down"), status("a", "2", "up"), status("b", "1", "down")])
    assert lost(labels.make(job="a", instance="1"))
    assert not lost(labels.make(job="a", instance="2"))
    assert not lost(labels.make(job="a"))
    assert lost(labels.make(job="b"))
    assert not lost(labels.make(job="c"))
    assert not lost(labels.make(instance="1"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["up"], False), (["up", "scrape_duration_seconds"], False), (["up", "x"], True), ([], True)],
)
def test_what_a_failed_scrape_writes_is_never_lost(names: list[str], expected: bool) -> None:
    assert losses.can_be_lost(names) is expected
