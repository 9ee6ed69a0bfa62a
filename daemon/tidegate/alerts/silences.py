"""The silences: which alerts nobody is told of, and until when.

Kept in memory for matching and in the database for good; a call returns when it is on disk. Semantics: Alertmanager's
`silence` package (what may be changed in place, and what becomes a new silence).
"""

from __future__ import annotations

import dataclasses
import functools
import uuid
from collections.abc import Sequence

from tidegate.alerts import store
from tidegate.kit import database, matchers, telemetry
from tidegate.model import alerts, labels, ports, problems

GC_INTERVAL = 60.0
MAX_SILENCES = 10_000
MAX_TEXT = 4096


class Silences:
    """Implements `ports.Silences`."""

    def __init__(
        self, state: database.Database, clock: ports.Clock, registry: telemetry.Registry, retention: float
    ) -> None:
        """Reads the stored silences (blocks). `retention` (seconds) is how long ended ones are kept."""
        self._database = state
        self._clock = clock
        self._retention = retention
        self._silences: dict[str, alerts.Silence] = {}
        self._conditions: dict[str, matchers.Conditions] = {}
        self._unreadable = telemetry.Counter(
            "tidegate_silences_unreadable",
            "Stored silences that could not be used and were left out.",
            registry=registry,
        )
        gauge = telemetry.Gauge("tidegate_silences", "Silences by state.", ["state"], registry=registry)
        for name in ("pending", "active", "expired"):
            gauge.labels(name).set_function(functools.partial(self._count, name))
        for silence in state.run_now(store.load_silences):
            self._restore(silence)

    def reload(self, retention: float) -> None:
        """Take over a new retention."""
        self._retention = retention

    def all(self) -> Sequence[alerts.Silence]:
        """Pending, active and recently expired ones."""
        return tuple(self._silences.values())

    def matching(self, of: labels.Labels) -> tuple[str, ...]:
        """Ids of the active silences that match a label set."""
        now = self._clock.now()
        return tuple(
            silence.id
            for silence in self._silences.values()
            if silence.starts_at <= now < silence.ends_at and self._conditions[silence.id].matches(of)
        )

    async def put(self, silence: alerts.Silence) -> str:
        """Make (empty id) or change one; the id, which is new when what was changed may not change in place.

        Raises `PermanentError` (`reason` `rejected` or `not_found`) when it may not be.
        """
        now = self._clock.now()
        conditions = _checked(silence, now)
        before = self._silences.get(silence.id)
        if silence.id and before is None:
            raise problems.PermanentError(f"there is no silence {silence.id}", reason="not_found")
        changed: list[alerts.Silence] = []
        if before is not None and _in_place(before, silence, now):
            after = dataclasses.replace(silence, updated_at=now)
        else:
            if len(self._silences) >= MAX_SILENCES:
                raise problems.PermanentError(f"there are {MAX_SILENCES} silences already", reason="rejected")
            if before is not None and before.state(now) != "expired":
                changed.append(_ended(before, now))
            starts = max(silence.starts_at, now)
            after = dataclasses.replace(silence, id=str(uuid.uuid4()), starts_at=starts, updated_at=now)
        changed.append(after)
        await self._database.run(lambda connection: store.save_silences(connection, changed))
        self._conditions[after.id] = conditions
        self._silences.update({item.id: item for item in changed})
        return after.id

    async def expire(self, silence_id: str) -> None:
        """End it now; one that has ended already stays as it is. Raises `KeyError` when there is none."""
        now = self._clock.now()
        silence = self._silences[silence_id]
        if silence.state(now) == "expired":
            return
        ended = _ended(silence, now)
        await self._database.run(lambda connection: store.save_silences(connection, [ended]))
        self._silences[silence_id] = ended

    async def collect(self) -> int:
        """Forget silences that ended longer ago than the retention; how many."""
        old = [item.id for item in self._silences.values() if item.ends_at + self._retention <= self._clock.now()]
        if old:
            await self._database.run(lambda connection: store.delete_silences(connection, old))
        for silence_id in old:
            self._silences.pop(silence_id, None)
            self._conditions.pop(silence_id, None)
        return len(old)

    async def run(self) -> None:
        """Forget old silences from time to time, until cancelled."""
        while True:
            await self._clock.sleep(GC_INTERVAL)
            await self.collect()

    def _restore(self, silence: alerts.Silence) -> None:
        try:
            self._conditions[silence.id] = matchers.Conditions(silence.matchers)
        except problems.QueryError as error:
            self._unreadable.inc()
            telemetry.logger("silences").error("stored silence left out", id=silence.id, error=str(error))
            return
        self._silences[silence.id] = silence

    def _count(self, name: str) -> float:
        now = self._clock.now()
        return float(sum(1 for silence in self._silences.values() if silence.state(now) == name))


def _checked(silence: alerts.Silence, now: float) -> matchers.Conditions:
    """The compiled matchers of a silence that is fit to be kept. Raises `PermanentError`."""
    try:
        conditions = matchers.Conditions(
            matchers.make(matcher.name, matcher.op, matcher.value) for matcher in silence.matchers
        )
    except problems.QueryError as error:
        raise problems.PermanentError(f"silence: {error}", reason="rejected") from None
    if silence.ends_at <= silence.starts_at:
        raise _rejected("it must end after it starts")
    if silence.ends_at <= now:
        raise _rejected("it must not end in the past")
    if not any(_selective(matcher) for matcher in silence.matchers):
        raise _rejected("at least one matcher must not match the empty string, or it would silence everything")
    if len(silence.comment) > MAX_TEXT or len(silence.created_by) > MAX_TEXT:
        raise _rejected(f"comment and author are at most {MAX_TEXT} characters")
    return conditions


def _selective(matcher: alerts.Matcher) -> bool:
    return not matchers.Conditions((matcher,)).matches(())


def _rejected(why: str) -> problems.PermanentError:
    return problems.PermanentError(f"silence: {why}", reason="rejected")


def _in_place(before: alerts.Silence, after: alerts.Silence, now: float) -> bool:
    """Whether a change keeps the silence's identity: the same matchers, and times that are still ahead."""
    if set(before.matchers) != set(after.matchers):
        return False
    state = before.state(now)
    if state == "active":
        return int(before.starts_at) == int(after.starts_at)
    return state == "pending" and after.starts_at >= now


def _ended(silence: alerts.Silence, now: float) -> alerts.Silence:
    """The silence, ended now. A pending one becomes expired without ever having been active."""
    return dataclasses.replace(silence, starts_at=min(silence.starts_at, now), ends_at=now, updated_at=now)
