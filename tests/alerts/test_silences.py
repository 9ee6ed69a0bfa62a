"""Silences: what is taken, changed, ended, kept."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid

import pytest

from tests.alerts.world import InlineDatabase
from tidegate.alerts import silences, store
from tidegate.kit import clock, matchers, telemetry
from tidegate.model import alerts, labels, problems

pytestmark = pytest.mark.looptime
A = labels.make(alertname="A", service="shop")


class It:
    def __init__(self, state: InlineDatabase, time: clock.LoopClock | None = None) -> None:
        self.clock = time or clock.LoopClock()
        self.now = self.clock.now()
        self.registry = telemetry.Registry()
        self.silences = silences.Silences(state, self.clock, self.registry, 3600.0)

    def make(self, text: str = "alertname=A", start: float = 0, end: float = 100, id_: str = "") -> alerts.Silence:
        return alerts.Silence(id_, matchers.parse_all(text), self.now + start, self.now + end, "ann", "why")

    def state_of(self, silence_id: str) -> str:
        (found,) = [silence for silence in self.silences.all() if silence.id == silence_id]
        return found.state(self.clock.now())


async def test_it_holds_from_start_to_end(state: InlineDatabase) -> None:
    it = It(state)
    silence_id = await it.silences.put(it.make(start=10))
    assert str(uuid.UUID(silence_id)) == silence_id
    seen = []
    for _ in range(4):
        seen.append((it.state_of(silence_id), it.silences.matching(A)))
        await asyncio.sleep(45)
    assert seen == [("pending", ()), ("active", (silence_id,)), ("active", (silence_id,)), ("expired", ())]
    assert it.silences.matching(labels.make(alertname="B")) == ()


async def test_it_outlives_the_process(state: InlineDatabase) -> None:
    it = It(state)
    silence_id = await it.silences.put(it.make('alertname=~"A|B",service!="cart"'))
    again = It(state, it.clock)
    assert again.silences.matching(A) == (silence_id,)
    assert again.silences.all() == it.silences.all()


async def test_a_start_in_the_past_is_now(state: InlineDatabase) -> None:
    it = It(state)
    await it.silences.put(it.make(start=-50))
    assert it.silences.all()[0].starts_at == it.now


@pytest.mark.parametrize(
    ("text", "start", "end", "why"),
    [
        ("a=b", 10, 10, "it must end after it starts"),
        ("a=b", -20, -10, "it must not end in the past"),
        ("", 0, 10, "at least one matcher"),
        ("a=~.*,b!=x", 0, 10, "at least one matcher"),
    ],
)
async def test_what_may_not_be(state: InlineDatabase, text: str, start: float, end: float, why: str) -> None:
    it = It(state)
    with pytest.raises(problems.PermanentError, match=why) as caught:
        await it.silences.put(it.make(text, start, end))
    assert caught.value.reason == "rejected"
    assert it.silences.all() == ()


async def test_a_pattern_that_is_none_is_refused(state: InlineDatabase) -> None:
    it = It(state)
    bad = dataclasses.replace(it.make(), matchers=(alerts.Matcher("a", "=~", "("),))
    with pytest.raises(problems.PermanentError, match="not an RE2 pattern"):
        await it.silences.put(bad)


async def test_an_end_can_be_moved_in_place(state: InlineDatabase) -> None:
    it = It(state)
    silence_id = await it.silences.put(it.make())
    await asyncio.sleep(50)
    assert await it.silences.put(it.make(end=500, id_=silence_id)) == silence_id
    assert [silence.ends_at - it.now for silence in it.silences.all()] == [500]


async def test_other_matchers_make_another_silence(state: InlineDatabase) -> None:
    it = It(state)
    old = await it.silences.put(it.make())
    await asyncio.sleep(50)
    new = await it.silences.put(it.make("alertname=B", id_=old))
    assert new != old
    assert (it.state_of(old), it.state_of(new)) == ("expired", "active")
    assert {silence.id for silence in state.run_now(store.load_silences)} == {old, new}


async def test_one_that_is_over_comes_back_as_another(state: InlineDatabase) -> None:
    it = It(state)
    old = await it.silences.put(it.make())
    await asyncio.sleep(150)
    new = await it.silences.put(it.make(end=300, id_=old))
    assert new != old
    assert it.state_of(old) == "expired"


async def test_changing_what_is_not_there(state: InlineDatabase) -> None:
    it = It(state)
    with pytest.raises(problems.PermanentError) as caught:
        await it.silences.put(it.make(id_="nope"))
    assert caught.value.reason == "not_found"
    with pytest.raises(KeyError):
        await it.silences.expire("nope")


async def test_ending_early(state: InlineDatabase) -> None:
    it = It(state)
    active, pending = await it.silences.put(it.make()), await it.silences.put(it.make(start=50))
    await asyncio.sleep(10)
    await it.silences.expire(active)
    await it.silences.expire(pending)
    assert (it.state_of(active), it.state_of(pending), it.silences.matching(A)) == ("expired", "expired", ())
    before = it.silences.all()
    await asyncio.sleep(10)
    await it.silences.expire(active)
    assert it.silences.all() == before
    assert It(state, it.clock).silences.matching(A) == ()


async def test_old_ones_are_forgotten(state: InlineDatabase) -> None:
    it = It(state)
    await it.silences.put(it.make())
    await asyncio.sleep(3600)
    assert await it.silences.collect() == 0
    await asyncio.sleep(101)
    assert await it.silences.collect() == 1
    assert (it.silences.all(), state.run_now(store.load_silences)) == ((), [])
