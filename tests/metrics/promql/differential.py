"""Random expressions, asked of our engine and of a real Prometheus: `python -m tests.metrics.promql.differential N SEED`.

Prints every difference with what both said, and how many there were. Equal means: the same series and times, values to
1e-9, the same kind of error, the same warnings and infos (without the positions in the text).
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import http.client
import json
import math
import pathlib
import re
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from tests.metrics.promql import awkward, expressions
from tests.services import prometheus
from tidegate.metrics import adhoc
from tidegate.metrics.promql import engine
from tidegate.model import labels as labels_
from tidegate.model import problems, series

RELATIVE, ABSOLUTE = 1e-9, 1e-9
FEATURES = (
    "promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors,promql-binop-fill-modifiers"
)
_POSITION = re.compile(r" \(\d+:\d+\)$")
_SAMPLES = re.compile(r" with a max diff of \S+, over -?\d+ samples")
_SPREAD = re.compile("std|deriv|predict|rate")
_TIMES = re.compile("ts_of|timestamp|time|start|end")
_SHOWN_NOTES = 10
"""How many warnings (and infos) Prometheus' API shows."""
Points: TypeAlias = dict[int, float]
Found: TypeAlias = dict[tuple[tuple[str, str], ...], Points]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one server said."""

    error: str = ""
    """Prometheus' `errorType`."""
    text: str = ""
    """The error's text."""
    found: Found = dataclasses.field(default_factory=dict)
    order: tuple[object, ...] = ()
    """The series of an instant query in order."""
    notes: frozenset[str] = frozenset()


class Pair:
    """Both servers with the same samples."""

    def __init__(self, ours: adhoc.Adhoc, url: str) -> None:
        self._ours = ours
        self._peer = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)

    def close(self) -> None:
        """Leave the real server."""
        self._peer.close()

    def differences(self, expr: str, start: float, end: float, step: float) -> list[str]:
        """What the two say differently."""
        return list(compare(self.ours(expr, start, end, step), self.theirs(expr, start, end, step), expr))

    def ours(self, expr: str, start: float, end: float, step: float) -> Outcome:
        """Our engine."""
        try:
            answer = self._ours.range(expr, start, end, step) if step else self._ours.instant(expr, end)
        except problems.QueryError as error:
            return Outcome(error.kind, str(error))
        return _our_outcome(answer)

    def theirs(self, expr: str, start: float, end: float, step: float) -> Outcome:
        """The real one."""
        given: dict[str, object] = {"query": expr}
        given |= {"start": start, "end": end, "step": step} if step else {"time": end}
        path = "/api/v1/query_range" if step else "/api/v1/query"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._peer.request("POST", path, urllib.parse.urlencode(given), headers)
        body = json.loads(self._peer.getresponse().read())
        if body["status"] != "success":
            return Outcome(body["errorType"], body["error"])
        return _their_outcome(body)


def _our_outcome(answer: series.Answer) -> Outcome:
    result, notes = answer.result, frozenset(_note(note) for note in (*answer.warnings, *answer.infos))
    match result:
        case series.Scalar():
            return Outcome(found={(): {result.at_ms: result.value}}, notes=notes)
        case series.Vector():
            order = tuple(result.labels)
            return Outcome(
                found={of: {result.at_ms: v} for of, v in zip(order, result.values.tolist(), strict=True)},
                order=order,
                notes=notes,
            )
        case series.Matrix():
            each = {
                one.labels: dict(zip(one.times.tolist(), one.values.tolist(), strict=True)) for one in result.series
            }
            return Outcome(found=each, notes=notes)
    return Outcome(text=result.value)


def _their_outcome(body: Any) -> Outcome:
    data = body["data"]
    notes = frozenset(_note(note) for kind in ("warnings", "infos") for note in body.get(kind, ()))
    match data["resultType"]:
        case "scalar":
            return Outcome(found={(): _points([data["result"]])}, notes=notes)
        case "vector":
            found = [(labels_.make(one["metric"]), _points([one["value"]])) for one in data["result"]]
            return Outcome(found=dict(found), order=tuple(of for of, _ in found), notes=notes)
    return Outcome(found={labels_.make(one["metric"]): _points(one["values"]) for one in data["result"]}, notes=notes)


def _note(text: str) -> str:
    """Without the place in the query, and without numbers: a difference cut to two digits, and a count
    that Prometheus doubles each time it puts two notes together."""
    return _SAMPLES.sub("", _POSITION.sub("", text))


def _points(pairs: Sequence[Any]) -> Points:
    return {round(float(at) * 1000): float(value) for at, value in pairs}


def compare(ours: Outcome, theirs: Outcome, expr: str) -> Iterator[str]:
    """What two outcomes of one expression have different."""
    if ours.error or theirs.error:
        if ours.error != theirs.error:
            yield f"error: ours {ours.error!r} {ours.text!r}, theirs {theirs.error!r} {theirs.text!r}"
        return
    for of in sorted(ours.found.keys() ^ theirs.found.keys()):
        yield f"series only {'ours' if of in ours.found else 'theirs'}: {labels_.text(of)}"
    for of in sorted(ours.found.keys() & theirs.found.keys()):
        yield from _compare_points(labels_.text(of), ours.found[of], theirs.found[of], _relative(expr))
    if expr.startswith("sort") and ours.order != theirs.order:
        yield f"order: ours {ours.order}, theirs {theirs.order}"
    if len(theirs.notes) < _SHOWN_NOTES and ours.notes != theirs.notes:
        yield f"notes: only ours {sorted(ours.notes - theirs.notes)}, only theirs {sorted(theirs.notes - ours.notes)}"


def _compare_points(name: str, ours: Points, theirs: Points, relative: float) -> Iterator[str]:
    if ours.keys() != theirs.keys():
        here, there = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
        yield f"{name}: times only ours {here}, only theirs {there}"
        return
    for at, value in ours.items():
        if not _equal(value, theirs[at], relative):
            yield f"{name} at {at}: ours {value!r}, theirs {theirs[at]!r}"
            return


def _equal(a: float, b: float, relative: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, rel_tol=relative, abs_tol=ABSOLUTE)


def _relative(expr: str) -> float:
    """Prometheus loses digits where the variance of large numbers such as times is small."""
    return 1e-6 if _SPREAD.search(expr) and _TIMES.search(expr) else RELATIVE


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Pair]:
    """Both servers with the awkward samples. Raises `UnavailableError`."""
    flags = ["--web.enable-remote-write-receiver", f"--enable-feature={FEATURES}"]
    with prometheus.running(flags=flags) as server:
        awkward.push(server)
        kept = awkward.fill(folder)
        with contextlib.closing(Pair(adhoc.Adhoc(engine.Engine(kept, experimental=True), kept), server.url)) as pair:
            yield pair


def main(count: int, seed: int) -> int:
    """Ask so many questions; returns how many were answered differently."""
    wrong, errors, empty = 0, collections.Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder, running(pathlib.Path(folder)) as pair:
        for number in range(seed, seed + count):
            maker = expressions.Maker(number)
            expr, ask = maker.any(), maker.ask()
            found = pair.differences(expr, *ask)
            said = pair.ours(expr, *ask)
            errors[said.error] += 1
            empty += not said.error and not said.found
            if found:
                wrong += 1
                print(f"\n{number}: {expr}\n  at {ask}", *found[:3], sep="\n  ", flush=True)
    print(f"\n{count} asked, {wrong} answered differently; errors: {dict(errors)}, empty: {empty}")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
