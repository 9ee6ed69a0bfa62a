"""The loop whose time is a number: days pass at once, in order."""

from __future__ import annotations

import asyncio

from tidegate.kit import clock, virtual


def test_sleepers_wake_in_order_at_their_times() -> None:
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, time: clock.LoopClock, seconds: float) -> None:
        await time.sleep(seconds)
        woken.append((name, time.now()))

    async def main() -> None:
        time = clock.LoopClock(1000.0)
        time.now()
        await asyncio.gather(
            sleeper("week", time, 604_800.0), sleeper("day", time, 86_400.0), sleeper("now", time, 0.0)
        )

    virtual.run(main())
    assert woken == [("now", 1000.0), ("day", 87_400.0), ("week", 605_800.0)]


def test_what_is_ready_comes_before_what_is_later() -> None:
    async def main() -> int:
        turns = 0
        loop = asyncio.get_running_loop()
        later = loop.call_later(0.001, lambda: None)
        while loop.time() == 0 and turns < 100:
            turns += 1
            await asyncio.sleep(0)
        later.cancel()
        return turns

    assert virtual.run(main()) == 100
