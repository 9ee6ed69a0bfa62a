"""Samples of awkward shapes, given alike to our store and to a real Prometheus.

Targets have their own intervals and phases; scrapes fail, series come, go (with stale markers) and come back, counters
start again, values are NaN and infinite, histograms have broken buckets. Finite values are small multiples of 1/64, so
that sums are exact and comparisons do not depend on the order of additions.
"""

from __future__ import annotations

import dataclasses
import pathlib
import random
import struct
import urllib.request
from collections.abc import Iterator

import cramjam
import numpy as np

from tests.gate import fakes
from tests.services import prometheus
from tidegate.kit import telemetry
from tidegate.metrics import store as store_
from tidegate.model import labels, series

START_MS = 1_790_000_000_000
SPAN_MS = 12 * 60_000
END = (START_MS + SPAN_MS) / 1000
_BOUNDS = ("0.1", "0.5", "1", "2.5", "+Inf")
_INF = float("inf")


@dataclasses.dataclass(frozen=True)
class Target:
    """One target's rows: when, and the value of each series that is there."""

    key: str
    interval_ms: int
    rows: list[tuple[int, dict[labels.Labels, float]]]


def targets(seed: int = 11) -> list[Target]:
    """All of them."""
    dice = random.Random(seed)
    made = [_target(dice, number) for number in range(4)]
    return [*made, _odd(dice)]


def _target(dice: random.Random, number: int) -> Target:
    """A service: counters, gauges, a histogram, and what describes it."""
    interval = (15_000, 15_000, 10_000, 20_000)[number]
    own = {"job": "ab"[number % 2], "instance": f"i-{number}"}
    state: dict[labels.Labels, float] = {}
    rows = []
    for at in range(START_MS + number * 3_713, START_MS + SPAN_MS + 1, interval):
        row = dict(_row(dice, number, own, state, (at - START_MS) / SPAN_MS))
        if dice.random() > 0.06:
            rows.append((at, row))
    return Target(f"t{number}", interval, rows)


def _row(
    dice: random.Random, number: int, own: dict[str, str], state: dict[labels.Labels, float], when: float
) -> Iterator[tuple[labels.Labels, float]]:
    yield labels.make(own, __name__="up"), float(dice.random() > 0.2)
    yield labels.make(own, __name__="build", version=f"1.{number // 2}"), 1.0
    yield labels.make(own, __name__="target_info", cluster=f"c{number % 2}", node=f"n-{number}"), 1.0
    for path in ("/", "/x", "/y")[: 3 - number % 2]:
        of = labels.make(own, __name__="c_total", path=path)
        state[of] = 0.0 if dice.random() < 0.04 else state.get(of, 0.0) + dice.randrange(64) / 4
        if dice.random() > 0.08:
            yield of, state[of]
    for kind in ("p", "q"):
        yield labels.make(own, __name__="g", kind=kind), dice.randrange(-(2**17), 2**17) / 64
    if dice.random() > 0.5:
        yield labels.make(own, __name__="flap"), dice.randrange(8) * 1.0
    yield from _histogram(dice, number, own, state)
    if 0.4 < when < 0.7:
        yield labels.make(own, __name__="late_total", zone="z"), round(when * 64) * 1.0


def _histogram(
    dice: random.Random, number: int, own: dict[str, str], state: dict[labels.Labels, float]
) -> Iterator[tuple[labels.Labels, float]]:
    base = 0.0
    for le in _BOUNDS[: 4 if number == 3 else 5]:
        of = labels.make(own, __name__="h_bucket", le=le)
        grown = state[of] = state.get(of, 0.0) + dice.randrange(6)
        base += grown
        yield of, base - (40.0 if number == 2 and le == "1" else 0.0)
    yield labels.make(own, __name__="h_count"), base
    yield labels.make(own, __name__="h_sum"), base / 4
    if number == 1:
        yield labels.make(own, __name__="h_bucket", le="many"), 1.0
        yield labels.make(own, __name__="h_bucket", le="1.0"), 3.0


def _odd(dice: random.Random) -> Target:
    """Values and names that are rare: no numbers, the same labels under two names, one sample only."""
    rows: list[tuple[int, dict[labels.Labels, float]]] = []
    for at in range(START_MS + 9, START_MS + SPAN_MS + 1, 30_000):
        row = {
            labels.make(__name__="dup_one", x="1"): dice.randrange(9) * 1.0,
            labels.make(__name__="dup_two", x="1"): dice.randrange(9) * 1.0,
            labels.make(__name__="dup_two", x="2"): dice.randrange(9) * 1.0,
            labels.make(__name__="lone"): dice.randrange(-9, 9) / 8,
            labels.make(__name__="steady", x="1"): 3.0,
            labels.make({"__name__": "odd.name", "a b": "x\ny", "é": "ü"}): 2.5,
        }
        for number in range(4):
            of = labels.make(__name__="special", x=str(number))
            row[of] = dice.choice((float("nan"), _INF, -_INF, 0.0, -0.0, 1.5, -2.25, 2.0**20, 2.0**-10)[number:])
        if len(rows) == 10:
            row[labels.make(__name__="once_total", x="1")] = 7.0
        rows.append((at, row))
    return Target("odd", 30_000, rows)


def fill(folder: pathlib.Path) -> store_.Store:
    """Our store with all samples."""
    kept = store_.Store(folder, fakes.Clock(END), telemetry.Registry(), retention=SPAN_MS / 500)
    for target in targets():
        table = kept.table(target.key, target.interval_ms / 1000)
        for at, row in target.rows:
            columns = np.array([table.column(of) for of in row], np.int32)
            table.append(at, columns, np.array(list(row.values())))
    return kept


def push(server: prometheus.Server) -> None:
    """The same samples and stale markers by remote write."""
    found: dict[labels.Labels, list[bytes]] = {}
    for target in targets():
        before: dict[labels.Labels, float] = {}
        for at, row in target.rows:
            for of, value in row.items():
                found.setdefault(of, []).append(_sample(struct.pack("<d", value), at))
            for of in before.keys() - row.keys():
                found[of].append(_sample(struct.pack("<q", series.STALE_BITS), at))
            before = row
    body = cramjam.snappy.compress_raw(b"".join(_series(of, samples) for of, samples in sorted(found.items())))
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    asked = urllib.request.Request(f"{server.url}/api/v1/write", bytes(body), headers)
    with urllib.request.urlopen(asked, timeout=30):
        pass


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    return bytes((*out, value))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _sample(value: bytes, at: int) -> bytes:
    return _field(2, b"\x09" + value + b"\x10" + _varint(at))


def _series(of: labels.Labels, samples: list[bytes]) -> bytes:
    pairs = (_field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in of)
    return _field(1, b"".join(pairs) + b"".join(samples))
