"""Who is told of what at which second: Alertmanager's acceptance scenarios, in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from tests.alerts import world
from tests.alerts.world import Integration, Telling, running
from tidegate.alerts import store
from tidegate.kit import database
from tidegate.model import logs, problems

pytestmark = pytest.mark.looptime

FAST = """
alerts:
  route: {receiver: a, group_by: [], group_wait: 1s, group_interval: 5s, repeat_interval: 1h}
  receivers: [{name: a}, {name: b}]
"""
BY_SERVICE = """
alerts:
  route: {receiver: a, group_by: [service], group_wait: 10s, group_interval: 60s, repeat_interval: 10m}
  receivers: [{name: a}, {name: b}]
"""
TWO = """
alerts:
  route:
    receiver: a
    group_by: [service]
    group_wait: 10s
    group_interval: 60s
    repeat_interval: 10m
    routes:
      - {receiver: b, matchers: [severity="critical"], group_wait: 0s, continue: true}
      - {receiver: a, matchers: ['service=~".+"']}
  receivers: [{name: a}, {name: b}]
"""


async def test_alerts_that_start_together_are_told_together(state: database.Database) -> None:
    async with running(state, FAST) as it:
        await it.push("A")
        await it.until(0.5)
        await it.push("B")
        await it.until(20)
        assert it.told() == [Telling(1, "a", ("A", "B"))]


async def test_a_later_alert_waits_for_the_groups_interval(state: database.Database) -> None:
    async with running(state, FAST) as it:
        await it.push("A")
        await it.until(2)
        await it.push("B")
        await it.until(30)
        assert it.told() == [Telling(1, "a", ("A",)), Telling(6, "a", ("A", "B"))]


async def test_labels_make_groups(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A", service="shop")
        await it.until(4)
        await it.push("A", service="cart")
        await it.push("B", service="shop")
        await it.push("C")
        await it.until(59)
        assert it.told() == [Telling(10, "a", ("A", "B")), Telling(14, "a", ("A",)), Telling(14, "a", ("C",))]
        assert [message.group_labels for message, _ in it.sink.messages] == [
            (("service", "shop"),),
            (("service", "cart"),),
            (),
        ]
        assert it.sink.messages[0][0].group_key == '{}:{service="shop"}'


async def test_what_does_not_change_is_repeated_exactly_at_the_repeat_interval(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(1900)
        assert [telling.at for telling in it.told()] == [10, 610, 1210, 1810]


async def test_the_repeat_is_rounded_up_to_the_groups_interval(state: database.Database) -> None:
    tree = BY_SERVICE.replace("10m", "90s")
    async with running(state, tree) as it:
        await it.push("A")
        await it.until(260)
        assert [telling.at for telling in it.told()] == [10, 130, 250]


async def test_an_end_is_told_once_and_only_to_those_who_know_of_the_start(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A", "B")
        await it.until(20)
        await it.push("A", state="resolved")
        await it.until(100)
        await it.push("A", state="resolved")
        await it.until(140)
        await it.push("B", state="resolved")
        await it.until(2000)
        assert it.told() == [
            Telling(10, "a", ("A", "B")),
            Telling(70, "a", ("B",), ("A",)),
            Telling(190, "a", (), ("B",)),
        ]
        assert len(it.dispatcher.groups()) == 0


async def test_what_starts_and_ends_before_the_group_is_told_stays_untold(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(5)
        await it.push("A", state="resolved")
        await it.until(500)
        assert it.told() == []


async def test_what_ends_and_starts_again_in_between_is_not_news(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(20)
        await it.push("A", state="resolved")
        await it.until(40)
        await it.push("A")
        await it.until(300)
        assert it.told() == [Telling(10, "a", ("A",))]


async def test_what_is_over_and_starts_again_is_a_new_group(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(20)
        await it.push("A", state="resolved")
        await it.until(80)
        await it.push("A")
        await it.until(100)
        assert it.told() == [Telling(10, "a", ("A",)), Telling(70, "a", (), ("A",)), Telling(90, "a", ("A",))]


async def test_pending_alerts_are_told_to_nobody(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A", state="pending")
        await it.until(500)
        assert it.told() == []
        assert it.dispatcher.groups() == []


async def test_an_end_is_not_forgotten_when_the_alert_is_pending_again(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(20)
        await it.push("A", state="resolved")
        await it.until(30)
        await it.push("A", state="pending")
        await it.until(100)
        assert it.told() == [Telling(10, "a", ("A",)), Telling(70, "a", (), ("A",))]


async def test_who_does_not_want_ends_is_not_told_of_them(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        it.sink.receivers["a"] = (Integration("slack[0]", send_resolved=False), Integration("webhook[0]"))
        await it.push("A", "B")
        await it.until(20)
        await it.push("A", state="resolved")
        await it.until(80)
        await it.push("B", state="resolved")
        await it.until(140)
        await it.push("A")
        await it.until(160)
        assert it.told() == [
            Telling(10, "a", ("A", "B"), (), ("slack[0]", "webhook[0]")),
            Telling(70, "a", ("B",), ("A",), ("webhook[0]",)),
            Telling(130, "a", (), ("B",), ("webhook[0]",)),
            Telling(150, "a", ("A",), (), ("slack[0]", "webhook[0]")),
        ]


async def test_routes_have_their_own_receivers_and_times(state: database.Database) -> None:
    async with running(state, TWO) as it:
        await it.push("A", service="shop", severity="critical")
        await it.until(30)
        assert it.told() == [Telling(0, "b", ("A",)), Telling(10, "a", ("A",))]


async def test_a_silence_mutes_and_its_end_tells(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.silence("alertname=A", 100)
        await it.push("A")
        await it.until(90)
        assert it.told() == []
        await it.until(200)
        assert it.told() == [Telling(130, "a", ("A",))]


async def test_a_deleted_silence_tells(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        silence_id = await it.silence("alertname=A", 10_000)
        await it.push("A")
        await it.until(80)
        await it.silences.expire(silence_id)
        await it.until(200)
        assert it.told() == [Telling(130, "a", ("A",))]


async def test_a_silence_mutes_only_what_it_matches(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A", "B")
        await it.until(20)
        await it.silence("alertname=A", 200)
        await it.push("C")
        await it.until(100)
        assert it.told() == [Telling(10, "a", ("A", "B")), Telling(70, "a", ("B", "C"))]
        await it.until(300)
        assert it.told()[2:] == [Telling(250, "a", ("A", "B", "C"))]


async def test_an_end_under_a_silence_is_told_to_nobody(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(20)
        await it.silence("alertname=A", 1000)
        await it.push("A", state="resolved")
        await it.until(3000)
        assert it.told() == [Telling(10, "a", ("A",))]


async def test_a_restart_tells_nothing_twice(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(20)
    async with running(state, BY_SERVICE, before=it) as again:
        await again.until(700)
        assert again.told() == [Telling(620, "a", ("A",))]


async def test_a_restart_tells_at_once_what_waited_long_enough(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A", "B")
        await it.until(5)
    await asyncio.sleep(30)
    async with running(state, BY_SERVICE, before=it) as again:
        await again.until(200)
        assert again.told() == [Telling(35, "a", ("A", "B"))]


async def test_an_end_while_we_were_away_is_told(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(20)
    async with running(state, BY_SERVICE, before=it) as again:
        await again.until(25)
        await again.push("A", state="resolved")
        await again.until(200)
        assert again.told() == [Telling(80, "a", (), ("A",))]


async def test_an_end_that_was_stored_but_not_told_is_told_after_a_restart(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(20)
        await it.push("A", state="resolved")
        await it.until(21)
    await asyncio.sleep(86400)
    async with running(state, BY_SERVICE, before=it) as again:
        await again.until(86500)
        assert again.told() == [Telling(86421, "a", (), ("A",))]
        await again.until(90000)
        assert again.book.all() == ()


async def test_pending_after_a_restart_is_the_end_of_what_was_told(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(20)
        await it.push("A", state="resolved")
        await it.push("A", state="pending")
        await it.until(21)
    async with running(state, BY_SERVICE, before=it) as again:
        await again.until(200)
        assert again.told() == [Telling(31, "a", (), ("A",))]


async def test_a_reload_keeps_what_was_told(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A", service="shop")
        await it.until(20)
        it.reload(BY_SERVICE)
        await it.until(500)
        assert it.told() == [Telling(10, "a", ("A",))]
        await it.until(611)
        assert it.told()[1:] == [Telling(610, "a", ("A",))]


async def test_a_reload_to_another_receiver_tells_it(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A", service="shop")
        await it.until(20)
        it.reload(BY_SERVICE.replace("receiver: a", "receiver: b"))
        await it.until(100)
        assert [(telling.receiver, telling.firing) for telling in it.told()] == [("a", ("A",)), ("b", ("A",))]
        await it.push("A", state="resolved", service="shop")
        await it.until(200)
        assert [(telling.receiver, telling.resolved) for telling in it.told()[2:]] == [("b", ("A",))]


async def test_a_reload_between_end_and_message_does_not_lose_the_end(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A", service="shop")
        await it.until(20)
        await it.push("A", state="resolved", service="shop")
        it.reload(BY_SERVICE.replace("60s", "30s"))
        await it.until(100)
        assert it.told() == [Telling(10, "a", ("A",)), Telling(70, "a", (), ("A",))]


async def test_a_database_that_fails_delays_but_does_not_lose(state: world.InlineDatabase) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(9)
        state.fail = True
        await it.until(21)
        state.fail = False
        await it.until(60)
        assert [telling.firing for telling in it.told()] == [("A",)]
        assert it.registry.get_sample_value("tidegate_group_flushes_total", {"outcome": "failed"}) == 3


async def test_a_message_that_cannot_be_stored_is_not_recorded_as_told(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        it.sink.fail = True
        await it.push("A")
        await it.until(12)
        assert it.stored() == []
        it.sink.fail = False
        await it.until(30)
        assert [told.firing for told in it.stored()] == [frozenset({world.alert("A").fingerprint})]
        assert len(it.told()) == 1


class Lines:
    """A log store that takes its time."""

    def __init__(self, delay: float = 0.0, error: Exception | None = None) -> None:
        self.delay, self.error = delay, error
        self.asked: list[tuple[str, float, float, int]] = []

    async def search(self, query: str, *, start: float, end: float, limit: int) -> logs.LogPage:
        self.asked.append((query, start, end, limit))
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return logs.LogPage(tuple(logs.LogLine(end - n, f"line {'abcdefghi'[n]}") for n in range(9)), 9)


async def _with_query(it: world.World, *names: str) -> None:
    now = it.clock.now()
    await it.book.put([dataclasses.replace(world.alert(name, at=now), log_query="level:error") for name in names])


async def test_firing_alerts_bring_their_log_lines(state: database.Database) -> None:
    reader = Lines()
    async with running(state, BY_SERVICE, reader) as it:
        await _with_query(it, "A", "B")
        await it.until(11)
        message = it.sink.messages[0][0]
        assert [[line.message for line in item.log_lines] for item in message.firing] == [
            [f"line {letter}" for letter in "abcde"]
        ] * 2
        assert reader.asked == [("level:error", it.start - 300, it.start + 10, 100)]


async def test_a_slow_log_store_does_not_hold_the_message(state: database.Database) -> None:
    async with running(state, BY_SERVICE, Lines(delay=60)) as it:
        await _with_query(it, "A")
        await it.until(12.5)
        assert it.sink.messages == []
        await it.until(13.1)
        item = it.sink.messages[0][0].firing[0]
        assert (item.log_lines, item.log_note) == ((), "log search took longer than 3 s")


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (problems.TransientError("the store is away"), "log search failed: the store is away"),
        (problems.QueryError("bad KQL"), "log search failed: bad KQL"),
        (ZeroDivisionError("oops"), "log search failed: internal error"),
    ],
)
async def test_a_failing_log_store_is_named_in_the_message(
    state: database.Database, error: Exception, note: str
) -> None:
    async with running(state, BY_SERVICE, Lines(error=error)) as it:
        await _with_query(it, "A")
        await it.until(11)
        assert it.sink.messages[0][0].firing[0].log_note == note


async def test_what_was_told_long_ago_is_forgotten(state: database.Database) -> None:
    async with running(state, BY_SERVICE) as it:
        await it.push("A")
        await it.until(20)
        await it.push("A", state="resolved")
        await it.until(80)
        assert len(it.stored()) == 1
        await it.until(3000)
        assert it.stored() == []
        assert state.run_now(store.load_told) == []
