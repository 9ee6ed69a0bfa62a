"""The deploy ledger: which version came where, when; durable, with the recent part in memory for the gate and the page.

It also tells what a deploy is: `config` when the version stays, `rollback` when it goes back to one that first ran here
before the present one did, else `forward`. What follows from that is the judge's business.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence

from tidegate.gate import store
from tidegate.kit import database, telemetry
from tidegate.model import gate

REMEMBERED = 20_000
"""Deploys in memory; older ones stay in the database, where directions of new deploys still count them."""
Pair = tuple[str, str]


class Ledger:
    """Implements `ports.Ledger`."""

    def __init__(self, state: database.Database, registry: telemetry.Registry) -> None:
        """Makes the table where there is none and reads the recent deploys (blocks). Raises `FatalError`."""
        self._database = state
        self._all: list[gate.Deploy] = []
        self._by_pair: dict[Pair, list[gate.Deploy]] = {}
        self._recorded = telemetry.Counter(
            "tidegate_deploys_recorded",
            "Deploys that were recorded.",
            ["environment", "direction"],
            registry=registry,
        )
        state.create(store.METADATA)
        for deploy in reversed(state.run_now(lambda connection: store.load(connection, REMEMBERED))):
            self._remember(deploy)

    async def record(self, deploy: gate.Deploy) -> gate.Deploy:
        """Keep it, durably, and return it as kept. The same id again changes nothing: what was kept first is returned."""

        def work(connection: database.Connection) -> tuple[gate.Deploy, bool]:
            known = store.find(connection, deploy.id)
            if known:
                return known, False
            past = store.history(connection, deploy.environment, deploy.service)
            before = [other for other in past if other.at <= deploy.at]
            found = deploy.direction or direction(before, deploy.version, deploy.digest)
            kept = dataclasses.replace(deploy, direction=found)
            store.insert(connection, kept)
            return kept, True

        kept, new = await self._database.run(work)
        if new:
            self._remember(kept)
            self._recorded.labels(kept.environment, kept.direction).inc()
        return kept

    def deploys(self, environment: str = "", service: str = "", limit: int = 100) -> Sequence[gate.Deploy]:
        """Newest first; empty means all."""
        if environment and service:
            return self._by_pair.get((environment, service), [])[: -limit - 1 : -1]
        found: list[gate.Deploy] = []
        for deploy in reversed(self._all):
            if len(found) >= limit:
                break
            if environment in ("", deploy.environment) and service in ("", deploy.service):
                found.append(deploy)
        return found

    def direction(self, environment: str, service: str, version: str, digest: str = "") -> gate.Direction:
        """What a deploy of this version would be now."""
        return direction(self._by_pair.get((environment, service), ()), version, digest)

    def _remember(self, deploy: gate.Deploy) -> None:
        mine = self._by_pair.setdefault((deploy.environment, deploy.service), [])
        for deploys in (self._all, mine):
            bisect.insort(deploys, deploy, key=lambda item: item.at)
        if len(self._all) > REMEMBERED:
            oldest = self._all.pop(0)
            self._by_pair[oldest.environment, oldest.service].remove(oldest)


def direction(past: Sequence[gate.Deploy], version: str, digest: str = "") -> gate.Direction:
    """What a deploy is after those of `past` (of one service and environment, oldest first)."""
    if not past:
        return "forward"
    present = past[-1]
    if version == present.version:
        same = not digest or not present.digest or digest == present.digest
        return "config" if same else "forward"
    first: dict[str, int] = {}
    for number, deploy in enumerate(past):
        first.setdefault(deploy.version, number)
    return "rollback" if first.get(version, len(past)) < first[present.version] else "forward"
