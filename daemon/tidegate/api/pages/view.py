"""What the page shows, decided here so that the templates only lay it out."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from tidegate.api.context import Context
from tidegate.api.pages import render
from tidegate.model import alerts as alerts_
from tidegate.model import gate, logs, ports, problems
from tidegate.model import targets as targets_

GATES = 48
ROWS = 100
LINES = 40
LOG_SPAN = 3600.0
LOG_PATIENCE = 3.0
_ORDER = {"deny": 0, "unknown": 1, "wait": 2, "allow": 3}
_TONES = {"bad": 0, "mild": 1, "plain": 2, "good": 3}


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """The banner: how it stands, in one word and one sentence."""

    tone: str
    title: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert with its silences."""

    alert: alerts_.Alert
    silences: tuple[str, ...]
    summary: str
    since: float


@dataclasses.dataclass(frozen=True, slots=True)
class GateCard:
    """A verdict, what would open the gate, and what runs there."""

    verdict: gate.Verdict
    opens: str
    deploy: gate.Deploy | None


@dataclasses.dataclass(frozen=True, slots=True)
class GroupRow:
    """A rule group and the rules of it that failed."""

    status: ports.GroupStatus
    failed: tuple[ports.RuleStatus, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class LogSearch:
    """The search box and what it found."""

    query: str
    page: logs.LogPage
    error: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Dashboard:
    """Everything on the page. `more` counts what was left out, by section."""

    now: float
    state: State
    alerts: tuple[AlertRow, ...]
    gates: tuple[GateCard, ...]
    targets: tuple[targets_.TargetStatus, ...]
    groups: tuple[GroupRow, ...]
    streams: tuple[ports.StreamStatus, ...]
    search: LogSearch
    sent: tuple[alerts_.Sent, ...]
    deploys: tuple[gate.Deploy, ...]
    silences: tuple[alerts_.Silence, ...]
    more: dict[str, int]


async def dashboard(context: Context, query: str) -> Dashboard:
    """Gather it, from memory; only the log lines are searched."""
    now = context.clock.now()
    rows, cards = _alerts(context), _gates(context)
    found = sorted(
        context.targets.targets(), key=lambda one: (_TONES[render.tone(one.health)], one.target.job, one.target.url)
    )
    groups = _groups(context)
    return Dashboard(
        now=now,
        state=_state(rows, cards, found, groups, context.ready()),
        alerts=tuple(rows[:ROWS]),
        gates=tuple(cards[:GATES]),
        targets=tuple(found[:ROWS]),
        groups=tuple(groups[:ROWS]),
        streams=tuple(sorted(context.streams.streams(), key=lambda one: (not one.error, one.kind, one.name))[:ROWS]),
        search=await _search(context, query, now),
        sent=tuple(context.sent.recent(12)),
        deploys=tuple(context.ledger.deploys(limit=8)),
        silences=tuple(silence for silence in context.silences.all() if silence.state(now) != "expired"),
        more={
            "alerts": len(rows) - ROWS,
            "gates": len(cards) - GATES,
            "targets": len(found) - ROWS,
            "groups": len(groups) - ROWS,
        },
    )


def _alerts(context: Context) -> list[AlertRow]:
    rows = [
        AlertRow(
            alert,
            tuple(context.book.silenced_by(alert)),
            next((text for name in ("summary", "description") for key, text in alert.annotations if key == name), ""),
            alert.fired_at if alert.state == "firing" and alert.fired_at else alert.active_at,
        )
        for alert in context.book.all()
        if alert.state in ("firing", "pending")
    ]

    def order(row: AlertRow) -> tuple[bool, bool, int, float]:
        severity = dict(row.alert.labels).get("severity", "")
        return bool(row.silences), row.alert.state != "firing", _TONES[render.tone(severity)], -row.since

    return sorted(rows, key=order)


def _gates(context: Context) -> list[GateCard]:
    cards = []
    for environment, service in context.gate.known():
        verdict = context.gate.ask(environment, service)
        deploys = context.ledger.deploys(environment, service, 1)
        cards.append(GateCard(verdict, opens(verdict), deploys[0] if deploys else None))
    return sorted(
        cards, key=lambda card: (_ORDER[card.verdict.verdict], card.verdict.environment, card.verdict.service)
    )


def opens(verdict: gate.Verdict) -> str:
    """What would open the gate, in one sentence; empty when it is open."""
    blocking = [reason for reason in verdict.reasons if reason.blocking]
    if not blocking:
        return ""
    parts = []
    names = list(dict.fromkeys(reason.rule for reason in blocking if reason.kind == "alert"))
    if names:
        verb = "is over" if len(names) == 1 else "are over"
        parts.append(f"{_and(names)} {verb}")
    if any(reason.kind == "no_data" for reason in blocking):
        parts.append("fresh data is back")
    if verdict.earliest_allow_at:
        return f"Opens at {render.clock(verdict.earliest_allow_at)} UTC, if nothing fires until then."
    if any(reason.kind == "soak" for reason in blocking):
        parts.append(f"all was quiet for {render.span(verdict.soak.required)}")
    return f"Opens when {_and(parts)}." if parts else ""


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _groups(context: Context) -> list[GroupRow]:
    rows = [
        GroupRow(status, tuple(one for one in status.rules if one.health == "err")) for status in context.rules.groups()
    ]
    return sorted(rows, key=lambda row: (not row.failed, row.status.group.file, row.status.group.name))


def _state(
    rows: Sequence[AlertRow],
    cards: Sequence[GateCard],
    found: Sequence[targets_.TargetStatus],
    groups: Sequence[GroupRow],
    missing: Sequence[str],
) -> State:
    firing = [row for row in rows if row.alert.state == "firing" and not row.silences]
    shut = [f"{card.verdict.environment}/{card.verdict.service}" for card in cards if card.verdict.verdict != "allow"]
    down = sum(status.health == "down" for status in found)
    failed = sum(len(row.failed) for row in groups)
    notes = [
        _count(len(shut), "gate is shut", "gates are shut") + (f": {_and(shut[:3])}" if len(shut) <= 3 else "")
        if shut
        else "",
        _count(down, "target is down", "targets are down"),
        _count(failed, "rule cannot be evaluated", "rules cannot be evaluated"),
    ]
    detail = ". ".join(note for note in notes if note)
    if firing:
        return State("bad", _count(len(firing), "alert fires", "alerts fire"), detail)
    if missing:
        return State("mild", "Starting", "; ".join(missing))
    if detail:
        return State("mild", "Nothing fires, but not all is well", detail)
    rules = sum(len(row.status.rules) for row in groups)
    watched = [part for part in (_count(len(found), "target", "targets"), _count(rules, "rule", "rules")) if part]
    return State("good", "All quiet", f"Watching {_and(watched)}" if watched else "Nothing is watched yet")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}" if number else ""


async def _search(context: Context, query: str, now: float) -> LogSearch:
    try:
        async with asyncio.timeout(LOG_PATIENCE):
            page = await context.logs.search(query, start=now - LOG_SPAN, end=now, limit=LINES)
        return LogSearch(query, page)
    except TimeoutError:
        return LogSearch(query, logs.LogPage((), 0), "the log store did not answer in time")
    except (problems.QueryError, problems.TransientError) as error:
        return LogSearch(query, logs.LogPage((), 0), str(error))
