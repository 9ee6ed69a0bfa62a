"""Long random stories of alerts, restarts and reloads: in the end everybody knows what is true, and nobody was bored."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.alerts import world
from tests.alerts.world import running
from tidegate.model import alerts

TREE = """
alerts:
  route:
    receiver: a
    group_by: [service]
    group_wait: 10s
    group_interval: 60s
    repeat_interval: 100d
    routes: [{receiver: b, matchers: [alertname=~"A|B"], continue: true}, {receiver: a}]
  receivers: [{name: a}, {name: b}]
"""
OTHER = TREE.replace("60s", "45s").replace("10s", "20s")
SERVICES = ("shop", "cart", "mail")
NAMES = ("A", "B", "C", "D")


async def steps(it: world.World, dice: random.Random, count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(dice.choice([0, 1, 5, 9, 30, 59, 61, 200]))
        name, service = dice.choice(NAMES), dice.choice(SERVICES)
        before = it.book.get(world.alert(name, service=service).fingerprint)
        fires = before is not None and before.state == "firing"
        if dice.random() < 0.1:
            it.reload(dice.choice([TREE, OTHER]))
        elif fires:
            await it.push(name, state="resolved", service=service)
        else:
            await it.push(name, state=dice.choice(["firing", "firing", "pending"]), service=service)


@pytest.mark.looptime
@pytest.mark.parametrize("seed", range(8))
async def test_in_the_end_everybody_knows_what_is_true(state: world.InlineDatabase, seed: int) -> None:
    dice = random.Random(seed)
    before: world.World | None = None
    messages: list[alerts.Notification] = []
    for _ in range(4):
        async with running(state, TREE, before=before) as it:
            await steps(it, dice, 25)
            if dice.random() < 0.3:
                state.fail = True
                await asyncio.sleep(7)
                state.fail = False
        messages += [message for message, _ in it.sink.messages]
        before = it
    async with running(state, TREE, before=before) as last:
        await asyncio.sleep(1000)
        messages += [message for message, _ in last.sink.messages]
        truth = {alert.fingerprint for alert in last.book.all() if alert.state == "firing"}
        for_b = {alert.fingerprint for alert in last.book.all() if alert.state == "firing" and alert.name in "AB"}
    known: dict[tuple[str, str], set[str]] = {}
    for message in messages:
        group = (message.receiver, message.group_key)
        now = {item.alert.fingerprint for item in message.firing}
        ended = {item.alert.fingerprint for item in message.resolved}
        assert now - known.get(group, set()) or ended, "a message without news"
        assert not now & ended
        known[group] = now
    everybody = {receiver: set[str]() for receiver in "ab"}
    for (receiver, _), fingerprints in known.items():
        everybody[receiver] |= fingerprints
    assert everybody == {"a": truth, "b": for_b}
