"""The outbox, in virtual time: retries, order, isolation, take-over, giving up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import pytest

from tests.alerts.world import InlineDatabase
from tests.notify import samples
from tidegate.kit import clock, tasks, telemetry
from tidegate.model import alerts, problems
from tidegate.notify import integration, outbox, store

pytestmark = pytest.mark.looptime
NAMES = ("fake[0]", "fake[1]")


class World:
    """An outbox that runs."""

    def __init__(
        self,
        state: InlineDatabase,
        integrations: Mapping[str, Sequence[integration.Integration]],
        *,
        exclusive: bool = True,
        time: clock.LoopClock | None = None,
    ) -> None:
        self.clock = time or clock.LoopClock(samples.NOW)
        self.registry = telemetry.Registry()
        self.state = state
        self.outbox = outbox.Outbox(integrations, state, self.clock, self.registry, exclusive=exclusive)

    async def put(self, *items: alerts.Notification, names: Sequence[str] = NAMES) -> None:
        for item in items:
            await self.state.run(lambda connection, item=item: self.outbox.put(connection, item, names))  # type: ignore[misc]
        self.outbox.wake()

    def states(self) -> list[tuple[str, str, int, str]]:
        """(integration, state, attempts, error), oldest first."""
        return [(sent.integration, sent.state, sent.attempts, sent.error) for sent in reversed(self.outbox.recent(100))]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@contextlib.asynccontextmanager
async def running(
    state: InlineDatabase,
    integrations: Mapping[str, Sequence[integration.Integration]],
    *,
    exclusive: bool = True,
    time: clock.LoopClock | None = None,
) -> AsyncIterator[World]:
    world = World(state, integrations, exclusive=exclusive, time=time)
    task = asyncio.create_task(world.outbox.run())
    try:
        await asyncio.sleep(0)
        yield world
    finally:
        await tasks.cancel(task)


async def settle() -> None:
    await asyncio.sleep(0.001)


async def test_a_message_goes_to_each_integration_once(state: InlineDatabase) -> None:
    one, two = samples.Fake(), samples.Fake()
    async with running(state, samples.integrations(one, two)) as it:
        await it.put(samples.notification())
        await settle()
        await asyncio.sleep(86400)
        assert [sent for sent, _ in one.sent] == [sent for sent, _ in two.sent] == ["0123456789abcdef"]
        assert one.sent[0][1] == "0123456789abcdef-team-fake[0]"
        assert it.states() == [("fake[0]", "delivered", 1, ""), ("fake[1]", "delivered", 1, "")]
        assert it.outbox.recent(1)[0].summary == "[CRITICAL] ShopErrors: shop, production"
        labels = {"receiver": "team", "integration": "fake[0]", "outcome": "delivered"}
        assert it.metric("tidegate_notifications_total", **labels) == 1
        assert it.metric("tidegate_outbox_depth") == 0


async def test_only_those_are_told_who_are_named(state: InlineDatabase) -> None:
    one, two = samples.Fake(), samples.Fake()
    async with running(state, samples.integrations(one, two)) as it:
        await it.put(samples.notification(), names=["fake[1]"])
        await settle()
        assert (len(one.sent), len(two.sent)) == (0, 1)


async def test_each_integration_is_retried_alone(state: InlineDatabase) -> None:
    one, two = samples.Fake([samples.transient()] * 3), samples.Fake()
    async with running(state, samples.integrations(one, two)) as it:
        one.now = two.now = it.clock.now
        await it.put(samples.notification())
        await settle()
        assert (len(one.sent), len(two.sent)) == (0, 1)
        assert it.metric("tidegate_outbox_depth") == 1
        await asyncio.sleep(100)
        assert (len(one.sent), len(two.tried)) == (1, 1)
        waits = [after - before for before, after in zip(one.tried, one.tried[1:], strict=False)]
        assert [low <= wait <= 2 * low + 0.1 for low, wait in zip((0.5, 1, 2), waits, strict=True)] == [True] * 3
        labels = {"receiver": "team", "integration": "fake[0]"}
        assert it.metric("tidegate_notifications_total", outcome="retried", **labels) == 3
        assert it.metric("tidegate_notification_failures_total", reason="rate_limited", **labels) == 3


async def test_the_peers_wish_to_wait_is_kept_for_all_its_messages(state: InlineDatabase) -> None:
    one, two = samples.Fake([samples.transient(after=30)]), samples.Fake()
    async with running(state, samples.integrations(one, two)) as it:
        one.now = it.clock.now
        await it.put(samples.notification(id_="a"))
        await settle()
        await it.put(samples.notification(id_="b", group="cart"))
        await asyncio.sleep(29)
        assert (len(one.tried), len(two.sent)) == (1, 2)
        await asyncio.sleep(2)
        assert sorted(sent for sent, _ in one.sent) == ["a", "b"]
        assert one.tried[1] - one.tried[0] >= 30


async def test_a_permanent_error_is_not_tried_again(state: InlineDatabase) -> None:
    one = samples.Fake([problems.PermanentError("HTTP 404: no_team", reason="rejected")])
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification(id_="a"), samples.notification(id_="b"))
        await asyncio.sleep(86400)
        assert it.states() == [("fake[0]", "failed", 1, "HTTP 404: no_team"), ("fake[0]", "delivered", 1, "")]
        labels = {"receiver": "team", "integration": "fake[0]", "reason": "rejected"}
        assert it.metric("tidegate_notification_failures_total", **labels) == 1


async def test_messages_about_one_group_stay_in_order(state: InlineDatabase) -> None:
    one = samples.Fake([samples.transient()])
    async with running(state, samples.integrations(one)) as it:
        await it.put(*(samples.notification(id_=name) for name in "abc"), samples.notification(id_="x", group="cart"))
        await asyncio.sleep(60)
        order = [sent for sent, _ in one.sent]
        assert order == ["x", "a", "b", "c"]


async def test_a_slow_integration_leaves_room_for_others(state: InlineDatabase) -> None:
    slow, quick = samples.Fake([25.0] * 100), samples.Fake()
    async with running(state, samples.integrations(slow, quick)) as it:
        await it.put(*(samples.notification(id_=f"n{n}", group=f"g{n}") for n in range(40)))
        await asyncio.sleep(1)
        assert (slow.under_way, len(quick.sent)) == (outbox.PER_TARGET, 40)
        await asyncio.sleep(25 * 20)
        assert (len(slow.sent), slow.most) == (40, outbox.PER_TARGET)


async def test_a_delivery_that_hangs_is_cut_off_and_tried_again(state: InlineDatabase) -> None:
    one = samples.Fake([10_000.0])
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification())
        await asyncio.sleep(29)
        assert it.states() == [("fake[0]", "sending", 0, "")]
        await asyncio.sleep(5)
        assert it.states() == [("fake[0]", "delivered", 2, "")]


async def test_it_gives_up_in_the_end(state: InlineDatabase) -> None:
    one = samples.Fake([samples.transient()] * 100_000)
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification())
        await asyncio.sleep(outbox.GIVE_UP + 300)
        (sent,) = it.states()
        assert sent[1] == "failed"
        assert sent[3] == "given up: come back later"
        assert 100 < len(one.tried) < 300
        labels = {"receiver": "team", "integration": "fake[0]", "reason": "gave_up"}
        assert it.metric("tidegate_notification_failures_total", **labels) == 1


async def test_a_receiver_with_a_bug_is_put_aside(state: InlineDatabase) -> None:
    one = samples.Fake([ZeroDivisionError("secret detail")] * 5)
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification(id_="a"), samples.notification(id_="b"))
        await asyncio.sleep(1000)
        assert [(state_, attempts) for _, state_, attempts, _ in it.states()] == [("failed", 5), ("delivered", 1)]
        assert it.states()[0][3] == "the receiver crashed: ZeroDivisionError"


async def test_a_note_is_kept_with_the_delivery(state: InlineDatabase) -> None:
    async with running(state, samples.integrations(samples.Fake(["refused: bob@shop.test"]))) as it:
        await it.put(samples.notification())
        await settle()
        assert it.states() == [("fake[0]", "delivered", 1, "refused: bob@shop.test")]
        labels = {"receiver": "team", "integration": "fake[0]", "outcome": "partial"}
        assert it.metric("tidegate_notifications_total", **labels) == 1


async def test_what_waits_survives_a_restart(state: InlineDatabase) -> None:
    one = samples.Fake([samples.transient()])
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification())
        await settle()
        assert it.states() == [("fake[0]", "waiting", 1, "come back later")]
    two = samples.Fake()
    async with running(state, samples.integrations(two), time=it.clock) as again:
        await asyncio.sleep(10)
        assert again.states() == [("fake[0]", "delivered", 2, "")]
        assert two.sent == [("0123456789abcdef", "0123456789abcdef-team-fake[0]")]


async def test_what_a_dead_process_was_sending_is_sent_again(state: InlineDatabase) -> None:
    async with running(state, samples.integrations(samples.Fake([1000.0]))) as it:
        await it.put(samples.notification())
        await asyncio.sleep(1)
    two = samples.Fake()
    async with running(state, samples.integrations(two), time=it.clock) as again:
        await settle()
        assert again.metric("tidegate_outbox_taken_over_total") == 1
        assert [key for _, key in two.sent] == ["0123456789abcdef-team-fake[0]"]


async def test_a_living_neighbours_claim_is_left_alone(state: InlineDatabase) -> None:
    async with running(state, samples.integrations(samples.Fake([20.0]))) as it:
        await it.put(samples.notification())
        await asyncio.sleep(1)
        two = samples.Fake()
        async with running(state, samples.integrations(two), exclusive=False, time=it.clock) as other:
            await asyncio.sleep(60)
            assert two.tried == []
            assert other.metric("tidegate_outbox_taken_over_total") == 0
        assert it.states() == [("fake[0]", "delivered", 1, "")]


async def test_a_dead_neighbours_claim_is_taken_over_when_its_lease_ends(state: InlineDatabase) -> None:
    async with running(state, samples.integrations(samples.Fake([1000.0]))) as it:
        await it.put(samples.notification())
        await asyncio.sleep(1)
    two = samples.Fake()
    async with running(state, samples.integrations(two), exclusive=False, time=it.clock):
        await asyncio.sleep(60)
        assert two.tried == []
        await asyncio.sleep(2 * outbox.LEASE)
        assert len(two.sent) == 1


async def test_a_message_that_kills_us_is_put_aside(state: InlineDatabase) -> None:
    time = clock.LoopClock(samples.NOW)
    lives = 0
    for _ in range(10):
        async with running(state, samples.integrations(samples.Fake([1000.0])), time=time) as it:
            if lives == 0:
                await it.put(samples.notification())
            await asyncio.sleep(1)
            lives += 1
            if it.states()[0][1] == "failed":
                break
    assert it.states() == [("fake[0]", "failed", 1, "the process died each time it was sent")]
    assert lives == 6


async def test_what_is_not_configured_any_more_fails(state: InlineDatabase) -> None:
    one = samples.Fake([samples.transient()])
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification())
        await settle()
        it.outbox.reload({})
        await asyncio.sleep(10)
        assert it.states() == [("fake[0]", "failed", 2, "the receiver is not configured any more")]
        assert one.closed


async def test_a_reload_goes_on_with_the_new_integrations(state: InlineDatabase) -> None:
    one, two = samples.Fake([samples.transient()]), samples.Fake()
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification())
        await settle()
        it.outbox.reload(samples.integrations(two))
        await asyncio.sleep(10)
        assert (len(one.sent), len(two.sent), one.closed, two.closed) == (0, 1, True, False)


async def test_closing_delivers_what_is_due(state: InlineDatabase) -> None:
    one = samples.Fake([3.0])
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification(id_="a"), samples.notification(id_="b"))
        await asyncio.sleep(1)
        before = it.clock.now()
        await it.outbox.close(deadline=5)
        assert ([sent for sent, _ in one.sent], one.closed) == (["a", "b"], True)
        assert it.clock.now() - before == pytest.approx(2, abs=0.1)


async def test_closing_does_not_wait_for_ever(state: InlineDatabase) -> None:
    one = samples.Fake([25.0])
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification())
        await asyncio.sleep(1)
        before = it.clock.now()
        await it.outbox.close(deadline=5)
        assert it.clock.now() - before == pytest.approx(5, abs=0.1)
        assert one.sent == []


async def test_an_outcome_is_recorded_even_if_the_database_is_away_for_a_while(state: InlineDatabase) -> None:
    one = samples.Fake([5.0])
    async with running(state, samples.integrations(one)) as it:
        await it.put(samples.notification())
        await asyncio.sleep(1)
        state.fail = True
        await asyncio.sleep(30)
        state.fail = False
        await asyncio.sleep(30)
        assert (it.states(), len(one.sent)) == ([("fake[0]", "delivered", 1, "")], 1)


async def test_old_deliveries_are_forgotten(state: InlineDatabase) -> None:
    async with running(state, samples.integrations(samples.Fake())) as it:
        await it.put(samples.notification())
        await asyncio.sleep(outbox.KEEP - 10_000)
        assert len(state.run_now(lambda connection: store.recent(connection, 10))) == 1
        await asyncio.sleep(20_000)
        assert state.run_now(lambda connection: store.recent(connection, 10)) == []


async def test_two_cannot_claim_the_same_row(state: InlineDatabase) -> None:
    it = World(state, samples.integrations(samples.Fake()))
    await it.put(samples.notification())

    def claim(owner: str) -> Callable[[object], list[store.Row]]:
        return lambda connection: store.claim(
            connection,  # type: ignore[arg-type]
            owner=owner,
            now=samples.NOW,
            lease=10,
            limit=5,
            busy=(),
        )

    (row,) = await state.run(claim("one"))
    assert await state.run(claim("two")) == []
    done = {"state": "delivered", "updated_at": samples.NOW}
    assert not await state.run(lambda connection: store.finish(connection, row.seq, "two", dict(done)))
    assert await state.run(lambda connection: store.finish(connection, row.seq, "one", dict(done)))
    assert not await state.run(lambda connection: store.finish(connection, row.seq, "one", dict(done)))
