"""Groups on the real store and engine: what rules see of each other, and what survives reloads and restarts."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import pytest

from tests.support import samples, ticks
from tidegate.kit import clock, tasks, telemetry
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine as engine_
from tidegate.model import alerts, labels, problems, rules
from tidegate.rules import manager as manager_


class Book:
    """Remembers what it was given, as the alert book does."""

    def __init__(self) -> None:
        self.kept: dict[labels.Labels, alerts.Alert] = {}
        self.told: list[tuple[str, str]] = []

    async def put(self, changed: Sequence[alerts.Alert]) -> None:
        for alert in changed:
            self.kept[alert.labels] = alert
            self.told.append((alert.name, alert.state))

    def all(self) -> Sequence[alerts.Alert]:
        return tuple(self.kept.values())

    def silenced_by(self, alert: alerts.Alert) -> Sequence[str]:
        return ()


class World:
    """A store, an engine and a manager, as after a start."""

    def __init__(self, folder: pathlib.Path, book: Book) -> None:
        self.registry, self.book = telemetry.Registry(), book
        real = clock.SystemClock()
        self.store = store_.Store(folder, real, self.registry)
        self.manager = manager_.RuleManager(
            engine_.Engine(self.store),
            self.store,
            book,
            ticks.ManualSchedule(),
            real,
            self.registry,
            tasks.Supervisor(real, self.registry),
        )
        self.table = self.store.table("source", 10.0)

    def load(self, *groups: rules.Group, external: dict[str, str] | None = None) -> None:
        self.manager.set_rules(
            rules.RuleSet(groups), external_url="http://t", external_labels=external or {}, resolved_retention=900.0
        )

    def put(self, at: float, **values: float) -> None:
        columns = [self.table.column(labels.make({"__name__": name, "service": "shop"})) for name in values]
        self.table.append(round(at * 1000), np.array(columns, np.int32), np.array([*values.values()], np.float64))

    async def evaluate(self, at: float) -> None:
        for group in self.manager._loaded:
            await group.evaluate_at(at)

    def states(self) -> dict[str, str]:
        return {
            alert.name: alert.state
            for group in self.manager._loaded
            for rule in group.alerting
            for alert in rule.alerts.values()
        }


def group(*made: rules.Rule, name: str = "g", limit: int = 0) -> rules.Group:
    return rules.Group(name, "f.yaml", made, 10.0, limit)


NAMED = 'label_replace({service="shop",__name__=~"x|y"}, "n", "$1", "__name__", "(.*)")'
HIGH = rules.AlertingRule("High", "x > 5", hold=10.0, annotations=(("summary", "{{ $value }}"),))


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    return World(tmp_path, Book())


async def test_a_rule_sees_what_an_earlier_one_made_in_the_same_cycle(world: World) -> None:
    world.load(
        group(
            rules.RecordingRule("x:double", "x * 2", labels.make(made="yes")),
            rules.RecordingRule("x:four", "x:double * 2"),
            rules.AlertingRule("High", "x:four > 10"),
            rules.RecordingRule("firing", 'count(ALERTS{alertstate="firing"})'),
        )
    )
    world.put(10, x=3)
    await world.evaluate(10)
    found = samples.read(world.store)
    assert found['x:double{made="yes", service="shop"}'] == [(10000, 6)]
    assert found['x:four{made="yes", service="shop"}'] == [(10000, 12)]
    assert found["firing"] == [(10000, 1)]
    assert world.book.told == [("High", "firing")]


async def test_alerts_series_say_the_state_and_end_with_it(world: World) -> None:
    world.load(group(HIGH))
    for at, value in ((10, 9), (20, 9), (30, 1)):
        world.put(at, x=value)
        await world.evaluate(at)
    found = samples.read(world.store)
    assert found['ALERTS{alertname="High", alertstate="pending", service="shop"}'] == [(10000, 1), (20000, "stale")]
    assert found['ALERTS{alertname="High", alertstate="firing", service="shop"}'] == [(20000, 1), (30000, "stale")]
    assert world.book.told == [("High", "pending"), ("High", "firing"), ("High", "resolved")]
    over = world.book.kept[labels.make(alertname="High", service="shop")]
    assert (over.peak, over.fired_at, over.resolved_at) == (9, 20, 30)


async def test_a_pending_alert_that_ends_leaves_no_trace(world: World) -> None:
    world.load(group(HIGH))
    world.put(10, x=9)
    await world.evaluate(10)
    world.put(20, x=1)
    await world.evaluate(20)
    assert world.states() == {}
    assert world.book.told == [("High", "pending"), ("High", "resolved")]
    assert world.book.kept[labels.make(alertname="High", service="shop")].fired_at == 0


async def test_a_rule_that_fails_keeps_its_alerts_and_says_so(world: World) -> None:
    world.load(group(dataclasses.replace(HIGH, expr="x > 5 or label_replace(y, 'service', 'shop', '', '')", hold=0.0)))
    world.put(10, x=9)
    await world.evaluate(10)
    world.put(20, x=9, y=7)
    await world.evaluate(20)
    assert world.states() == {"High": "firing"}
    world.load(
        group(
            dataclasses.replace(HIGH, expr="x > 5", hold=0.0),
            rules.RecordingRule("d", "label_replace({__name__=~'x|y'}, '__name__', 'z', '', '')"),
        )
    )
    await world.evaluate(30)
    status = world.manager.groups()[0].rules
    assert (status[0].health, status[1].health) == ("ok", "err")
    assert "labelset" in status[1].error


async def test_a_limit_fails_the_rule_and_changes_nothing(world: World) -> None:
    world.load(group(rules.AlertingRule("Any", NAMED), limit=1))
    world.put(10, x=1)
    await world.evaluate(10)
    world.put(20, x=1, y=1)
    await world.evaluate(20)
    assert "limit of 1" in world.manager.groups()[0].rules[0].error
    assert world.states() == {"Any": "firing"}


async def test_external_labels_and_evidence_are_on_alerts(world: World) -> None:
    world.load(group(dataclasses.replace(HIGH, hold=0.0)), external={"region": "north"})
    world.put(10, x=9)
    await world.evaluate(10)
    (alert,) = world.book.kept.values()
    assert alert.labels == labels.make(alertname="High", region="north", service="shop")
    assert alert.log_query == 'service.name:"shop" and log.level:(error or critical or fatal)'
    assert alert.annotations == (("summary", "9"),)
    assert alert.generator_url == "http://t/?query=x%20%3E%205"


async def test_a_restart_pages_nobody_again_and_forgets_no_end(tmp_path: pathlib.Path) -> None:
    book = Book()
    first = World(tmp_path, book)
    first.load(group(HIGH))
    for at in (10, 20):
        first.put(at, x=9)
        await first.evaluate(at)
    first.store.close()
    book.told.clear()
    second = World(tmp_path, book)
    second.load(group(HIGH))
    await second.evaluate(1000)  # nothing was scraped yet
    assert second.states() == {"High": "firing"}
    second.put(1010, x=9)
    await second.evaluate(1010)
    assert second.states() == {"High": "firing"}
    assert ("High", "resolved") not in book.told
    assert next(iter(book.kept.values())).fired_at == 20
    await second.evaluate(1010 + 400)  # its data is gone for good
    assert book.told[-1] == ("High", "resolved")


async def test_a_rule_that_moved_keeps_its_alerts(world: World) -> None:
    world.load(group(HIGH))
    for at in (10, 20):
        world.put(at, x=9)
        await world.evaluate(at)
    world.load(group(HIGH, name="elsewhere"))
    world.put(30, x=9)
    await world.evaluate(30)
    assert world.states() == {"High": "firing"}
    assert ("High", "resolved") not in world.book.told
    assert next(iter(world.book.kept.values())).fired_at == 20


async def test_the_alerts_of_a_rule_that_is_gone_are_over(world: World) -> None:
    world.load(group(dataclasses.replace(HIGH, hold=0.0)))
    world.put(10, x=9)
    await world.evaluate(10)
    world.load()
    await world.manager._resolve_orphans()
    assert world.book.told == [("High", "firing"), ("High", "resolved")]


async def test_unchanged_groups_go_on_and_needs_follow_the_rules(world: World) -> None:
    kept = group(HIGH)
    world.load(kept, group(rules.RecordingRule("r", "rate(y[10m])"), name="other"))
    before = world.manager._loaded[0]
    assert world.manager.needs()["y"] >= 600
    world.load(kept)
    assert world.manager._loaded == [before]
    assert "y" not in world.manager.needs()


class Deaf(Book):
    """Refuses what it is given, for as long as a test says."""

    deaf = False

    async def put(self, changed: Sequence[alerts.Alert]) -> None:
        if self.deaf:
            raise problems.PermanentError("the disk is full")
        await super().put(changed)


async def test_an_end_that_the_book_refused_is_told_again(tmp_path: pathlib.Path) -> None:
    book = Deaf()
    world = World(tmp_path, book)
    world.load(group(dataclasses.replace(HIGH, hold=0.0)))
    world.put(10, x=9)
    await world.evaluate(10)
    book.deaf = True
    world.put(20, x=1)
    await world.evaluate(20)
    assert world.manager.groups()[0].rules[0].health == "err"
    book.deaf = False
    world.put(30, x=1)
    await world.evaluate(30)
    assert book.told == [("High", "firing"), ("High", "resolved")]


TWIN = rules.AlertingRule("High", "y > 5", labels.make(severity="page"))
OTHER = rules.AlertingRule("High", "x > 5", labels.make(severity="note"))


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("after", [(TWIN, OTHER), (TWIN,)])
async def test_rules_of_one_name_keep_their_own_alerts_when_the_group_is_edited(
    tmp_path: pathlib.Path, after: tuple[rules.Rule, ...], restart: bool
) -> None:
    book = Book()
    world = World(tmp_path, book)
    world.load(group(OTHER, TWIN))
    world.put(10, x=9, y=9)
    await world.evaluate(10)
    book.told.clear()
    if restart:
        world.store.close()
        world = World(tmp_path, book)
    world.load(group(*after))
    world.put(20, x=9, y=9)
    await world.evaluate(20)
    page = book.kept[labels.make(alertname="High", service="shop", severity="page")]
    assert (page.state, page.fired_at) == ("firing", 10)
    ended = len(after) == 1 and not restart
    assert [state for _, state in book.told].count("resolved") == ended


async def test_a_rule_that_left_its_group_leaves_no_series(world: World) -> None:
    world.load(group(rules.RecordingRule("a", "x"), rules.RecordingRule("b", "x")))
    world.put(10, x=1)
    await world.evaluate(10)
    before = world.manager._loaded[0]
    world.load(group(rules.RecordingRule("a", "x")))
    before.end(20, world.manager._loaded[0].keys)
    found = samples.read(world.store)
    assert found['b{service="shop"}'] == [(10000, 1), (20000, "stale")]
    assert found['a{service="shop"}'] == [(10000, 1)]


async def test_external_labels_are_not_on_alerts_series(world: World) -> None:
    world.load(group(dataclasses.replace(HIGH, hold=0.0)), external={"region": "north"})
    world.put(10, x=9)
    await world.evaluate(10)
    assert 'ALERTS{alertname="High", alertstate="firing", service="shop"}' in samples.read(world.store)


async def test_keep_firing_for_counts_from_the_first_evaluation_without_the_series(world: World) -> None:
    world.load(group(dataclasses.replace(HIGH, hold=0.0, keep_firing_for=20.0)))
    for at, value in ((10, 9), (20, 1), (30, 1)):
        world.put(at, x=value)
        await world.evaluate(at)
    assert next(iter(world.book.kept.values())).keep_since == 20
    assert world.states() == {"High": "firing"}
    world.put(40, x=1)
    await world.evaluate(40)
    assert world.states() == {"High": "resolved"}


WARNING = rules.AlertingRule("High", "x > 5", labels.make(severity="warning"))
CRITICAL = rules.AlertingRule("High", "x > 8", labels.make(severity="critical"))


@pytest.mark.parametrize(
    "after",
    [
        [group(CRITICAL, WARNING)],
        [group(CRITICAL, WARNING, name="renamed")],
        [group(rules.RecordingRule("r", "x"), WARNING, CRITICAL)],
        [group(WARNING, name="one"), group(CRITICAL, name="two")],
    ],
    ids=["other order", "other name", "other place", "two groups"],
)
async def test_rules_of_one_name_keep_their_alerts_wherever_they_go(world: World, after: list[rules.Group]) -> None:
    world.load(group(WARNING, CRITICAL))
    world.put(10, x=9)
    await world.evaluate(10)
    world.load(*after)
    world.put(20, x=9)
    await world.evaluate(20)
    assert {state for _, state in world.book.told} == {"firing"}
    assert {labels.get(one.labels, "severity"): one.state for one in world.book.all()} == {
        "warning": "firing",
        "critical": "firing",
    }
    assert {(one.active_at, one.fired_at) for one in world.book.all()} == {(10, 10)}


async def test_only_the_rule_that_went_ends_its_alerts(world: World) -> None:
    world.load(group(WARNING, CRITICAL))
    world.put(10, x=9)
    await world.evaluate(10)
    world.load(group(CRITICAL))
    world.put(20, x=9)
    await world.evaluate(20)
    states = {labels.get(one.labels, "severity"): one.state for one in world.book.all()}
    assert states == {"warning": "resolved", "critical": "firing"}


async def test_series_of_a_rule_that_left_its_group_end(world: World) -> None:
    made = [rules.RecordingRule("a", "x"), rules.RecordingRule("b", "x * 2")]
    world.load(group(*made))
    await world.manager._match()
    world.put(10, x=1)
    await world.evaluate(10)
    world.load(group(made[1]))
    await world.manager._match()
    found = samples.read(world.store)
    assert [value for _, value in found['a{service="shop"}']] == [1, "stale"]
    assert [value for _, value in found['b{service="shop"}']] == [2]


async def test_alert_series_do_not_bear_external_labels(world: World) -> None:
    world.load(group(rules.AlertingRule("High", "x > 5")), external={"cluster": "c", "service": "other"})
    world.put(10, x=9)
    await world.evaluate(10)
    found = samples.read(world.store)
    assert 'ALERTS{alertname="High", alertstate="firing", service="shop"}' in found
    assert labels.get(world.book.all()[0].labels, "cluster") == "c"


async def test_a_negative_limit_is_none(world: World) -> None:
    world.load(group(rules.RecordingRule("a", "x"), rules.AlertingRule("High", "x > 5"), limit=-1))
    world.put(10, x=9)
    await world.evaluate(10)
    assert [status.health for status in world.manager.groups()[0].rules] == ["ok", "ok"]
