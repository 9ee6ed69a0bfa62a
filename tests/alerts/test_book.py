"""The alert book: durable, expiring, forgetting."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Sequence

import pytest

from tests.alerts.world import InlineDatabase, alert
from tidegate.alerts import book, silences, store
from tidegate.kit import clock, database, tasks, telemetry
from tidegate.model import alerts, labels

pytestmark = pytest.mark.looptime


class It:
    def __init__(self, state: database.Database, time: clock.LoopClock | None = None) -> None:
        self.clock = time or clock.LoopClock()
        self.now = self.clock.now()
        self.registry = telemetry.Registry()
        muting = silences.Silences(state, self.clock, self.registry, 60)
        self.book = book.Book(state, self.clock, self.registry, muting, 900)
        self.heard: list[tuple[str, str]] = []
        self.book.subscribe(self._hear)

    def _hear(self, changed: Sequence[alerts.Alert]) -> None:
        self.heard += [(item.name, item.state) for item in changed]

    def states(self) -> list[tuple[str, str]]:
        return sorted((item.name, item.state) for item in self.book.all())


async def test_what_was_put_outlives_the_process(state: InlineDatabase) -> None:
    it = It(state)
    full = alerts.Alert(
        labels.make(alertname="Ä", quote='"', empty=""),
        "firing",
        "f;g;Ä",
        labels.make(summary="lines\nand 🙂"),
        1.5,
        2.5,
        0.0,
        3.5,
        0.0,
        math.inf,
        math.nan,
        "http://x/",
        "level:error",
    )
    await it.book.put([full, alert("B", "pending")])
    again = It(state, it.clock)
    back = again.book.get(full.fingerprint)
    assert repr(back) == repr(full)
    assert again.states() == [("B", "pending"), ("Ä", "firing")]


async def test_listeners_hear_after_the_commit(state: InlineDatabase) -> None:
    it = It(state)
    stored: list[int] = []
    it.book.subscribe(lambda _: stored.append(len(state.run_now(store.load_alerts))))
    await it.book.put([alert("A"), alert("B")])
    assert (stored, it.heard) == ([2], [("A", "firing"), ("B", "firing")])


async def test_what_cannot_be_stored_is_not_shown(state: InlineDatabase) -> None:
    it = It(state)
    state.fail = True
    with pytest.raises(OSError, match="disk"):
        await it.book.put([alert("A")])
    assert (it.states(), it.heard) == ([], [])
    state.fail = False
    await it.book.put([alert("A")])
    assert it.states() == [("A", "firing")]


async def test_a_listeners_fault_is_its_own(state: InlineDatabase) -> None:
    it = It(state)

    def broken(_: Sequence[alerts.Alert]) -> None:
        raise ZeroDivisionError

    it.book.subscribe(broken)
    await it.book.put([alert("A")])
    assert it.states() == [("A", "firing")]


async def test_what_never_fired_leaves_no_trace(state: InlineDatabase) -> None:
    it = It(state)
    await it.book.put([alert("A", "pending"), alert("B", "pending")])
    await it.book.put([dataclasses.replace(alert("A", "resolved"), fired_at=0.0)])
    assert it.states() == [("B", "pending")]
    assert [item.name for item in state.run_now(store.load_alerts)] == ["B"]


async def test_pushed_alerts_end_when_nobody_speaks_of_them(state: InlineDatabase) -> None:
    it = It(state)
    task = asyncio.create_task(it.book.run())
    pushed = dataclasses.replace(alert("A"), rule="api", expires_at=it.now + 42)
    await it.book.put([pushed, alert("B")])
    await asyncio.sleep(30)
    await it.book.put([dataclasses.replace(pushed, expires_at=it.now + 72)])
    await asyncio.sleep(30)
    assert it.states() == [("A", "firing"), ("B", "firing")]
    await asyncio.sleep(15)
    assert it.states() == [("A", "resolved"), ("B", "firing")]
    ended = it.book.get(pushed.fingerprint)
    assert ended is not None
    assert ended.resolved_at == it.now + 72
    assert it.heard[-1] == ("A", "resolved")
    assert it.registry.get_sample_value("tidegate_alerts_expired_total") == 1
    await tasks.cancel(task)


async def test_what_is_over_is_forgotten_after_a_while_unless_it_is_needed(state: InlineDatabase) -> None:
    it = It(state)
    await it.book.put([alert("A", "resolved", it.now), alert("B", at=it.now), alert("C", "resolved", it.now)])
    needed = {alert("C").fingerprint}
    it.book.keep_while(lambda fingerprint: fingerprint in needed)
    await asyncio.sleep(899)
    await it.book.collect()
    assert it.states() == [("A", "resolved"), ("B", "firing"), ("C", "resolved")]
    await asyncio.sleep(2)
    await it.book.collect()
    assert it.states() == [("B", "firing"), ("C", "resolved")]
    needed.clear()
    await it.book.collect()
    assert It(state, it.clock).states() == [("B", "firing")]


async def test_many_alerts_in_one_transaction(state: InlineDatabase) -> None:
    it = It(state)
    await it.book.put([alert("A", n=str(n)) for n in range(3000)])
    assert len(It(state, it.clock).book.all()) == 3000
    gone = [dataclasses.replace(alert("A", "resolved", n=str(n)), rule="x") for n in range(3000)]
    await it.book.put(gone)
    await asyncio.sleep(2000)
    await it.book.collect()
    assert state.run_now(store.load_alerts) == []
