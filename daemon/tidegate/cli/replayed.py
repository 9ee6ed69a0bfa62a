"""How `tidegate replay` shows what came of it: alerts that fired, messages, shut gates; or what differs from before."""

from __future__ import annotations

import collections
import dataclasses
import datetime
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from tidegate import rehearsal
from tidegate.model import labels as labels_
from tidegate.rules import audience, replay

K = TypeVar("K", bound=Hashable)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One replay. Without settings there is nothing to say of messages and gates."""

    outcome: replay.Outcome
    rehearsed: bool = False
    sent: Sequence[audience.Sent] = ()
    shut: Sequence[rehearsal.Shut] = ()


def body(mine: Result, other: Result | None) -> dict[str, Any]:
    """For programs."""
    found: dict[str, Any] = {
        "evaluations": mine.outcome.evaluations,
        "samples": mine.outcome.samples,
        "failures": mine.outcome.failures,
        "missing": mine.outcome.missing,
        "firings": [dataclasses.asdict(one) | {"labels": dict(one.labels)} for one in mine.outcome.firings],
    }
    if mine.rehearsed:
        found["sent"] = [_sent_body(one) for one in mine.sent]
        found["blocked"] = [dataclasses.asdict(one) for one in mine.shut]
    return found | ({"changes": list(changes(mine, other))} if other else {})


def lines(mine: Result, other: Result | None, *, texts: bool) -> Iterator[str]:
    """For people. `texts` shows messages whole."""
    if other:
        yield from changes(mine, other)
    else:
        yield from _everything(mine, texts=texts)
    for name, error in mine.outcome.failures.items():
        yield f"✘ {name}: {error}"
    if mine.outcome.missing:
        days = datetime.timedelta(seconds=round(mine.outcome.missing))
        yield f"! rules look back at what rules record by {days} more than --warmup: those parts of their windows are empty"
    yield _counts(mine) + (f"; before: {_numbers(other)}" if other else "")


def changes(mine: Result, other: Result) -> Iterator[str]:
    """A line for each alert, receiver and gate for which something else happens than before."""
    now, before = _fired(mine), _fired(other)
    for labels, new, old in _differing(now, before):
        yield f"{_sign(new, old)} {labels_.text(labels)} fired {_change(old, new)}"
    for (receiver, integration, title), one, another in _differing(_told(mine), _told(other)):
        yield f"{_sign(one, another)} {receiver} {integration} {title!r} sent {another} -> {one} times"
    for (environment, service, verdict), new, old in _differing(_closed(mine), _closed(other)):
        yield f"{_sign(new, old)} gate {environment}/{service} {verdict} {_change(old, new)}"


def _everything(mine: Result, *, texts: bool) -> Iterator[str]:
    if mine.rehearsed:
        yield "fired:"
    indent = "  " if mine.rehearsed else ""
    for fired in mine.outcome.firings:
        span = _span(fired.start, fired.end, "still firing" if not fired.over else "")
        yield f"{indent}{span}  {labels_.text(fired.labels)} peak {fired.peak:g}"
    if not mine.rehearsed:
        return
    yield "sent:"
    for sent in mine.sent:
        yield f"  {_time(sent.at)}  {sent.receiver} {sent.integration}  {sent.title}"
        if texts:
            yield from (f"    {line}" for line in sent.text.splitlines())
    yield "blocked:"
    for shut in mine.shut:
        span = _span(shut.start, shut.end, "still" if not shut.over else "")
        yield f"  {span}  {shut.environment}/{shut.service} {shut.verdict}: {shut.message}"


def _counts(mine: Result) -> str:
    outcome = mine.outcome
    return (
        f"{_numbers(mine)}, {outcome.evaluations} evaluations, {len(outcome.failures)} rules failed, "
        f"{outcome.samples} samples"
    )


def _numbers(of: Result) -> str:
    more = f", {len(of.sent)} messages, {len(of.shut)} times a gate was shut" if of.rehearsed else ""
    return f"{len(of.outcome.firings)} firings{more}"


def _sent_body(one: audience.Sent) -> dict[str, Any]:
    alerts = {state: [dict(labels) for labels in getattr(one, state)] for state in ("firing", "resolved")}
    return dataclasses.asdict(one) | alerts


Total = tuple[int, float]
"""How often, and how many seconds in all."""


def _fired(of: Result) -> dict[labels_.Labels, Total]:
    return _sums((one.labels, one.end - one.start) for one in of.outcome.firings)


def _closed(of: Result) -> dict[tuple[str, str, str], Total]:
    return _sums(((one.environment, one.service, one.verdict), one.end - one.start) for one in of.shut)


def _sums(found: Iterable[tuple[K, float]]) -> dict[K, Total]:
    sums: dict[K, Total] = collections.defaultdict(lambda: (0, 0.0))
    for key, more in found:
        count, seconds = sums[key]
        sums[key] = (count + 1, seconds + more)
    return dict(sums)


def _told(of: Result) -> dict[tuple[str, str, str], int]:
    return collections.Counter((one.receiver, one.integration, one.title) for one in of.sent)


def _differing(now: dict[K, Any], before: dict[K, Any]) -> Iterator[tuple[K, Any, Any]]:
    nothing: Any = 0 if isinstance(now, collections.Counter) else (0, 0.0)
    for key in sorted({*now, *before}, key=str):
        new, old = now.get(key, nothing), before.get(key, nothing)
        if new != old:
            yield key, new, old


def _sign(new: Any, old: Any) -> str:
    nothing = (0, (0, 0.0))
    return "+" if old in nothing else "-" if new in nothing else "~"


def _change(old: Total, new: Total) -> str:
    return f"{old[0]} -> {new[0]} times, {old[1]:g} -> {new[1]:g} s"


def _span(start: float, end: float, going_on: str) -> str:
    return f"{_time(start)} .. {going_on or _time(end)}"


def _time(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
