"""Takes in what others push by remote write, and stores it beside what is scraped.

Series of one `job` and `instance` share a table, since they share their timestamps; series without an instance share one with
those of their metric name. What cannot be stored is counted by reason and told to the sender once, as Prometheus does:
the rest of the message is stored.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable

import numpy as np

from tidegate.kit import telemetry
from tidegate.metrics import store as store_
from tidegate.metrics import table as table_
from tidegate.metrics.remote import wire
from tidegate.model import labels as labels_
from tidegate.model import ports, problems

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
INTERVAL = 15.0
"""Seconds between samples until two of them tell better."""
AHEAD = 600.0
"""Seconds: samples further in the future are refused, as from a scrape."""
KNOWN = 500_000
"""Series whose bytes are remembered."""
MILLISECONDS = 1000


@dataclasses.dataclass(slots=True)
class _Place:
    """Where a series goes."""

    table: table_.Table
    column: int
    epoch: int


Rows = dict[tuple[str, int], tuple[table_.Table, list[int], list[int]]]
"""Columns and bits of values by table and timestamp."""


class Receiver:
    """Implements `ports.WriteReceiver`."""

    def __init__(self, store: store_.Store, clock: ports.Clock, registry: telemetry.Registry) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._known: dict[bytes, _Place] = {}
        self._last: dict[str, int] = {}
        self._samples = telemetry.Counter(
            "tidegate_remote_write_received_samples", "Samples stored from remote write.", registry=registry
        )
        self._dropped = telemetry.Counter(
            "tidegate_remote_write_received_dropped",
            "Samples, histograms and exemplars from remote write that were not stored.",
            ["reason"],
            registry=registry,
        )

    def write(self, body: bytes, message: str) -> ports.Written:
        """See `ports.WriteReceiver`."""
        plain = wire.unpacked(body)
        with self._lock:
            if message == V2:
                symbols, incoming = wire.version_2(plain)
                series: Iterable[wire.Incoming] = incoming
            else:
                symbols, series = [], wire.version_1(plain)
            return self._store_all(series, symbols)

    def _store_all(self, incoming: Iterable[wire.Incoming], symbols: list[str]) -> ports.Written:
        rows: Rows = {}
        wrong: dict[str, int] = {}
        latest = round((self._clock.now() + AHEAD) * MILLISECONDS)
        for one in incoming:
            _count(wrong, "native_histogram", one.histograms)
            self._dropped.labels("exemplar").inc(one.exemplars)
            try:
                place = self._place(one, symbols)
            except problems.PermanentError as error:
                _count(wrong, error.reason, len(one.samples))
                continue
            for at_ms, bits in one.samples:
                if at_ms > latest:
                    _count(wrong, "out_of_bounds", 1)
                    continue
                _, columns, values = rows.setdefault((place.table.key, at_ms), (place.table, [], []))
                columns.append(place.column)
                values.append(bits)
        stored = 0
        for (_, at_ms), (table, columns, values) in sorted(rows.items(), key=lambda row: row[0]):
            stored += self._row(table, at_ms, columns, values, wrong)
        self._samples.inc(stored)
        for reason, number in wrong.items():
            self._dropped.labels(reason).inc(number)
        return ports.Written(stored, tuple(sorted(wrong.items())))

    def _row(self, table: table_.Table, at_ms: int, columns: list[int], bits: list[int], wrong: dict[str, int]) -> int:
        values = np.array(bits, np.int64).view(np.float64)
        outcome = table.fill(at_ms, np.array(columns, np.int32), values)
        _count(wrong, "duplicate", outcome.duplicates)
        _count(wrong, "out_of_order", outcome.late)
        self._learn_interval(table, at_ms)
        return len(columns) - outcome.duplicates - outcome.late

    def _learn_interval(self, table: table_.Table, at_ms: int) -> None:
        """Rows that come faster than thought need a longer ring."""
        before = self._last.get(table.key, at_ms)
        self._last[table.key] = max(before, at_ms)
        apart = (at_ms - before) / MILLISECONDS
        if 0 < apart < table.interval * 0.9:
            self._store.table(table.key, apart)

    def _place(self, one: wire.Incoming, symbols: list[str]) -> _Place:
        """Where a series goes. Raises `PermanentError` (`labels`, `series_limit`)."""
        key = one.key if not symbols else b"2" + repr(wire.labels_2(one.key, symbols)).encode()
        found = self._known.get(key)
        if found is None or found.epoch != found.table.epoch:
            labels = wire.labels_2(one.key, symbols) if symbols else wire.labels_1(one.key)
            found = self._new(labels)
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[key] = found
        return found

    def _new(self, labels: labels_.Labels) -> _Place:
        name = labels_.get(labels, labels_.NAME)
        if not name:
            raise problems.PermanentError("a series without a metric name", reason="labels")
        source = labels_.get(labels, "instance") or name
        key = f"push;{labels_.get(labels, 'job')};{source}"
        table = self._store.own_table(key, self._store.interval(key) or INTERVAL)
        return _Place(table, table.column(labels), table.epoch)


def _count(counts: dict[str, int], reason: str, number: int) -> None:
    if number:
        counts[reason] = counts.get(reason, 0) + number
